"""What an experiment returns or logs, as JSON.

    to_jsonable({"mae": numpy.float64(0.5), "plot": Path("a.png")})  ->  {"mae": 0.5, "plot": "a.png"}

numpy and torch scalars, arrays, paths and dates are converted, non-finite floats kept (as `NaN` and `Infinity`, which
Python's json reads back). Anything else that JSON can't hold is an error that names the key: a result that was
silently turned into text could not be plotted or compared.
"""

from __future__ import annotations

from collections.abc import Mapping

from configmill.errors import ResultError

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

#: Python refuses to write a whole number of more than 4,300 digits as text (sys.set_int_max_str_digits).
_MAX_INT_BITS = 14_000
_PLAIN = (str, int, float, bool, type(None))


def result_to_jsonable(result: Any) -> dict[str, Any]:
    """What an experiment's function returned, as a dict. Raises ResultError for anything but a mapping or None."""
    if result is None:
        return {}
    if not isinstance(result, Mapping):
        raise ResultError(
            f"The experiment returned {_shown(result)}, which is no mapping. "
            "Return a dict of names to values, or nothing."
        )
    try:
        converted: dict[str, Any] = to_jsonable(result, "the result")
    except RecursionError:
        raise ResultError(
            "The result is nested too deeply for JSON. Return it flatter, or save it as a file."
        ) from None
    return converted


def to_jsonable(value: Any, key: str, _inside: tuple[int, ...] = ()) -> Any:
    """`value` as what `json.dumps` takes; `key` names it in a ResultError."""
    if type(value) in _PLAIN:
        if type(value) is int and value.bit_length() > _MAX_INT_BITS:
            raise ResultError(
                f"The value of {key!r} is a whole number too long to write. Return it as text or a float."
            )
        return value
    if id(value) in _inside:
        raise ResultError(f"The value of {key!r} contains itself. Return a copy of the part that is wanted.")
    inside = (*_inside, id(value))
    if isinstance(value, Mapping):
        return _mapping_to_jsonable(value, key, inside)
    if isinstance(value, list | tuple):
        return [to_jsonable(item, f"{key}[{i}]", inside) for i, item in enumerate(value)]
    converted = _convert_object(value)
    if converted is value:
        raise ResultError(
            f"The value of {key!r} is {_shown(value)}, which JSON can't hold. "
            "Convert it to numbers, text, lists or dicts, or save it as a file in config.meta.experiment_dir."
        )
    return to_jsonable(converted, key, inside)


def _mapping_to_jsonable(mapping: Mapping[Any, Any], key: str, inside: tuple[int, ...]) -> dict[str, Any]:
    converted: dict[str, Any] = {}
    for name, value in mapping.items():
        text = name if type(name) is str else _key_to_text(name, key)
        below = text if key == "the result" else f"{key}.{text}"
        if text in converted:
            raise ResultError(f"The key {below!r} stands twice once its keys are text. Rename one of them.")
        converted[text] = to_jsonable(value, below, inside)
    return converted


def _key_to_text(name: Any, key: str) -> str:
    plain = name if isinstance(name, _PLAIN) else _convert_object(name)
    if isinstance(plain, _PLAIN):
        return str(plain)
    raise ResultError(f"A key of {key!r} is {_shown(name)}, which JSON can't hold. Use text as keys.")


def _convert_object(value: Any) -> Any:
    """One step towards JSON by what the value can do, so that nothing need be imported; itself where there is none."""
    if isinstance(value, str | int | float):
        # Subclasses (numpy.float64, IntEnum, StrEnum): what they are underneath.
        base = next(base for base in (str, int, float) if isinstance(value, base))
        return base(value) if base is not str else str.__str__(value)
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        # numpy's dates would become numbers of nanoseconds.
        timelike = getattr(value.dtype, "kind", None) in ("M", "m")
        # numpy and torch, arrays and scalars alike; a tensor that requires grad or is on a device converts too.
        return (value.astype(str) if timelike else value).tolist()
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 80 else text[:77] + '...'} ({type(value).__name__})"
