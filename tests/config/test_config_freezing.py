"""A frozen config: nothing in it can be changed, and it knows what was read."""

from __future__ import annotations

import copy
import json
import pickle
from collections import namedtuple

import numpy as np
import pytest

from configmill.config import Config
from configmill.config.encoding import encode
from configmill.errors import ReadOnlyConfigError

Pair = namedtuple("Pair", "left right")


@pytest.fixture
def frozen() -> Config:
    """Return a frozen config with every container in it."""
    return Config({"a": {"b": 1, "c": {}}, "l": [3, 1, {"k": [2]}], "s": {1}, "t": ([1],), "p": Pair([1], 2)}).freeze()


CHANGES = {
    "item": (lambda c: c.__setitem__("new", 1), "new"),
    "nested item": (lambda c: c["a"].__setitem__("b", 2), "a.b"),
    "dotted": (lambda c: c.__setitem__("a.b", 2), "a.b"),
    "through nothing": (lambda c: c.__setitem__("x.y", 2), "x.y"),
    "attribute": (lambda c: setattr(c.a, "b", 2), "a.b"),
    "delete": (lambda c: c.__delitem__("a.b"), "a.b"),
    "delete attribute": (lambda c: delattr(c.a, "b"), "a.b"),
    "update": (lambda c: c.update(l=1), "l"),
    "pop": (lambda c: c.pop("l"), "l"),
    "clear": (lambda c: c.clear(), "a"),
    "setdefault": (lambda c: c.setdefault("a.z", 1), "a.z"),
    "append": (lambda c: c.l.append(1), "l"),
    "extend": (lambda c: c.l.extend([1]), "l"),
    "insert": (lambda c: c.l.insert(0, 1), "l"),
    "list remove": (lambda c: c.l.remove(3), "l"),
    "list pop": (lambda c: c.l.pop(), "l"),
    "list clear": (lambda c: c.l.clear(), "l"),
    "sort": (lambda c: c.l.sort(), "l"),
    "reverse": (lambda c: c.l.reverse(), "l"),
    "list item": (lambda c: c.l.__setitem__(0, 1), "l"),
    "list del": (lambda c: c.l.__delitem__(0), "l"),
    "+=": (lambda c: c.l.__iadd__([1]), "l"),
    "*=": (lambda c: c.l.__imul__(2), "l"),
    "dict in list": (lambda c: c.l[2].__setitem__("k", 1), "l"),
    "dict update": (lambda c: c.l[2].update(k=1), "l"),
    "dict |=": (lambda c: c.l[2].__ior__({"k": 1}), "l"),
    "dict pop": (lambda c: c.l[2].pop("k"), "l"),
    "dict del": (lambda c: c.l[2].__delitem__("k"), "l"),
    "list in dict in list": (lambda c: c.l[2]["k"].append(1), "l"),
    "set add": (lambda c: c.s.add(2), "s"),
    "set discard": (lambda c: c.s.discard(1), "s"),
    "list in tuple": (lambda c: c.t[0].append(1), "t"),
    "list in namedtuple": (lambda c: c.p.left.append(1), "p"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_is_refused_naming_the_key(frozen: Config, name: str) -> None:
    """At every depth; the error quotes the key and says that a copy can be changed; nothing is changed."""
    change, key = CHANGES[name]
    before = repr(frozen)
    with pytest.raises(ReadOnlyConfigError, match=rf'^"{key}" can\'t be changed.*config.copy\(\)'):
        change(frozen)
    assert repr(frozen) == before


def test_freeze_returns_self_and_is_idempotent() -> None:
    """`config.freeze()` can be chained; freezing again forgets nothing."""
    config = Config({"a": 1, "b": 2})
    assert not config.frozen and config.freeze() is config and config.frozen
    assert config.a == 1
    assert config.freeze().unread_keys() == ["b"]


def test_frozen_lists_are_lists(frozen: Config) -> None:
    """They compare, serialise and copy as lists; a copy of one can be changed."""
    assert frozen.l == [3, 1, {"k": [2]}] and isinstance(frozen.l, list) and isinstance(frozen.l[2], dict)
    assert json.dumps(frozen.l) == '[3, 1, {"k": [2]}]'
    assert sorted(frozen.l[:2]) == [1, 3] and [*frozen.l, 4] == [3, 1, {"k": [2]}, 4]
    for plain in (copy.deepcopy(frozen.l), pickle.loads(pickle.dumps(frozen.l)), frozen.l.copy(), list(frozen.l)):
        plain.append(1)
        assert len(plain) == 4 and type(plain) is list
    thawed = copy.deepcopy(frozen.l[2])
    thawed["k"].append(3)
    assert type(thawed) is dict and frozen.l[2] == {"k": [2]}
    assert frozen.s == {1} and isinstance(frozen.s, frozenset) and type(copy.copy(frozen.s)) is set
    assert type(frozen.p) is Pair


def test_freezing_changes_neither_equality_nor_digest() -> None:
    """A set stays a set in the digest, though it became a frozenset; a frozenset stays one."""
    made = {"s": {1, 2}, "l": [{"x": {3}}], "arr": np.arange(3), "t": ([1],)}
    loose, frozen = Config(made), Config(made).freeze()
    assert loose == frozen == made and loose.digest() == frozen.digest() and encode(loose) == encode(frozen)
    assert Config({"s": frozenset({1})}) != Config({"s": {1}})
    assert frozen.copy() == loose and type(frozen.copy()["s"]) is set


def test_arrays_become_read_only_copies() -> None:
    """The builder's own array stays changeable; a copy of the config gets a changeable one."""
    array = np.arange(3)
    config = Config({"a": array}).freeze()
    with pytest.raises(ValueError, match=r"read-only"):
        config.a[0] = 5
    array[0] = 7
    assert config.a[0] == 0
    thawed = config.copy()
    thawed.a[0] = 9
    assert config.a[0] == 0 and thawed.a[0] == 9


def test_a_nested_config_can_be_frozen_alone() -> None:
    """Then only it is read-only, also when it is reached from the root."""
    config = Config({"a": {"b": 1}, "c": 1})
    config.a.freeze()
    config.c = 2
    for key in ("a.b", "a.x", "a.x.y"):
        with pytest.raises(ReadOnlyConfigError, match=f'"{key}"'):
            config[key] = 1
    with pytest.raises(ReadOnlyConfigError, match=r'"a.b"'):
        del config["a.b"]
    assert config == {"a": {"b": 1}, "c": 2}


ALL = ["a.b.c", "a.b.d", "a.e", "f", "g"]

READS = {
    "item": (lambda c: c["a"]["b"]["c"], ["a.b.c"]),
    "attribute": (lambda c: c.a.b.c, ["a.b.c"]),
    "dotted": (lambda c: c["a.b.c"], ["a.b.c"]),
    "tuple": (lambda c: c["a", "b", "c"], ["a.b.c"]),
    "get": (lambda c: c.get("a.e"), ["a.e"]),
    "a nested config": (lambda c: (c["a"], c.a.b), []),
    "an empty nested config": (lambda c: c["g"], ["g"]),
    "items": (lambda c: list(c.items()), ["f", "g"]),
    "items of a nested config": (lambda c: list(c.a.items()), ["a.e"]),
    "values": (lambda c: list(c.a.b.values()), ["a.b.c", "a.b.d"]),
    "expansion": (lambda c: dict(**c.a.b), ["a.b.c", "a.b.d"]),
    "to_dict": (lambda c: c.to_dict(), ALL),
    "to_dict of a nested config": (lambda c: c.a.b.to_dict(), ["a.b.c", "a.b.d"]),
    "flatten": (lambda c: c.flatten(), ALL),
    "copy": (lambda c: c.copy(), ALL),
    "deepcopy": (lambda c: copy.deepcopy(c), ALL),
    "keys": (lambda c: list(c), []),
    "in": (lambda c: "a.e" in c and "f" in c, []),
    "len": (len, []),
    "repr": (repr, []),
    "str": (str, []),
    "to_text": (lambda c: c.to_text(), []),
    "==": (lambda c: c == c.__class__({"a": 1}), []),
    "digest": (lambda c: c.digest(), []),
    "encode": (encode, []),
    "pickle": (pickle.dumps, []),
    "a missing key": (lambda c: c.get("a.zz"), []),
}


@pytest.mark.parametrize("name", READS)
def test_what_counts_as_read(name: str) -> None:
    """Leaves that were handed out count, and nothing else does."""
    config = Config({"a": {"b": {"c": 1, "d": 2}, "e": 3}, "f": 4, "g": {}}).freeze()
    assert config.unread_keys() == ALL
    read, marked = READS[name]
    read(config)
    assert config.unread_keys() == [key for key in ALL if key not in marked]


def test_nothing_is_recorded_before_freezing() -> None:
    """Reads by the builder don't count; before `freeze()` there are no unread keys."""
    config = Config({"a": 1, "b": 2})
    assert config.a == 1 and config.unread_keys() == []
    assert config.freeze().unread_keys() == ["a", "b"]
