"""The registry: how values that JSON has no type for are encoded and decoded, in one place.

An encoder is looked up by the exact type's name (`ENCODERS`, so that nothing is imported for types nobody uses), then
by family (`FAMILIES`); a decoder by the "__type__" it wrote (`DECODERS`). JSON's own values, lists, dicts and Configs
are `encoding`'s affair. How each is written is in `codecs_builtin`, `codecs_code`, `codecs_objects`, `codecs_science`.

    find_encoder((1, 2), "model.shape")((1, 2), walk) == {"__type__": "tuple", "items": [1, 2]}
"""

from __future__ import annotations

from collections.abc import Callable

from configmill.config import codecs_builtin as builtin
from configmill.config import codecs_code as code
from configmill.config import codecs_objects as objects
from configmill.config import codecs_science as science
from configmill.config.unstable import unstable_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from configmill.config.encoding import Walk

    Encoder = Callable[[Any, Walk], Any]
    Decoder = Callable[[dict[str, Any], Callable[[Any], Any]], Any]

#: Encoders of exact types, by module and qualified name.
ENCODERS: dict[str, Encoder] = {
    "builtins.tuple": builtin.encode_tuple,
    "builtins.set": builtin.encode_set,
    "configmill.config.readonly.ReadOnlySet": builtin.encode_set,
    "builtins.frozenset": builtin.encode_frozenset,
    "builtins.bytes": builtin.encode_bytes,
    "builtins.int": builtin.encode_huge_int,
    "builtins.float": builtin.encode_special_float,
    "builtins.complex": builtin.encode_complex,
    "builtins.range": builtin.encode_range,
    "builtins.slice": builtin.encode_slice,
    "builtins.ellipsis": builtin.encode_ellipsis,
    "datetime.datetime": builtin.encode_datetime,
    "datetime.date": builtin.encode_date,
    "datetime.time": builtin.encode_time,
    "datetime.timedelta": builtin.encode_timedelta,
    "datetime.timezone": builtin.encode_timezone,
    "zoneinfo.ZoneInfo": builtin.encode_zoneinfo,
    "decimal.Decimal": builtin.encode_decimal,
    "fractions.Fraction": builtin.encode_fraction,
    "uuid.UUID": builtin.encode_uuid,
    "re.Pattern": builtin.encode_pattern,
    "builtins.function": code.encode_function,
    "builtins.builtin_function_or_method": code.encode_builtin,
    "builtins.method_descriptor": code.encode_named_callable,
    "builtins.wrapper_descriptor": code.encode_named_callable,
    "builtins.method": code.encode_method,
    "builtins.module": code.encode_module,
    "functools.partial": code.encode_partial,
    "numpy.ndarray": science.encode_array,
    "numpy.ufunc": science.encode_ufunc,
    "numpy._ArrayFunctionDispatcher": code.encode_named_callable,
    "pandas.Timestamp": science.encode_timestamp,
    "pandas.Timedelta": science.encode_timedelta,
    "pandas.api.typing.NaTType": science.encode_nat,
    # pandas 2 called them this.
    "pandas._libs.tslibs.timestamps.Timestamp": science.encode_timestamp,
    "pandas._libs.tslibs.timedeltas.Timedelta": science.encode_timedelta,
    "pandas._libs.tslibs.nattype.NaTType": science.encode_nat,
    "torch.dtype": science.encode_torch_dtype,
    "torch.device": science.encode_torch_device,
}

#: Encoders of families of types: the first whose test passes. A custom digest beats everything, exact types too.
CUSTOM: tuple[Callable[[Any], bool], Encoder] = (objects.has_custom_digest, objects.encode_custom)
FAMILIES: tuple[tuple[Callable[[Any], bool], Encoder], ...] = (
    (code.is_class, code.encode_class),
    (objects.is_enum_member, objects.encode_enum_member),
    (objects.is_path, objects.encode_path),
    (objects.is_namedtuple, objects.encode_namedtuple),
    (objects.is_pydantic_model, objects.encode_pydantic_model),
    (objects.is_dataclass_instance, objects.encode_dataclass),
    (science.is_numpy_scalar, science.encode_numpy_scalar),
    (science.is_numpy_dtype, science.encode_numpy_dtype),
)

#: Decoders by the "__type__" that an encoder wrote.
DECODERS: dict[str, Decoder] = {
    "tuple": builtin.decode_tuple,
    "set": builtin.decode_set,
    "frozenset": builtin.decode_frozenset,
    "dict": builtin.decode_dict,
    "bytes": builtin.decode_bytes,
    "int": builtin.decode_huge_int,
    "float": builtin.decode_special_float,
    "complex": builtin.decode_complex,
    "range": builtin.decode_range,
    "slice": builtin.decode_slice,
    "ellipsis": builtin.decode_ellipsis,
    "datetime": builtin.decode_datetime,
    "date": builtin.decode_date,
    "time": builtin.decode_time,
    "timedelta": builtin.decode_timedelta,
    "timezone": builtin.decode_timezone,
    "zoneinfo": builtin.decode_zoneinfo,
    "decimal": builtin.decode_decimal,
    "fraction": builtin.decode_fraction,
    "uuid": builtin.decode_uuid,
    "pattern": builtin.decode_pattern,
    "function": code.decode_named,
    "callable": code.decode_named,
    "class": code.decode_named,
    "method": code.decode_method,
    "module": code.decode_module,
    "partial": code.decode_partial,
    "enum": objects.decode_enum_member,
    "path": objects.decode_path,
    "namedtuple": objects.decode_namedtuple,
    "pydantic": objects.decode_pydantic_model,
    "dataclass": objects.decode_dataclass,
    "custom": objects.decode_custom,
    "numpy.ndarray": science.decode_array,
    "numpy.scalar": science.decode_numpy_scalar,
    "numpy.dtype": science.decode_numpy_dtype,
    "numpy.ufunc": science.decode_ufunc,
    "pandas.Timestamp": science.decode_timestamp,
    "pandas.Timedelta": science.decode_timedelta,
    "pandas.NaT": science.decode_nat,
    "torch.dtype": science.decode_torch_dtype,
    "torch.device": science.decode_torch_device,
}


def find_encoder(value: Any, key: str) -> Encoder:
    """Return the encoder of a value's type; raises UnstableDigestError, naming `key`, where there is none."""
    kind = type(value)
    if CUSTOM[0](value):
        return CUSTOM[1]
    encoder = ENCODERS.get(f"{kind.__module__}.{kind.__qualname__}")
    if encoder is not None:
        return encoder
    for belongs, family_encoder in FAMILIES:
        if belongs(value):
            return family_encoder
    raise unstable_value(value, key)
