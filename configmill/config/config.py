"""The config of one experiment: nested, comparable, freezable, with a stable digest.

It doesn't build configs (`sweeps`, `builder`), convert other libraries' configs (`coerce`) or say how a value is
encoded (`encoding`).

    config = Config({"model": {"lr": 0.1}, "seed": 0})
    config["model"]["lr"] == config.model.lr == config["model.lr"] == config["model", "lr"] == 0.1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping

from configmill.config.encoding import KNOWN_ENCODERS, Walk, canonical_json, encode_items, same_value
from configmill.config.hashing import sha256_hex
from configmill.config.keys import bad_key, checked_key, split_key
from configmill.config.meta import ConfigMeta
from configmill.config.readonly import PLAIN_TYPES, copy_value, freeze_value, is_mapping, read_only
from configmill.config.unstable import cyclic_value
from configmill.errors import ConfigKeyError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MISSING: Any = object()
_set = object.__setattr__  # Config's own __setattr__ sets items


class Config(MutableMapping[str, "Any"]):
    """A nested mapping of strings without dots to any values.

    Nested mappings become Configs and lists are copied; other values are kept as they are. Items are reached as
    `c["a"]["b"]`, `c.a.b`, `c["a.b"]` and `c["a", "b"]`; where a key bears the name of a method, the attribute is the
    method and the item the user's. Comparison is structural and type-strict (`1`, `1.0`, `True` and `"1"` differ).

    Raises UsageError for a key that isn't a string or holds a dot, UnstableDigestError for a value that
    contains itself.
    """

    # Nested Configs are of exactly this class, and adopted: their prefix is where they lie in the root. A frozen
    # Config has a set of the keys read; that set is what makes it frozen.
    __slots__ = ("_items", "_meta", "_prefix", "_reads")

    _items: dict[str, Any]
    _meta: ConfigMeta | None
    _prefix: str
    _reads: set[str] | None

    def __init__(self, mapping: Mapping[str, Any] | None = None) -> None:
        if mapping is None:
            mapping = {}
        elif not isinstance(mapping, Mapping):
            raise UsageError(
                f"A Config is made of a mapping, not of {mapping!r:.200} (a {type(mapping).__qualname__}). "
                "Give a dict; to_config() takes dataclasses and other libraries' configs."
            )
        _set(self, "_prefix", "")
        _set(self, "_reads", None)
        _set(self, "_meta", None)
        items = {}
        for key, value in _raw_items(mapping):
            # Most keys are right, and a call for each would take a tenth of the time.
            name = key if type(key) is str and "." not in key else checked_key(key, "")
            try:
                items[name] = value if type(value) in PLAIN_TYPES else _adopted(value, name)
            except RecursionError:
                raise cyclic_value(name) from None
        _set(self, "_items", items)

    # Reading

    def __getitem__(self, key: str | tuple[str, ...]) -> Any:
        try:
            value = self._items[key]  # type: ignore[index]  # a tuple isn't there and goes the long way
        except (KeyError, TypeError):
            return self._read(key)
        reads = self._reads
        if reads is not None and (type(value) is not Config or not value._items):
            reads.add(key)  # type: ignore[arg-type]
        return value

    def __getattr__(self, name: str) -> Any:
        if name in Config.__slots__:  # only while an instance is half made
            raise AttributeError(name)
        return self[name]

    def get(self, key: str | tuple[str, ...], default: Any = None) -> Any:
        """Return the item at a key, dotted path or tuple; `default` where there is none."""
        holder, name = self._find(key)
        return default if holder is None else holder[name]

    def __contains__(self, key: object) -> bool:
        return self._find(key)[0] is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._items]

    def _find(self, key: object) -> tuple[Config | None, str]:
        """Return the Config that holds the item and its key there; None where there is no such item."""
        path = split_key(key)
        if path is None:
            return None, ""
        node = self
        for part in path[:-1]:
            child = node._items.get(part)
            if type(child) is not Config:
                return None, ""
            node = child
        return (node, path[-1]) if path[-1] in node._items else (None, "")

    def _read(self, key: object) -> Any:
        holder, name = self._find(key)
        if holder is None:
            raise self._missing(key)
        return holder[name]

    def _missing(self, key: object) -> ConfigKeyError:
        path = split_key(key)
        if path is None:
            return ConfigKeyError(
                f"The config has no key {key!r:.200}: keys are strings. Give a key, a dotted path or a tuple."
            )
        name = self._prefix + ".".join(path)
        if path[-1].startswith("__"):  # Python asking for a protocol: not worth a search
            return ConfigKeyError(f'The config has no key "{name}".')
        from configmill.config.nearest import nearest_sentence

        return ConfigKeyError(f'The config has no key "{name}". {nearest_sentence(name, self._dotted_keys())}')

    def _dotted_keys(self) -> list[str]:
        """Return every key, those of nested Configs included, as seen from the root."""
        keys = []
        for key, value in self._items.items():
            keys.append(self._prefix + key)
            if type(value) is Config:
                keys.extend(value._dotted_keys())
        return keys

    # Changing

    def __setitem__(self, key: str | tuple[str, ...], value: Any) -> None:
        if type(key) is str and "." not in key:
            path = [key]
        else:
            checked = split_key(key)
            if checked is None:
                raise bad_key(key, self._prefix)
            path = checked
        if self._reads is not None:
            raise read_only(self._prefix + ".".join(path))
        if type(value) not in PLAIN_TYPES:
            name = self._prefix + ".".join(path)
            try:
                value = _adopted(value, name)
            except RecursionError:
                raise cyclic_value(name) from None
        node = self if len(path) == 1 else self._made(path)
        if node._reads is not None:
            raise read_only(node._prefix + path[-1])
        node._items[path[-1]] = value

    def _made(self, path: list[str]) -> Config:
        """Return the Config that is to hold the last part of `path`; makes what is missing on the way."""
        node = self
        for depth, part in enumerate(path[:-1]):
            child = node._items.get(part, _MISSING)
            if child is _MISSING:
                if node._reads is not None:
                    raise read_only(self._prefix + ".".join(path))
                child = node._items[part] = _make({}, f"{node._prefix}{part}.")
            elif type(child) is not Config:
                whole, there = (self._prefix + ".".join(parts) for parts in (path, path[: depth + 1]))
                raise UsageError(
                    f'"{whole}" can\'t be set: "{there}" holds {child!r:.200}, which isn\'t a config. '
                    f'Set "{there}" to a mapping first, or choose another key.'
                )
            node = child
        return node

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN_NAMES:
            raise UsageError(
                f"\"{name}\" can't be set as an attribute: it is a name of Config's own. "
                f'Use config["{name}"] = ... to set the item.'
            )
        self[name] = value

    def __delitem__(self, key: str | tuple[str, ...]) -> None:
        holder, name = self._find(key)
        if self._reads is not None:
            raise read_only(self._prefix + ".".join(split_key(key) or [str(key)]))
        if holder is None:
            raise self._missing(key)
        if holder._reads is not None:
            raise read_only(holder._prefix + name)
        del holder._items[name]

    def __delattr__(self, name: str) -> None:
        if name in _OWN_NAMES:
            raise UsageError(
                f"\"{name}\" can't be deleted as an attribute: it is a name of Config's own. "
                f'Use del config["{name}"] to delete the item.'
            )
        del self[name]

    def copy(self) -> Config:
        """Return a changeable copy: structure, lists, dicts and sets are copied, other values shared.

        All keys count as read: whoever works on a copy was handed everything.
        """
        self._mark_all()
        twin = self._copied("")
        _set(twin, "_meta", self._meta)
        return twin

    __copy__ = copy

    def _copied(self, prefix: str) -> Config:
        return _make({key: _copied_item(value, prefix + key) for key, value in self._items.items()}, prefix)

    def freeze(self) -> Config:
        """Make the config read-only, at every depth, start to record what is read, and return it.

        Lists, dicts in lists and sets become read-only twins, numpy arrays read-only copies. Every change then raises
        ReadOnlyConfigError. Freezing what is frozen changes nothing.
        """
        if self._reads is None:
            for key, value in self._items.items():
                self._items[key] = value.freeze() if type(value) is Config else freeze_value(value, self._prefix + key)
            _set(self, "_reads", set())
        return self

    @property
    def frozen(self) -> bool:
        """Whether the config is read-only."""
        return self._reads is not None

    def unread_keys(self) -> list[str]:
        """Return the sorted dotted leaf keys that nobody has read since `freeze()`; before it, none."""
        if self._reads is None:
            return []
        return sorted(self._unread(""))

    def _unread(self, prefix: str) -> Iterator[str]:
        for key, value in self._items.items():
            if type(value) is Config and value._items:
                yield from value._unread(f"{prefix}{key}.")
            elif self._reads is not None and key not in self._reads:
                yield prefix + key

    def _mark_all(self) -> None:
        if self._reads is None:
            return
        self._reads.update(self._items)
        for value in self._items.values():
            if type(value) is Config:
                value._mark_all()

    # As a whole

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Config):
            if not isinstance(other, Mapping):
                return NotImplemented
            try:
                other = Config(other)
            except UsageError:
                return False
        if self._items.keys() != other._items.keys():
            return False
        return all(same_value(value, other._items[key]) for key, value in self._items.items())

    # A config can be changed: it has no hash (Python sets __hash__ to None for a class that defines __eq__).

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain dicts and lists; other values are the very objects. `from_dict` is its inverse."""
        self._mark_all()
        return self._plain()

    def _plain(self) -> dict[str, Any]:
        return {k: v._plain() if type(v) is Config else copy_value(v) for k, v in self._items.items()}

    @classmethod
    def from_dict(cls, mapping: Mapping[str, Any]) -> Config:
        """Return the config of a (nested) dict; raises UsageError for a key that isn't a string without dots."""
        return Config(mapping)

    def flatten(self) -> dict[str, Any]:
        """Return dotted leaf keys and their values, in order; an empty nested config is a leaf."""
        self._mark_all()
        return dict(self._leaves(""))

    def _leaves(self, prefix: str) -> Iterator[tuple[str, Any]]:
        for key, value in self._items.items():
            if type(value) is Config and value._items:
                yield from value._leaves(f"{prefix}{key}.")
            else:
                yield prefix + key, value

    def to_text(self) -> str:
        """Return an indented tree for the eye: one line a leaf, in the config's order, free of addresses."""
        from configmill.config.text import tree

        return tree(self._plain())

    def __repr__(self) -> str:
        return f"Config({self._plain()!r})"

    def digest(self) -> str:
        """Return the SHA-256 (64 hex digits) of the canonical encoding; the order of keys doesn't count.

        Raises UnstableDigestError, naming the key, for a value that has no stable digest.
        """
        return sha256_hex(canonical_json(encode_items(self._items, self._prefix)))

    @property
    def meta(self) -> ConfigMeta:
        """The runner's part: index, directories, devices; empty where no runner attached one."""
        return self._meta if self._meta is not None else ConfigMeta()

    def attach_meta(self, meta: ConfigMeta) -> None:
        """Set the runner's part; it is no part of equality and digest, and may be set on a frozen config."""
        _set(self, "_meta", meta)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (dict(self._items), self._prefix, self._reads, self._meta)

    def __deepcopy__(self, memo: dict[int, Any]) -> Config:
        from copy import deepcopy

        reads = None if self._reads is None else set(self._reads)
        twin = _restore(deepcopy(dict(self._items), memo), self._prefix, reads, self._meta)
        self._mark_all()
        return twin


def _encoded(config: Config, walk: Walk) -> dict[str, Any]:
    return encode_items(config._items, f"{walk.key}." if walk.key else "")


# Put there and not in the registry, which a config of plain values never loads.
KNOWN_ENCODERS[Config] = _encoded

#: What an attribute is ours for; not hasattr(Config, ...), which would find the names of ABCMeta (`register`) too.
_OWN_NAMES = frozenset(dir(Config))


def _make(items: dict[str, Any], prefix: str) -> Config:
    """Return an unfrozen Config of items that are adopted already."""
    config = Config.__new__(Config)
    _set(config, "_items", items)
    _set(config, "_prefix", prefix)
    _set(config, "_reads", None)
    _set(config, "_meta", None)
    return config


def _restore(items: dict[str, Any], prefix: str, reads: set[str] | None, meta: ConfigMeta | None) -> Config:
    """Return the Config that was pickled; lists came as plain ones and are frozen again."""
    config = _make(items, prefix)
    if reads is not None:
        config.freeze()
        _set(config, "_reads", reads)
    _set(config, "_meta", meta)
    return config


def _raw_items(mapping: Mapping[Any, Any]) -> Any:
    if type(mapping) is Config:
        mapping._mark_all()
        return mapping._items.items()
    return mapping.items()


def _copied_item(value: Any, key: str) -> Any:
    if type(value) in PLAIN_TYPES:
        return value
    return value._copied(f"{key}.") if type(value) is Config else copy_value(value)


def _adopted(value: Any, key: str) -> Any:
    """Return what a Config holds for a value that was set at the dotted `key`."""
    kind = type(value)
    if kind is Config:
        return value._copied(f"{key}.")
    if kind is not dict and not is_mapping(value):
        return copy_value(value)
    prefix = f"{key}."
    items = {}
    for name, item in value.items():
        checked = checked_key(name, prefix)
        items[checked] = item if type(item) in PLAIN_TYPES else _adopted(item, prefix + checked)
    return _make(items, prefix)
