"""The pool for asyncio and threads, and the core that a manager uses without its queue."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from configmill.errors import UsageError
from configmill.gpus.device_pool import DevicePool
from configmill.gpus.devices import Device, virtual_devices
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, Refusal, lease_holder, try_lease
from configmill.gpus.pool import GPUResourcePool
from configmill.gpus.tickets import tickets
from tests.conftest import wait_until
from tests.gpus.actors import Actor


@pytest.fixture
def pool(leases: LeaseDir) -> Iterator[GPUResourcePool]:
    """A pool of four virtual devices."""
    with GPUResourcePool(devices="virtual:4", lease_dir=leases.path) as made:
        yield made


@pytest.fixture
def core(leases: LeaseDir) -> Iterator[DevicePool]:
    """The core alone, of four virtual devices."""
    made = DevicePool(virtual_devices(4), leases)
    yield made
    made.close()


def is_free(leases: LeaseDir, device: int) -> bool:
    """Whether another manager could lease a virtual device now."""
    lease = try_lease(leases, virtual_devices(4)[device])
    if isinstance(lease, Lease):
        lease.release()
    return isinstance(lease, Lease)


def test_as_published(leases: LeaseDir) -> None:
    """`GPUResourcePool(max_parallel)`, `await acquire(n)`, `await release(ids)`."""

    async def use() -> None:
        pool = GPUResourcePool(2, devices="virtual:4", lease_dir=leases.path)
        first, second = await pool.acquire(1), await pool.acquire(required_gpus=2)
        assert len({*first, *second}) == 3
        third = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        assert not third.done()  # two run already
        await pool.release(first)
        await pool.release(await third)
        await pool.release(second)
        assert pool.core.free_count() == 4
        pool.close()

    asyncio.run(use())


def test_a_cancelled_acquire_leaks_nothing(pool: GPUResourcePool) -> None:
    """Cancelled while it waits, and in the very moment of its grant, a request keeps neither devices nor its place."""

    async def use() -> None:
        everything = await pool.acquire(4)
        waiting = asyncio.ensure_future(pool.acquire(2))
        behind = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        in_time = asyncio.ensure_future(pool.acquire(3))
        await asyncio.sleep(0)
        await pool.release(everything)  # grants both; their tasks have not run yet
        in_time.cancel()
        with pytest.raises(asyncio.CancelledError):
            await in_time
        await pool.release(await behind)
        assert pool.core.free_count() == 4

    asyncio.run(use())


def test_a_cancelled_head_lets_the_next_go(pool: GPUResourcePool) -> None:
    """Who waits behind a wide request is served as soon as that gives up."""

    async def use() -> None:
        held = await pool.acquire(1)
        wide = asyncio.ensure_future(pool.acquire(4))
        await asyncio.sleep(0)
        narrow = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        assert not narrow.done()
        wide.cancel()
        await asyncio.wait_for(narrow, 10)
        await pool.release(held)
        await pool.release(narrow.result())

    asyncio.run(use())


def test_first_come_first_served(pool: GPUResourcePool) -> None:
    """A narrow request doesn't overtake a wide one; equals go in the order in which they came."""

    async def use() -> None:
        order: list[str] = []

        async def ask(name: str, count: int) -> None:
            ids = await pool.acquire(count)
            order.append(name)
            await pool.release(ids)

        held = await pool.acquire(1)
        names = ["wide", "a", "b", "c", "wide 2", "d"]
        tasks = []
        for name in names:
            tasks.append(asyncio.ensure_future(ask(name, 4 if "wide" in name else 1)))
            await asyncio.sleep(0)
        await pool.release(held)
        await asyncio.gather(*tasks)
        assert order[0] == "wide" and order[4:] == ["wide 2", "d"] and sorted(order[1:4]) == ["a", "b", "c"]

    asyncio.run(use())


def test_threads(pool: GPUResourcePool) -> None:
    """Threads that lease at the same time never share a device, and all get their turn."""
    guard, using, most = threading.Lock(), set[str](), []

    def work(count: int) -> None:
        for _ in range(20):
            with pool.lease(count, timeout=30) as ids:
                with guard:
                    assert not using & set(ids)
                    using.update(ids)
                    most.append(len(using))
                with guard:
                    using.difference_update(ids)

    threads = [threading.Thread(target=work, args=(count,)) for count in (1, 1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 100 and pool.core.free_count() == 4


def test_a_lease_that_comes_too_late(pool: GPUResourcePool) -> None:
    """A time-out ends the wait and keeps nothing; an exception in the block frees what was leased."""
    with pytest.raises(ZeroDivisionError), pool.lease(3):
        with pytest.raises(TimeoutError), pool.lease(2, timeout=0.01):
            pytest.fail("two of one")
        _ = 1 / 0
    with pool.lease(4, timeout=1):
        assert pool.core.free_count() == 0


@pytest.mark.parametrize("count", [5, 1.5, -1, float("nan"), float("inf")])
def test_what_can_never_be_had(pool: GPUResourcePool, count: float) -> None:
    """Asking for more devices than there are, or for no number of them, is an error at once."""
    with pytest.raises(UsageError), pool.lease(count):
        pytest.fail("granted")


def test_devices_by_their_ids(leases: LeaseDir) -> None:
    """A list of ids is what --gpus has with commas, its errors included."""
    with GPUResourcePool(devices=["virtual:2"], lease_dir=leases.path) as pool, pool.lease(2, timeout=1) as ids:
        assert ids == ["virtual:0", "virtual:1"]
    with pytest.raises(UsageError, match="--gpus '0,nonsense'"):
        GPUResourcePool(devices=[0, "nonsense"], lease_dir=leases.path)


def test_no_devices(leases: LeaseDir) -> None:
    """Where there is no device, asking for one says why; asking for none is granted."""
    pool = GPUResourcePool(devices="none", lease_dir=leases.path)
    with pytest.raises(UsageError, match="--gpus none hands out no device"), pool.lease(1):
        pytest.fail("granted")
    with pool.lease(0) as ids:
        assert ids == []
    pool.close()


def test_releasing_what_was_not_acquired(pool: GPUResourcePool) -> None:
    """Devices are given back as they were acquired, together and once."""

    async def use() -> None:
        first, second = await pool.acquire(1), await pool.acquire(1)
        with pytest.raises(UsageError, match="not acquired together"):
            await pool.release([*first, *second])
        await pool.release(first)
        with pytest.raises(UsageError):
            await pool.release(first)
        await pool.release([])
        await pool.release(second)

    asyncio.run(use())


def test_closing(leases: LeaseDir) -> None:
    """A pool that is closed frees its devices, and tells those that still wait."""
    pool = GPUResourcePool(devices="virtual:1", lease_dir=leases.path)

    async def use() -> None:
        await pool.acquire(1)
        waiting = asyncio.ensure_future(pool.acquire(1))
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(UsageError, match="closed"):
            await waiting

    asyncio.run(use())
    assert is_free(leases, 0)


def test_a_device_of_another_manager_joins_when_it_is_free(leases: LeaseDir) -> None:
    """Who waits for a device that another manager has gets it once that lets go."""
    with (
        Actor("hold", leases.path, 0) as other,
        GPUResourcePool(devices="virtual:1", lease_dir=leases.path) as pool,
    ):
        assert other.line() == "held"
        got: list[list[str]] = []

        def wait() -> None:
            with pool.lease(1, timeout=20) as ids:
                got.append(ids)

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: "leased by" in pool.core.reasons().get("virtual:0", ""))
        assert not got
        other.kill()
        thread.join()
        assert got == [["virtual:0"]]


def test_a_ticket_is_placed_and_withdrawn(leases: LeaseDir) -> None:
    """Only who has waited for long places a ticket, and nobody leaves one behind."""
    now = [0.0]
    with (
        Actor("hold", leases.path, 0) as other,
        GPUResourcePool(devices="virtual:1", lease_dir=leases.path, clock=lambda: now[0]) as pool,
    ):
        assert other.line() == "held"

        def wait() -> None:
            with pytest.raises(TimeoutError), pool.lease(1, timeout=3):
                pytest.fail("granted")

        thread = threading.Thread(target=wait)
        thread.start()
        wait_until(lambda: pool.core.reasons())
        assert tickets(leases) == []
        now[0] = 60.0
        (ticket,) = wait_until(lambda: tickets(leases))
        assert ticket.wish.devices == {"virtual:0"} and ticket.pid == os.getpid()
        thread.join()
        assert tickets(leases) == []


def test_hand_over(core: DevicePool, leases: LeaseDir) -> None:
    """Once handed over, a grant's locks are the minder's; what is given back can be taken again when that has ended."""
    grant = core.try_take(2)
    assert grant is not None
    grant.assign("/out", "d1", 1)
    minder = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=grant.descriptors, stdin=subprocess.PIPE)
    grant.hand_over(minder.pid)
    assert grant.descriptors == [-1, -1]
    record = lease_holder(leases, grant.ids[0])
    assert record is not None and record.holders[0].minder is not None and record.holders[0].minder.pid == minder.pid
    assert core.free_count() == 2 and core.try_take(3) is None
    minder.communicate(b"\n")
    core.give_back(grant, swept=True)
    again = core.try_take(4)
    assert again is not None
    core.give_back(again)
    assert all(is_free(leases, device) for device in range(4))


def test_given_back_too_early(core: DevicePool, leases: LeaseDir) -> None:
    """What is given back while its minder still lives stays leased: the kernel's lock decides, not the book-keeping."""
    grant = core.try_take(4)
    assert grant is not None
    grant.assign("/out", "d1", 1)
    minder = subprocess.Popen([sys.executable, "-c", "input()"], pass_fds=grant.descriptors, stdin=subprocess.PIPE)
    grant.hand_over(minder.pid)
    core.give_back(grant)
    assert core.try_take(1) is None
    assert set(core.reasons()) == set(grant.ids)
    minder.communicate(b"\n")
    assert core.try_take(4) is not None


def test_fractions_share_one_device(core: DevicePool, leases: LeaseDir) -> None:
    """Shares that fit go to one device, leased once; it is free for others when the last of them is given back."""
    grants = [core.try_take(0.5) for _ in range(2)]
    assert [grant.ids for grant in grants if grant] == [["virtual:0"]] * 2
    third = core.try_take(0.3)
    assert third is not None and third.ids == ["virtual:1"]
    assert core.free() == {"virtual:1": pytest.approx(0.7), "virtual:2": 1.0, "virtual:3": 1.0}
    for grant in grants:
        assert grant is not None and not is_free(leases, 0)
        grant.assign("/out", "d1", 1)
        grant.hand_over(os.getpid())
        assert grant.descriptors != [-1]  # for the shares that are still to come
    record = lease_holder(leases, "virtual:0")
    assert record is not None and len(record.holders) == 2
    for grant in grants:
        assert grant is not None and not is_free(leases, 0)
        core.give_back(grant, swept=True)
    assert is_free(leases, 0)


def test_ten_tenths(core: DevicePool) -> None:
    """Ten shares of a tenth are one device, though ten times 0.1 is not 1 in floating point."""
    grants = [core.try_take(0.1) for _ in range(10)]
    assert {grant.ids[0] for grant in grants if grant} == {"virtual:0"}
    assert core.free_count() == 3 and "virtual:0" not in core.free()
    for grant in grants:
        assert grant is not None
        core.give_back(grant)
    assert core.free_count() == 4


def test_the_least_used_first(leases: LeaseDir) -> None:
    """Among free devices the one that has been handed out for the shortest time comes first."""
    now = [0.0]
    core = DevicePool(virtual_devices(3), leases, clock=lambda: now[0])
    for seconds in (5.0, 3.0, 4.0):
        grant = core.try_take(1)
        assert grant is not None
        now[0] += seconds
        core.give_back(grant)
    assert core.busy_seconds() == {"virtual:0": 5.0, "virtual:1": 3.0, "virtual:2": 4.0}
    assert core.idle_seconds() == {"virtual:0": 7.0, "virtual:1": 9.0, "virtual:2": 8.0}
    grant = core.try_take(2)
    assert grant is not None and grant.ids == ["virtual:1", "virtual:2"]
    core.close()


def test_devices_come_and_go(core: DevicePool) -> None:
    """New devices join; a lost one that is leased is handed out no more, and leaves when it is given back."""
    changes: list[int] = []
    core._on_change = lambda: changes.append(1)
    grant = core.try_take(4)
    assert grant is not None
    five = virtual_devices(5)
    core.refresh([*five[:2], five[4]])
    assert changes and core.free_count() == 1 and core.most() == 3
    with pytest.raises(UsageError):
        core.try_take(4)
    core.give_back(grant)
    assert set(core.busy_seconds()) == {"virtual:0", "virtual:1", "virtual:4"}
    again = core.try_take(3)
    assert again is not None
    core.refresh(virtual_devices(4))
    core.refresh(five)
    core.give_back(again)
    assert core.free_count() == 5


def test_a_device_that_is_cut_out(core: DevicePool) -> None:
    """A device that failed too much is handed out no more, not even when it leaves and comes back."""
    core.cut_out("virtual:1", "3 attempts failed on it within a second")
    core.refresh([])
    core.refresh(virtual_devices(4))
    assert core.most() == 3 and "3 attempts" in core.reasons()["virtual:1"]
    grant = core.try_take(3)
    assert grant is not None and "virtual:1" not in grant.ids
    assert core.try_take(0.5) is None


def test_a_device_that_is_held(core: DevicePool) -> None:
    """Nobody gets a device while it is held; it still counts as one that may be had, and it is there again after."""
    core.hold({"virtual:1": "something is odd"})
    assert (core.most(), core.free_count()) == (4, 3) and core.reasons() == {"virtual:1": "something is odd"}
    assert core.try_take(4) is None
    core.hold({})
    assert core.try_take(4) is not None


def test_one_mig_device_a_process(leases: LeaseDir) -> None:
    """Requests for several devices get whole ones only: CUDA shows a process no more than one MIG device."""
    parts = [Device(f"MIG-{i}", i, "MIG", 1, "mig", "GPU-a") for i in range(3)]
    core = DevicePool([*parts, Device("GPU-b", 3, "H100", 1)], leases)
    assert core.most() == 1
    with pytest.raises(UsageError):
        core.try_take(2)
    core.refresh([*parts, Device("GPU-b", 3, "H100", 1), Device("GPU-c", 4, "H100", 1)])
    grant = core.try_take(2)
    assert grant is not None and grant.ids == ["GPU-b", "GPU-c"]
    part = core.try_take(1)
    assert part is not None and part.ids == ["MIG-0"]
    core.close()


def test_a_failed_take_keeps_nothing(core: DevicePool, leases: LeaseDir) -> None:
    """A take that can't have all it wants leaves the rest to others."""
    other = try_lease(leases, virtual_devices(4)[2])
    assert isinstance(other, Lease)
    assert core.try_take(4) is None
    assert [is_free(leases, device) for device in range(4)] == [True, True, False, True]
    assert isinstance(try_lease(leases, virtual_devices(4)[2]), Refusal)
    other.release()
