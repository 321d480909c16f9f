"""Values of a frozen config: lists, dicts and sets that refuse every change; and their way back.

`freeze_value` makes them, `copy_value` turns them back into plain, changeable ones. It knows nothing of Config, whose
own nesting `config` walks.

    layers = freeze_value([1, 2], "model.layers")
    layers.append(3)      # ReadOnlyConfigError: "model.layers" can't be changed ...
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping

from configmill.errors import ReadOnlyConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Types whose values are never changed, copied or walked.
PLAIN_TYPES = frozenset({str, int, float, bool, type(None), bytes, complex})


def read_only(key: str) -> ReadOnlyConfigError:
    """Return the error for a change to the frozen config's value at the dotted `key`."""
    return ReadOnlyConfigError(
        f'"{key}" can\'t be changed: the config is read-only, so that what ran is what is recorded. '
        "`config.copy()` gives one that can be changed."
    )


class ReadOnlyList(list["Any"]):
    """A list that refuses every change; a copy of it (slice, `copy`, `deepcopy`, pickle) is a plain list."""

    __slots__ = ("_key",)

    def __init__(self, values: Iterable[Any], key: str) -> None:
        super().__init__(values)
        self._key = key

    def __reduce__(self) -> tuple[Any, ...]:
        return list, (list(self),)


class ReadOnlyDict(dict["Any", "Any"]):
    """A dict that refuses every change; a copy of it (`copy`, `deepcopy`, pickle) is a plain dict."""

    __slots__ = ("_key",)

    def __init__(self, values: Mapping[Any, Any], key: str) -> None:
        super().__init__(values)
        self._key = key

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)


class ReadOnlySet(frozenset["Any"]):
    """What a set becomes: a frozenset that knows it was a set, so that digest and copy are those of a set."""

    __slots__ = ("_key",)

    _key: str

    def __new__(cls, values: Iterable[Any], key: str) -> ReadOnlySet:
        """Make one of `values`, for the config's dotted `key`."""
        frozen = super().__new__(cls, values)
        frozen._key = key
        return frozen

    def __reduce__(self) -> tuple[Any, ...]:
        return set, (set(self),)


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(self: Any, *args: object, **kwargs: object) -> Any:
        raise read_only(self._key)

    refuse.__name__ = name
    return refuse


_MUTATORS: dict[type, str] = {
    ReadOnlyList: "append extend insert remove pop clear sort reverse __setitem__ __delitem__ __iadd__ __imul__",
    ReadOnlyDict: "clear pop popitem setdefault update __setitem__ __delitem__ __ior__",
    ReadOnlySet: "add discard remove pop clear update difference_update intersection_update "
    "symmetric_difference_update __ior__ __iand__ __isub__ __ixor__",
}
for _type, _names in _MUTATORS.items():
    for _name in _names.split():
        setattr(_type, _name, _refusal(_name))


def is_mapping(value: object) -> bool:
    """Say whether a value is nested as a mapping; one with a digest of its own stays the object that it is."""
    return isinstance(value, Mapping) and not hasattr(type(value), "__configmill_digest__")


def copy_value(value: Any) -> Any:
    """Return a value with its lists, dicts and sets copied to plain ones, at every depth; all else is shared.

    Mappings inside lists become plain dicts. Raises RecursionError where a value contains itself.
    """
    kind = type(value)
    if kind in PLAIN_TYPES:
        return value
    if kind is list or kind is ReadOnlyList:
        return [item if type(item) in PLAIN_TYPES else copy_value(item) for item in value]
    if kind is set or kind is ReadOnlySet:
        return set(value)
    if isinstance(value, tuple):
        return _rebuilt_tuple(value, [copy_value(item) for item in value])
    if kind is dict or is_mapping(value):
        return {key: copy_value(item) for key, item in value.items()}
    if _is_array(value) and value.flags.owndata and not value.flags.writeable:
        return value.copy()  # what freezing made read-only can be changed in the copy
    return value


def freeze_value(value: Any, key: str) -> Any:
    """Return the read-only twin of a value at the dotted `key`; what can't be made read-only is returned as it is."""
    kind = type(value)
    if kind in PLAIN_TYPES:
        return value
    if kind is list or kind is ReadOnlyList:
        return ReadOnlyList([freeze_value(item, key) for item in value], key)
    if kind is set:
        return ReadOnlySet(value, key)
    if isinstance(value, tuple):
        return _rebuilt_tuple(value, [freeze_value(item, key) for item in value])
    if kind is dict or is_mapping(value):
        return ReadOnlyDict({name: freeze_value(item, key) for name, item in value.items()}, key)
    if _is_array(value):
        return _frozen_array(value)
    return value


def _rebuilt_tuple(value: tuple[Any, ...], items: list[Any]) -> tuple[Any, ...]:
    if all(new is old for new, old in zip(items, value, strict=True)):
        return value
    kind: Any = type(value)
    if kind is tuple:
        return tuple(items)
    make = getattr(kind, "_make", None)  # a namedtuple; another subclass of tuple is the user's own affair
    return make(items) if make is not None else value


def _is_array(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _frozen_array(value: Any) -> Any:
    if value.flags.owndata and not value.flags.writeable:
        return value
    frozen = value.copy()  # the builder's own array stays as it is
    frozen.flags.writeable = False
    return frozen
