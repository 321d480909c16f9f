"""The jobs that could start if there were room, so indexed that finding the next one looks at few of them.

    waiting = Waiting(longest_first=True)
    waiting.add(ticket)
    waiting.best(free_devices=3, limit=lambda demand: math.inf)

Jobs that occupy the same and have the same priority stand in one lane, in order: only the first of a lane is looked at.
"""

from __future__ import annotations

import heapq
import itertools
import math
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator

from configmill.schedule.demand import Demand
from configmill.schedule.ticket import Ticket

#: How many of a lane are looked at for one that is short enough, where the lane isn't ordered by length. The first of
#: thousands that would fit is found this way nearly always, and a start stays cheap.
SEARCH_DEPTH = 64


class Waiting:
    """Tickets by priority, then by what they occupy; and by the moment from which nothing may overtake them."""

    def __init__(self, *, longest_first: bool) -> None:
        self._longest_first = longest_first
        self._lanes: dict[float, dict[Demand, list[Ticket]]] = {}
        #: The keys of `_lanes`, and of each of them the demands, narrowest first.
        self._levels: list[float] = []
        self._demands: dict[float, list[tuple[int, int, Demand]]] = {}
        self._tickets: dict[int, Ticket] = {}
        self._turns: list[tuple[tuple[float, ...], int, Ticket]] = []
        #: How many ask for how many whole devices, and the numbers of devices that any asks for, smallest first.
        self._of_width: Counter[int] = Counter()
        self._widths: list[int] = []
        #: Counts what was ever added, so that equals can be told apart.
        self._count = itertools.count()

    def __len__(self) -> int:
        return len(self._tickets)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(list(self._tickets.values()))

    def add(self, ticket: Ticket) -> None:
        """It waits from now on."""
        level = ticket.place[0]
        if level not in self._lanes:
            self._lanes[level], self._demands[level] = {}, []
            insort(self._levels, level)
        lanes = self._lanes[level]
        width = ticket.demand.whole_devices
        if ticket.demand not in lanes:
            lanes[ticket.demand] = []
            insort(self._demands[level], (width, next(self._count), ticket.demand))
        self._of_width[width] += 1
        if self._of_width[width] == 1:
            insort(self._widths, width)
        insort(lanes[ticket.demand], ticket, key=_place)
        self._tickets[ticket.index] = ticket
        heapq.heappush(self._turns, (ticket.turn_order, next(self._count), ticket))

    def remove(self, ticket: Ticket) -> None:
        """It waits no longer."""
        del self._tickets[ticket.index]
        level, demand = ticket.place[0], ticket.demand
        lane = self._lanes[level][demand]
        del lane[bisect_left(lane, ticket.place, key=_place)]
        self._of_width[demand.whole_devices] -= 1
        if not self._of_width[demand.whole_devices]:
            self._widths.remove(demand.whole_devices)
        if lane:
            return
        del self._lanes[level][demand]
        self._demands[level] = [known for known in self._demands[level] if known[2] != demand]
        if not self._lanes[level]:
            del self._lanes[level], self._demands[level]
            self._levels.remove(level)

    def clear(self) -> None:
        """Nothing waits any longer."""
        self._lanes, self._demands, self._tickets = {}, {}, {}
        self._levels, self._turns, self._widths = [], [], []
        self._of_width.clear()

    def first_in_turn(self) -> Ticket | None:
        """The one whose turn comes first, whether it has come or not."""
        while self._turns and not self._is_waiting(*self._turns[0]):
            heapq.heappop(self._turns)
        return self._turns[0][-1] if self._turns else None

    def best(self, free_devices: int, limit: Callable[[Demand], float]) -> Ticket | None:
        """The first in order among those that may start.

        `limit` says for how many seconds at most a job that occupies this much may be expected to run: infinity for
        any, below 0 for none.
        """
        limits: dict[Demand, float] = {}
        for level in self._levels if self._is_any_within(free_devices) else ():
            found: Ticket | None = None
            lanes, demands = self._lanes[level], self._demands[level]
            # From wide to narrow: the first in order is mostly among the widest, and the others are then passed over.
            for at in range(bisect_left(demands, free_devices + 1, key=_width) - 1, -1, -1):
                demand = demands[at][2]
                lane = lanes[demand]
                if found is not None and found.place < lane[0].place:
                    continue
                if demand not in limits:
                    limits[demand] = limit(demand)
                first = self._first(lane, limits[demand])
                if first is not None and (found is None or first.place < found.place):
                    found = first
            if found is not None:
                return found
        return None

    def _is_any_within(self, free_devices: int) -> bool:
        return bool(self._widths) and self._widths[0] <= free_devices

    def _first(self, lane: list[Ticket], limit: float) -> Ticket | None:
        if limit < 0:
            return None
        if limit == math.inf:
            return lane[0]
        if self._longest_first:
            at = bisect_left(lane, -limit, key=_minus_seconds)
            return lane[at] if at < len(lane) else None
        return next((ticket for ticket in lane[:SEARCH_DEPTH] if ticket.seconds <= limit), None)

    def _is_waiting(self, order: tuple[float, ...], _: int, ticket: Ticket) -> bool:
        # A ticket that came back has an entry for each time that it waited: any that still holds will do.
        return self._tickets.get(ticket.index) is ticket and ticket.turn_order == order


def _width(of_lane: tuple[int, int, Demand]) -> int:
    return of_lane[0]


def _place(ticket: Ticket) -> tuple[float, ...]:
    return ticket.place


def _minus_seconds(ticket: Ticket) -> float:
    return -ticket.seconds
