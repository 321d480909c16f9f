"""How objects of user-defined types become JSON, and back: enums, dataclasses, namedtuples, pydantic models, paths.

`codecs` says which type goes where. A class is named by `references`; none of the libraries is imported here.

    encode_dataclass(Point(1, 2), walk) == {"__type__": "dataclass", "class": ..., "fields": {"x": 1, "y": 2}}
"""

# ruff: noqa: D103 - a pair of functions a type, named for it; `codecs` lists them

from __future__ import annotations

import sys
from collections.abc import Callable

from configmill.config.references import reference, resolve
from configmill.config.unstable import type_name, unstable_value
from configmill.errors import UnstableDigestError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from configmill.config.encoding import Walk

    Encoded = dict[str, Any]
    Decode = Callable[[Any], Any]


def _class_of(value: object) -> Encoded:
    module, qualname = reference(type(value))
    return {"module": module, "qualname": qualname}


def _resolved(encoded: Encoded) -> Any:
    return resolve(encoded["class"]["module"], encoded["class"]["qualname"])


def has_custom_digest(value: object) -> bool:
    return hasattr(type(value), "__configmill_digest__")


def encode_custom(value: Any, walk: Walk) -> Encoded:
    try:
        digest = value.__configmill_digest__()
    except Exception as error:  # user code
        why = f"{type_name(value)}.__configmill_digest__() raised {type(error).__name__}: {error}"
        raise unstable_value(value, walk.key, why) from error
    return {"__type__": "custom", "class": _class_of(value), "digest": str(digest)}


def decode_custom(encoded: Encoded, decode: Decode) -> Any:
    raise UsageError(
        f'An object of type "{encoded["class"]["module"]}.{encoded["class"]["qualname"]}" can\'t be rebuilt from its '
        "digest. Use a config builder (a string), which builds it again."
    )


def is_enum_member(value: object) -> bool:
    enum = sys.modules.get("enum")
    return enum is not None and isinstance(value, enum.Enum)


def encode_enum_member(value: Any, walk: Walk) -> Encoded:
    """Name and value: the value counts, since changing it changes what the experiment does."""
    encoded = {"__type__": "enum", "class": _class_of(value), "name": value.name}
    try:
        encoded["value"] = walk.encode(value.value)
    except UnstableDigestError:  # a bare object() as a value says no more than the name
        encoded["value"] = None
    return encoded


def decode_enum_member(encoded: Encoded, decode: Decode) -> Any:
    members = _resolved(encoded)
    name = encoded["name"]
    if name is not None and name in members.__members__:
        return members[name]
    return members(decode(encoded["value"]))  # flags combined, which have no member of their own


_PATH_TYPES = ("PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")


def is_path(value: object) -> bool:
    pathlib = sys.modules.get("pathlib")
    return pathlib is not None and any(type(value) is getattr(pathlib, name) for name in _PATH_TYPES)


def encode_path(value: Any, walk: Walk) -> Encoded:
    return {"__type__": "path", "class": type(value).__name__, "value": str(value)}


def decode_path(encoded: Encoded, decode: Decode) -> Any:
    import pathlib

    return getattr(pathlib, encoded["class"])(encoded["value"])


def is_namedtuple(value: object) -> bool:
    return isinstance(value, tuple) and hasattr(type(value), "_fields") and hasattr(type(value), "_make")


def encode_namedtuple(value: Any, walk: Walk) -> Encoded:
    fields = {name: walk.encode(item) for name, item in zip(value._fields, value, strict=True)}
    return {"__type__": "namedtuple", "class": _class_of(value), "fields": fields}


def decode_namedtuple(encoded: Encoded, decode: Decode) -> Any:
    return _resolved(encoded)._make(decode(item) for item in encoded["fields"].values())


def is_dataclass_instance(value: object) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


def encode_dataclass(value: Any, walk: Walk) -> Encoded:
    import dataclasses

    fields = {field.name: walk.encode(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return {"__type__": "dataclass", "class": _class_of(value), "fields": fields}


def decode_dataclass(encoded: Encoded, decode: Decode) -> Any:
    """Made as usual, so that __post_init__ runs; then every field gets the value that it had after it had run."""
    import dataclasses

    cls = _resolved(encoded)
    values = {name: decode(item) for name, item in encoded["fields"].items()}
    initial = {
        field.name: values[field.name] for field in dataclasses.fields(cls) if field.init and field.name in values
    }
    try:
        value = cls(**initial)
    except TypeError:  # an InitVar without a default: its value is not a field
        value = object.__new__(cls)
    for name, item in values.items():
        object.__setattr__(value, name, item)
    return value


def is_pydantic_model(value: object) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def encode_pydantic_model(value: Any, walk: Walk) -> Encoded:
    fields = {name: walk.encode(item) for name, item in value.__dict__.items()}
    extra = {name: walk.encode(item) for name, item in (value.__pydantic_extra__ or {}).items()}
    return {"__type__": "pydantic", "class": _class_of(value), "fields": fields, "extra": extra}


def decode_pydantic_model(encoded: Encoded, decode: Decode) -> Any:
    """Restored as pickle does it: no validation, which might change what had been validated once."""
    cls = _resolved(encoded)
    fields = {name: decode(item) for name, item in encoded["fields"].items()}
    extra = {name: decode(item) for name, item in encoded["extra"].items()}
    value = cls.__new__(cls)
    value.__setstate__(
        {
            "__dict__": fields,
            "__pydantic_fields_set__": {*fields, *extra},
            "__pydantic_extra__": extra if cls.model_config.get("extra") == "allow" else None,
            "__pydantic_private__": None,
        }
    )
    return value
