"""A digest of a module's source that only a change of what it does changes, and the modules that it imports.

    source_token("x = 1  # one") == source_token("x=1")
    read_source("from . import model").imports == [(1, "", ("model",))]

It walks the syntax tree, not the code: the compiler (up to 3.12) threads jumps within one line only, so that code tells
how a long condition was wrapped, and taking code apart needs `dis`, 4 ms of every cold start. Fields are written by
name, and only those that hold something: a field that a later Python adds changes no digest.
"""

from __future__ import annotations

# The C module behind `ast`: the classes without the helpers, which take 3 ms to import.
import _ast

from configmill.config.hashing import sha256_hex

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

    #: How many dots lead, the module after them, and the names that are taken from it (which may be modules, too).
    Import = tuple[int, str, tuple[str, ...]]

#: What compiling a source, or writing its numbers, may raise.
UNPARSABLE = (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError)

#: What of a node says how or where it is written, not what it does.
_IGNORED_FIELDS = frozenset({"kind", "type_comment", "type_ignores", "ctx"})
_fields: dict[type, tuple[str, ...]] = {}
_DOCUMENTED = frozenset({_ast.Module, _ast.ClassDef, _ast.FunctionDef, _ast.AsyncFunctionDef})
_IMPORTING = frozenset({_ast.Import, _ast.ImportFrom, _ast.Call})
#: What imports a module that is given by its name.
_IMPORTERS = frozenset({"import_module", "__import__"})


class Source:
    """What is to know of a source: its `token` (64 hex digits) and the `imports` that stand anywhere in it."""

    __slots__ = ("imports", "token")

    def __init__(self, token: str, imports: list[Import]) -> None:
        self.token = token
        self.imports = imports


def source_token(source: str | bytes, filename: str = "<source>") -> str:
    """The digest (64 hex digits) of a module; comments, white space, layout and docstrings don't count.

    Nor does what stands below `if __name__ == "__main__":`, which no experiment runs. Raises one of UNPARSABLE.
    """
    return read_source(source, filename).token


def read_source(source: str | bytes, filename: str = "<source>", *, is_cell: bool = False) -> Source:
    """The token and the imports of a module, or of a notebook's cell. Raises one of UNPARSABLE.

    A cell is a main script, and shows its last expression, so that a text which stands there alone is no docstring.
    """
    tree: Any = compile(source, filename, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    if not is_cell:
        tree.body = _without_main_part(tree.body)
    elif len(tree.body) == 1:
        tree = tree.body[0]
    parts: list[str] = []
    imports: list[Import] = []
    _write(tree, parts, imports)
    return Source(sha256_hex(" ".join(parts)), imports)


def _write(node: Any, parts: list[str], imports: list[Import]) -> None:
    """Add the node's text, in the manner of `ast.dump` without positions, and what it imports."""
    kind = type(node)
    parts.append(kind.__name__)
    try:
        fields = _fields[kind]
    except KeyError:
        fields = _fields[kind] = tuple(field for field in kind._fields if field not in _IGNORED_FIELDS)
    for field in fields:
        value = getattr(node, field, None)
        if isinstance(value, _ast.AST):
            parts.append(field)
            _write(value, parts, imports)
        elif type(value) is list:
            if field == "body" and kind in _DOCUMENTED:
                value = _without_docstring(value)
            if value:
                parts.append(f"{field}*{len(value)}")
            for item in value:
                if isinstance(item, _ast.AST):
                    _write(item, parts, imports)
                else:  # a name, or a None in the place of a node
                    parts.append(repr(item))
        elif value is not None:
            parts.append(f"{field}={value!r}")
    parts.append(")")
    if kind in _IMPORTING:
        _note_imports(node, imports)


def _without_docstring(body: Any) -> Any:
    match body:
        case [_ast.Expr(value=_ast.Constant(value=str())), *rest]:
            return rest or [_ast.Pass()]  # what a body that was documentation alone would say without it
    return body


def _without_main_part(body: list[Any]) -> list[Any]:
    """The statements of a module that run where it is imported."""
    kept: list[Any] = []
    for statement in body:
        kept += statement.orelse if _is_main_part(statement) else [statement]
    return kept


def _is_main_part(statement: Any) -> bool:
    match statement:
        case _ast.If(
            test=_ast.Compare(
                left=_ast.Name(id="__name__"), ops=[_ast.Eq()], comparators=[_ast.Constant(value="__main__")]
            )
        ):
            return True
    return False


def _note_imports(node: Any, imports: list[Import]) -> None:
    match node:
        case _ast.Import(names=names):
            imports += [(0, alias.name, ()) for alias in names]
        case _ast.ImportFrom(level=level, module=module, names=names):
            imports.append((level or 0, module or "", tuple(alias.name for alias in names)))
        case _ast.Call(func=_ast.Name(id=name) | _ast.Attribute(attr=name), args=[_ast.Constant(value=str(text)), *_]):
            if name in _IMPORTERS:
                module = text.lstrip(".")
                imports.append((len(text) - len(module), module, ()))
