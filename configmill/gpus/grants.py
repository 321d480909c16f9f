"""What a pool has handed out: some devices, all of one job's, with the locks that keep others off them.

    grant = pool.try_take(2)
    grant.assign(dst_dir, digest, attempt=1)      # before anything is started
    ...                                           # the minder inherits grant.descriptors
    grant.hand_over(minder_pid)                   # from here on it holds them, whatever becomes of this process
    pool.give_back(grant)                         # once the minder has ended

A grant that nothing is started for is simply given back.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from configmill.gpus.devices import Device
from configmill.gpus.leases import Lease
from configmill.gpus.records import Holder, Process, Record


class Holding:
    """A lease of this process, and the grants that share it: one, or several with a fraction each."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._guard = threading.Lock()
        self._holders: dict[int, Holder] = {}
        #: Whether nothing of any of its attempts can be left: every grant that was started has been swept.
        self._swept = True

    @property
    def descriptor(self) -> int:
        """The lock's descriptor; -1 once it is closed here."""
        return self._lease.descriptor

    @property
    def record(self) -> Record:
        """What the lock's file says."""
        return self._lease.record

    def write(self, grant: Grant, holder: Holder) -> None:
        """Say what a grant is used for."""
        with self._guard:
            self._holders[id(grant)] = holder
            self._lease.write(tuple(self._holders.values()))

    def close(self) -> None:
        """Leave the lock to the minder that has inherited it."""
        with self._guard:
            self._lease.close()

    def end(self, grant: Grant, *, swept: bool, last: bool) -> Record | None:
        """A grant is over. With the last one: the record of which nothing is left; None where one has to look."""
        with self._guard:
            self._swept = self._swept and swept
            if not last:
                # What may have left something behind stays on record for whoever has the device next.
                if swept and self._holders.pop(id(grant), None) is not None:
                    self._lease.write(tuple(self._holders.values()))
                return None
            if self._lease.descriptor >= 0 and self._swept:
                self._lease.release()
                return None
            self._lease.close()
            return self._lease.record if self._swept else None


class Grant:
    """Devices of one job, with `share` of each: 1.0, or less where others share it."""

    def __init__(self, devices: tuple[Device, ...], share: float, holdings: tuple[Holding, ...]) -> None:
        self.devices = devices
        self.share = share
        self.holdings = holdings
        self._holder: Holder | None = None

    @property
    def ids(self) -> list[str]:
        """The ids of the devices."""
        return [device.id for device in self.devices]

    @property
    def descriptors(self) -> list[int]:
        """The descriptors that the minder must inherit, one a device."""
        return [holding.descriptor for holding in self.holdings]

    @property
    def started(self) -> bool:
        """Whether something was, or may have been, started with it."""
        return self._holder is not None

    def assign(self, dst_dir: str, experiment: str, attempt: int) -> None:
        """Record for what attempt it is, so that its processes are known even if this one dies at once."""
        self._holder = Holder(dst_dir, experiment, attempt)
        self._write(self._holder)

    def hand_over(self, minder_pid: int) -> None:
        """The minder has the descriptors: record it, and let go of the locks here.

        Those of shared devices stay open here too, for the minders that are still to come.
        """
        if self._holder is not None:
            self._write(replace(self._holder, minder=Process.of(minder_pid)))
        if self.share == 1.0:
            for holding in self.holdings:
                holding.close()

    def _write(self, holder: Holder) -> None:
        for holding in self.holdings:
            holding.write(self, holder)
