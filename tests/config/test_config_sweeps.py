"""Lists of configs: lazy, fresh at every access; grids, zips, replicas; what varies over a list."""

from __future__ import annotations

import builtins
import itertools
import pickle
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.config import Config, ConfigList, grid, replicas, zip_
from configmill.config.config_list import as_config_list
from configmill.errors import ConfigmillError, UsageError


def values(configs: Sequence[Config], *keys: str) -> list[tuple]:
    """Return what the configs hold at the keys."""
    return [tuple(config[key] for key in keys) for config in configs]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.integers(1, 3))
def test_grid_is_the_product_with_the_last_axis_fastest(sizes: list[int], bases: int) -> None:
    """The order is itertools.product's, the base being the slowest axis."""
    axes = {f"n.a{i}": range(size) for i, size in enumerate(sizes)}
    configs = grid([{"base": b} for b in range(bases)], axes)
    expected = list(itertools.product(range(bases), *axes.values()))
    assert values(configs, "base", *axes) == expected
    assert len(configs) == len(expected)


def test_grid_adds_replaces_and_nests() -> None:
    """An axis may add a key, replace a nested config, or hold mappings; the base isn't changed."""
    base = Config({"model": {"lr": 1, "k": 2}})
    configs = grid(base, {"model": [{"lr": 5}, None], "extra.deep": ["x"]})
    assert list(configs) == [
        {"model": {"lr": 5}, "extra": {"deep": "x"}},
        {"model": None, "extra": {"deep": "x"}},
    ]
    assert type(configs[0].model) is Config and base == {"model": {"lr": 1, "k": 2}}
    assert list(grid(base, {})) == [base] and len(grid([], {"a": [1]})) == 0


def test_a_huge_grid_is_indexed_at_once() -> None:
    """Entry i of 10**9 costs what entry 0 costs; slices and sums cost nothing either."""
    started = time.perf_counter()
    axis = range(1000)
    configs = grid({"z": 0}, {"a": axis, "b.c": axis, "d": axis})
    assert len(configs) == 10**9
    assert configs[-1] == {"z": 0, "a": 999, "b": {"c": 999}, "d": 999}
    assert configs[123_456_789] == {"z": 0, "a": 123, "b": {"c": 456}, "d": 789}
    assert configs[10:][5] == configs[15] and (configs + configs)[10**9 + 7] == configs[7]
    assert configs[::-2][1] == configs[-3] and len(configs[::3]) == 333_333_334
    assert replicas(configs, 3)[3 * 500 + 2] == {**configs[500].to_dict(), "seed": 2}
    assert time.perf_counter() - started < 1


def test_zip_takes_axes_in_step() -> None:
    """Values of one position go together; the base is the slowest."""
    configs = zip_([{"m": 0}, {"m": 1}], {"a": [1, 2], "b.c": ["xy", "z"]})
    assert values(configs, "m", "a", "b.c") == [(0, 1, "xy"), (0, 2, "z"), (1, 1, "xy"), (1, 2, "z")]
    with pytest.raises(UsageError, match=r'"a" has 1, "b" has 2.*grid'):
        zip_({}, {"a": [1], "b": [1, 2]})
    assert list(zip_({"a": 1}, {})) == [{"a": 1}]


def test_replicas_are_side_by_side() -> None:
    """Seeds 0 to n - 1, or those given, under any key."""
    assert values(replicas([{"a": 1}, {"a": 2}], 2), "a", "seed") == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert values(replicas({"a": 1}, [7, 9], key="train.seed"), "train.seed") == [(7,), (9,)]
    for n in (0, -1, True, "ab", 1.5):
        with pytest.raises(UsageError, match=str(n)):
            replicas({"a": 1}, n)


@pytest.mark.parametrize("sweep", [grid, zip_])
@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"a": []}, '"a" has no values'),
        ({"a.b": "adam"}, r"\"a.b\" are 'adam' \(a str\)"),
        ({"a": b"x"}, "\"a\" are b'x'"),
        ({"a": 3}, r'"a" are 3 \(a int\), not a list'),
        ({"a": None}, '"a" are None'),
        ({"a": {"x": 1}}, '"a" are .*dict'),
        ({"a": {1, 2}}, '"a" are .*set'),
        ({1: [1]}, "axis 1 "),
        ([("a", [1])], "not a mapping"),
        ({"leaf.x": [1]}, '"leaf.x" can\'t be set: "leaf" holds 5'),
        ({"a": [{"x.y": 1}]}, '"x.y" in "a" holds a dot'),
    ],
)
def test_a_bad_axis_is_named(sweep: object, axes: object, message: str) -> None:
    """At once, not in the middle of the list."""
    with pytest.raises(UsageError, match=message):
        sweep({"leaf": 5}, axes)


def test_axes_may_be_generators_and_arrays() -> None:
    """They are taken once; the values are kept as they are."""
    configs = grid({}, {"a": (i * i for i in range(3)), "b": np.array([1.5])})
    assert values(configs, "a") == values(configs, "a") == [(0,), (1,), (4,)]
    assert type(configs[0].b) is np.float64


def test_changes_never_reach_the_list() -> None:
    """Every access gives a new, changeable config, whatever the list was made of."""
    source = {"a": {"l": [1]}, "s": {1}}
    axis = [[1], {"k": [2]}]
    for configs in (
        ConfigList([source]),
        grid(source, {"v": axis}),
        ConfigList([source]) + [source],  # noqa: RUF005 - `+` is tested
        ConfigList([source])[:],
        as_config_list([source]),
        ConfigList([Config(source).freeze()]),
    ):
        before = configs[0]
        changed = configs[0]
        changed.a.l.append(2)
        changed["s"].add(2)
        changed["new"] = 1
        if "v" in changed:
            changed.v.append(3)
            configs[1].v.k.append(3)
        assert configs[0] == before != changed and not changed.frozen
    assert source == {"a": {"l": [1]}, "s": {1}} and axis == [[1], {"k": [2]}]


def test_a_config_list_keeps_what_it_was_given() -> None:
    """Changing the original afterwards changes nothing."""
    source = {"a": [1]}
    configs = ConfigList([source])
    source["a"].append(2)
    source["b"] = 1
    assert configs[0] == {"a": [1]}


def test_config_lists_behave_as_sequences() -> None:
    """Index, slice, sum, filter, membership, equality, pickle, repr."""
    configs = ConfigList({"a": i} for i in range(5))
    assert len(configs) == 5 and values(configs[1:4:2], "a") == [(1,), (3,)] and configs[-1] == {"a": 4}
    assert configs[np.int64(2)] == {"a": 2} and next(reversed(configs)) == {"a": 4}
    assert values([{"a": 9}] + configs[:1] + [{"a": 8}], "a") == [(9,), (0,), (8,)]  # noqa: RUF005 - `+` is tested
    assert Config({"a": 3}) in configs and configs.index({"a": 3}) == 3
    assert configs == ConfigList(configs) == pickle.loads(pickle.dumps(configs)) != configs[:4]
    odd = configs.filter(lambda config: config.a % 2 == 1)
    assert values(odd, "a") == [(1,), (3,)] and len(odd) == 2
    assert repr(configs) == "ConfigList of 5 configs" and repr(configs[:1]) == "ConfigList of 1 config"
    for index in (5, -6):
        with pytest.raises(IndexError, match=rf"no config {index}: there are 5"):
            configs[index]
    with pytest.raises(TypeError):
        configs + 3
    with pytest.raises(TypeError):
        3 + configs


def test_what_varies_and_what_does_not() -> None:
    """Keys in first-seen order; a missing key varies; 1, 1.0, True and "1" are four values; nan is one."""
    configs = ConfigList(
        [
            {"z": 1, "n": {"same": [1], "t": 1}, "nan": float("nan"), "e": {}},
            {"z": 1, "n": {"same": [1], "t": True}, "nan": float("nan"), "e": {}},
            {"z": 1, "n": {"same": [1], "t": 1.0, "only": 2}, "nan": float("nan"), "e": {"x": 1}, "b": 3},
        ]
    )
    assert configs.varying_keys() == ["n.t", "e", "n.only", "e.x", "b"]
    assert configs.diff() == [
        {"n": {"t": 1}, "e": {}},
        {"n": {"t": True}, "e": {}},
        {"n": {"t": 1.0, "only": 2}, "e": {"x": 1}, "b": 3},
    ]
    assert configs.intersect() == {"z": 1, "n": {"same": [1]}, "nan": float("nan")}
    assert ConfigList([]).intersect() == {} and ConfigList([]).diff() == [] and ConfigList([]).varying_keys() == []
    assert ConfigList([{"a": 1}]).varying_keys() == [] and ConfigList([{"a": 1}]).intersect() == {"a": 1}


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, True, 1.0, "1", [1], None])), min_size=1))
def test_diff_and_intersection_make_up_each_config(mappings: list[dict]) -> None:
    """What varies and what is common are together all, and have no key in common."""
    configs = ConfigList(mappings)
    common = configs.intersect()
    for config, difference in zip(configs, configs.diff(), strict=True):
        assert Config({**common, **difference}) == config
        assert not set(common) & set(difference)
        assert set(difference) <= set(configs.varying_keys())


def test_values_without_a_digest_vary_by_identity() -> None:
    """A list of objects that can't be hashed has a diff all the same."""
    one, other = object(), object()
    configs = ConfigList([{"o": one, "p": one}, {"o": other, "p": one}])
    assert configs.varying_keys() == ["o"] and configs.diff()[1].o is other


def test_a_table_of_what_varies() -> None:
    """A row a config, a column a varying key; a missing value is missing."""
    frame = ConfigList([{"a": 1, "n": {"b": "x"}, "c": 0}, {"a": 2, "c": 0}]).to_dataframe()
    assert list(frame.columns) == ["a", "n.b"] and list(frame.index) == [0, 1] and frame["a"].tolist() == [1, 2]
    assert frame["n.b"].isna().tolist() == [False, True]
    assert ConfigList([{"a": 1}] * 3).to_dataframe().shape == (3, 0)


def test_a_table_without_pandas_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """An optional dependency that is missing is a usage error."""
    real = builtins.__import__

    def refuse(name: str, *args: object, **kwargs: object) -> object:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    import importlib

    monkeypatch.setattr(importlib, "import_module", lambda name: refuse(name))
    with pytest.raises(UsageError, match=r"pip install pandas"):
        ConfigList([{"a": 1}]).to_dataframe()


class Lazy(Sequence):
    """A user's own lazy sequence, which counts what was asked for and fails at entry 7."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> dict:
        self.asked.append(index)
        if index == 7:
            raise ZeroDivisionError("seven")
        return {"i": index}


def test_a_users_lazy_sequence_stays_lazy() -> None:
    """Only the entry that is wanted is made; one that raises is named with the place."""
    lazy = Lazy()
    configs = as_config_list(lazy)
    assert len(configs) == 10**6 and configs[5] == {"i": 5} and lazy.asked == [5]
    with pytest.raises(
        UsageError, match=r"entry 7 raised ZeroDivisionError: seven \(.*:\d+ in __getitem__\)"
    ) as caught:
        configs[7]
    assert "ZeroDivisionError" in caught.value.user_traceback


@pytest.mark.parametrize(
    ("built", "message"),
    [
        (None, "None, not a list of configs"),
        (3, r"3 \(a int\), not a list"),
        ("abc", r"'abc' \(a str\), not a list"),
        ({"a": 1}, r"one config \(a dict\).*\[config\]"),
        (Config(), r"one config \(a configmill.config.config.Config\)"),
        ([], "an empty list"),
        (ConfigList([]), "an empty list"),
        (iter([]), "an empty list"),
        ([{"a": 1}, 5], r"entry 1 is 5 \(a int\)"),
        (({"a": 1}, None), "entry 1 is None"),
        ((x for x in [{"a": 1}, "b"]), "entry 1 is 'b'"),
        ({1, 2}, "set, which has no order"),
        ([{"a": 1}, {"x": {"b.c": 1}}], 'In config 1: The key "b.c" in "x" holds a dot'),
    ],
)
def test_what_is_no_list_of_configs(built: object, message: str) -> None:
    """None, one config, an empty list, and bad entries by index: each says what it is and what to do."""
    with pytest.raises(ConfigmillError, match=message):
        list(as_config_list(built))


def test_what_is_a_list_of_configs() -> None:
    """A ConfigList as it is; lists, tuples, generators and other iterables of mapping-likes."""
    configs = ConfigList([{"a": 1}])
    assert as_config_list(configs) == configs
    for built in ([{"a": 1}], ({"a": 1},), ({"a": i} for i in [1]), iter([Config({"a": 1})]), {"x": {"a": 1}}.values()):
        assert as_config_list(built) == configs
