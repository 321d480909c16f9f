"""How values of Python's own types become JSON, and back: containers, numbers, times, identifiers.

`codecs` says which type goes where. An encoder takes a value and where it is, a decoder the JSON object and `decode`
for its parts.

    encode_complex(1 + 2j, walk) == {"__type__": "complex", "real": 1.0, "imag": 2.0}
"""

# ruff: noqa: D103 - a pair of functions a type, named for it; `codecs` lists them

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import datetime
    import decimal
    import fractions
    import re
    import uuid
    import zoneinfo
    from typing import Any

    from configmill.config.encoding import Walk

    Encoded = dict[str, Any]
    Decode = Callable[[Any], Any]


def encode_tuple(value: tuple[Any, ...], walk: Walk) -> Encoded:
    return {"__type__": "tuple", "items": [walk.encode(item) for item in value]}


def decode_tuple(encoded: Encoded, decode: Decode) -> tuple[Any, ...]:
    return tuple(decode(item) for item in encoded["items"])


def encode_set(value: Iterable[Any], walk: Walk) -> Encoded:
    return {"__type__": "set", "items": _ordered(value, walk)}


def decode_set(encoded: Encoded, decode: Decode) -> set[Any]:
    return {decode(item) for item in encoded["items"]}


def encode_frozenset(value: frozenset[Any], walk: Walk) -> Encoded:
    return {"__type__": "frozenset", "items": _ordered(value, walk)}


def decode_frozenset(encoded: Encoded, decode: Decode) -> frozenset[Any]:
    return frozenset(decode(item) for item in encoded["items"])


def _ordered(value: Iterable[Any], walk: Walk) -> list[Any]:
    from configmill.config.encoding import canonical_json

    return sorted((walk.encode(item) for item in value), key=canonical_json)


def decode_dict(encoded: Encoded, decode: Decode) -> dict[Any, Any]:
    return {decode(key): decode(value) for key, value in encoded["items"]}


def encode_bytes(value: bytes, walk: Walk) -> Encoded:
    return {"__type__": "bytes", "base64": to_base64(value)}


def decode_bytes(encoded: Encoded, decode: Decode) -> bytes:
    return from_base64(encoded["base64"])


def to_base64(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode()


def from_base64(text: str) -> bytes:
    return binascii.a2b_base64(text)


def encode_huge_int(value: int, walk: Walk) -> Encoded:
    """Other ints are JSON's own; hexadecimal digits are not limited in number."""
    return {"__type__": "int", "hex": hex(value)}


def decode_huge_int(encoded: Encoded, decode: Decode) -> int:
    return int(encoded["hex"], 16)


def encode_special_float(value: float, walk: Walk) -> Encoded:
    """Finite floats are JSON's own; what comes here is nan, inf or -inf."""
    return {"__type__": "float", "value": repr(value)}


def decode_special_float(encoded: Encoded, decode: Decode) -> float:
    return float(encoded["value"])


def encode_complex(value: complex, walk: Walk) -> Encoded:
    return {"__type__": "complex", "real": walk.encode(value.real), "imag": walk.encode(value.imag)}


def decode_complex(encoded: Encoded, decode: Decode) -> complex:
    return complex(decode(encoded["real"]), decode(encoded["imag"]))


def encode_range(value: range, walk: Walk) -> Encoded:
    return {"__type__": "range", "start": value.start, "stop": value.stop, "step": value.step}


def decode_range(encoded: Encoded, decode: Decode) -> range:
    return range(encoded["start"], encoded["stop"], encoded["step"])


def encode_slice(value: slice, walk: Walk) -> Encoded:
    parts = {name: walk.encode(getattr(value, name)) for name in ("start", "stop", "step")}
    return {"__type__": "slice", **parts}


def decode_slice(encoded: Encoded, decode: Decode) -> slice:
    return slice(*(decode(encoded[name]) for name in ("start", "stop", "step")))


def encode_ellipsis(value: Any, walk: Walk) -> Encoded:
    return {"__type__": "ellipsis"}


def decode_ellipsis(encoded: Encoded, decode: Decode) -> Any:
    return ...


def encode_datetime(value: datetime.datetime, walk: Walk) -> Encoded:
    return {"__type__": "datetime", "value": value.replace(tzinfo=None).isoformat(), **_zone(value, walk)}


def decode_datetime(encoded: Encoded, decode: Decode) -> datetime.datetime:
    import datetime

    naive = datetime.datetime.fromisoformat(encoded["value"])
    return naive.replace(tzinfo=decode(encoded["tz"]), fold=encoded["fold"])


def _zone(value: datetime.datetime | datetime.time, walk: Walk) -> Encoded:
    return {"tz": walk.encode(value.tzinfo), "fold": value.fold}


def encode_date(value: datetime.date, walk: Walk) -> Encoded:
    return {"__type__": "date", "value": value.isoformat()}


def decode_date(encoded: Encoded, decode: Decode) -> datetime.date:
    import datetime

    return datetime.date.fromisoformat(encoded["value"])


def encode_time(value: datetime.time, walk: Walk) -> Encoded:
    return {"__type__": "time", "value": value.replace(tzinfo=None).isoformat(), **_zone(value, walk)}


def decode_time(encoded: Encoded, decode: Decode) -> datetime.time:
    import datetime

    naive = datetime.time.fromisoformat(encoded["value"])
    return naive.replace(tzinfo=decode(encoded["tz"]), fold=encoded["fold"])


def encode_timedelta(value: datetime.timedelta, walk: Walk) -> Encoded:
    """Days, seconds and microseconds are integers: no rounding."""
    return {"__type__": "timedelta", "days": value.days, "seconds": value.seconds, "us": value.microseconds}


def decode_timedelta(encoded: Encoded, decode: Decode) -> datetime.timedelta:
    import datetime

    return datetime.timedelta(encoded["days"], encoded["seconds"], encoded["us"])


def encode_timezone(value: datetime.timezone, walk: Walk) -> Encoded:
    offset = value.utcoffset(None)
    given_name = value.__reduce__()[1][1:]  # there is no other way to tell a given name from a made one
    return {"__type__": "timezone", "offset": walk.encode(offset), "name": list(given_name)}


def decode_timezone(encoded: Encoded, decode: Decode) -> datetime.timezone:
    import datetime

    return datetime.timezone(decode(encoded["offset"]), *encoded["name"])


def encode_zoneinfo(value: zoneinfo.ZoneInfo, walk: Walk) -> Encoded:
    """A zone read from a file of the user's has no key and so no name to find it by."""
    if value.key is None:
        from configmill.config.unstable import unstable_value

        raise unstable_value(value, walk.key, "a time zone without a key has no name")
    return {"__type__": "zoneinfo", "key": value.key}


def decode_zoneinfo(encoded: Encoded, decode: Decode) -> zoneinfo.ZoneInfo:
    import zoneinfo

    return zoneinfo.ZoneInfo(encoded["key"])


def encode_decimal(value: decimal.Decimal, walk: Walk) -> Encoded:
    return {"__type__": "decimal", "value": str(value)}


def decode_decimal(encoded: Encoded, decode: Decode) -> decimal.Decimal:
    import decimal

    return decimal.Decimal(encoded["value"])


def encode_fraction(value: fractions.Fraction, walk: Walk) -> Encoded:
    return {"__type__": "fraction", "numerator": value.numerator, "denominator": value.denominator}


def decode_fraction(encoded: Encoded, decode: Decode) -> fractions.Fraction:
    import fractions

    return fractions.Fraction(encoded["numerator"], encoded["denominator"])


def encode_uuid(value: uuid.UUID, walk: Walk) -> Encoded:
    return {"__type__": "uuid", "value": str(value)}


def decode_uuid(encoded: Encoded, decode: Decode) -> uuid.UUID:
    import uuid

    return uuid.UUID(encoded["value"])


def encode_pattern(value: re.Pattern[Any], walk: Walk) -> Encoded:
    return {"__type__": "pattern", "pattern": walk.encode(value.pattern), "flags": value.flags}


def decode_pattern(encoded: Encoded, decode: Decode) -> re.Pattern[Any]:
    import re

    return re.compile(decode(encoded["pattern"]), encoded["flags"])
