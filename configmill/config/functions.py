"""Digests of functions: what they compute, not where they stand.

A function is its module, qualified name, code, closure and defaults. Line numbers, file names, comments, docstrings
and white space don't count (except that Python up to 3.12 compiles a condition wrapped over lines differently, which
`measure.source` sees through); constants count as values, since a docstring shifts their indexes. What it calls, and
the globals that it reads, count by name only. The digest holds within one minor version of Python.

    code_token(compile("x = 1", "a.py", "exec")) == code_token(compile("'documented'; x = 1", "b.py", "exec"))
"""

from __future__ import annotations

from configmill.config.hashing import sha256_hex
from configmill.config.references import reference
from configmill.jsontext import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    import dis
    from types import CodeType, FunctionType
    from typing import Any

    from configmill.config.encoding import Walk

_CO_OPTIMIZED = 0x1  # set for functions, not for the bodies of modules and classes
_CO_HAS_DOCSTRING = 0x4000000  # Python 3.13+
#: What the body of a class or module records about itself: text and places, not behaviour.
_SELF_DESCRIPTIONS = frozenset({"__doc__", "__firstlineno__", "__static_attributes__"})
_IGNORED_OPERATIONS = frozenset({"EXTENDED_ARG", "NOP", "CACHE"})

_JOINED = {
    "LOAD_FAST_LOAD_FAST": ("LOAD_FAST", "LOAD_FAST"),
    "STORE_FAST_LOAD_FAST": ("STORE_FAST", "LOAD_FAST"),
    "STORE_FAST_STORE_FAST": ("STORE_FAST", "STORE_FAST"),
    "LOAD_FAST_BORROW_LOAD_FAST_BORROW": ("LOAD_FAST_BORROW", "LOAD_FAST_BORROW"),  # Python 3.14
}

#: Disassembling takes 0.1 ms and more; a sweep meets the same code thousands of times.
_tokens: dict[CodeType, str] = {}
_MOST_TOKENS = 4096


def function_digest(function: FunctionType, walk: Walk) -> str:
    """Return the digest (16 hex digits) of a function.

    Raises UnstableDigestError where a default or a value of its closure has no stable digest.
    """
    inside = walk.inside(function)
    parts = [
        *reference(function),
        code_token(function.__code__),
        [_cell(cell, inside) for cell in function.__closure__ or ()],
        inside.encode(list(function.__defaults__ or ())),
        inside.encode(dict(function.__kwdefaults__ or {})),
    ]
    return sha256_hex(_json(parts))[:16]


def _cell(cell: Any, walk: Walk) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:
        return "empty"  # a variable that isn't assigned yet
    return [walk.encode(content)]


def code_token(code: CodeType) -> str:
    """Return the digest (64 hex digits) of a code object of a function, class body or module."""
    token = _tokens.get(code)
    if token is None:
        if len(_tokens) >= _MOST_TOKENS:
            _tokens.clear()
        token = _tokens[code] = sha256_hex(_json(_code_parts(code)))
    return token


def _code_parts(code: CodeType) -> list[Any]:
    """Return what code does: operations with their arguments as values, jumps as numbers of operations."""
    import bisect
    import dis

    bytecode = dis.Bytecode(code)
    operations = [operation for operation in bytecode if operation.opname not in _IGNORED_OPERATIONS]
    if not code.co_flags & _CO_OPTIMIZED:
        operations = _without_self_descriptions(operations, set(dis.hasconst))
    steps = [step for operation in operations for step in _steps(operation)]
    offsets = [operation.offset for operation, _, _ in steps]
    handlers = [
        [*(bisect.bisect_left(offsets, entry_offset) for entry_offset in entry[:3]), *entry[3:]]
        for entry in _exception_entries(code)
    ]
    jumps, constants, names = {*dis.hasjrel, *dis.hasjabs}, set(dis.hasconst), set(dis.hasname)
    body: list[Any] = []
    for operation, name, argument in steps:
        if operation.opcode in constants:
            argument = _constant(operation.argval)
        elif operation.opcode in jumps:
            argument = bisect.bisect_left(offsets, operation.argval)
        elif operation.opcode in names:
            argument = operation.argrepr  # the name, and whether a NULL goes with it
        body.append([name, argument])
    counts = [code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags & ~_CO_HAS_DOCSTRING]
    return [code.co_name, counts, code.co_varnames, code.co_freevars, code.co_cellvars, body, handlers]


def _steps(operation: dis.Instruction) -> list[tuple[dis.Instruction, str, Any]]:
    """Return an operation, its name and argument; taken apart where it is two in one.

    From 3.13 the compiler joins neighbouring loads and stores, but only those on one line: white space would count.
    """
    names = _JOINED.get(operation.opname)
    if names is None or operation.arg is None:
        return [(operation, operation.opname, operation.arg)]
    return [(operation, names[0], operation.arg >> 4), (operation, names[1], operation.arg & 15)]


def _without_self_descriptions(operations: list[dis.Instruction], constants: set[int]) -> list[dis.Instruction]:
    kept: list[dis.Instruction] = []
    for operation in operations:
        if (
            operation.opname == "STORE_NAME"
            and operation.argval in _SELF_DESCRIPTIONS
            and kept
            and (kept[-1].opcode in constants or kept[-1].opname == "LOAD_SMALL_INT")
        ):
            kept.pop()
        else:
            kept.append(operation)
    return kept


def _exception_entries(code: CodeType) -> list[tuple[int, int, int, int]]:
    """Return (start, end, target, depth and lasti) of an exception table, offsets in bytes.

    The format is CPython's Objects/exception_table.txt: four varints an entry, six bits a byte, big end first.
    """
    table = iter(code.co_exceptiontable)
    numbers = []
    for byte in table:
        number = byte & 63
        while byte & 64:
            byte = next(table)
            number = number << 6 | byte & 63
        numbers.append(number)
    entries = zip(numbers[0::4], numbers[1::4], numbers[2::4], numbers[3::4], strict=True)
    return [(2 * start, 2 * (start + length), 2 * target, rest) for start, length, target, rest in entries]


def _constant(value: Any) -> Any:
    if hasattr(value, "co_code"):
        return ["code", code_token(value)]
    if isinstance(value, tuple):
        return ["tuple", [_constant(item) for item in value]]
    if isinstance(value, frozenset):
        return ["frozenset", sorted(_json(_constant(item)) for item in value)]
    if isinstance(value, int) and not isinstance(value, bool):
        return ["int", hex(value)]  # decimal digits are limited
    return [type(value).__name__, repr(value)]


def _json(parts: list[Any]) -> str:
    return canonical(parts)
