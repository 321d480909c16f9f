"""What waits, what runs and what is over: a state machine without a clock, threads or processes.

    queue = Queue([Job(index=0), Job(index=1)], RetryPolicy(num_retries=1))
    queue.take(now)                     # a Job, or a Wait
    queue.finish(job, failure_class, now)

Order: higher priority first, then as the policy says; a retry keeps its place, and waiting for a back-off holds up
nothing else. A job whose turn has come (`turns`) starts as soon as it has room, and what it needs is kept for it
(`reservation`). Jobs without a device stand in a line of their own. docs/scheduling.md has the whole rule.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from configmill.protocol import status
from configmill.schedule.counter import TicketCounter
from configmill.schedule.demand import Capacity, Demand, Room
from configmill.schedule.job import Job
from configmill.schedule.policies import Area, Policy
from configmill.schedule.reservation import Reservation, Running
from configmill.schedule.retry import RetryPolicy
from configmill.schedule.ticket import Ticket
from configmill.schedule.turns import TurnClock
from configmill.schedule.waiting import Waiting

__all__ = ["Job", "Queue", "Wait"]


@dataclass(frozen=True)
class Wait:
    """Nothing can start now. `seconds` until a back-off is over; None: until something finishes or never."""

    seconds: float | None
    over: bool


class Queue:
    """Jobs by state. Not thread-safe: the manager holds a lock around it. Times are seconds of one clock.

    By default there are no devices and the host is unlimited.
    """

    def __init__(
        self,
        jobs: Iterable[Job],
        retry: RetryPolicy,
        policy: Policy | None = None,
        capacity: Capacity | None = None,
    ) -> None:
        self._retry = retry
        self._policy = policy or Area()
        self._room = Room(capacity or Capacity())
        self._clock = TurnClock()
        self._counter = TicketCounter(self._policy)
        self._tickets: dict[int, Ticket] = {}
        self._coming: list[Job] = list(jobs)
        self._without_device = Waiting(longest_first=self._policy.longest_first)
        self._with_device = Waiting(longest_first=self._policy.longest_first)
        self._lines = (self._without_device, self._with_device)
        self._waiting_area = 0.0
        self._unmeetable: list[Ticket] = []
        self._backing_off: list[tuple[float, int, Job]] = []
        self._running: dict[int, Running] = {}
        #: The tickets whose turn has come and that found no room at the last look; what is kept for some of them.
        self._held: list[Ticket] = []
        self._reservations: dict[int, Reservation] = {}
        #: Whether a job found no room at the last look. Where the last look found one, they wait for whoever looks.
        self._is_short = False
        self._stopped = False

    def add(self, jobs: Iterable[Job]) -> None:
        """More jobs, which came when their `ready_at` says; none once it is stopped."""
        if not self._stopped:
            self._coming += jobs

    def take(
        self, now: float, free_devices: int | None = None, can_lease: Callable[[Demand], bool] | None = None
    ) -> Job | Wait:
        """The next job, which then runs; a Wait where there is none now.

        `free_devices` is how many whole devices can be had now; where it isn't given, what the jobs of this queue don't
        use. Devices that jobs share are known to the queue. `can_lease` says whether one that doesn't take any device
        can have some now.
        """
        self._pass_time(now)
        self._room.seen_free, self._room.can_lease = free_devices, can_lease
        self._let_in(now)
        ticket = self._choose(now)
        self._is_short = ticket is None and any(map(len, self._lines))
        if ticket is not None:
            self._start(ticket, now)
            return ticket.job
        if self._backing_off:
            return Wait(self._backing_off[0][0] - now, over=False)
        return Wait(None, over=not self._running and not self.num_waiting)

    def give_back(self, job: Job, now: float) -> None:
        """A job that was taken could not start: another manager was quicker. It keeps its place."""
        self._pass_time(now)
        ticket = self._end(job)
        self._clock.take_back(ticket.area)
        self._is_short = True
        if not self._stopped:
            self._put(ticket)

    def finish(self, job: Job, failure_class: str | None, now: float, *, has_remedy: bool = False) -> float | None:
        """A job that ran has ended; `failure_class` is None where it succeeded, `has_remedy` as in RetryPolicy.

        Returns the seconds after which it is tried again, None where it is over.
        """
        self._close(job, failure_class, now)
        delay = self._retry.delay(failure_class, job.retries_used, job.times_lost, has_remedy=has_remedy)
        if delay is None or self._stopped:
            return None
        if failure_class != status.LOST and not has_remedy:
            job.retries_used += 1
        job.alone = job.alone or self._retry.runs_alone(failure_class)
        job.ready_at = now + delay
        heapq.heappush(self._backing_off, (job.ready_at, job.index, job))
        return delay

    def set_aside(self, job: Job, failure_class: str | None, now: float) -> bool:
        """A job that ran has ended, and waits for what the queue doesn't know; `add` brings it back.

        Returns False where nothing is to start any more.
        """
        self._close(job, failure_class, now)
        return not self._stopped

    def _close(self, job: Job, failure_class: str | None, now: float) -> None:
        """What has run until now is over."""
        self._pass_time(now)
        seconds = now - self._running[job.index].began
        ticket = self._end(job)
        succeeded = failure_class is None
        if succeeded:
            self._counter.learn(seconds)
        ticket.deadline = math.inf
        share = self._room.capacity.share(ticket.demand)
        self._clock.end(expected=ticket.seconds, seconds=seconds, share=share, succeeded=succeeded)
        if failure_class == status.LOST:
            job.times_lost += 1

    def stop(self) -> list[Job]:
        """Start nothing more. Returns the jobs that were waiting, back-offs included."""
        self._stopped = True
        waiting = [ticket.job for line in self._lines for ticket in line]
        waiting += [ticket.job for ticket in self._unmeetable] + self._coming
        waiting += [job for _, _, job in self._backing_off]
        for line in self._lines:
            line.clear()
        self._unmeetable, self._coming, self._backing_off, self._held = [], [], [], []
        self._reservations.clear()
        return sorted(waiting, key=lambda job: job.index)

    def set_capacity(self, capacity: Capacity, now: float) -> None:
        """Devices joined or left, or the host's limits changed. What runs goes on."""
        self._pass_time(now)
        self._room = Room(capacity)
        for running in self._running.values():
            self._room.occupy(running.ticket.index, running.demand)
        self._reservations.clear()
        again, self._unmeetable = self._unmeetable, []
        for line in self._lines:
            for ticket in line:
                if not capacity.can_hold(ticket.demand):
                    self._remove(ticket)
                    again.append(ticket)
        for ticket in again:
            self._put(ticket)

    @property
    def num_running(self) -> int:
        """How many jobs were taken and have not finished."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """How many jobs wait, back-offs included."""
        return sum(map(len, self._lines)) + len(self._unmeetable) + len(self._coming) + len(self._backing_off)

    @property
    def held(self) -> list[Job]:
        """The jobs whose turn had come and that found no room when a job was last taken, first in turn first."""
        return [ticket.job for ticket in self._held]

    def first_waiting(self, most: int) -> list[Ticket]:
        """The first so many of those that wait for room, by their places; those that back off are not among them."""
        waiting = itertools.chain(*self._lines, self._unmeetable)
        return heapq.nsmallest(most, waiting, key=lambda ticket: ticket.place)

    @property
    def running(self) -> list[Running]:
        """The jobs that were taken and have not finished."""
        return list(self._running.values())

    @property
    def turn_reading(self) -> float:
        """What the clock reads by which turns come (shares of the capacity times expected seconds)."""
        return self._clock.reading

    def ticket(self, job: Job) -> Ticket | None:
        """What was made of the job when it came; None where it has not been looked at yet."""
        return self._tickets.get(job.index)

    @property
    def unmeetable(self) -> list[Job]:
        """The jobs that wait for more than there is, whatever ends: devices have left."""
        return [ticket.job for ticket in self._unmeetable]

    def _pass_time(self, now: float) -> None:
        self._clock.pass_time(now, share_used=self._room.share_used, waited_for=self._is_short)

    def _let_in(self, now: float) -> None:
        """Put into their lines the jobs that came, and those whose back-off is over."""
        while self._backing_off and self._backing_off[0][0] <= now:
            self._put(self._tickets[heapq.heappop(self._backing_off)[1]])
        if not self._coming:
            return
        tickets = self._counter.issue(self._coming, self._room.capacity)
        self._clock.has_predictions = self._counter.has_predictions
        self._coming = []
        # Those that come at the same time wait beside one another: none of them overtakes another.
        waiting_area = self._waiting_area + math.fsum(ticket.area for ticket in tickets)
        for ticket in tickets:
            self._tickets[ticket.index] = ticket
            self._counter.set_turn(ticket, self._clock.reading, waiting_area, self._room.capacity)
            self._put(ticket)

    def _put(self, ticket: Ticket) -> None:
        """It waits from now on."""
        if ticket.demand != ticket.job.occupies:
            self._counter.measure(ticket, self._room.capacity)
        if not self._room.capacity.can_hold(ticket.demand):
            self._unmeetable.append(ticket)
            return
        self._line_of(ticket).add(ticket)
        self._waiting_area += ticket.area

    def _remove(self, ticket: Ticket) -> None:
        self._line_of(ticket).remove(ticket)
        self._waiting_area -= ticket.area

    def _line_of(self, ticket: Ticket) -> Waiting:
        return self._with_device if ticket.demand.num_gpus else self._without_device

    def _start(self, ticket: Ticket, now: float) -> None:
        self._remove(ticket)
        self._reservations.pop(ticket.index, None)
        self._room.occupy(ticket.index, ticket.demand)
        self._clock.start(ticket.area)
        running = Running(ticket, ticket.demand, now, now + ticket.seconds)
        self._running[ticket.index] = running
        for reservation in self._reservations.values():
            reservation.note_start(running)

    def _end(self, job: Job) -> Ticket:
        running = self._running.pop(job.index)
        self._room.release(job.index, running.demand)
        for reservation in self._reservations.values():
            reservation.note_end(job.index)
        return running.ticket

    def _choose(self, now: float) -> Ticket | None:
        """The job to start now. The rule of docs/scheduling.md, line by line."""
        firsts = [line.first_in_turn() for line in self._lines]
        in_turn = [ticket for ticket in firsts if ticket is not None and ticket.turn <= self._clock.reading]
        self._held = []
        for ticket in sorted(in_turn, key=lambda ticket: ticket.turn_order):
            if ticket.seconds <= self._limit(ticket.demand, now):
                return ticket
            self._held.append(ticket)
        for line in self._lines:
            found = line.best(self._room.free_devices, lambda demand: self._limit(demand, now))
            if found is not None:
                return found
        return None

    def _limit(self, demand: Demand, now: float) -> float:
        """For how many seconds a job may be expected to run that starts now: below 0 where it can't start."""
        if not self._room.fits(demand):
            return -1.0
        heeded = [ticket for ticket in self._held if self._is_heeded(ticket, demand)]
        if heeded and not self._policy.backfills:
            return -1.0
        return min((self._reservation(ticket, now).limit(demand, now) for ticket in heeded), default=math.inf)

    def _is_heeded(self, held: Ticket, demand: Demand) -> bool:
        """Whether room is kept from such a job: not from one without a device for one that waits for a device.

        Nor from one that can have none of the devices for which the other waits.
        """
        if held.demand.exclusive_host:
            return True
        wanted, others = held.demand.among, demand.among
        if wanted is not None and others is not None and not wanted & others and self._room.has_host(held.demand):
            return False
        return demand.num_gpus > 0 or self._room.has_devices(held.demand)

    def _reservation(self, ticket: Ticket, now: float) -> Reservation:
        if ticket.index not in self._reservations:
            self._reservations[ticket.index] = Reservation(ticket, self._room, self._running, now)
        return self._reservations[ticket.index]
