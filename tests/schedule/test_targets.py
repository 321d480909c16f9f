from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence

import pytest

from benchmarks.scheduling import draw_jobs, with_wrong_predictions
from configmill.schedule.policies import SIMULATED_POLICIES, Area, make_policy
from configmill.schedule.simulator import SimulatedJob, simulate

SEEDS = 150


def mean_ratio(policy: str, change: Callable[[Sequence[SimulatedJob], int], Sequence[SimulatedJob]]) -> float:
    """Mean of makespan over lower bound: eight devices, 60 jobs at once, log-normal times."""
    chosen = make_policy(policy, SIMULATED_POLICIES)
    return statistics.mean(simulate(change(draw_jobs(seed), seed), 8, chosen).ratio for seed in range(SEEDS))


def test_close_to_the_best_possible_with_true_predictions() -> None:
    """The default's makespan is within 3 % of what no order can beat."""
    assert mean_ratio("area", lambda jobs, _: jobs) <= 1.03


def test_close_to_the_best_possible_with_wrong_predictions() -> None:
    """Within 4 % where every prediction is wrong by up to twice."""
    assert mean_ratio("area", with_wrong_predictions) <= 1.04


def test_the_bound_costs_next_to_nothing() -> None:
    """Where all jobs come at once, keeping room for those in turn lengthens the makespan by under half a percent."""

    class Unbounded(Area):
        def overtaking(self, ticket: object, waiting_area: float) -> float:
            return float("inf")

    without = statistics.mean(simulate(draw_jobs(seed), 8, Unbounded()).ratio for seed in range(SEEDS))
    assert mean_ratio("area", lambda jobs, _: jobs) <= 1.005 * without


@pytest.mark.parametrize(("policy", "low", "high"), [("waves", 2.1, 2.5), ("fifo", 1.4, 1.6), ("easy", 1.15, 1.3)])
def test_the_others_are_what_they_are_known_to_be(policy: str, low: float, high: float) -> None:
    """The policies to compare with do as badly as they do elsewhere: the simulator flatters nobody."""
    assert low < mean_ratio(policy, lambda jobs, _: jobs) < high


@pytest.mark.parametrize("number", [2, 3, 4, 8])
def test_n_equal_jobs_on_n_devices_are_n_times_as_fast(number: int) -> None:
    """Speed-up against one device."""
    jobs = [SimulatedJob(60.0, 1)] * number
    assert simulate(jobs, 1, Area()).makespan / simulate(jobs, number, Area()).makespan >= 0.97 * number


@pytest.mark.parametrize(("jobs", "minutes", "devices", "expected"), [(20, 5, 4, 25), (10, 30, 2, 150)])
def test_published_cases(jobs: int, minutes: int, devices: int, expected: int) -> None:
    """20 jobs of 5 minutes on 4 devices take 25; 10 of 30 minutes on 2 take 150."""
    assert simulate([SimulatedJob(60.0 * minutes)] * jobs, devices, Area()).makespan == 60.0 * expected


@pytest.mark.parametrize("policy", ["area", "easy", "fifo"])
def test_a_start_costs_little_however_many_wait(policy: str) -> None:
    """Ten times as many jobs on ten times as many devices cost about ten times as much, not a hundred times."""
    took = []
    for number in (1_000, 10_000):
        jobs = draw_jobs(0, number)
        began = time.process_time()
        simulate(jobs, number // 100, make_policy(policy))
        took.append(time.process_time() - began)
    assert took[1] < 40 * took[0]


def test_many_widths_cost_little() -> None:
    """Jobs of hundreds of widths that come one by one, so that some are in turn: under 3 ms a job."""
    numbers = random.Random(0)
    jobs = [
        SimulatedJob(numbers.lognormvariate(3, 1), numbers.randint(1, 300), arrival=numbers.uniform(0, 9000))
        for _ in range(3000)
    ]
    began = time.process_time()
    simulate(jobs, 300, Area())
    assert time.process_time() - began < 9.0
