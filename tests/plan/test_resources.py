from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.config import Config
from configmill.errors import UsageError
from configmill.plan.resources import from_mapping, with_command, with_estimate
from configmill.protocol.resources import NOTHING_ASKED, GpuCount, Remedy, ResourceRequest

#: Everything that can be asked for, and the request that it makes.
EVERYTHING = {
    "num_gpus": {"min": 1, "max": 4}, "gpu_memory_gb": 24, "memory_gb": 0.5, "num_cpus": 2.5, "exclusive_host": True,
    "priority": -3, "timeout": 60, "expected_seconds": 12.5, "on_oom": {"batch_size": "halve"},
}  # fmt: skip
AMOUNTS = ("gpu_memory_gb", "memory_gb", "num_cpus", "timeout", "expected_seconds")


def refusal(asked: Any, config: dict[str, Any] | None = None) -> str:
    """The message with which config 7 is refused."""
    whole = None if config is None else Config({**config, "resources": asked})
    with pytest.raises(UsageError) as raised:
        from_mapping(asked if whole is None else whole["resources"], 7, whole)
    message = str(raised.value)
    assert message.startswith("Config 7: ")
    assert message.rstrip().endswith((".", "?"))
    return message


def test_everything_that_can_be_asked_for() -> None:
    """Each key of `resources` becomes a field of the request, GB as 10^9 bytes, and is known to be the config's."""
    config = Config({"batch_size": 8, "resources": EVERYTHING})
    request = from_mapping(config["resources"], 0, config)
    assert request == ResourceRequest(
        num_gpus=GpuCount(1, 4), gpu_memory_bytes=24 * 10**9, memory_bytes=500_000_000, num_cpus=2.5,
        exclusive_host=True, priority=-3.0, timeout=60, expected_seconds=12.5, on_oom=(Remedy("batch_size", 1),),
        origins=dict.fromkeys(EVERYTHING, "config"),
    )  # fmt: skip
    assert request.to_json() == {
        "num_gpus": {"min": 1, "max": 4}, "gpu_memory_bytes": 24 * 10**9, "memory_bytes": 500_000_000, "num_cpus": 2.5,
        "exclusive_host": True, "priority": -3.0, "timeout": 60, "expected_seconds": 12.5,
        "on_oom": {"batch_size": {"halve": True, "floor": 1}}, "origins": dict.fromkeys(EVERYTHING, "config"),
    }  # fmt: skip
    assert request.started_with(3).to_json()["effective"] == 3


@pytest.mark.parametrize("asked", [None, {}, {"timeout": None}, dict.fromkeys(EVERYTHING)])
def test_nothing_asked(asked: Any) -> None:
    """No resources, empty ones, and None for a key ask for nothing: no device, no limit, no wish."""
    assert from_mapping(asked, 0) is NOTHING_ASKED
    assert NOTHING_ASKED.num_gpus.most == 0
    assert NOTHING_ASKED.to_json() == {"num_gpus": 0}


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (0, GpuCount(0, 0)), (-0.0, GpuCount(0, 0)), (3, GpuCount(3, 3)), (2.0, GpuCount(2, 2)),
        (0.25, GpuCount(1, 1, 0.25)), (Fraction(1, 2), GpuCount(1, 1, 0.5)), (numpy.int64(2), GpuCount(2, 2)),
        (numpy.float32(0.5), GpuCount(1, 1, 0.5)), ({"min": 2, "max": 2}, GpuCount(2, 2)),
        ({"min": 1.0, "max": numpy.int32(8)}, GpuCount(1, 8)),
    ],
)  # fmt: skip
def test_numbers_of_gpus(value: Any, count: GpuCount) -> None:
    """A whole number from 0, a fraction below 1, and a range are taken, whatever kind of number they are."""
    assert from_mapping({"num_gpus": value}, 0).num_gpus == count


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (True, "True, which is no number"),
        ("2", "'2', which is no number"),
        (math.nan, "nan, which is no number"),
        (math.inf, "inf, which is no number"),
        ([1], "[1], which is no number"),
        (10**400, "000..., which is no number"),
        pytest.param(10**5000, "a value of type int, which is no number", id="of 5001 digits"),
        (-1, "-1, which is below 0"),
        (-0.5, "-0.5, which is below 0"),
        (1.5, "1.5, which is neither whole nor below 1"),
        ({"min": 4, "max": 1}, "runs backwards"),
        ({"min": 0, "max": 1}, "whole numbers from 1"),
        ({"min": 0.5, "max": 1}, "whole numbers from 1"),
        ({"min": 1, "max": True}, "whole numbers from 1"),
        ({"min": 1, "max": math.inf}, "whole numbers from 1"),
        ({"min": 1}, "both of its ends"),
        ({}, "both of its ends"),
        ({"min": 1, "max": 2, "step": 1}, "both of its ends"),
    ],
)
def test_numbers_of_gpus_that_are_none(value: Any, says: str) -> None:
    """What is no number of devices is refused: quoted, with what is wrong and what to give."""
    message = refusal({"num_gpus": value})
    assert "resources.num_gpus is" in message
    assert says in message


@pytest.mark.parametrize("key", AMOUNTS)
@pytest.mark.parametrize("value", [0, -1, True, "4", math.nan, math.inf, -math.inf, 10**400, [1], {"min": 1}])
def test_amounts_that_are_none(key: str, value: Any) -> None:
    """Memory, cores and seconds are finite numbers above 0; anything else is refused with its key."""
    message = refusal({key: value})
    assert f"resources.{key} is " in message
    assert "above 0" in message


def test_memory_that_no_machine_could_count() -> None:
    """A number that is finite in GB but not in bytes is refused, and not a crash."""
    assert "above 0" in refusal({"memory_gb": 1e305})


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (3, "resources is 3, which is no mapping"),
        (["timeout"], "which is no mapping"),
        ({"timout": 5}, "'timout'. Did you mean \"timeout\"?"),
        ({"num_gpu": 5}, 'Did you mean "num_gpus"?'),
        ({"colour": 5}, "Use one of exclusive_host, expected_seconds, gpu_list, gpu_memory_gb"),
        ({3: 5}, "'3'"),
        ({"exclusive_host": 1}, "resources.exclusive_host is 1, which is neither True nor False"),
        ({"exclusive_host": "yes"}, "'yes'"),
        ({"priority": "high"}, "resources.priority is 'high'"),
        ({"priority": math.nan}, "nan"),
        ({"priority": True}, "True"),
        ({"launcher": "acelerate"}, "resources.launcher is 'acelerate', which launches nothing here. Did you mean"),
        ({"launcher": "mpi"}, 'There are: "accelerate".'),
        ({"launcher": 2}, "Give 'accelerate'."),
        ({"gpu_list": []}, "resources.gpu_list is [], which names no devices"),
        ({"gpu_list": "0,1"}, "'0,1'"),
        ({"gpu_list": [-1]}, "[-1]"),
        ({"gpu_list": [0.5]}, "[0.5]"),
        ({"gpu_list": [True]}, "[True]"),
        ({"gpu_list": [1, "GPU-3f", 1]}, "names a device twice"),
    ],
)
def test_what_makes_no_sense(asked: Any, says: str) -> None:
    """No mapping, an unknown key (with the nearest) and other kinds of value are refused."""
    assert says in refusal(asked)


MODEL = {"batch_size": 8, "name": "ar", "model": {"width": 64, "rate": 0.5, "layers": [1, 2], "flag": True, "no": -1}}


@pytest.mark.parametrize(
    ("on_oom", "remedies"),
    [
        ({"batch_size": "halve"}, [Remedy("batch_size", 1)]),
        ({"batch_size": {"halve": True}}, [Remedy("batch_size", 1)]),
        ({"batch_size": {"halve": True, "floor": 2}}, [Remedy("batch_size", 2)]),
        ({"model": {"width": "halve"}, "batch_size": "halve"}, [Remedy("model.width", 1), Remedy("batch_size", 1)]),
        ({"model": {"rate": {"halve": True, "floor": 0.1}}}, [Remedy("model.rate", 0.1)]),
    ],
)
def test_remedies(on_oom: Any, remedies: list[Remedy]) -> None:
    """`on_oom` names keys of the config, nested as the config is, to halve down to a floor of 1 or another."""
    config = Config({**MODEL, "resources": {"on_oom": on_oom}})
    assert from_mapping(config["resources"], 0, config).on_oom == tuple(remedies)


@pytest.mark.parametrize(
    ("on_oom", "says"),
    [
        ("skip", "resources.on_oom is 'skip', which names no key"),
        ({}, "names no key"),
        ({"batch_size": "double"}, "resources.on_oom['batch_size'] is 'double', which is no remedy"),
        ({"batch_size": {"halve": False}}, "no remedy"),
        ({"batch_size": {"halve": True, "flor": 2}}, "no remedy"),
        ({"batch_size": {"halve": True, "floor": 0}}, "no remedy"),
        ({"batch_size": {"halve": True, "floor": True}}, "no remedy"),
        ({"batch_size": {"floor": 2}}, "resources.on_oom['batch_size.floor'] is 2, which is no remedy"),
        ({"model": {}}, "no remedy"),
        ({"batchsize": "halve"}, "'batchsize', which the config lacks. Did you mean \"batch_size\"?"),
        ({"model": {"widht": "halve"}}, "'model.widht', which the config lacks. Did you mean \"model.width\"?"),
        ({"name": "halve"}, "'name', which is 'ar'"),
        ({"model": {"layers": "halve"}}, "'model.layers', which is [1, 2]"),
        ({"model": {"flag": "halve"}}, "'model.flag', which is True"),
        ({"model": {"no": "halve"}}, "'model.no', which is -1"),
        ({"model": {"rate": "halve"}}, "below the floor 1"),
        ({"model": "halve"}, "'model'"),
    ],
)
def test_remedies_that_are_none(on_oom: Any, says: str) -> None:
    """A remedy that can't be carried out is refused before anything starts: no such key, no number, no such word."""
    assert says in refusal({"on_oom": on_oom}, MODEL)


@given(value=st.integers(1, 10**6), floor=st.integers(1, 100))
def test_halving_ends(value: int, floor: int) -> None:
    """Halving keeps whole numbers whole, comes closer each time, never falls below the floor, and ends."""
    remedy, current, steps = Remedy("batch_size", floor), value, 0
    while (following := remedy.next_value(current)) is not None:
        assert isinstance(following, int)
        assert floor <= following < current
        current, steps = following, steps + 1
    assert current // 2 < floor
    assert steps <= math.log2(value)


def test_command_and_config() -> None:
    """`--num_gpus` is for configs that don't say themselves; a config's own 0 says it."""
    own = from_mapping({"num_gpus": 0, "timeout": 5}, 0)
    assert with_command(own, 2) is own
    asked = with_command(from_mapping({"timeout": 5}, 0), 2)
    assert (asked.num_gpus, asked.timeout) == (GpuCount(2, 2), 5)
    assert asked.origins == {"num_gpus": "command", "timeout": "config"}
    assert with_command(NOTHING_ASKED, None) is NOTHING_ASKED
    assert with_command(NOTHING_ASKED, 0).origins == {"num_gpus": "command"}


def test_estimate_and_config() -> None:
    """An estimate fills in what the config leaves open, key by key, and is kept as a whole beside it."""
    estimate = {"num_gpus": 2, "gpu_memory_gb": 30, "memory_gb": None, "expected_seconds": 9}
    request = with_estimate(from_mapping({"expected_seconds": 5}, 0), estimate, 0)
    assert (request.num_gpus, request.gpu_memory_bytes, request.memory_bytes) == (GpuCount(2, 2), 30 * 10**9, None)
    assert request.expected_seconds == 5
    assert request.origins == {"expected_seconds": "config", "num_gpus": "estimator", "gpu_memory_gb": "estimator"}
    assert request.to_json()["estimate"] == estimate


@pytest.mark.parametrize(
    ("estimate", "says"),
    [
        ({"num_gpus": 1.5}, "num_gpus is 1.5, which is neither whole nor below 1"),
        ({"memory_gb": math.nan}, "memory_gb is nan"),
        ({"expected_seconds": 0}, "expected_seconds is 0"),
        ({"gpus": 1}, "'gpus', which isn't estimated. Did you mean \"num_gpus\"?"),
        ({"timeout": 1}, "'timeout', which isn't estimated"),
    ],
)
def test_estimates_that_make_no_sense(estimate: Any, says: str) -> None:
    """An estimate is checked as a config is, also where the config's own value wins; it names config and hook."""
    request = from_mapping({"num_gpus": 1, "memory_gb": 1, "expected_seconds": 1}, 7)
    with pytest.raises(UsageError) as raised:
        with_estimate(request, estimate, 7)
    assert str(raised.value).startswith("estimate_gpu_requirements for config 7")
    assert says in str(raised.value)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.integers(10**300, 10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["min", "max", "x", "halve"]), inner),
    max_leaves=4,
)
keys = st.sampled_from([*EVERYTHING, "launcher", "num_gpu"]) | st.text("abcd_", max_size=8)


@given(asked=values | st.dictionaries(keys, values, max_size=4))
def test_whatever_is_asked(asked: Any) -> None:
    """Any value makes a request that keeps its own promises, or a UsageError that names the config; never a crash."""
    try:
        request = from_mapping(asked, 3)
    except UsageError as error:
        assert str(error).startswith("Config 3: ")
        return
    count = request.num_gpus
    assert 0 <= count.least <= count.most
    assert count.share is None or (0 < count.share < 1 and count.least == count.most == 1)
    for amount in (request.gpu_memory_bytes, request.memory_bytes, request.num_cpus, request.timeout):
        assert amount is None or 0 < amount < math.inf
    assert set(request.origins) == {key for key, value in (asked or {}).items() if value is not None}


@given(least=st.integers(1, 20), more=st.integers(0, 20), free=st.integers(0, 50))
def test_a_range_is_fixed_from_what_is_free(least: int, more: int, free: int) -> None:
    """As many as are free, within the range; a share stays a share."""
    count = GpuCount(least, least + more)
    assert count.least <= count.fixed(free) <= count.most
    assert count.fixed(free) in (free, count.least, count.most)
    assert GpuCount.of(0.5).fixed(free) == 0.5


@given(count=st.integers(0, 10**6) | st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_a_count_is_written_as_it_is_read(count: float) -> None:
    """What a record has for `num_gpus` reads as the same count."""
    read = GpuCount.of(count)
    assert GpuCount.of(read.to_json()) == read
