"""A queue driven by N worker loops under a simulated clock: what the manager does, without processes or threads.

history = simulate([Job(0), Job(1)], RetryPolicy(1), width=2, attempts={0: [Attempt("killed", 3.0)]})
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from configmill.schedule.queue import Job, Queue, Wait
from configmill.schedule.retry import RetryPolicy


@dataclass(frozen=True)
class Attempt:
    """What one attempt will do: how it ends (None: it succeeds), and how long it takes."""

    failure_class: str | None = None
    seconds: float = 1.0


@dataclass(frozen=True)
class Ran:
    """An attempt that took place; `delay` is what `finish` returned."""

    index: int
    began: float
    ended: float
    failure_class: str | None
    delay: float | None


@dataclass
class History:
    """What took place, in the order in which it ended."""

    ran: list[Ran] = field(default_factory=list)
    #: Each `take`: the time, and what came.
    takes: list[tuple[float, Job | Wait]] = field(default_factory=list)
    #: When the last worker went home.
    over_at: float = 0.0

    def of(self, index: int) -> list[Ran]:
        """The attempts of one job, first to last."""
        return [ran for ran in self.ran if ran.index == index]


def simulate(
    jobs: list[Job], policy: RetryPolicy, *, width: int, attempts: dict[int, list[Attempt]], limit: int = 10_000
) -> History:
    """Run all jobs to their end; an attempt that `attempts` doesn't foresee succeeds after a second."""
    queue = Queue(jobs, policy)
    history = History()
    left = {index: list(foreseen) for index, foreseen in attempts.items()}
    now, idle, order = 0.0, width, 0
    running: list[tuple[float, int, float, Job, Attempt]] = []
    for _ in range(limit):
        wait: Wait | None = None
        while idle and wait is None:
            taken = queue.take(now)
            history.takes.append((now, taken))
            if isinstance(taken, Wait):
                wait = taken
            else:
                idle -= 1
                order += 1
                foreseen = left.get(taken.index)
                attempt = foreseen.pop(0) if foreseen else Attempt()
                heapq.heappush(running, (now + attempt.seconds, order, now, taken, attempt))
        if wait is not None and wait.over:
            history.over_at = now
            return history
        wakes = [running[0][0]] if running else []
        if wait is not None and wait.seconds is not None:
            wakes.append(now + wait.seconds)
        assert wakes, "nobody runs, nobody waits, and still it isn't over"
        now = max(now, min(wakes))
        while running and running[0][0] <= now:
            ended, _, began, job, attempt = heapq.heappop(running)
            delay = queue.finish(job, attempt.failure_class, ended)
            history.ran.append(Ran(job.index, began, ended, attempt.failure_class, delay))
            idle += 1
    raise AssertionError(f"it isn't over after {limit} steps")
