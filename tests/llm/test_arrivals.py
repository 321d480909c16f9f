from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import pytest

from experiments.llm_inference.arrivals import offered_rate, schedule
from experiments.llm_inference.settings import ArrivalSettings, Settings


def arrivals(query_rate: float | None = None, **simulation: Any) -> ArrivalSettings:
    """What a config says of arrivals."""
    config = {"model_name": "x", "query_rate": query_rate, "latency_simulation": {"simulate": True, **simulation}}
    return Settings.from_config(config).arrivals


def gaps(times: tuple[float, ...]) -> list[float]:
    """The seconds between one request and the next."""
    return [later - earlier for earlier, later in pairwise(times)]


def test_without_simulation_all_are_there_at_once() -> None:
    """Nothing waits that isn't asked to."""
    assert schedule(arrivals(simulate=False), 3, seed=0) == (0.0, 0.0, 0.0)
    assert offered_rate((0.0, 0.0, 0.0)) is None


def test_constant_gaps_are_absolute() -> None:
    """The n-th request comes after n gaps from the start, however long the others took."""
    assert schedule(arrivals(delay_min=0.5, delay_max=0.5), 4, seed=0) == (0.0, 0.5, 1.0, 1.5)


def test_bursts_come_together() -> None:
    """`burst_size` requests at once, every `burst_interval` seconds."""
    bursts = arrivals(simulate_burst=True, burst_size=2, burst_interval=3)
    assert schedule(bursts, 5, seed=0) == (0.0, 0.0, 3.0, 3.0, 6.0)


def test_uniform_gaps_stay_within_their_bounds() -> None:
    """Gaps lie between delay_min and delay_max, and fill what is between."""
    seen = gaps(schedule(arrivals(delay_min=0.1, delay_max=0.3), 2000, seed=1))
    assert min(seen) >= 0.1 - 1e-9 and max(seen) <= 0.3 + 1e-9
    assert statistics.fmean(seen) == pytest.approx(0.2, rel=0.02)


def test_a_poisson_process_has_the_rate_and_exponential_gaps() -> None:
    """Gaps have the mean 1 / rate and a standard deviation of the same; a share of exp(-1) is longer than the mean."""
    times = schedule(arrivals(query_rate=4.0), 20_001, seed=2)
    seen = gaps(times)
    assert times[0] == 0.0 and min(seen) >= 0
    assert statistics.fmean(seen) == pytest.approx(0.25, rel=0.03)
    assert statistics.stdev(seen) == pytest.approx(0.25, rel=0.03)
    assert sum(gap > 0.25 for gap in seen) / len(seen) == pytest.approx(0.3679, abs=0.01)
    assert offered_rate(times) == pytest.approx(4.0, rel=0.03)


def test_the_seed_alone_decides_and_more_requests_change_none_before() -> None:
    """The same seed gives the same schedule on every rank, another seed another one."""
    poisson = arrivals(query_rate=1.0)
    assert schedule(poisson, 50, seed=3) == schedule(poisson, 50, seed=3) == schedule(poisson, 60, seed=3)[:50]
    assert schedule(poisson, 50, seed=3) != schedule(poisson, 50, seed=4)
    # The numbers themselves: another version of Python must draw the same.
    assert schedule(poisson, 3, seed=0) == pytest.approx((0.0, 1.8606071, 3.2792362), abs=1e-6)
