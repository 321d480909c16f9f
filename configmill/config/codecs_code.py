"""How functions, methods, classes, modules and partials become JSON, and back: by name, functions with a digest.

`codecs` says which type goes where; `functions` digests code; `references` finds names.

    encode_class(dict, walk) == {"__type__": "class", "module": "builtins", "qualname": "dict"}
"""

# ruff: noqa: D103 - a pair of functions a type, named for it; `codecs` lists them

from __future__ import annotations

from collections.abc import Callable

from configmill.config.references import import_module, main_module_name, reference, resolve
from configmill.config.unstable import unstable_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from functools import partial
    from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
    from typing import Any

    from configmill.config.encoding import Walk

    Encoded = dict[str, Any]
    Decode = Callable[[Any], Any]


def _named(tag: str, named: Any) -> Encoded:
    module, qualname = reference(named)
    return {"__type__": tag, "module": module, "qualname": qualname}


def decode_named(encoded: Encoded, decode: Decode) -> Any:
    return resolve(encoded["module"], encoded["qualname"])


def encode_function(function: FunctionType, walk: Walk) -> Encoded:
    for distance, outer in enumerate(reversed(walk.functions)):
        if outer is function:  # its closure leads back to it: a recursive local function
            return {"__type__": "function", "enclosing": distance}
    from configmill.config.functions import function_digest

    return {**_named("function", function), "digest": function_digest(function, walk)}


def encode_builtin(value: BuiltinFunctionType, walk: Walk) -> Encoded:
    """A function of an extension module, or a method of an object (`"abc".upper`) or class (`dict.fromkeys`)."""
    owner = value.__self__
    if owner is None or _is_module(owner):
        module = value.__module__ or getattr(owner, "__name__", None)
        if module is None:
            raise unstable_value(value, walk.key, f'the built-in function "{value.__name__}" names no module')
        return {"__type__": "callable", "module": module, "qualname": value.__qualname__}
    return {"__type__": "method", "self": walk.encode(owner), "name": value.__name__, "function": None}


def _is_module(value: object) -> bool:
    import sys

    return isinstance(value, type(sys))


def encode_named_callable(value: Any, walk: Walk) -> Encoded:
    """A callable that is found by its name: `str.upper`, `numpy.mean`."""
    owner = getattr(value, "__objclass__", value)
    return {"__type__": "callable", "module": main_module_name(owner.__module__), "qualname": value.__qualname__}


def encode_method(value: MethodType, walk: Walk) -> Encoded:
    """The object that it is bound to, its name and its code."""
    function = walk.encode(value.__func__)
    return {"__type__": "method", "self": walk.encode(value.__self__), "name": value.__name__, "function": function}


def decode_method(encoded: Encoded, decode: Decode) -> Any:
    return getattr(decode(encoded["self"]), encoded["name"])


def is_class(value: object) -> bool:
    return isinstance(value, type)


def encode_class(value: type, walk: Walk) -> Encoded:
    return _named("class", value)


def encode_module(value: ModuleType, walk: Walk) -> Encoded:
    return {"__type__": "module", "module": main_module_name(value.__name__)}


def decode_module(encoded: Encoded, decode: Decode) -> Any:
    return import_module(encoded["module"])


def encode_partial(value: partial[Any], walk: Walk) -> Encoded:
    return {
        "__type__": "partial",
        "func": walk.encode(value.func),
        "args": [walk.encode(item) for item in value.args],
        "keywords": walk.encode(dict(value.keywords)),
    }


def decode_partial(encoded: Encoded, decode: Decode) -> Any:
    import functools

    return functools.partial(decode(encoded["func"]), *decode(encoded["args"]), **decode(encoded["keywords"]))
