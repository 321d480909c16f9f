"""Where jobs get their tickets: how long each is thought to run, its place, and when its turn is.

    counter = TicketCounter(policy)
    tickets = counter.issue(jobs, capacity)
    counter.set_turn(ticket, reading, waiting_area, capacity)

A missing prediction is made up for by the mean of those given, else by the mean of what took place.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from configmill.schedule.demand import Capacity
from configmill.schedule.job import Job
from configmill.schedule.policies import Policy
from configmill.schedule.ticket import Ticket

#: An hour of waiting is worth one point of priority. Jobs that come within the same hour count as equally old, so that
#: the policy's order holds among them.
AGEING_SECONDS = 3600.0
#: How long a job may take while nothing at all is known of any (s). Alike for all, so that the order is by what they
#: occupy; what the first ones take says how wrong it is.
UNKNOWN_SECONDS = 600.0


class TicketCounter:
    """Gives tickets to jobs that come, and learns from those that end how long one without a prediction may take."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._predicted, self._taken = _Mean(), _Mean()

    def issue(self, jobs: Sequence[Job], capacity: Capacity) -> list[Ticket]:
        """A ticket for each."""
        for job in jobs:
            if job.expected_seconds is not None:
                self._predicted.add(job.expected_seconds)
        stand_in = self._predicted.value or self._taken.value or UNKNOWN_SECONDS
        tickets = []
        for job in jobs:
            seconds = stand_in if job.expected_seconds is None else job.expected_seconds
            ticket = Ticket(job, job.occupies, job.ready_at, seconds)
            self.measure(ticket, capacity)
            tickets.append(ticket)
        return tickets

    def measure(self, ticket: Ticket, capacity: Capacity) -> None:
        """Set what follows from what the job occupies: its area and its place."""
        job = ticket.job
        ticket.demand = job.occupies
        ticket.area = capacity.share(ticket.demand) * ticket.seconds
        level = math.floor(ticket.arrival / AGEING_SECONDS) - job.priority
        ticket.place = (level, self._policy.order(ticket), ticket.arrival, job.index)

    def set_turn(self, ticket: Ticket, reading: float, waiting_area: float, capacity: Capacity) -> None:
        """Set when nothing may overtake it any more; jobs of this area wait, it and what came with it included."""
        overtaking = self._policy.overtaking(ticket, waiting_area)
        # What occupies nothing that could be short is never kept waiting: it needs no turn.
        needs_turn = capacity.share(ticket.demand) > 0 or overtaking == -math.inf
        ticket.came_at = reading
        ticket.turn = reading + waiting_area + overtaking if needs_turn else math.inf

    @property
    def has_predictions(self) -> bool:
        """Whether any job came with one."""
        return self._predicted.value is not None

    def learn(self, seconds: float) -> None:
        """A job succeeded that took this long."""
        self._taken.add(seconds)


class _Mean:
    def __init__(self) -> None:
        self._sum, self._number = 0.0, 0

    def add(self, value: float) -> None:
        self._sum, self._number = self._sum + value, self._number + 1

    @property
    def value(self) -> float | None:
        return self._sum / self._number if self._number else None
