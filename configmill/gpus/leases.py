"""A device's lease: the flock of its file, which lives as long as any copy of its descriptor is open.

    lease = try_lease(leases, device, memory)
    if isinstance(lease, Refusal):
        print(lease.reason)
    else:
        lease.write((Holder(dst_dir, digest, 1),))     # before anything is started
        ...                                            # a minder inherits lease.descriptor
        lease.write((Holder(dst_dir, digest, 1, Process.of(minder_pid)),))
        lease.close()                                  # from here on the minder alone holds it

Nothing else decides who has a device: the kernel frees it with its holder, however that ends.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from configmill.gpus.devices import Device
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leftovers import left_over
from configmill.gpus.memory import DeviceMemory
from configmill.gpus.records import Holder, Record, read_record, write_record
from configmill.processes import close, close_in_forks

_RETRY_SECONDS = 0.002


@dataclass(frozen=True)
class Refusal:
    """Why something can't be had now."""

    reason: str


class Lease:
    """A lock that this process holds until `close` or `release`, and that whoever inherits the descriptor holds too."""

    def __init__(self, descriptor: int, record: Record) -> None:
        self.descriptor = descriptor
        self.record = record
        close_in_forks(descriptor)  # what user code forks must not keep a device
        write_record(descriptor, record)

    def write(self, holders: Sequence[Holder]) -> None:
        """Say for which attempts it is, those that are over left out."""
        self.record = replace(self.record, holders=tuple(holders))
        write_record(self.descriptor, self.record)

    def close(self) -> None:
        """Let go of this process's copy; the record stays, for whoever comes next."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            close(descriptor)

    def release(self) -> None:
        """Let go where nothing was started, or all of it is known to be over."""
        if self.descriptor >= 0:
            write_record(self.descriptor, None)
        self.close()


def try_lease(
    leases: LeaseDir,
    device: Device,
    memory: DeviceMemory | None = None,
    *,
    over: Record | None = None,
    patience: float = 0.0,
) -> Lease | Refusal:
    """Take the device, or say why it can't be had now; refusing leaves everything as it was.

    `over`: a record of which the caller knows that nothing is left, so that nobody need look. `patience` in seconds:
    for a holder that is known to be ending. Raises UsageError where the directory can't be used.
    """
    path = leases.lease_path(device.id)
    descriptor = lock(leases, path, fcntl.LOCK_EX, patience)
    if isinstance(descriptor, Refusal):
        return descriptor
    try:
        former = read_record(descriptor)
        reason = None if former is None or former == over else left_over(former)
        if reason is not None:
            refusal = f"quarantined: {reason}"
        else:
            refusal = memory.refusal(device, former) or "" if memory is not None else ""
        if refusal:
            os.close(descriptor)
            return Refusal(refusal)
        baseline = memory.used(device) if memory is not None else None
        return Lease(descriptor, Record.new(device.id, time.time(), baseline))
    except BaseException:
        os.close(descriptor)
        raise


def lock(leases: LeaseDir, path: str, kind: int, patience: float = 0.0) -> int | Refusal:
    """The descriptor of `path`, locked (LOCK_EX or LOCK_SH), or who holds it."""
    deadline = time.monotonic() + patience
    while True:
        descriptor = leases.open(path)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            # Somebody may have tidied up between the opening and the lock: that would lock nothing.
            if _is_at(path, descriptor):
                return descriptor
            os.close(descriptor)
        except OSError as error:
            former = read_record(descriptor)
            os.close(descriptor)
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                raise
            if time.monotonic() >= deadline:
                return Refusal("leased by " + (former.describe() if former else "a manager that starts or looks"))
            time.sleep(_RETRY_SECONDS)


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def lease_holder(leases: LeaseDir, device_id: str) -> Record | None:
    """Who holds a device's lease now, for showing; None: nobody. Creates nothing."""
    path = leases.lease_path(device_id)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return read_record(descriptor)
    finally:
        os.close(descriptor)
