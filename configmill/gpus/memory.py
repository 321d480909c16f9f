"""Whether a device's memory is free to be used: nobody else's processes, and no rest of what ran there before.

    memory = DeviceMemory(Nvml(), busy_bytes=256 << 20)
    memory.refusal(device, record)     # None, or why not

NVML is asked what is used; whose it is it tells by pid, which inside a container are pids of the host: what can't be
found here counts as somebody else's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from configmill.gpus.devices import Device
from configmill.gpus.records import Record
from configmill.measure.nvml import DeviceUse, NvmlError

#: Below what a bare CUDA context takes (300 to 500 MiB), above what drivers leave on an idle device.
DEFAULT_BUSY_MEMORY_MB = 256
#: What may be used more than before without being called a rest: counts are rough, and daemons come and go.
_SLACK_BYTES = 64 << 20
#: A driver that needs longer than this to take back a dead process's memory is stuck.
DRAIN_SECONDS = 10.0


class UseReader(Protocol):
    """Where the use of a device is read: NVML, or a test's stand-in."""

    def use(self, device_id: str) -> DeviceUse:
        """How the device is used now. Raises NvmlError."""


class DeviceMemory:
    """Looks at a device before it is used; keeps since when one has been draining."""

    def __init__(self, nvml: UseReader, busy_bytes: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._nvml = nvml
        self._busy_bytes = busy_bytes
        self._clock = clock
        self._draining_since: dict[str, float] = {}

    def used(self, device: Device) -> int | None:
        """The bytes that others use, desktops left out; None where it can't be told (virtual devices included)."""
        if device.kind == "virtual":
            return None
        try:
            return _used(self._nvml.use(device.id))
        except NvmlError:
            return None

    def refusal(self, device: Device, former: Record | None) -> str | None:
        """Why the device is not to be used now; `former`: who had it last, if nobody tidied up."""
        if device.kind == "virtual":
            return None
        try:
            use = self._nvml.use(device.id)
        except NvmlError as error:
            # What can't be asked is no reason against a device that works; what is lost is.
            return f"lost: {error}" if error.lost else None
        used = _used(use)
        if used is None:
            return None
        if former is not None and former.baseline_bytes is not None:
            rest = used - max(former.baseline_bytes, 0)
            if rest > _SLACK_BYTES:
                return self._draining(device, rest, use)
        self._draining_since.pop(device.id, None)
        return f"in use by others: {_processes(use, used)}" if used > self._busy_bytes else None

    def _draining(self, device: Device, rest: int, use: DeviceUse) -> str:
        since = self._draining_since.setdefault(device.id, self._clock())
        if self._clock() - since < DRAIN_SECONDS:
            return f"draining: {_mib(rest)} of what ran there last are not free yet"
        return (
            f"quarantined: {_mib(rest)} more are used than before its last experiment, {DRAIN_SECONDS:g} s after it "
            f"ended ({_processes(use, rest)})"
        )


def _used(use: DeviceUse) -> int | None:
    listed = [process.bytes or 0 for process in use.processes]
    drawn = sum(process.bytes or 0 for process in use.processes if process.graphics)
    if use.used_bytes is None:
        return sum(listed) - drawn if listed else None
    return max(use.used_bytes - drawn, 0)


def _processes(use: DeviceUse, used: int) -> str:
    listed = [f"pid {process.pid}" for process in use.processes if not process.graphics]
    return f"{_mib(used)}, " + (", ".join(listed[:5]) if listed else "by processes that NVML doesn't list here")


def _mib(count: int) -> str:
    return f"{count / (1 << 20):.0f} MiB"
