"""How values of numpy, pandas and torch become JSON, and back.

`codecs` says which type goes where. Nothing is imported to encode: a value shows that its library is loaded. Decoding
imports by name, since a cold start must not depend on them. Tensors and DataFrames are data, not parameters: they
have no encoding.

    encode_numpy_scalar(numpy.float32(0.5), walk) == {"__type__": "numpy.scalar", "dtype": "<f4", "base64": "AAAAPw=="}
"""

# ruff: noqa: D103 - a pair of functions a type, named for it; `codecs` lists them

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from configmill.config.codecs_builtin import from_base64, to_base64
from configmill.config.unstable import unstable_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from configmill.config.encoding import Walk

    Encoded = dict[str, Any]
    Decode = Callable[[Any], Any]


def encode_array(value: Any, walk: Walk) -> Encoded:
    """Values in C order, as bytes in base64."""
    dtype = _encode_dtype(value.dtype, value, walk)
    return {
        "__type__": "numpy.ndarray",
        "dtype": dtype,
        "shape": list(value.shape),
        "base64": to_base64(value.tobytes()),
    }


def decode_array(encoded: Encoded, decode: Decode) -> Any:
    numpy: Any = importlib.import_module("numpy")

    flat = numpy.frombuffer(from_base64(encoded["base64"]), _decode_dtype(encoded, decode))
    return flat.reshape(encoded["shape"]).copy()


def _encode_dtype(dtype: Any, value: Any, walk: Walk) -> Any:
    if dtype.hasobject:
        raise unstable_value(value, walk.key, f'the numpy dtype "{dtype}" holds Python objects')
    return dtype.str if dtype.names is None and dtype.subdtype is None else walk.encode(_field_types(dtype))


def _field_types(dtype: Any) -> Any:
    numpy: Any = importlib.import_module("numpy")

    return numpy.lib.format.dtype_to_descr(dtype)


def _decode_dtype(encoded: Encoded, decode: Decode) -> Any:
    numpy: Any = importlib.import_module("numpy")

    return numpy.lib.format.descr_to_dtype(decode(encoded["dtype"]))


def is_numpy_scalar(value: object) -> bool:
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.generic)


def encode_numpy_scalar(value: Any, walk: Walk) -> Encoded:
    dtype = _encode_dtype(value.dtype, value, walk)
    return {"__type__": "numpy.scalar", "dtype": dtype, "base64": to_base64(value.tobytes()), "value": str(value)}


def decode_numpy_scalar(encoded: Encoded, decode: Decode) -> Any:
    numpy: Any = importlib.import_module("numpy")

    return numpy.frombuffer(from_base64(encoded["base64"]), _decode_dtype(encoded, decode))[0]


def is_numpy_dtype(value: object) -> bool:
    numpy: Any = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.dtype)


def encode_numpy_dtype(value: Any, walk: Walk) -> Encoded:
    return {"__type__": "numpy.dtype", "dtype": walk.encode(_field_types(value))}


def decode_numpy_dtype(encoded: Encoded, decode: Decode) -> Any:
    return _decode_dtype(encoded, decode)


def encode_ufunc(value: Any, walk: Walk) -> Encoded:
    """Only numpy's own: a ufunc made by frompyfunc has no name to find it by."""
    name = str(value.__name__)
    if getattr(sys.modules["numpy"], name, None) is not value:
        raise unstable_value(value, walk.key, f"the ufunc {name!r} isn't one of numpy's own")
    return {"__type__": "numpy.ufunc", "name": name}


def decode_ufunc(encoded: Encoded, decode: Decode) -> Any:
    numpy: Any = importlib.import_module("numpy")

    return getattr(numpy, encoded["name"])


def encode_timestamp(value: Any, walk: Walk) -> Encoded:
    """The count of units since the epoch, UTC, and the zone by name."""
    zone = None if value.tz is None else str(value.tz)
    return {
        "__type__": "pandas.Timestamp",
        "value": int(value.asm8.astype("int64")),
        "unit": value.unit,
        "tz": zone,
        "text": value.isoformat(),
    }


def decode_timestamp(encoded: Encoded, decode: Decode) -> Any:
    numpy: Any = importlib.import_module("numpy")
    pandas: Any = importlib.import_module("pandas")

    value = pandas.Timestamp(numpy.datetime64(encoded["value"], encoded["unit"]))
    return value if encoded["tz"] is None else value.tz_localize("UTC").tz_convert(encoded["tz"])


def encode_timedelta(value: Any, walk: Walk) -> Encoded:
    return {
        "__type__": "pandas.Timedelta",
        "value": int(value.asm8.astype("int64")),
        "unit": value.unit,
        "text": value.isoformat(),
    }


def decode_timedelta(encoded: Encoded, decode: Decode) -> Any:
    numpy: Any = importlib.import_module("numpy")
    pandas: Any = importlib.import_module("pandas")

    return pandas.Timedelta(numpy.timedelta64(encoded["value"], encoded["unit"]))


def encode_nat(value: Any, walk: Walk) -> Encoded:
    return {"__type__": "pandas.NaT"}


def decode_nat(encoded: Encoded, decode: Decode) -> Any:
    pandas: Any = importlib.import_module("pandas")

    return pandas.NaT


def encode_torch_dtype(value: Any, walk: Walk) -> Encoded:
    return {"__type__": "torch.dtype", "value": str(value)}


def decode_torch_dtype(encoded: Encoded, decode: Decode) -> Any:
    torch: Any = importlib.import_module("torch")

    return getattr(torch, encoded["value"].removeprefix("torch."))


def encode_torch_device(value: Any, walk: Walk) -> Encoded:
    return {"__type__": "torch.device", "value": str(value)}


def decode_torch_device(encoded: Encoded, decode: Decode) -> Any:
    torch: Any = importlib.import_module("torch")

    return torch.device(encoded["value"])
