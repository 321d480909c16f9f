"""A digest of a module's source that only a change of what it does changes.

    source_token("x = 1  # one") == source_token("x=1")

It walks the syntax tree, not the code: the compiler (up to 3.12) threads jumps within one line only, so that code tells
how a long condition was wrapped, and taking code apart needs `dis`, 4 ms of every cold start.
"""

from __future__ import annotations

# The C module behind `ast`: the classes without the helpers, which take 3 ms to import.
import _ast

from configmill.config.hashing import sha256_hex

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

#: What of a node says how it was written, not what it does.
_IGNORED_FIELDS = frozenset({"kind", "type_comment", "type_ignores"})
_DOCUMENTED = (_ast.Module, _ast.ClassDef, _ast.FunctionDef, _ast.AsyncFunctionDef)


def source_token(source: str | bytes, filename: str = "<source>") -> str:
    """The digest (64 hex digits); comments, white space, layout and docstrings don't count. Raises SyntaxError."""
    tree = compile(source, filename, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
    parts: list[str] = []
    _write(tree, parts)
    return sha256_hex("".join(parts))


def _write(node: Any, parts: list[str]) -> None:
    """Add the node's text, in the manner of `ast.dump` without positions."""
    if isinstance(node, _ast.AST):
        parts.append(type(node).__name__)
        parts.append("(")
        for field in node._fields:
            if field not in _IGNORED_FIELDS:
                value = getattr(node, field, None)
                if field == "body" and isinstance(node, _DOCUMENTED):
                    value = _without_docstring(value)
                _write(value, parts)
                parts.append(",")
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            _write(item, parts)
            parts.append(",")
        parts.append("]")
    else:
        parts.append(repr(node))


def _without_docstring(body: Any) -> Any:
    match body:
        case [_ast.Expr(value=_ast.Constant(value=str())), *rest]:
            return rest or [_ast.Pass()]  # what a body that was documentation alone would say without it
    return body
