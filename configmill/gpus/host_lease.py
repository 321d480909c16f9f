"""The host as a lease of its own: shared by everything that runs, exclusive for one who measures.

    host = try_host(leases, exclusive=False)          # Lease, or Refusal with the reason
    measurer = try_host(leases, exclusive=True, mine=ticket)

A measurer places a ticket when it begins to wait (`Wish(exclusive_host=True)`); from then on nothing new starts, so it
waits for what runs already, and a stream of short experiments can't starve it. Nor can a stream of measurers starve
the others: these place tickets of their own once they have waited too long.
"""

from __future__ import annotations

import fcntl
import os
import time

from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal, lock
from configmill.gpus.leftovers import left_over
from configmill.gpus.records import Record, read_record, write_record
from configmill.gpus.tickets import Ticket, Wish, blocking_tickets
from configmill.processes import close, close_in_forks

_FILE = "host.lock"


class SharedHost:
    """A share of the host, held as a `Lease` is: by this process until `close`, and by who inherits `descriptor`."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        close_in_forks(descriptor)

    def close(self) -> None:
        """Let go of this process's copy."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            close(descriptor)

    #: The same: a share leaves no record.
    release = close


def try_host(leases: LeaseDir, *, exclusive: bool, mine: Ticket | None = None) -> Lease | SharedHost | Refusal:
    """Take the host, shared or alone, or say who keeps it. `mine`: this manager's ticket, where it is served now."""
    wish = Wish(exclusive_host=exclusive)
    for ticket in blocking_tickets(leases, mine):
        if ticket.wish.conflicts(wish):
            return Refusal(f"the manager with pid {ticket.pid} has waited longer for the host")
    descriptor = lock(leases, leases.file(_FILE), fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
    if isinstance(descriptor, Refusal):
        return Refusal("experiments run on the host" if exclusive else f"the host is {descriptor.reason}")
    try:
        measurer = read_record(descriptor)
        reason = None if measurer is None else left_over(measurer)
        if reason is not None:
            os.close(descriptor)
            return Refusal(f"quarantined: {reason}")
        if exclusive:
            return Lease(descriptor, Record.new("host", time.time()))
        if measurer is not None:
            # Looked into once; of those who share the lock any may empty the file, as nobody writes to it meanwhile.
            write_record(descriptor, None)
        return SharedHost(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
