"""Room that is kept for a job whose turn has come, and what may start around it.

    reservation = Reservation(ticket, room, running, now)
    reservation.limit(demand, now)       # for how many seconds a job may be expected to run that starts now

Its deadline is when the job is expected to find room, and is never put off. Another job may start if it is expected to
end by then, or if all that is expected to run on past it leaves room for the job beside it (EASY backfilling: Lifka
1995; the deadline stands so that wrong predictions can't push it on for ever).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from configmill.schedule.demand import Demand, Room
from configmill.schedule.ticket import Ticket


@dataclass(frozen=True)
class Running:
    """A job that runs, and when it is expected to end (s)."""

    ticket: Ticket
    demand: Demand
    began: float
    expected_end: float


class Reservation:
    """Of one job."""

    def __init__(self, ticket: Ticket, room: Room, running: dict[int, Running], now: float) -> None:
        self.ticket = ticket
        ticket.deadline = min(ticket.deadline, _expected_start(ticket.demand, room, running, now))
        self.deadline = ticket.deadline
        asked, capacity = ticket.demand, room.capacity
        self._devices: float = capacity.devices - asked.devices
        self._memory: float = capacity.memory_bytes - asked.memory_bytes
        self._cpus: float = capacity.num_cpus - asked.num_cpus
        #: What is expected to run on past the deadline, by index.
        self._beyond: dict[int, Demand] = {}
        for other in running.values():
            self.note_start(other)

    def limit(self, demand: Demand, now: float) -> float:
        """For how many seconds a job that starts now may be expected to run: infinity for any, below 0 for none."""
        if not self.ticket.demand.exclusive_host and not demand.exclusive_host and self._is_beside(demand):
            return math.inf
        return self.deadline - now if self.deadline > now else -1.0

    def note_start(self, running: Running) -> None:
        """A job has started."""
        if running.expected_end > self.deadline:
            self._beyond[running.ticket.index] = running.demand
            self._take(running.demand, 1)

    def note_end(self, index: int) -> None:
        """A job has ended."""
        demand = self._beyond.pop(index, None)
        if demand is not None:
            self._take(demand, -1)

    def _is_beside(self, demand: Demand) -> bool:
        return demand.devices <= self._devices and demand.memory_bytes <= self._memory and demand.num_cpus <= self._cpus

    def _take(self, demand: Demand, sign: int) -> None:
        # A share counts as a device: the device is not free before its last share is.
        self._devices -= sign * demand.devices
        self._memory -= sign * demand.memory_bytes
        self._cpus -= sign * demand.num_cpus


def _expected_start(demand: Demand, room: Room, running: dict[int, Running], now: float) -> float:
    """When there is room for it if all ends as expected; `now` where what runs isn't what it waits for."""
    if demand.exclusive_host:
        return max((max(now, other.expected_end) for other in running.values()), default=now)
    devices, memory, cpus = room.free_devices, room.memory_used, room.cpus_used
    for end, freed_devices, freed in sorted(_releases(room, running), key=lambda release: release[0]):
        devices, memory, cpus = devices + freed_devices, memory - freed.memory_bytes, cpus - freed.num_cpus
        host = (
            memory + demand.memory_bytes <= room.capacity.memory_bytes
            and cpus + demand.num_cpus <= room.capacity.num_cpus
        )
        if devices >= demand.devices and host:
            return max(now, end)
    return now


def _releases(room: Room, running: dict[int, Running]) -> Iterable[tuple[float, int, Demand]]:
    """When what is expected to be free again: the time, devices, and the demand whose memory and cores those are."""
    for other in running.values():
        yield other.expected_end, other.demand.whole_devices, other.demand
    for sharers in room.sharers():
        yield max(running[index].expected_end for index in sharers), 1, Demand()
