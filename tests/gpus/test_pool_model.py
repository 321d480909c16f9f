"""The core of the pool against a model of a few lines, over random histories."""

from __future__ import annotations

import tempfile

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from configmill.gpus.device_pool import DevicePool
from configmill.gpus.devices import virtual_devices
from configmill.gpus.grants import Grant
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Lease, try_lease

NUM_DEVICES = 4
DEVICES = virtual_devices(NUM_DEVICES)
IDS = [device.id for device in DEVICES]
QUARTERS = (0.25, 0.5, 0.75)


class PoolHistory(RuleBasedStateMachine):
    """Takes, gives back, other managers, devices that come and go; the kernel's locks are real."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.now = 0.0
        self.pool = DevicePool(DEVICES, LeaseDir(self.folder.name), clock=lambda: self.now)
        self.grants: list[Grant] = []
        self.others: dict[str, Lease] = {}
        self.there = set(IDS)
        self.busy = dict.fromkeys(IDS, 0.0)

    def teardown(self) -> None:
        if hasattr(self, "pool"):
            self.pool.close()
            for lease in self.others.values():
                lease.close()
            self.folder.cleanup()

    def used(self, id: str) -> float:
        return sum(grant.share for grant in self.grants if id in grant.ids)

    def free(self) -> set[str]:
        return {id for id in self.there if not self.used(id) and id not in self.others}

    @rule(count=st.integers(1, NUM_DEVICES))
    def take(self, count: int) -> None:
        if count > len(self.there):
            return
        free = self.free()
        grant = self.pool.try_take(count)
        assert (grant is not None) == (len(free) >= count)
        if grant is not None:
            assert set(grant.ids) <= free and len(set(grant.ids)) == count
            assert max(self.busy[id] for id in grant.ids) <= min(
                (self.busy[id] for id in free - set(grant.ids)), default=float("inf")
            )
            self.grants.append(grant)

    @rule(share=st.sampled_from(QUARTERS))
    def take_share(self, share: float) -> None:
        if not self.there:
            return
        room = {id for id in self.there if 0 < self.used(id) <= 1 - share}
        grant = self.pool.try_take(share)
        assert (grant is not None) == bool(room or self.free())
        if grant is not None:
            (id,) = grant.ids
            assert id in (room or self.free())
            self.grants.append(grant)

    @precondition(lambda self: self.grants)
    @rule(data=st.data(), swept=st.booleans(), assigned=st.booleans())
    def give_back(self, data: st.DataObject, swept: bool, assigned: bool) -> None:
        grant = self.grants.pop(data.draw(st.integers(0, len(self.grants) - 1)))
        if assigned:
            grant.assign("/out", "d", 1)
            grant.hand_over(2**22)  # no such process: it has ended at once
        self.pool.give_back(grant, swept=swept)
        self.forget()

    def forget(self) -> None:
        """What is gone and not in use is no longer kept by the pool."""
        for id in set(IDS) - self.there:
            if not self.used(id):
                self.busy[id] = 0.0

    @precondition(lambda self: self.grants)
    @rule(seconds=st.integers(1, 5))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        for id in {id for grant in self.grants for id in grant.ids}:
            self.busy[id] += seconds

    @rule(id=st.sampled_from(IDS))
    def another_manager(self, id: str) -> None:
        if id in self.others:
            self.others.pop(id).release()
            return
        lease = try_lease(self.pool.leases, DEVICES[IDS.index(id)])
        assert isinstance(lease, Lease) == (self.used(id) == 0)
        if isinstance(lease, Lease):
            self.others[id] = lease

    @rule(there=st.sets(st.sampled_from(IDS)))
    def come_and_go(self, there: set[str]) -> None:
        self.pool.refresh([device for device in DEVICES if device.id in there])
        self.there = there
        self.forget()

    @invariant()
    def nothing_is_shared_by_mistake(self) -> None:
        if not hasattr(self, "pool"):
            return
        for id in IDS:
            holders = [grant for grant in self.grants if id in grant.ids]
            assert sum(grant.share for grant in holders) <= 1
            assert not (holders and id in self.others)
        assert {device.id for device in self.pool.devices()} == self.there


TestPoolHistory = PoolHistory.TestCase
TestPoolHistory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
