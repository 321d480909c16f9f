"""How many at a time are worth it: pure arithmetic, so every property is looked at directly."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.schedule.width import (
    CORES,
    DEVICES,
    EXPERIMENTS,
    LONGEST,
    MEMORY,
    HostFacts,
    Measured,
    advise_width,
    better_width,
)

GB = 10**9
BIG = HostFacts(devices=0, cores=64, memory_bytes=512 * GB)

#: The settings that are published for users: hardware and experiments, and how many at a time are right there.
PUBLISHED = {
    "one GPU": ([1] * 20, [Measured(300, 60, 2 * GB)], HostFacts(1, 16, 64 * GB), {1}),
    "4 GPUs, small models": ([1] * 20, [Measured(300, 60, 2 * GB)], HostFacts(4, 16, 64 * GB), {4}),
    "8 GPUs at four each": ([4] * 10, [Measured(1800, 900, 8 * GB)], HostFacts(8, 32, 128 * GB), {2}),
    "little CPU": ([1] * 20, [Measured(300, 450, 2 * GB)], HostFacts(8, 4, 64 * GB), {2, 3}),
    "little memory": ([1] * 20, [Measured(300, 60, 5 * GB)], HostFacts(8, 16, 16 * GB), {2, 3}),
    "slow experiments": ([1] * 20, [Measured(5 * 3600, 3600, 4 * GB)], HostFacts(8, 16, 64 * GB), {4, 5, 6, 7, 8}),
    "slow experiments of two GPUs": ([2] * 20, [Measured(5 * 3600, 3600, 4 * GB)], HostFacts(8, 16, 64 * GB), {4}),
    "one GPU, never run": ([1] * 20, [], HostFacts(1, 16, 64 * GB), {1}),
    "4 GPUs, never run": ([1] * 20, [], HostFacts(4, 16, 64 * GB), {4}),
    "8 GPUs at four each, never run": ([4] * 10, [], HostFacts(8, 32, 128 * GB), {2}),
    "little CPU, never run": ([0] * 20, [], HostFacts(0, 4, 64 * GB), {2, 3}),
}


@pytest.mark.parametrize("setting", PUBLISHED)
def test_the_published_settings(setting: str) -> None:
    """For each setting that users were told, the advice is what they were told."""
    widths, measured, host, right = PUBLISHED[setting]
    assert advise_width(widths=widths, measured=measured * 5, host=host).width in right


def test_it_says_what_binds() -> None:
    """The limit that is the least is named."""

    def binds(widths: list[float], one: Measured, host: HostFacts) -> str:
        return advise_width(widths=widths, measured=[one], host=host).binds

    light = Measured(100, 1, GB // 10)
    assert binds([1] * 9, light, HostFacts(4, 64, 512 * GB)) == DEVICES
    assert binds([0] * 9, Measured(100, 1600, GB), BIG) == CORES
    assert binds([0] * 9, Measured(100, 1, 100 * GB), BIG) == MEMORY
    assert binds([0] * 9, light, BIG) == EXPERIMENTS


def test_one_long_experiment() -> None:
    """Where one takes as long as all others together, two at a time do as well as nine, and that is what is advised."""
    measured = [Measured(800, 8, GB), *[Measured(100, 1, GB)] * 8]
    advice = advise_width(widths=[0] * 9, measured=measured, host=BIG)
    assert (advice.width, advice.binds) == (2, LONGEST)


def test_shares_and_mixed_widths() -> None:
    """Shares of a device count as such; of several widths the narrowest are counted; others come on top."""
    measured = [Measured(100, 1, GB)]
    assert advise_width(widths=[0.25] * 30, measured=measured, host=HostFacts(2)).width == 8
    assert advise_width(widths=[8, 4, 2, 1, 1, 1], measured=measured, host=HostFacts(8)).width == 4
    assert advise_width(widths=[1, 1, 1, 0, 0], measured=measured, host=HostFacts(1)).width == 3


def test_the_heaviest_meet() -> None:
    """Memory is judged by the highest peaks, for they may run at the same time; the light ones don't hide them."""
    measured = [*[Measured(100, 1, 30 * GB)] * 2, *[Measured(100, 1, GB)] * 50]
    assert advise_width(widths=[0] * 52, measured=measured, host=HostFacts(0, 64, 64 * GB)).width == 1
    assert advise_width(widths=[0] * 52, measured=measured, host=HostFacts(0, 64, 80 * GB)).width == 14


def test_without_measurements() -> None:
    """Without any: half of the cores, and one at least; with devices as many as they allow, whatever the cores."""
    assert advise_width(widths=[0] * 99, measured=[], host=HostFacts(0, 16)).width == 8
    assert advise_width(widths=[0] * 99, measured=[], host=HostFacts(0, 1)).width == 1
    assert advise_width(widths=[1] * 99, measured=[], host=HostFacts(8, 2)).width == 8
    assert advise_width(widths=[], measured=[], host=HostFacts()).width == 1


def test_a_run_that_was_too_narrow() -> None:
    """20 of 300 s one at a time on 4 devices: the sentence's numbers are 6000 s, and 1500 s with four."""
    better = better_width(1, widths=[1] * 20, measured=[Measured(300, 60, GB)] * 20, host=HostFacts(4, 16, 64 * GB))
    assert better is not None
    assert (better.advice.width, better.seconds_now, better.seconds) == (4, 6000, 1500)


def test_no_sentence_without_a_gain() -> None:
    """Nothing is said of a run that was as wide as is worth it, wider than devices allow, or over within seconds."""
    on_four = HostFacts(4, 16, 64 * GB)
    measured = [Measured(300, 60, GB)] * 20
    assert better_width(4, widths=[1] * 20, measured=measured, host=on_four) is None
    assert better_width(16, widths=[1] * 20, measured=measured, host=on_four) is None
    assert better_width(1, widths=[1] * 20, measured=[Measured(0.2, 0.1, GB)] * 20, host=on_four) is None
    assert better_width(1, widths=[1] * 20, measured=[], host=on_four) is None
    # A CPU that is full is full at any width: what each used of it says so.
    assert better_width(2, widths=[0] * 20, measured=[Measured(300, 300, GB)] * 20, host=HostFacts(0, 2)) is None


def test_a_run_that_was_too_wide() -> None:
    """Where the highest peaks side by side are more than the host has, fewer are advised, however long that takes."""
    measured = [Measured(300, 60, 20 * GB)] * 20
    better = better_width(8, widths=[0] * 20, measured=measured, host=HostFacts(0, 16, 64 * GB))
    assert better is not None
    assert (better.advice.width, better.advice.binds) == (2, MEMORY)


SECONDS = st.floats(0, 1e6)
MEASURED = st.builds(
    Measured, SECONDS, st.none() | st.floats(0, 1e7), st.none() | st.integers(0, 10**13)
)  # fmt: skip
HOSTS = st.builds(
    HostFacts,
    st.integers(0, 64),
    st.floats(0.1, 256) | st.just(math.inf),
    st.integers(0, 10**13).map(float) | st.just(math.inf),
)
WIDTHS = st.lists(st.sampled_from([0, 0.1, 0.5, 1, 2, 4, 8]), max_size=30)


@given(WIDTHS, st.lists(MEASURED, max_size=30), HOSTS, st.integers(1, 40))
def test_whatever_was_measured(widths: list[float], measured: list[Measured], host: HostFacts, width: int) -> None:
    """Whatever the numbers, the width is from 1 to the number of experiments, and a better one is another one."""
    advice = advise_width(widths=widths, measured=measured, host=host)
    assert 1 <= advice.width <= max(1, len(widths))
    better = better_width(width, widths=widths, measured=measured, host=host)
    assert better is None or better.advice.width != width


@given(WIDTHS, st.lists(MEASURED, max_size=30), HOSTS)
def test_more_of_the_host_is_never_fewer_at_a_time(
    widths: list[float], measured: list[Measured], host: HostFacts
) -> None:
    """A device, core or gigabyte more never lowers the width."""
    before = advise_width(widths=widths, measured=measured, host=host).width
    more = HostFacts(host.devices + 1, host.cores + 1, host.memory_bytes + GB)
    assert advise_width(widths=widths, measured=measured, host=more).width >= before
