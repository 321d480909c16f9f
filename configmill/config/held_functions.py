"""What the functions in a config need that their digests don't cover: the globals of their modules.

A function's code is part of the config's identity, so that `lambda x: 2 * x` needs nothing else; what
`lambda x: tools.double(x)` does, its digest can't say.

    self_contained, modules = held_functions(config, {"builders", "tools"})
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType

from configmill.config.encoding import canonical_json, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: With these a function reaches globals and modules that its code doesn't name; "" is a relative import.
_REACHING = frozenset({"eval", "exec", "globals", "__import__", "import_module", ""})


def held_functions(config: Mapping[str, Any], modules: Collection[str]) -> tuple[list[str], set[str]]:
    """Return the functions that need nothing but their code (as canonical JSON), and the modules that others need.

    `modules` are those that a function could import itself. Functions within objects are not looked for.
    """
    importable = {name.partition(".")[0] for name in modules}
    self_contained: list[str] = []
    needed: set[str] = set()
    for function in _functions(config):
        of_this = _modules_needed(function, importable, set())
        needed |= of_this
        if not of_this:
            self_contained.append(canonical_json(encode(function)))
    return self_contained, needed


def _functions(value: Any) -> Iterator[FunctionType]:
    match value:
        case FunctionType():
            yield value
        case MethodType():
            yield from _functions(value.__func__)
        case partial():
            yield from _functions([value.func, value.args, value.keywords])
        case Mapping():
            yield from _functions(list(value.values()))
        case list() | tuple() | set() | frozenset():
            for item in value:
                yield from _functions(item)


def _modules_needed(function: FunctionType, importable: set[str], seen: set[int]) -> set[str]:
    """The modules of the globals that the function reads, and those that the functions in its closure do."""
    if id(function) in seen:
        return set()
    seen.add(id(function))
    needed: set[str] = set()
    names = set(_names(function.__code__))
    if names & (function.__globals__.keys() | importable | _REACHING):
        needed |= {str(function.__module__), str(function.__globals__.get("__name__"))}
    for inner in _functions([*_closure(function), function.__defaults__ or (), function.__kwdefaults__ or {}]):
        needed |= _modules_needed(inner, importable, seen)
    return needed


def _names(code: CodeType) -> Iterator[str]:
    """Every name of a global, attribute or module that the code uses; of a dotted one the first part."""
    for name in code.co_names:
        yield name.partition(".")[0]
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _closure(function: FunctionType) -> list[Any]:
    contents = []
    for cell in function.__closure__ or ():
        try:
            contents.append(cell.cell_contents)
        except ValueError:  # a variable that isn't assigned yet
            continue
    return contents
