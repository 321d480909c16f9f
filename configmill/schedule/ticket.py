"""A job's place in the queue: what is made of a job when it comes, and stays with it over retries and refusals.

ticket = Ticket(job, job.demand, arrival=now, seconds=600.0)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from configmill.schedule.demand import Demand
from configmill.schedule.job import Job


@dataclass
class Ticket:
    """What a policy sees of a job. Smaller places go first; no two are equal."""

    job: Job
    demand: Demand
    #: When it came (s).
    arrival: float
    #: How long it is thought to run (s): its prediction, or what stands in for a missing one.
    seconds: float
    #: The share of the capacity that it occupies, times its seconds.
    area: float = 0.0
    place: tuple[float, ...] = ()
    #: What the queue's clock read when it came, and from which reading on nothing may overtake it any more.
    came_at: float = 0.0
    turn: float = math.inf
    #: When it was expected to start, the first time that room was kept for it (s).
    deadline: float = math.inf

    @property
    def index(self) -> int:
        """The index of its config."""
        return self.job.index

    @property
    def turn_order(self) -> tuple[float, ...]:
        """Whose turn comes first: smaller before larger. Of equals, nobody who came later is before."""
        return (self.turn, -math.inf if self.turn == -math.inf else self.arrival, *self.place)
