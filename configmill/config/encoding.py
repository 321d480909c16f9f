"""Values as JSON: what a digest is taken of, what config.json holds, what a child rebuilds a config from.

Plain values are themselves; what JSON has no type for is `{"__type__": name, ...}`, by the registry in `codecs`. It
doesn't read or write files.

    encode({"shape": (1, 2)}) == {"shape": {"__type__": "tuple", "items": [1, 2]}}
    decode(encode(value)) == value        # for all that is_carriable(value)
"""

from __future__ import annotations

from collections.abc import Mapping

from configmill.config.readonly import PLAIN_TYPES, ReadOnlyDict, ReadOnlyList
from configmill.config.references import main_script_is_file
from configmill.config.unstable import cyclic_value, value_of
from configmill.errors import UnstableDigestError, UsageError
from configmill.jsontext import canonical

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FunctionType
    from typing import Any

    from configmill.config.codecs import Encoder

#: Types that JSON has; finite floats and all but huge ints too.
_JSON_TYPES = frozenset({str, bool, type(None)})
_INFINITY = float("inf")
_HUGE = 10**4000  # Python refuses to write or read ints of more than 4300 decimal digits
#: Types whose values are the same where they are of one type and equal (floats have nan and -0.0).
_COMPARABLE = frozenset({*_JSON_TYPES, int})
#: Config's own, and from the registry what types were met: looking one up by name costs more than encoding its value.
KNOWN_ENCODERS: dict[type, Encoder] = {}


class Walk:
    """Where an encoder is: the dotted key, and the functions that are being hashed around it, outermost first."""

    __slots__ = ("functions", "key")

    def __init__(self, key: str, functions: tuple[FunctionType, ...] = ()) -> None:
        self.key = key
        self.functions = functions

    def encode(self, value: Any) -> Any:
        """Return the encoding of a part of the value."""
        return _encode(value, self)

    def inside(self, function: FunctionType) -> Walk:
        """Return the walk over what a function holds."""
        return Walk(self.key, (*self.functions, function))


def encode(value: Any, key: str = "") -> Any:
    """Return the JSON-able encoding of a value; dicts keep their order, a Config is a plain dict.

    Raises UnstableDigestError, which names `key`, for a value that has no stable encoding or contains itself.
    """
    try:
        return _encode(value, Walk(key))
    except RecursionError:
        raise cyclic_value(key) from None


def encode_items(items: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the encoding of a config's items; errors name `prefix` and the item's key."""
    if "__type__" in items:
        return encode_pairs(list(items.items()), Walk(prefix + "__type__"))
    encoded = {}
    for key, value in items.items():
        kind = type(value)
        if (
            kind in _JSON_TYPES
            or (kind is float and -_INFINITY < value < _INFINITY)
            or (kind is int and -_HUGE < value < _HUGE)
        ):
            encoded[key] = value
        else:
            encoded[key] = encode(value, prefix + key)
    return encoded


def encode_pairs(pairs: list[tuple[Any, Any]], walk: Walk) -> dict[str, Any]:
    """Return the encoding of a dict that JSON can't hold as an object, in the order of the keys' canonical JSON."""
    items = [[_encode(key, walk), _encode(value, walk)] for key, value in pairs]
    return {"__type__": "dict", "items": sorted(items, key=lambda item: canonical_json(item[0]))}


def canonical_json(encoded: Any) -> str:
    """Return the one JSON text of an encoding: sorted keys, no white space, ASCII."""
    return canonical(encoded)


def _encode(value: Any, walk: Walk) -> Any:
    kind = type(value)
    if (
        kind in _JSON_TYPES
        or (kind is float and -_INFINITY < value < _INFINITY)
        or (kind is int and -_HUGE < value < _HUGE)
    ):
        return value
    if kind is list or kind is ReadOnlyList:
        return [_encode(item, walk) for item in value]
    if kind is dict or kind is ReadOnlyDict:
        if "__type__" in value or any(type(key) is not str for key in value):
            return encode_pairs(list(value.items()), walk)
        return {key: _encode(item, walk) for key, item in value.items()}
    encoder = KNOWN_ENCODERS.get(kind)
    if encoder is None:
        from configmill.config.codecs import find_encoder  # plain configs never need it

        encoder = find_encoder(value, walk.key)
        if kind.__flags__ & _IMMUTABLE_TYPE:
            KNOWN_ENCODERS[kind] = encoder  # a user's class may be redefined in a notebook: it isn't kept alive here
    return encoder(value, walk)


#: Py_TPFLAGS_IMMUTABLETYPE: a static type of an extension module.
_IMMUTABLE_TYPE = 1 << 8


def leaves(value: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The leaves of nested JSON with dotted keys; an encoded value ({"__type__": ...}) is a leaf."""
    for key, item in value.items():
        if isinstance(item, dict) and item and "__type__" not in item:
            yield from leaves(item, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", item


def decode(encoded: Any) -> Any:
    """Return the value of an encoding; dicts are plain dicts.

    Raises UsageError for what only names a value that isn't here: a lambda, a local function, an object with a custom
    digest, a module or attribute that is gone, a type that this version doesn't know.
    """
    if type(encoded) is dict:
        if "__type__" not in encoded:
            return {key: decode(item) for key, item in encoded.items()}
        from configmill.config.codecs import DECODERS

        decoder = DECODERS.get(encoded["__type__"])
        if decoder is None:
            raise UsageError(
                f"The type {encoded['__type__']!r:.100} of an encoded value is unknown. "
                "Use the version of Configmill that wrote it, or a later one."
            )
        return decoder(encoded, decode)
    if type(encoded) is list:
        return [decode(item) for item in encoded]
    return encoded


def is_carriable(value: Any) -> bool:
    """Say whether JSON carries a value: whether another process can rebuild it from its encoding alone."""
    try:
        require_carriable(value, "")
    except UsageError:
        return False
    return True


def require_carriable(value: Any, key: str) -> None:
    """Raise UsageError, naming `key`, for a value that can't be rebuilt from its encoding.

    Those are lambdas, local functions, objects with a custom digest, and whatever is defined in a main script that is
    no file (a notebook, `python -c`).
    """
    if type(value) in PLAIN_TYPES:
        return
    encoded = encode(value, key)
    try:
        if _is_of_main_script(encoded) and not main_script_is_file():
            raise UsageError("It is defined in the main script, which is no file. Move it to a module.")
        if canonical_json(encode(decode(encoded), key)) != canonical_json(encoded):
            raise UsageError("What its name leads to is another value. Define it once, under one name.")
    except UsageError as error:
        raise UsageError(f"{value_of(key)} can't be carried to another process as JSON. {error}") from error


def _is_of_main_script(encoded: Any) -> bool:
    if type(encoded) is list:
        return any(map(_is_of_main_script, encoded))
    if type(encoded) is not dict:
        return False
    if encoded.get("module") == "__main__" and ("__type__" in encoded or "qualname" in encoded):
        return True
    return any(map(_is_of_main_script, encoded.values()))


def same_value(one: Any, other: Any) -> bool:
    """Say whether two values are the same, type-strictly: as their encodings are, or else `==` and of one type."""
    if one is other:
        return True
    if type(one) in _COMPARABLE or type(other) in _COMPARABLE:
        return type(one) is type(other) and bool(one == other)
    try:
        return canonical_json(encode(one)) == canonical_json(encode(other))
    except UnstableDigestError:
        return _same_parts(one, other)


def _same_parts(one: Any, other: Any) -> bool:
    kinds = [{ReadOnlyList: list, ReadOnlyDict: dict}.get(type(value), type(value)) for value in (one, other)]
    if kinds[0] is not kinds[1]:
        return False
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same_value, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_value(one[key], other[key]) for key in one)
    try:
        return bool(one == other)
    except Exception:  # a foreign __eq__ may raise or return what has no truth (an array)
        return False
