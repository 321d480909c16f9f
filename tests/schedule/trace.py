"""A queue played through a random trace, with everything noted that a property may be about.

trace = play([SimulatedJob(3.0, 2), SimulatedJob(1.0, 8, arrival=1.0)], Capacity(8))
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from hypothesis import strategies as st

from configmill.schedule.demand import Capacity
from configmill.schedule.policies import Area, Easy, Fifo, Policy
from configmill.schedule.queue import Job, Queue, Wait
from configmill.schedule.retry import RetryPolicy
from configmill.schedule.simulator import SimulatedJob

GIB = 2**30
HOST = Capacity(devices=8, memory_bytes=16 * GIB, num_cpus=8)


@dataclass
class Moment:
    """What was so when the queue said Wait."""

    now: float
    waiting: list[int]
    running: list[int]
    held: list[int]
    reading: float


@dataclass
class Trace:
    """Which jobs began when, and the queue at every Wait."""

    jobs: list[SimulatedJob]
    capacity: Capacity
    began: dict[int, float] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    queue: Queue = field(default_factory=lambda: Queue([], RetryPolicy()))

    def wait(self, index: int) -> float:
        """Seconds from arrival to start."""
        return self.began[index] - self.jobs[index].arrival


def play(
    jobs: list[SimulatedJob],
    capacity: Capacity,
    policy: Policy | None = None,
    *,
    refusals: tuple[bool, ...] = (),
) -> Trace:
    """Play the jobs to their end. The n-th job taken is given back at once where `refusals[n]` says so."""
    queue = Queue([], RetryPolicy(), policy, capacity)
    trace = Trace(jobs, capacity, queue=queue)
    arrivals = sorted(range(len(jobs)), key=lambda index: jobs[index].arrival)
    ends: list[tuple[float, int, Job]] = []
    refuse = list(refusals)
    while arrivals or ends:
        now = min([jobs[index].arrival for index in arrivals[:1]] + [end for end, _, _ in ends[:1]])
        while ends and ends[0][0] <= now:
            queue.finish(heapq.heappop(ends)[2], None, now)
        while arrivals and jobs[arrivals[0]].arrival <= now:
            index = arrivals.pop(0)
            queue.add([to_job(index, jobs[index])])
        _take_all(trace, ends, now, refuse)
    return trace


def to_job(index: int, job: SimulatedJob) -> Job:
    """What the queue is told of it."""
    return Job(
        index, priority=job.priority, ready_at=job.arrival, demand=job.demand, expected_seconds=job.expected_seconds
    )


def _take_all(trace: Trace, ends: list[tuple[float, int, Job]], now: float, refuse: list[bool]) -> None:
    queue = trace.queue
    while isinstance(taken := queue.take(now), Job):
        if refuse and refuse.pop(0):
            queue.give_back(taken, now)
            continue
        trace.began[taken.index] = now
        heapq.heappush(ends, (now + trace.jobs[taken.index].seconds, taken.index, taken))
    assert isinstance(taken, Wait)
    come = {index for index, job in enumerate(trace.jobs) if job.arrival <= now}
    running = [job.index for _, _, job in ends]
    trace.moments.append(
        Moment(
            now,
            waiting=sorted(come - trace.began.keys()),
            running=running,
            held=[job.index for job in queue.held],
            reading=queue.turn_reading,
        )
    )


#: Seconds are multiples of 1/8, so that sums are exact and moments coincide often.
seconds = st.integers(0, 200).map(lambda eighths: eighths / 8)
predictions = st.one_of(st.none(), st.integers(0, 400).map(lambda eighths: eighths / 8))


@st.composite
def traces(draw: st.DrawFn, *, shares: bool = True, host: bool = True, exclusive: bool = True) -> list[SimulatedJob]:
    """Jobs that come in any order, predicted well, wrongly or not at all."""
    widths = [0, 1, 1, 1, 2, 3, 5, 8] + ([0.25, 0.5, 0.7] if shares else [])
    job = st.builds(
        SimulatedJob,
        seconds=seconds,
        num_gpus=st.sampled_from(widths),
        arrival=st.one_of(st.just(0.0), seconds),
        expected_seconds=predictions,
        priority=st.sampled_from([0.0, 0.0, 0.0, 1.0, -2.0]),
        memory_bytes=st.sampled_from([0, 0, GIB, 7 * GIB, 16 * GIB] if host else [0]),
        num_cpus=st.sampled_from([0.0, 0.0, 1.0, 3.5, 8.0] if host else [0.0]),
        exclusive_host=st.sampled_from([False] * 7 + [exclusive]),
    )
    return draw(st.lists(job, min_size=1, max_size=24))


policies: st.SearchStrategy[Policy] = st.sampled_from([Area, Area, Fifo, Easy]).map(lambda kind: kind())
