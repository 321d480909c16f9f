"""Makespan over lower bound for each policy, on the workload of docs/scheduling.md, and what a stream of jobs costs.

python -m benchmarks.scheduling
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from configmill.schedule.policies import SIMULATED_POLICIES, make_policy
from configmill.schedule.simulator import Played, SimulatedJob, mispredicted, simulate

SEEDS = 150
NUM_GPUS = 8
WIDTHS = {1: 0.60, 2: 0.20, 4: 0.15, 8: 0.05}


def draw_jobs(seed: int, number: int = 60) -> list[SimulatedJob]:
    """Jobs that come at once: widths as in `WIDTHS`, log-normal times with sigma 1, predictions true."""
    numbers = random.Random(seed)
    widths = numbers.choices(list(WIDTHS), list(WIDTHS.values()), k=number)
    seconds = [60.0 * numbers.lognormvariate(0.0, 1.0) for _ in range(number)]
    return [SimulatedJob(time, width, expected_seconds=time) for time, width in zip(seconds, widths, strict=True)]


def with_wrong_predictions(jobs: Sequence[SimulatedJob], seed: int, factor: float = 2.0) -> list[SimulatedJob]:
    """The same jobs, predictions wrong by up to the factor."""
    wrong = mispredicted(jobs, factor, random.Random(f"predictions {seed}"))
    return [replace(job, expected_seconds=expected) for job, expected in zip(jobs, wrong, strict=True)]


def without_predictions(jobs: Sequence[SimulatedJob], seed: int) -> list[SimulatedJob]:
    """The same jobs, nothing known of their times."""
    return [replace(job, expected_seconds=None) for job in jobs]


def draw_stream(seed: int, load: float = 0.9, number: int = 600) -> list[SimulatedJob]:
    """Jobs of the same kind that come one by one, so many that this part of the devices' time is asked for."""
    numbers = random.Random(f"stream {seed}")
    jobs = draw_jobs(seed, number)
    span = sum(job.seconds * job.num_gpus for job in jobs) / NUM_GPUS / load
    arrivals = sorted(numbers.uniform(0, span) for _ in jobs)
    return [replace(job, arrival=arrival) for job, arrival in zip(jobs, arrivals, strict=True)]


def main() -> None:
    """Print the tables."""
    kinds: dict[str, Callable[[Sequence[SimulatedJob], int], list[SimulatedJob]]] = {
        "true": lambda jobs, _: list(jobs),
        "wrong by up to 2": with_wrong_predictions,
        "none": without_predictions,
    }
    print(f"60 jobs at once on {NUM_GPUS} devices, {SEEDS} seeds: mean (longest) of makespan over lower bound\n")
    print(f"{'policy':8}" + "".join(f"{kind:>22}" for kind in kinds))
    for name in SIMULATED_POLICIES:
        cells = []
        for kind in kinds.values():
            ratios = [_play(kind(draw_jobs(seed), seed), name).ratio for seed in range(SEEDS)]
            cells.append(f"{statistics.mean(ratios):.3f} ({max(ratios):.3f})")
        print(f"{name:8}" + "".join(f"{text:>22}" for text in cells))
    print(
        "\n600 jobs that come one by one, 20 seeds: seconds waited (mean, longest) by devices asked for; idle share\n"
    )
    for load in (0.7, 0.9, 1.1):
        for name in ("area", "easy", "fifo"):
            print(f"load {load}  {name:6}" + _stream_row(name, load))
    print("\n100,000 jobs on 1,000 devices")
    for name in SIMULATED_POLICIES:
        print(f"{name:8} {_time_large(name):6.1f} s")


def _play(jobs: Sequence[SimulatedJob], policy: str) -> Played:
    return simulate(jobs, NUM_GPUS, make_policy(policy, SIMULATED_POLICIES))


def _stream_row(name: str, load: float) -> str:
    played = [_play(draw_stream(seed, load), name) for seed in range(20)]
    by_width = [one.waits_by_width() for one in played]
    text = ""
    for width in WIDTHS:
        means = statistics.mean(one[width][1] for one in by_width)
        longest = max(one[width][2] for one in by_width)
        text += f"  {width}: {means:5.0f} {longest:6.0f}"
    return text + f"  idle {statistics.mean(one.idle_share for one in played):.3f}"


def _time_large(name: str) -> float:
    jobs = draw_jobs(0, 100_000)
    began = time.perf_counter()
    simulate(jobs, 1_000, make_policy(name, SIMULATED_POLICIES))
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
