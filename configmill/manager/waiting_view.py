"""What waits and for what, kept for `configmill explain` while the command is at work.

view = WaitingView(campaign.dir)
view.show(queue, devices, now)      # at most once a second, and only where something waits for room
view.close()
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from configmill.manager.devices import Devices
from configmill.protocol.layout import CampaignDir
from configmill.schedule.demand import Demand
from configmill.schedule.queue import Queue
from configmill.schedule.reservation import Running
from configmill.schedule.ticket import Ticket
from configmill.store.waiting import Waiting, remove_waiting, write_waiting

#: Nobody reads more, and a queue may hold thousands.
_MOST = 100
_SECONDS_BETWEEN = 1.0


class WaitingView:
    """Writes `waiting.json`; where no experiment asks for anything, there is none."""

    def __init__(self, campaign: CampaignDir) -> None:
        self._campaign = campaign
        self._next_at = -math.inf

    def show(self, queue: Queue, devices: Devices, now: float, host: str | None = None) -> None:
        """Nothing can start now: say what waits, for what, and behind whom. `now` is monotonic (s).

        `host`: who has the host, where it is that which all wait for, whatever they ask for besides.
        """
        if now < self._next_at:
            return
        waiting = [ticket for ticket in queue.first_waiting(_MOST) if host is not None or ticket.demand != Demand()]
        if not waiting:
            return
        self._next_at = now + _SECONDS_BETWEEN
        before = sorted(running.ticket.index for running in queue.running)
        entries = []
        for ticket, start in zip(
            waiting, expected_starts(queue.running, waiting, devices.free_count(), now), strict=True
        ):
            at = None if start is None else time.time() + start - now
            why = _why(ticket.demand, devices) if host is None else f"waits for the host: {host}"
            entries.append(Waiting(ticket.index, _asks(ticket.demand), why, behind=tuple(before), expected_start=at))
            before.append(ticket.index)
        write_waiting(self._campaign, entries)

    def close(self) -> None:
        """The command is at its end."""
        remove_waiting(self._campaign)


def expected_starts(
    running: Sequence[Running], waiting: Sequence[Ticket], free: int | None, now: float
) -> list[float | None]:
    """When each that waits is expected to start, one after another in their order, by the devices alone.

    None where it, or one that it waits for, has no prediction.
    """
    if any(one.ticket.job.expected_seconds is None for one in running):
        return [None] * len(waiting)
    free_at = [now] * (free or 0)
    free_at += [max(now, one.expected_end) for one in running for _ in range(one.demand.devices)]
    starts: list[float | None] = []
    for ticket in waiting:
        wanted = ticket.demand.devices
        if ticket.job.expected_seconds is None or not 0 < wanted <= len(free_at):
            return starts + [None] * (len(waiting) - len(starts))
        free_at.sort()
        start = free_at[wanted - 1]
        free_at[:wanted] = [start + ticket.seconds] * wanted
        starts.append(start)
    return starts


def _asks(demand: Demand) -> str:
    parts = [f"{demand.num_gpus:g} GPU{'s' if demand.num_gpus > 1 else ''}"] if demand.num_gpus else []
    parts += [f"{demand.memory_bytes / 1e9:g} GB"] if demand.memory_bytes else []
    parts += [f"{demand.num_cpus:g} cores"] if demand.num_cpus else []
    parts += ["the host for itself"] if demand.exclusive_host else []
    return ", ".join(parts)


def _why(demand: Demand, devices: Devices) -> str:
    if not demand.num_gpus or devices.pool is None:
        return "waits for the host's memory, cores, or for what runs to end"
    taken = devices.pool.reasons()
    free = devices.pool.free_count()
    mine = sum("by this manager" in reason for reason in taken.values())
    parts = [f"{mine} used by this campaign"] if mine else []
    parts += [f"{id} {reason}" for id, reason in taken.items() if "by this manager" not in reason]
    wanted = f"{demand.devices} free device{'s' if demand.devices > 1 else ''}"
    return f"waits for {wanted}, {free} of {free + len(taken)} are" + (f": {'; '.join(parts)}" if parts else "")
