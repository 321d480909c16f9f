"""What waits, what runs and what is over: a state machine without a clock, threads or processes.

    queue = Queue([Job(index=0), Job(index=1)], RetryPolicy(num_retries=1))
    queue.take(now)                     # a Job, or a Wait
    queue.finish(job, failure_class, now)

Order: higher priority first, then the order of the list; a retry keeps its place. Waiting for a back-off holds up
nothing else.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from configmill.protocol import status
from configmill.schedule.retry import RetryPolicy


@dataclass
class Job:
    """One experiment to run: the index of its config, and what has become of it in this command."""

    index: int
    priority: float = 0.0
    retries_used: int = 0
    times_lost: int = 0
    #: When it became ready to start (s), for the time that it was queued.
    ready_at: float = 0.0

    @property
    def rank(self) -> tuple[float, int]:
        """Its place in the order: smaller goes first."""
        return (-self.priority, self.index)


@dataclass(frozen=True)
class Wait:
    """Nothing can start now. `seconds` until a back-off is over; None: until something finishes or never."""

    seconds: float | None
    over: bool


@dataclass
class Queue:
    """Jobs by state. Not thread-safe: the manager holds a lock around it. Times are seconds of one clock."""

    jobs: list[Job]
    policy: RetryPolicy
    _ready: list[tuple[tuple[float, int], Job]] = field(init=False, default_factory=list)
    _backing_off: list[tuple[float, int, Job]] = field(init=False, default_factory=list)
    _running: int = field(init=False, default=0)
    _stopped: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        self._ready = [(job.rank, job) for job in self.jobs]
        heapq.heapify(self._ready)

    def take(self, now: float) -> Job | Wait:
        """The next job, which then runs; a Wait where there is none now."""
        while self._backing_off and self._backing_off[0][0] <= now:
            job = heapq.heappop(self._backing_off)[2]
            heapq.heappush(self._ready, (job.rank, job))
        if self._ready:
            self._running += 1
            return heapq.heappop(self._ready)[1]
        if self._backing_off:
            return Wait(self._backing_off[0][0] - now, over=False)
        return Wait(None, over=self._running == 0)

    def finish(self, job: Job, failure_class: str | None, now: float) -> float | None:
        """A job that ran has ended; `failure_class` is None where it succeeded.

        Returns the seconds after which it is tried again, None where it is over.
        """
        self._running -= 1
        if failure_class == status.LOST:
            job.times_lost += 1
        delay = self.policy.delay(failure_class, job.retries_used, job.times_lost)
        if delay is None or self._stopped:
            return None
        if failure_class != status.LOST:
            job.retries_used += 1
        job.ready_at = now + delay
        heapq.heappush(self._backing_off, (job.ready_at, job.index, job))
        return delay

    def stop(self) -> list[Job]:
        """Start nothing more. Returns the jobs that were waiting, back-offs included."""
        self._stopped = True
        waiting = [job for _, job in self._ready] + [job for _, _, job in self._backing_off]
        self._ready, self._backing_off = [], []
        return sorted(waiting, key=lambda job: job.index)

    @property
    def num_running(self) -> int:
        """How many jobs were taken and have not finished."""
        return self._running

    @property
    def num_waiting(self) -> int:
        """How many jobs wait, back-offs included."""
        return len(self._ready) + len(self._backing_off)
