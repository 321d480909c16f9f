"""Other libraries' configs become Configs; the libraries are the real ones."""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable

import ml_collections
import omegaconf
import pydantic
import pytest

from configmill.config import Config, ConfigList
from configmill.config.coerce import is_mapping_like, to_config
from configmill.errors import UsageError


@dataclasses.dataclass
class Optimizer:
    lr: float = 0.1
    betas: list = dataclasses.field(default_factory=lambda: [0.9, 0.99])


@dataclasses.dataclass
class Train:
    optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    extra: dict = dataclasses.field(default_factory=lambda: {"x": {"y": 1}})
    stages: tuple = ()


class Inner(pydantic.BaseModel):
    lr: float = 0.1


class Outer(pydantic.BaseModel, extra="allow"):
    inner: Inner = Inner()
    names: list[str] = ["a"]


EXPECTED = {"a": {"b": 1, "l": [1, {"c": 2}]}, "d": "x"}


def test_mappings_and_configs() -> None:
    """Any mapping; a Config gives a changeable copy, with its meta."""
    frozen = Config(EXPECTED).freeze()
    for given in (EXPECTED, types.MappingProxyType(EXPECTED), frozen):
        config = to_config(given)
        assert config == EXPECTED and not config.frozen and type(config) is Config


def test_dataclasses_with_their_nesting() -> None:
    """Fields at every depth; the object isn't changed by changing the config."""
    train = Train(stages=(Optimizer(1.0),))
    config = to_config(train)
    assert config.optimizer.lr == 0.1 and type(config.optimizer) is Config and config["extra.x.y"] == 1
    assert config.stages == (Optimizer(1.0),)
    config.optimizer.betas.append(1)
    assert train.optimizer.betas == [0.9, 0.99]
    assert to_config(Train()) == {
        "optimizer": {"lr": 0.1, "betas": [0.9, 0.99]},
        "extra": {"x": {"y": 1}},
        "stages": (),
    }


def test_a_dataclass_within_a_mapping_is_a_value() -> None:
    """The user put it there as an object: the experiment gets it as one."""
    config = to_config({"optimizer": Optimizer()})
    assert type(config.optimizer) is Optimizer


def test_pydantic_models() -> None:
    """Fields, nested models, extras."""
    config = to_config(Outer(inner=Inner(lr=1), more={"k": 1}))
    assert config == {"inner": {"lr": 1.0}, "names": ["a"], "more": {"k": 1}}
    assert type(config.inner) is Config and type(config.more) is Config


def test_omegaconf_is_resolved() -> None:
    """Interpolations become values, containers become plain, also within a plain dict."""
    made = omegaconf.OmegaConf.create({"a": {"b": 1, "l": [1, {"c": 2}]}, "d": "${e.f}", "e": {"f": "x"}})
    config = to_config(made)
    assert config == {**EXPECTED, "e": {"f": "x"}} and type(config.a.l) is list and type(config.a.l[1]) is dict
    assert to_config({"outer": made, "l": omegaconf.OmegaConf.create([1, 2])}) == {"outer": config, "l": [1, 2]}
    assert to_config({"deep": {"outer": made}})["deep.outer.d"] == "x"
    assert len(ConfigList(omegaconf.OmegaConf.create([{"a": 1}, {"a": 2}]))) == 2


@pytest.mark.parametrize("broken", [{"a": "???"}, {"a": "${nowhere}"}])
def test_omegaconf_that_cannot_be_resolved(broken: dict) -> None:
    """A missing value or target is a usage error that quotes OmegaConf's message."""
    with pytest.raises(UsageError, match=r"OmegaConf config can't be resolved: .*(nowhere|Missing)"):
        to_config(omegaconf.OmegaConf.create(broken))


@pytest.mark.parametrize("kind", [ml_collections.ConfigDict, ml_collections.FrozenConfigDict])
def test_ml_collections(kind: Callable) -> None:
    """Changeable and frozen; lists are lists again; references are resolved."""
    config = to_config(kind({"a": {"b": 1, "l": [1, 2]}, "t": (1,)}))
    assert config == {"a": {"b": 1, "l": [1, 2]}, "t": (1,)} and type(config.a) is Config
    base = ml_collections.ConfigDict({"n": 3})
    base.m = base.get_ref("n") * 2
    assert to_config(base) == {"n": 3, "m": 6}
    assert to_config({"x": kind({"y": 1})}) == {"x": {"y": 1}}


@pytest.mark.parametrize("value", [3, "abc", None, [1], [("a", 1)], Train, object])
def test_what_is_no_config(value: object) -> None:
    """The value and its type are quoted; classes are not their instances."""
    assert not is_mapping_like(value)
    with pytest.raises(UsageError, match=r"can't be made of .*dataclass"):
        to_config(value)


def test_nesting_without_end() -> None:
    """A dataclass that contains itself is a usage error."""
    train = Train()
    train.optimizer = train
    with pytest.raises(UsageError, match=r"contains itself"):
        to_config(train)
