"""Config as a mapping: every way to reach an item, nesting, equality, copies."""

from __future__ import annotations

import copy
import enum
import math
import pickle
import types
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.config import Config, ConfigMeta
from configmill.errors import ConfigKeyError, UnstableDigestError, UsageError

keys = st.text(st.characters(exclude_characters=".", codec="utf-8"), max_size=4)
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=3), st.just(())
)
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner), max_leaves=5)
mappings = st.recursive(
    st.dictionaries(keys, values, max_size=4), lambda inner: st.dictionaries(keys, values | inner, max_size=4)
)

SPELLINGS = {
    "items": lambda c: c["a"]["b"]["c"],
    "attributes": lambda c: c.a.b.c,
    "dotted": lambda c: c["a.b.c"],
    "tuple": lambda c: c["a", "b", "c"],
    "dotted in tuple": lambda c: c["a", "b.c"],
    "mixed": lambda c: c.a["b.c"],
    "get": lambda c: c.get("a.b.c"),
    "get tuple": lambda c: c.get(("a", "b", "c")),
}


@pytest.fixture
def nested() -> Config:
    """Return a config of three levels."""
    return Config({"a": {"b": {"c": 1, "d": 2}}, "e": 3})


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_reads_the_same_item(nested: Config, spelling: str) -> None:
    """Item, attribute, dotted and tuple access lead to one value."""
    assert SPELLINGS[spelling](nested) == 1


@pytest.mark.parametrize("key", ["x.y.z", ("x", "y", "z")])
def test_setting_a_path_makes_what_is_missing(key: object) -> None:
    """Intermediate Configs come into being; the value is found again under every spelling."""
    config = Config()
    config[key] = 5
    assert config.to_dict() == {"x": {"y": {"z": 5}}}
    assert key in config
    del config[key]
    assert config.to_dict() == {"x": {"y": {}}}
    assert key not in config


def test_attributes_set_and_delete_items(nested: Config) -> None:
    """`c.a.b = ...` and `del c.a.b` are the item's."""
    nested.a.b.c = 10
    nested.f = {"g": 1}
    del nested.e
    assert nested == {"a": {"b": {"c": 10, "d": 2}}, "f": {"g": 1}}
    assert type(nested.f) is Config


def test_setting_through_a_leaf_is_an_error_that_changes_nothing(nested: Config) -> None:
    """A number can't get keys; the error names the whole path and what stands in the way."""
    with pytest.raises(UsageError, match=r'"e.x.y" can\'t be set: "e" holds 3'):
        nested["e.x.y"] = 1
    assert nested == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}


def test_a_value_that_is_refused_leaves_no_intermediate_configs() -> None:
    """A bad value is found before anything is made."""
    config = Config()
    with pytest.raises(UsageError):
        config["x.y"] = {1: 2}
    assert config == {}


@pytest.mark.parametrize("name", ["items", "meta", "copy", "get", "freeze", "digest", "frozen", "keys", "_items"])
def test_a_key_that_bears_the_name_of_a_method(name: str) -> None:
    """The attribute is ours, the item the user's; setting the attribute is an error that shows the item."""
    config = Config({name: 5, "n": {name: 6}})
    assert config[name] == 5 and config["n", name] == 6 and config[f"n.{name}"] == 6
    assert config.get(name) == 5 and config.to_dict()[name] == 5
    assert getattr(config, name) != 5
    with pytest.raises(UsageError, match=rf'config\["{name}"\]'):
        setattr(config, name, 7)
    with pytest.raises(UsageError, match=rf'del config\["{name}"\]'):
        delattr(config, name)
    assert config[name] == 5
    assert dict(config.items()) == {name: 5, "n": Config({name: 6})}


def test_names_of_the_metaclass_are_the_users() -> None:
    """`register` and `mro` are attributes of the class object, not of a config."""
    config = Config()
    config.register, config.mro = 1, 2
    assert (config.register, config.mro) == (1, 2)


@pytest.mark.parametrize("read", [lambda c: c["model"]["lrr"], lambda c: c.model.lrr, lambda c: c["model.lrr"]])
def test_a_missing_key_quotes_the_path_and_the_nearest_key(read: object) -> None:
    """The whole dotted path is named, and the key most likely meant."""
    config = Config({"model": {"lr": 1}, "seed": 2})
    with pytest.raises(ConfigKeyError, match=r'no key "model.lrr". Did you mean "model.lr"\?') as caught:
        read(config)
    assert isinstance(caught.value, KeyError) and isinstance(caught.value, AttributeError)


def test_a_missing_key_that_stands_elsewhere_is_found() -> None:
    """Somebody who forgot the nesting is told where the key is."""
    with pytest.raises(ConfigKeyError, match=r'Did you mean "optimizer.lr"\?'):
        Config({"optimizer": {"lr": 1}, "l": 2})["lr"]


@pytest.mark.parametrize("key", [0, None, (), ("a", 1), b"a"])
def test_what_is_no_key_is_not_there(nested: Config, key: object) -> None:
    """Reading with it is a ConfigKeyError, writing a UsageError, `in` is False."""
    assert key not in nested and nested.get(key, 7) == 7
    with pytest.raises(ConfigKeyError):
        nested[key]
    with pytest.raises(ConfigKeyError):
        del nested[key]
    with pytest.raises(UsageError):
        nested[key] = 1


def test_get_through_a_leaf_is_the_default(nested: Config) -> None:
    """Nothing lies below a number."""
    assert nested.get("e.x", "none") == "none" and "e.x" not in nested and nested.get("zz") is None


def test_hasattr_and_getattr_with_default(nested: Config) -> None:
    """A missing attribute behaves as on any object."""
    assert hasattr(nested, "a") and not hasattr(nested, "zz") and getattr(nested, "zz", 4) == 4
    assert "a" in dir(nested)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"a.b": 1}, r'The key "a.b" holds a dot'),
        ({"x": {"a.b": 1}}, r'The key "a.b" in "x" holds a dot'),
        ({"x": {"y": {3: 1}}}, r'The key 3 \(a int\) in "x.y" isn\'t a string.*list'),
        ({None: 1}, r"The key None \(a NoneType\) isn't a string"),
    ],
)
def test_bad_keys_are_named_with_their_path(mapping: dict, message: str) -> None:
    """Keys are strings without dots at every depth; the error says where and what to do."""
    with pytest.raises(UsageError, match=message):
        Config(mapping)


def test_what_is_no_mapping_is_refused() -> None:
    """Config(3) says what it got."""
    with pytest.raises(UsageError, match=r"not of 3 \(a int\)"):
        Config(3)


def test_odd_keys_are_kept() -> None:
    """The empty string, spaces and subclasses of str are keys; the latter as plain strings."""
    color = enum.Enum("Color", {"RED": "red"}, type=str)
    config = Config({"": 1, " ": 2, color.RED: 3, np.str_("n"): 4})
    assert [type(key) for key in config] == [str] * 4
    assert config[""] == 1 and config["red"] == 3 and config["n"] == 4


def test_nesting_is_adopted_by_copy() -> None:
    """Changing what was given afterwards changes nothing; any mapping nests; mappings in lists stay dicts."""
    inner, layers = {"x": [1]}, [{"n": 1}, OrderedDict(m=2)]
    config = Config({"in": inner, "od": OrderedDict(k=1), "ro": types.MappingProxyType({"k": 2}), "layers": layers})
    inner["x"].append(2)
    inner["y"] = 1
    layers[0]["n"] = 9
    assert config == {"in": {"x": [1]}, "od": {"k": 1}, "ro": {"k": 2}, "layers": [{"n": 1}, {"m": 2}]}
    assert type(config["od"]) is Config and type(config["ro"]) is Config
    assert [type(layer) for layer in config.layers] == [dict, dict]


def test_a_config_set_into_another_is_copied() -> None:
    """Two configs never share their structure."""
    inner = Config({"x": 1})
    outer = Config({"inner": inner})
    outer["again"] = inner
    inner["x"] = 2
    assert outer == {"inner": {"x": 1}, "again": {"x": 1}}
    with pytest.raises(ConfigKeyError, match=r'"again.y"'):
        outer.again.y  # noqa: B018 - the read is the test


def test_a_value_that_contains_itself_is_refused() -> None:
    """No endless recursion: the key is named."""
    loop: list = []
    loop.append(loop)
    cycle: dict = {}
    cycle["self"] = cycle
    for value in (loop, cycle):
        with pytest.raises(UnstableDigestError, match=r'"top" .*contains itself'):
            Config({"top": value})
        with pytest.raises(UnstableDigestError, match=r'"a.top" .*contains itself'):
            Config()["a.top"] = value


@given(mappings)
def test_to_dict_and_from_dict_are_inverse(mapping: dict) -> None:
    """Plain nesting in, plain nesting out, equal in both directions, frozen or not."""
    config = Config.from_dict(mapping)
    plain = config.to_dict()
    assert repr(plain) == repr(mapping)
    assert Config.from_dict(plain) == config == mapping
    assert Config.from_dict(config.freeze().to_dict()) == config


def test_to_dict_gives_plain_containers_and_the_very_leaves() -> None:
    """Frozen wrappers are turned back; other objects are the same objects."""
    leaf = object()
    config = Config({"a": {"l": [leaf, {"k": [1]}]}, "f": len, "s": {1}, "t": ([1],)}).freeze()
    plain = config.to_dict()
    assert plain["a"]["l"][0] is leaf and plain["f"] is len
    found = [type(v) for v in (plain["a"], plain["a"]["l"], plain["a"]["l"][1], plain["s"], plain["t"][0])]
    assert found == [dict, list, dict, set, list]
    plain["a"]["l"].append(1)
    assert len(config.a.l) == 2


def test_flatten_lists_leaves_in_order() -> None:
    """Dotted leaf keys; an empty nested config is a leaf."""
    flat = Config({"b": {"y": 1, "x": {}}, "a": [1]}).flatten()
    assert list(flat.items()) == [("b.y", 1), ("b.x", Config()), ("a", [1])]
    assert type(flat["b.x"]) is Config


@given(mappings)
def test_key_order_counts_neither_for_equality_nor_digest(mapping: dict) -> None:
    """A mapping and its reverse are one config."""
    turned = dict(reversed(mapping.items()))
    assert Config(mapping) == Config(turned)
    assert Config(mapping).digest() == Config(turned).digest()


@given(mappings, mappings)
def test_equality_and_digest_agree(one: dict, other: dict) -> None:
    """Equal configs have equal digests, and only they."""
    assert (Config(one) == Config(other)) == (Config(one).digest() == Config(other).digest())


def test_types_of_numbers_and_strings_differ() -> None:
    """1, "1", 1.0, True, and their numpy twin are five configs; so in nested lists."""
    kinds = [1, "1", 1.0, True, np.int64(1), np.float64(1.0), b"1", 1 + 0j]
    for wrap in (lambda v: v, lambda v: [v], lambda v: {"k": v}, lambda v: ([v],)):
        configs = [Config({"a": wrap(kind)}) for kind in kinds]
        assert len({config.digest() for config in configs}) == len(kinds)
        assert sum(one == other for one in configs for other in configs) == len(kinds)


def test_equality_of_nan_arrays_sets_and_lambdas() -> None:
    """A nan equals nan; arrays by dtype and content; two builds of one lambda are equal."""

    def build(k: int) -> Config:
        return Config({"nan": math.nan, "s": {"b", "a"}, "arr": np.arange(3), "f": lambda x: x + k, "l": [math.nan]})

    assert build(1) == build(1) and build(1) != build(2)
    assert Config({"a": np.arange(3)}) != Config({"a": np.arange(3).astype(float)})
    assert Config({"a": np.arange(3)}) != Config({"a": np.arange(4)})
    assert Config({"a": [1]}) != Config({"a": (1,)})


def test_values_without_a_digest_are_compared_as_python_does() -> None:
    """Identity or ==, of one type; in lists and dicts too; a foreign __eq__ that raises means different."""

    class Odd:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError

        __hash__ = None

    thing = object()
    assert Config({"a": thing, "l": [thing, {"x": thing}]}) == Config({"a": thing, "l": [thing, {"x": thing}]})
    assert Config({"a": thing}) != Config({"a": object()})
    assert Config({"l": [thing, 1]}) != Config({"l": [thing, 1.0]})
    assert Config({"a": Odd()}) != Config({"a": Odd()})


def test_comparison_with_other_things() -> None:
    """A plain mapping is compared as a Config of it; anything else is unequal."""
    assert Config({"a": {"b": 1}}) == {"a": {"b": 1}} and Config({"a": 1}) == {"a": 1}
    assert Config({"a": 1}) != {"a": True} and Config() != {1: 2} and Config() != [] and Config() != 3


def test_a_config_is_unhashable() -> None:
    """What can be changed has no hash."""
    with pytest.raises(TypeError, match=r"unhashable"):
        hash(Config())


def test_copy_shares_leaves_and_no_structure() -> None:
    """Lists, dicts, sets and nesting are copied; other values are the same objects; meta comes along."""
    leaf = object()
    config = Config({"a": {"l": [[1], leaf]}, "s": {1}})
    config.attach_meta(ConfigMeta(idx=4))
    for twin in (config.copy(), copy.copy(config), config.freeze().copy()):
        assert twin == config and twin.meta.idx == 4 and not twin.frozen
        twin.a.l[0].append(2)
        twin["s"].add(2)
        twin["a.new"] = 1
        assert config == {"a": {"l": [[1], leaf]}, "s": {1}}
        assert twin.a.l[1] is leaf


@pytest.mark.parametrize("clone", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("frozen", [False, True])
def test_deepcopy_and_pickle_keep_everything(clone: object, frozen: bool) -> None:
    """Content, meta, being frozen, what was read, and the paths in errors."""
    config = Config({"a": {"l": [1, {"k": [2]}], "m": 2}, "arr": np.arange(2), "e": {}})
    config.attach_meta(ConfigMeta(idx=1, gpus=("GPU-1",)))
    if frozen:
        config.freeze()
        assert config.a.m == 2
    unread = config.unread_keys()
    twin = clone(config)
    assert twin == config and twin is not config and twin.meta == config.meta and twin.frozen is frozen
    assert twin.unread_keys() == unread
    with pytest.raises(ConfigKeyError, match=r'"a.zz"'):
        twin.a.zz  # noqa: B018 - the read is the test
    if frozen:
        for change in (lambda: twin["a"].__setitem__("m", 3), lambda: twin.a.l[1]["k"].append(3)):
            with pytest.raises(TypeError, match=r'"a\.'):
                change()
    else:
        twin.a.l.append(3)
        assert config.a.l == [1, {"k": [2]}]


def test_mapping_methods() -> None:
    """What MutableMapping promises: update, setdefault, pop, popitem, clear, expansion."""
    config = Config({"a": 1})
    config.update({"b.c": 2})
    assert config.setdefault("b.c", 5) == 2 and config.setdefault("d", 6) == 6
    assert {**config} == {"a": 1, "b": Config({"c": 2}), "d": 6}
    assert config.pop("b.c") == 2 and config.pop("zz", None) is None and config.popitem()[0] == "a"
    config.clear()
    assert len(config) == 0 and not config


def test_texts_are_stable_and_for_the_eye() -> None:
    """One line a leaf, indented, in order, without addresses; repr reads as a nested dict."""
    config = Config({"b": {"lr": 0.1, "f": len}, "a": "x\ny", "e": {}, "o": [object()], "s": {"b", "a"}, "": (1,)})
    text = "b:\n  lr: 0.1\n  f: builtins.len\na: 'x\\ny'\ne: {}\no: [<object object>]\ns: {'a', 'b'}\n'': (1,)\n"
    assert config.to_text() == text == config.freeze().to_text()
    assert repr(Config({"a": {"b": [1]}})) == "Config({'a': {'b': [1]}})"


def test_meta_is_outside_the_key_space() -> None:
    """No part of equality and digest; attached to a frozen config too; read-only; empty by default."""
    config = Config({"meta": 1}).freeze()
    digest = config.digest()
    assert config.meta == ConfigMeta() and config.meta.idx is None and config.meta.gpus == ()
    meta = ConfigMeta(idx=3, dst_dir="/d", gpus=["GPU-0"])
    config.attach_meta(meta)
    assert config.meta is meta and config["meta"] == 1 and config.digest() == digest and config == Config({"meta": 1})
    assert pickle.loads(pickle.dumps(meta)) == meta == copy.deepcopy(meta) and hash(meta) == hash(copy.copy(meta))
    assert meta != ConfigMeta(idx=4) and meta != 3
    assert repr(meta) == "ConfigMeta(dst_dir='/d', gpus=('GPU-0',), idx=3)"
    for change in (lambda: setattr(meta, "idx", 5), lambda: delattr(meta, "idx"), lambda: setattr(meta, "x", 5)):
        with pytest.raises(TypeError, match=r"meta"):
            change()
