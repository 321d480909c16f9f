"""What a policy makes of a list of jobs: the queue that runs experiments, driven by a heap of events and no processes.

    played = simulate([SimulatedJob(seconds=60, num_gpus=2), SimulatedJob(seconds=30)], num_gpus=8, policy=Area())
    played.makespan, played.ratio

Times are seconds from the moment at which the first job could come. Every attempt succeeds.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from configmill.schedule.demand import Capacity, Demand
from configmill.schedule.policies import Policy, Waves
from configmill.schedule.queue import Job, Queue
from configmill.schedule.retry import RetryPolicy


@dataclass(frozen=True)
class SimulatedJob:
    """What a job asks for, and how long it really takes (s)."""

    seconds: float
    num_gpus: float = 1
    arrival: float = 0.0
    #: None where nothing is known beforehand.
    expected_seconds: float | None = None
    priority: float = 0.0
    memory_bytes: int = 0
    num_cpus: float = 0.0
    exclusive_host: bool = False

    @property
    def demand(self) -> Demand:
        """What it occupies."""
        return Demand(self.num_gpus, self.memory_bytes, self.num_cpus, self.exclusive_host)


@dataclass(frozen=True)
class Played:
    """When each job began, and what that comes to. Lists are in the order of the jobs."""

    jobs: Sequence[SimulatedJob]
    num_gpus: int
    began: Sequence[float]

    @property
    def makespan(self) -> float:
        """Seconds from the first arrival to the last end."""
        ends = [began + job.seconds for began, job in zip(self.began, self.jobs, strict=True)]
        return max(ends, default=0.0) - self._first_arrival

    @property
    def lower_bound(self) -> float:
        """Seconds that no order could beat: the longest job; all area over all devices; jobs wider than half."""
        longest = max((job.seconds for job in self.jobs), default=0.0)
        area = math.fsum(job.seconds * job.num_gpus for job in self.jobs)
        wide = math.fsum(job.seconds for job in self.jobs if 2 * job.num_gpus > self.num_gpus and job.num_gpus)
        return max(longest, area / self.num_gpus if self.num_gpus else 0.0, wide)

    @property
    def ratio(self) -> float:
        """Makespan over lower bound; 1 where there is nothing to do."""
        return self.makespan / self.lower_bound if self.lower_bound > 0 else 1.0

    @property
    def idle_share(self) -> float:
        """The part of the devices' time, from the first arrival to the last end, in which they had nothing to do."""
        there = self.makespan * self.num_gpus
        used = math.fsum(job.seconds * job.num_gpus for job in self.jobs)
        return max(0.0, 1.0 - used / there) if there > 0 else 0.0

    @property
    def waits(self) -> list[float]:
        """Seconds from arrival to start."""
        return [began - job.arrival for began, job in zip(self.began, self.jobs, strict=True)]

    def waits_by_width(self) -> dict[float, tuple[int, float, float]]:
        """For each number of devices: how many jobs asked for it, and their mean and longest wait (s)."""
        pairs = sorted((job.num_gpus, wait) for job, wait in zip(self.jobs, self.waits, strict=True))
        found = {}
        for width, group in groupby(pairs, key=lambda pair: pair[0]):
            waits = [wait for _, wait in group]
            found[width] = (len(waits), math.fsum(waits) / len(waits), max(waits))
        return found

    @property
    def _first_arrival(self) -> float:
        return min((job.arrival for job in self.jobs), default=0.0)


def simulate(
    jobs: Sequence[SimulatedJob], num_gpus: int, policy: Policy, *, capacity: Capacity | None = None
) -> Played:
    """Play the jobs to their end. Each must fit into the capacity: ValueError otherwise.

    `capacity` says what the host has besides; the number of devices is `num_gpus` in any case.
    """
    host = capacity or Capacity()
    whole = Capacity(num_gpus, host.memory_bytes, host.num_cpus)
    for index, job in enumerate(jobs):
        if not whole.can_hold(job.demand):
            raise ValueError(f"job {index} asks for {job.demand}, and there is {whole}")
    play = _Play(jobs, Queue([], RetryPolicy(), policy, whole), in_waves=isinstance(policy, Waves))
    while (now := play.next_moment()) < math.inf:
        play.advance_to(now)
    return Played(jobs, num_gpus, play.began)


class _Play:
    """The jobs that are still to come, those that wait in the queue, and those that run."""

    def __init__(self, jobs: Sequence[SimulatedJob], queue: Queue, *, in_waves: bool) -> None:
        self._jobs = jobs
        self._queue = queue
        self._in_waves = in_waves
        #: Last arrival first.
        self._to_come = sorted(range(len(jobs)), key=lambda index: (-jobs[index].arrival, -index))
        self._running: list[tuple[float, int, Job]] = []
        self.began = [0.0] * len(jobs)

    def next_moment(self) -> float:
        """When the next job comes or ends; infinity after the last one."""
        ends = self._running[0][0] if self._running else math.inf
        comes = self._jobs[self._to_come[-1]].arrival if self._to_come else math.inf
        return min(ends, comes)

    def advance_to(self, now: float) -> None:
        """Let end what ends, come what comes and start what can."""
        while self._running and self._running[0][0] <= now:
            self._queue.finish(heapq.heappop(self._running)[2], None, now)
        while self._to_come and self._jobs[self._to_come[-1]].arrival <= now:
            index = self._to_come.pop()
            self._queue.add([_queued(index, self._jobs[index])])
        if self._in_waves and self._running:
            return
        while isinstance(taken := self._queue.take(now), Job):
            self.began[taken.index] = now
            heapq.heappush(self._running, (now + self._jobs[taken.index].seconds, taken.index, taken))


def mispredicted(jobs: Sequence[SimulatedJob], factor: float, random_numbers: random.Random) -> list[float | None]:
    """Predictions that are wrong by up to `factor` either way: each times factor ** uniform(-1, 1)."""
    return [
        None if job.expected_seconds is None else job.expected_seconds * factor ** random_numbers.uniform(-1, 1)
        for job in jobs
    ]


def _queued(index: int, job: SimulatedJob) -> Job:
    return Job(
        index,
        priority=job.priority,
        ready_at=job.arrival,
        demand=job.demand,
        expected_seconds=job.expected_seconds,
    )
