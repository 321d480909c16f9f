"""Tickets: a manager that has waited too long says what it needs, and the others leave that alone.

    ticket = place_ticket(leases, Wish(frozenset({"GPU-3f2a…", "GPU-77b0…"})))
    blocking_tickets(leases, ticket)      # those that go before it
    ticket.withdraw()

A ticket is a file that its manager holds locked: with the manager it dies, and counts for nothing. They are served by
age, so nobody waits for more than the experiments that run already and the tickets before its own. An exclusive
lease of the host is asked for in the same way: while its ticket is the oldest, nothing new starts.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from configmill.files import remove_if_there
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.records import boot_id
from configmill.processes import close, close_in_forks, is_stopped

#: For how long a request waits for other managers before it goes first among all of them.
TICKET_SECONDS = 10.0
_PREFIX, _SUFFIX = "ticket-", ".json"
_serial = itertools.count()


@dataclass(frozen=True)
class Wish:
    """What a ticket keeps others from: devices by id; the whole host; or the host's being taken as a whole."""

    devices: frozenset[str] = frozenset()
    exclusive_host: bool = False

    def conflicts(self, other: Wish) -> bool:
        """Whether one that is served keeps the other waiting."""
        return self.exclusive_host or other.exclusive_host or bool(self.devices & other.devices)


@dataclass(frozen=True)
class PlacedTicket:
    """A ticket as others see it; names sort by age."""

    name: str
    pid: int
    wish: Wish


class Ticket:
    """A ticket of this process, from `place_ticket` to `withdraw`."""

    def __init__(self, path: str, descriptor: int, wish: Wish) -> None:
        self._path = path
        self._descriptor = descriptor
        self.name = os.path.basename(path)
        self.wish = wish

    def change(self, wish: Wish) -> None:
        """Want something else (a device was lost), at the same place in the line."""
        if wish != self.wish:
            self.wish = wish
            _write(self._descriptor, wish)

    def withdraw(self) -> None:
        """It has been served, or isn't needed any more."""
        if self._descriptor >= 0:
            remove_if_there(self._path)
            close(self._descriptor)
            self._descriptor = -1


def place_ticket(leases: LeaseDir, wish: Wish, clock: Callable[[], float] = time.monotonic) -> Ticket:
    """Join the line. The clock must be the host's, the same for all processes, and never be set: CLOCK_MONOTONIC."""
    descriptor, beside = leases.new_file()
    try:
        # Locked and written before anybody can see it: an unlocked one passes for a dead manager's.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _write(descriptor, wish)
        name = f"{_PREFIX}{int(clock() * 1e9):020d}-{os.getpid()}-{next(_serial)}{_SUFFIX}"
        path = leases.file(name)
        os.rename(beside, path)
    except BaseException:
        os.close(descriptor)
        remove_if_there(beside)
        raise
    close_in_forks(descriptor)
    return Ticket(path, descriptor, wish)


def tickets(leases: LeaseDir) -> list[PlacedTicket]:
    """The tickets of managers that can be served, oldest first; those of dead ones are removed.

    A stopped manager (Ctrl-Z) takes nothing: it is passed over until it goes on, with its place in the line kept.
    """
    names = [name for name in leases.names() if name.startswith(_PREFIX) and name.endswith(_SUFFIX)]
    placed = (_look(leases.file(name)) for name in sorted(names))
    return [ticket for ticket in placed if ticket is not None and not is_stopped(ticket.pid)]


def blocking_tickets(leases: LeaseDir, mine: Ticket | None) -> list[PlacedTicket]:
    """The tickets that go before `mine`: the older ones, or all of them for what is started without a ticket.

    That holds within a manager too: what it starts beside its own ticket leaves alone what the ticket waits for.
    """
    return [ticket for ticket in tickets(leases) if mine is None or ticket.name < mine.name]


def _write(descriptor: int, wish: Wish) -> None:
    text = json.dumps({"boot": boot_id(), "devices": sorted(wish.devices), "exclusive_host": wish.exclusive_host})
    raw = text.encode()
    # In one write, and then cut: a reader in between sees the new text with the rest of the old, which is no JSON.
    os.pwrite(descriptor, raw, 0)
    os.ftruncate(descriptor, len(raw))


def _look(path: str) -> PlacedTicket | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        # Shared: two that look at once must not take one another for the manager.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _parse(os.path.basename(path), descriptor)
    else:
        with contextlib.suppress(OSError):  # another user's: it stays, and counts for nothing
            os.unlink(path)
        return None
    finally:
        os.close(descriptor)


def _parse(name: str, descriptor: int) -> PlacedTicket | None:
    for _ in range(3):  # it may be in the middle of a change
        try:
            given = json.loads(os.pread(descriptor, 1 << 20, 0))
            wish = Wish(frozenset(map(str, given["devices"])), bool(given["exclusive_host"]))
            return PlacedTicket(name, int(name.split("-")[2]), wish)
        except (ValueError, TypeError, KeyError, IndexError):
            continue
    return None
