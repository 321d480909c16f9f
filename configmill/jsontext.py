"""JSON as `json` writes and reads it, without importing that: with `re` and `enum` it is a quarter of a cold start.

    dumps({"a": 1.0})                   # json.dumps(value)
    dumps_indented({"a": 1.0})          # json.dumps(value, indent=1, ensure_ascii=False)
    canonical([{"b": 1, "a": 2}])       # json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    loads('{"a": 1.0}')                 # json.loads(text)

The work is done by the C functions that `json` itself is made of. What can't be written or read is left to `json`,
which says why.
"""

from __future__ import annotations

from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_INFINITY = float("inf")
_WHITESPACE = " \t\n\r"


class _Decoding:
    """What json.JSONDecoder tells the scanner."""

    strict = True
    object_hook = object_pairs_hook = array_hook = None
    parse_float, parse_int = float, int
    parse_constant = {"NaN": float("nan"), "Infinity": _INFINITY, "-Infinity": -_INFINITY}.__getitem__


_scan: Any = make_scanner(_Decoding)  # type: ignore[arg-type]


def loads(text: str | bytes) -> Any:
    """The value that `text` is. Raises json.JSONDecodeError (a ValueError) and what else json.loads raises."""
    try:
        trimmed = (text if isinstance(text, str) else text.decode("utf-8", "surrogatepass")).strip(_WHITESPACE)
        value, end = _scan(trimmed, 0)
        if end == len(trimmed):
            return value
    except (StopIteration, ValueError, RecursionError):
        pass
    import json

    return json.loads(text)


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """`value` in one line of ASCII. Raises what json.dumps raises."""
    try:
        return _one_line(value, default or _refuse, encode_basestring_ascii, ", ", ": ", False, True)
    except (TypeError, ValueError, RecursionError):
        import json

        return json.dumps(value, default=default)


def canonical(value: Any) -> str:
    """`value` in one line of ASCII that is the same for equal values: keys sorted, no spaces, no NaN."""
    try:
        return _one_line(value, _refuse, encode_basestring_ascii, ",", ":", True, False)
    except (TypeError, ValueError, RecursionError):
        import json

        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def dumps_indented(value: Any) -> str:
    """`value` as a person may read it, beyond ASCII too. Raises what json.dumps raises."""
    try:
        return _indented(value, "\n")
    except (TypeError, ValueError, RecursionError):
        import json

        return json.dumps(value, indent=1, ensure_ascii=False)


def _one_line(
    value: Any,
    default: Callable[[Any], Any],
    quote: Callable[[str], str],
    between: str,
    after_key: str,
    sort_keys: bool,
    allow_nan: bool,
) -> str:
    return "".join(make_encoder({}, default, quote, None, after_key, between, sort_keys, False, allow_nan)(value, 0))


def _refuse(value: Any) -> Any:
    raise TypeError


def _indented(value: Any, margin: str) -> str:
    """The text of `value`; `margin` begins each line."""
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if kind in _CONSTANTS:
        return _CONSTANTS[kind](value)
    inner = f"{margin} "
    if isinstance(value, dict) and value:
        items = [f"{_key(key)}: {_indented(item, inner)}" for key, item in value.items()]
        return f"{{{inner}{f',{inner}'.join(items)}{margin}}}"
    if isinstance(value, list | tuple) and value:
        return f"[{inner}{f',{inner}'.join([_indented(item, inner) for item in value])}{margin}]"
    return _leaf(value)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        if key is not None and not isinstance(key, int | float):
            raise TypeError
        key = _leaf(key)
    return encode_basestring(key)


def _leaf(value: Any) -> str:
    return _one_line(value, _refuse, encode_basestring, ", ", ": ", False, True)


#: How the commonest are written, which need no encoder of their own.
_CONSTANTS: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
}
