"""A list of configs that may be lazy: entry i is made when it is asked for.

It doesn't say how the entries come about (`sweeps`, `saved`, `builder`).

    configs = ConfigList([{"lr": 0.1, "seed": 0}, {"lr": 0.01, "seed": 0}])
    configs.diff() == [Config({"lr": 0.1}), Config({"lr": 0.01})]
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from configmill.config.coerce import is_mapping_like, to_config
from configmill.config.config import Config
from configmill.config.encoding import canonical_json, encode
from configmill.config.unstable import type_name
from configmill.errors import UnstableDigestError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, overload


class ConfigList(Sequence["Config"]):
    """A sequence of configs. Every access makes a new, changeable Config: changing it changes nothing in the list.

    Takes mapping-likes (see `coerce`) and adopts them at once; `lazy` makes entries when they are asked for. Slices and
    sums are lazy. Raises UsageError, with the index, for an entry that is no config.
    """

    __slots__ = ("_length", "_make")

    _length: int
    _make: Callable[[int], Config]

    def __init__(self, configs: Iterable[Any] = ()) -> None:
        if isinstance(configs, ConfigList):
            self._length, self._make = configs._length, configs._make
            return
        adopted = [_adopted(index, config, "Got") for index, config in enumerate(_iterated(configs, "Got"))]
        self._length = len(adopted)
        self._make = lambda index: adopted[index].copy()

    @classmethod
    def lazy(cls, length: int, make: Callable[[int], Config]) -> ConfigList:
        """Return a list of `length` configs; `make(i)` returns a new Config at every call."""
        configs = cls.__new__(cls)
        configs._length, configs._make = length, make
        return configs

    def __len__(self) -> int:
        return self._length

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, index: int) -> Config: ...
        @overload
        def __getitem__(self, index: slice) -> ConfigList: ...

    def __getitem__(self, index: int | slice) -> Config | ConfigList:
        if isinstance(index, slice):
            return self._chosen(range(self._length)[index])
        try:
            position = range(self._length)[index]
        except IndexError:
            raise IndexError(f"There is no config {index}: there are {self._length}.") from None
        return self._make(position)

    def _chosen(self, positions: Sequence[int]) -> ConfigList:
        make = self._make
        return ConfigList.lazy(len(positions), lambda index: make(positions[index]))

    def __iter__(self) -> Iterator[Config]:
        return map(self._make, range(self._length))

    def __add__(self, other: Iterable[Any]) -> ConfigList:
        if not isinstance(other, (ConfigList, list, tuple)):
            return NotImplemented
        first, second = self, ConfigList(other)

        def make(index: int) -> Config:
            return first._make(index) if index < first._length else second._make(index - first._length)

        return ConfigList.lazy(first._length + second._length, make)

    def __radd__(self, other: Iterable[Any]) -> ConfigList:
        return ConfigList(other) + self if isinstance(other, (list, tuple)) else NotImplemented

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ConfigList):
            return NotImplemented
        return self._length == other._length and all(map(Config.__eq__, self, other))

    def __repr__(self) -> str:
        return f"ConfigList of {self._length} config{'' if self._length == 1 else 's'}"

    def __reduce__(self) -> tuple[Any, ...]:
        return ConfigList, (list(self),)

    def filter(self, predicate: Callable[[Config], bool]) -> ConfigList:
        """Return the configs for which `predicate` is true; it is asked once for each, now."""
        return self._chosen([index for index, config in enumerate(self) if predicate(config)])

    def varying_keys(self) -> list[str]:
        """Return the dotted leaf keys that some configs lack or whose values differ, in first-seen order.

        Values are compared type-strictly: `1`, `1.0`, `True` and `"1"` differ.
        """
        return _varying_keys([config.flatten() for config in self])

    def diff(self) -> list[Config]:
        """Return, for each config, what varies over the list."""
        return [Config(_unflattened(leaves)) for leaves in self._varying_leaves()[1]]

    def intersect(self) -> Config:
        """Return what all configs have in common: leaf keys with equal values."""
        flat = [config.flatten() for config in self]
        varying = set(_varying_keys(flat))
        return Config(_unflattened({key: value for key, value in (flat or [{}])[0].items() if key not in varying}))

    def to_dataframe(self) -> Any:
        """Return a pandas.DataFrame of what varies: a row a config in order, a column a dotted key.

        Raises UsageError where pandas isn't installed.
        """
        import importlib

        try:
            pandas = importlib.import_module("pandas")  # by name: nothing here depends on it
        except ImportError:
            raise UsageError("A table of configs needs pandas. Install it: pip install pandas.") from None
        keys, rows = self._varying_leaves()
        return pandas.DataFrame(rows, columns=keys, index=range(len(rows)))

    def _varying_leaves(self) -> tuple[list[str], list[dict[str, Any]]]:
        flat = [config.flatten() for config in self]
        keys = _varying_keys(flat)
        return keys, [{key: leaves[key] for key in keys if key in leaves} for leaves in flat]


def as_config_list(built: object, subject: str = "Got") -> ConfigList:
    """Return what a builder returned as a ConfigList.

    Takes a ConfigList and any ordered iterable of mapping-likes. Raises UsageError, which begins with `subject`, for
    one config, no list at all, an empty list, and entries that aren't configs (naming index and type).
    """
    if isinstance(built, ConfigList):
        configs = built
    elif isinstance(built, (list, tuple)):
        # Adopted on access: a child that wants one of many entries doesn't pay for all.
        entries = [_checked(index, entry, subject) for index, entry in enumerate(_iterated(built, subject))]
        configs = ConfigList.lazy(len(entries), lambda index: _adopted(index, entries[index], subject))
    elif isinstance(built, Sequence) and not isinstance(built, (str, bytes)):
        configs = ConfigList.lazy(len(built), lambda index: _adopted(index, _taken(built, index, subject), subject))
    else:
        configs = ConfigList([_checked(i, entry, subject) for i, entry in enumerate(_iterated(built, subject))])
    if not len(configs):
        raise UsageError(f"{subject} an empty list. Give at least one config.")
    return configs


def _iterated(configs: Any, subject: str) -> Iterable[Any]:
    """Return something to iterate over; raises UsageError for what is no list of configs."""
    if is_mapping_like(configs):
        raise UsageError(f"{subject} one config (a {type_name(configs)}), not a list. Return a list: [config].")
    if isinstance(configs, (set, frozenset)):
        raise UsageError(f"{subject} a set, which has no order. Return a list.")
    if isinstance(configs, (str, bytes)) or not hasattr(type(configs), "__iter__"):
        what = "None" if configs is None else f"{configs!r:.100} (a {type_name(configs)})"
        raise UsageError(f"{subject} {what}, not a list of configs. Return a list of mappings or a ConfigList.")
    return configs  # type: ignore[no-any-return]


def _checked(index: int, entry: Any, subject: str) -> Any:
    if not is_mapping_like(entry):
        raise UsageError(
            f"{subject} a list whose entry {index} is {entry!r:.100} (a {type_name(entry)}), not a config. "
            "Make every entry a mapping, a dataclass, or a pydantic, OmegaConf or ml_collections config."
        )
    return entry


def _taken(built: Sequence[Any], index: int, subject: str) -> Any:
    try:
        return built[index]
    except Exception as error:  # a lazy sequence of the user's own
        from configmill.config.frames import last_user_frame, user_traceback

        raise UsageError(
            f"{subject} a list whose entry {index} raised {type(error).__name__}: {error} ({last_user_frame(error)}). "
            "Correct it there.",
            user_traceback=user_traceback(error),
        ) from error


def _adopted(index: int, entry: Any, subject: str) -> Config:
    try:
        return to_config(_checked(index, entry, subject))
    except UsageError as error:
        if str(error).startswith(subject):
            raise
        raise type(error)(f"In config {index}: {error}") from error


def _varying_keys(flat: list[dict[str, Any]]) -> list[str]:
    if not flat:
        return []
    first_seen: dict[str, Any] = {}
    counts: dict[str, int] = {}
    varying: set[str] = set()
    for leaves in flat:
        for key, value in leaves.items():
            counts[key] = counts.get(key, 0) + 1
            if key in varying:
                continue
            token = _token(value)
            if first_seen.setdefault(key, token) != token:
                varying.add(key)
    return [key for key in first_seen if key in varying or counts[key] < len(flat)]


def _token(value: Any) -> Any:
    """Return what is equal for equal values only: type and value, the canonical encoding, or else the identity."""
    kind = type(value)
    if kind in (str, int, bool):
        return kind, value
    try:
        return canonical_json(encode(value))
    except UnstableDigestError:
        return id(value)


def _unflattened(leaves: dict[str, Any]) -> Config:
    config = Config()
    for key, value in leaves.items():
        config[key] = value
    return config
