"""The line of those that have waited too long, and the host as a whole."""

from __future__ import annotations

import os
import signal

import pytest

from configmill.gpus.device_pool import DevicePool
from configmill.gpus.devices import virtual_devices
from configmill.gpus.host_lease import SharedHost, try_host
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal
from configmill.gpus.records import Holder, Process
from configmill.gpus.tickets import Ticket, Wish, blocking_tickets, place_ticket, tickets
from tests.gpus.actors import Actor

WHOLE = Wish(exclusive_host=True)


def share(leases: LeaseDir, mine: Ticket | None = None) -> SharedHost:
    """A share of the host, which must be there."""
    host = try_host(leases, exclusive=False, mine=mine)
    assert isinstance(host, SharedHost), host
    return host


def test_others_leave_alone_what_a_ticket_wants(leases: LeaseDir) -> None:
    """Free devices that a ticket names are taken by nobody else, and others are; with its end that ends."""
    pool = DevicePool(virtual_devices(3), leases)
    with Actor("ticket", leases.path, "virtual:0", "virtual:2") as other:
        assert other.line()
        grant = pool.try_take(1)
        assert grant is not None and grant.ids == ["virtual:1"]
        assert pool.try_take(1) is None
        assert f"kept for the manager with pid {other.process.pid}" in pool.reasons()["virtual:0"]
        other.go_on()
    rest = pool.try_take(2)
    assert rest is not None and sorted(rest.ids) == ["virtual:0", "virtual:2"]
    pool.give_back(rest)
    pool.give_back(grant)
    pool.close()


def test_a_dead_managers_ticket_counts_for_nothing(leases: LeaseDir) -> None:
    """With SIGKILL for its manager a ticket is over, and its file goes with the next look."""
    with Actor("ticket", leases.path, "virtual:0") as other:
        name = other.line()
        assert [ticket.name for ticket in tickets(leases)] == [name]
        other.kill()
    assert tickets(leases) == []
    assert os.listdir(leases.path) == []


def test_a_stopped_managers_ticket_is_passed_over(leases: LeaseDir) -> None:
    """Who has typed Ctrl-Z takes nothing: others need not wait for that, and its place is kept until it goes on."""
    pool = DevicePool(virtual_devices(1), leases)
    with Actor("ticket", leases.path, "virtual:0") as other:
        assert other.line()
        assert pool.try_take(1) is None
        os.kill(other.process.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, other.process.pid, os.WSTOPPED)
        grant = pool.try_take(1)
        assert grant is not None
        pool.give_back(grant)
        os.kill(other.process.pid, signal.SIGCONT)
        os.waitid(os.P_PID, other.process.pid, os.WCONTINUED)
        assert pool.try_take(1) is None
        other.go_on()
    pool.close()


def test_the_older_ticket_goes_first(leases: LeaseDir) -> None:
    """Of two tickets for the same device the older is blocked by none, and the younger by the older."""
    older = place_ticket(leases, Wish(frozenset({"virtual:0"})))
    younger = place_ticket(leases, Wish(frozenset({"virtual:0", "virtual:1"})))
    assert blocking_tickets(leases, older) == []
    assert [ticket.name for ticket in blocking_tickets(leases, younger)] == [older.name]
    pool = DevicePool(virtual_devices(2), leases)
    assert pool.try_take(2, younger) is None
    assert pool.try_take(1) is None
    grant = pool.try_take(1, older)
    assert grant is not None and grant.ids == ["virtual:0"]
    older.withdraw()
    pool.give_back(grant)
    assert pool.try_take(2, younger) is not None
    younger.withdraw()
    pool.close()


def test_a_ticket_keeps_its_place_when_its_wish_changes(leases: LeaseDir) -> None:
    """A shorter wish than before is read whole, and the age stays."""
    first = place_ticket(leases, Wish(frozenset({"virtual:0", "virtual:1", "virtual:2"})))
    second = place_ticket(leases, Wish(frozenset({"virtual:3"})))
    first.change(Wish(frozenset({"virtual:9"})))
    assert [(ticket.name, ticket.wish.devices) for ticket in tickets(leases)] == [
        (first.name, {"virtual:9"}),
        (second.name, {"virtual:3"}),
    ]
    first.withdraw()
    second.withdraw()
    second.withdraw()
    assert tickets(leases) == []


@pytest.mark.parametrize("text", ["", "{", '{"devices": 3}', '{"devices": []}', "\x00"])
def test_a_scribbled_ticket(leases: LeaseDir, text: str) -> None:
    """What is no ticket keeps nobody waiting, though somebody holds it locked."""
    ticket = place_ticket(leases, Wish(frozenset({"virtual:0"})))
    with open(leases.file(ticket.name), "w", encoding="utf-8") as file:
        file.write(text)
    assert tickets(leases) == []
    ticket.withdraw()


def test_a_ticket_wants_as_many_devices_as_are_needed(leases: LeaseDir) -> None:
    """A pool's ticket names devices that it may still get, and no more of them than it needs."""
    pool = DevicePool(virtual_devices(4), leases)
    pool.cut_out("virtual:0", "it failed three times")
    ticket = pool.place_ticket(3)
    assert ticket.wish.devices == {"virtual:1", "virtual:2", "virtual:3"}
    ticket.withdraw()
    ticket = pool.place_ticket(0.5)
    assert len(ticket.wish.devices) == 1
    ticket.withdraw()
    pool.close()


def test_a_ticket_asks_for_others_when_a_device_is_lost(leases: LeaseDir) -> None:
    """What can't be had any more is replaced in a ticket by what can, and the place in the line stays."""
    pool = DevicePool(virtual_devices(3), leases)
    with Actor("hold", leases.path, 0) as first, Actor("hold", leases.path, 1) as second:
        assert first.line() == second.line() == "held"
        ticket = pool.place_ticket(2)
        name = ticket.name
        assert pool.try_take(2, ticket) is None
        assert ticket.wish.devices == {"virtual:0", "virtual:1"}
        pool.cut_out("virtual:0", "it failed three times")
        assert pool.try_take(2, ticket) is None
        assert [(placed.name, placed.wish.devices) for placed in tickets(leases)] == [
            (name, {"virtual:1", "virtual:2"})
        ]
        second.kill()
        grant = pool.try_take(2, ticket)
        assert grant is not None and sorted(grant.ids) == ["virtual:1", "virtual:2"]
        ticket.withdraw()
    pool.close()


def test_a_measurer_has_the_host_alone(leases: LeaseDir) -> None:
    """While anything shares the host nobody has it alone, and the reverse; both end with their process."""
    with Actor("hold_host", leases.path, "shared") as running:
        assert running.line() == "held"
        share(leases).close()
        assert try_host(leases, exclusive=True) == Refusal("experiments run on the host")
        running.kill()
    with Actor("hold_host", leases.path, "exclusive") as measurer:
        assert measurer.line() == "held"
        refused = try_host(leases, exclusive=False)
        assert isinstance(refused, Refusal) and f"pid {measurer.process.pid}" in refused.reason
        measurer.kill()
    share(leases).close()


def test_a_stream_does_not_starve_a_measurer(leases: LeaseDir) -> None:
    """Once a measurer waits, nothing new starts: it has the host when what ran by then is over."""
    running = [share(leases), share(leases)]
    waiting = place_ticket(leases, WHOLE)
    assert isinstance(try_host(leases, exclusive=False), Refusal)
    assert isinstance(try_host(leases, exclusive=True, mine=waiting), Refusal)
    for one in running:
        one.close()
        assert isinstance(try_host(leases, exclusive=False), Refusal)
    measurer = try_host(leases, exclusive=True, mine=waiting)
    assert isinstance(measurer, Lease)
    waiting.withdraw()
    measurer.release()
    share(leases).close()


def test_measurers_do_not_starve_the_rest(leases: LeaseDir) -> None:
    """A ticket for devices that is older than a measurer's goes before it, and may share the host meanwhile."""
    mine = place_ticket(leases, Wish(frozenset({"virtual:0"})))
    measurer = place_ticket(leases, WHOLE)
    assert isinstance(try_host(leases, exclusive=True, mine=measurer), Refusal)
    running = share(leases, mine)
    mine.withdraw()
    running.close()
    alone = try_host(leases, exclusive=True, mine=measurer)
    assert isinstance(alone, Lease)
    alone.release()
    measurer.withdraw()


def test_a_measurer_that_left_something_behind(leases: LeaseDir) -> None:
    """What outlives a killed measurer's minder keeps the host in quarantine, from sharers and measurers."""
    alone = try_host(leases, exclusive=True)
    assert isinstance(alone, Lease)
    alone.write([Holder("/out", "d1", 1, Process.of(os.getpid()))])
    alone.close()
    for exclusive in (False, True):
        refused = try_host(leases, exclusive=exclusive)
        assert isinstance(refused, Refusal) and refused.reason.startswith("quarantined: of d1")
