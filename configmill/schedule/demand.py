"""What a job occupies while it runs, what there is to occupy, and what of that is left.

    room = Room(Capacity(devices=8))
    room.fits(Demand(num_gpus=2))      # True
    room.occupy(3, Demand(num_gpus=2))

Counts only: which device a job gets is decided where devices are leased. Of jobs that don't take any (`among`) it is
asked there whether they can have some now.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

#: Shares of a device are sums of decimal fractions: ten of 0.1 are one device.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Demand:
    """What one job occupies: devices (a number, or a share below 1 of one), bytes of the host's memory, cores."""

    num_gpus: float = 0
    memory_bytes: int = 0
    num_cpus: float = 0
    #: Nothing else runs on the host meanwhile.
    exclusive_host: bool = False
    #: The ids of the only devices that will do; None: any.
    among: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if not (self.num_gpus >= 0 and self.memory_bytes >= 0 and 0 <= self.num_cpus < math.inf):
            raise ValueError(f"{self!r}: no number of it may be below 0, infinite or nan")
        if self.num_gpus > 1 and self.num_gpus != math.floor(self.num_gpus):
            raise ValueError(f"{self!r}: above 1 devices are whole")

    @property
    def whole_devices(self) -> int:
        """How many devices it has for itself."""
        return int(self.num_gpus)

    @property
    def is_share(self) -> bool:
        """Whether it shares a device with others."""
        return 0 < self.num_gpus < 1

    @property
    def devices(self) -> int:
        """How many devices it touches."""
        return math.ceil(self.num_gpus)

    def alone(self) -> Demand:
        """The same, with a whole device where it asked for a share of one."""
        return replace(self, num_gpus=1) if self.is_share else self


@dataclass(frozen=True)
class Capacity:
    """What this manager may use: devices, bytes of the host's memory, cores. By default the host is unlimited."""

    devices: int = 0
    memory_bytes: float = math.inf
    num_cpus: float = math.inf
    #: The devices' ids, where jobs care which they get; None: nobody asks.
    ids: frozenset[str] | None = None

    def share(self, demand: Demand) -> float:
        """The largest part of anything that the job occupies, 0 to 1 (its dominant share)."""
        if demand.exclusive_host:
            return 1.0
        parts = (
            demand.num_gpus / self.devices if self.devices else 0.0,
            demand.memory_bytes / self.memory_bytes if self.memory_bytes else 0.0,
            demand.num_cpus / self.num_cpus if self.num_cpus else 0.0,
        )
        return min(1.0, max(parts))

    def can_hold(self, demand: Demand) -> bool:
        """Whether the job fits where nothing else runs."""
        if demand.among is not None and self.ids is not None and len(demand.among & self.ids) < demand.devices:
            return False
        return (
            demand.devices <= self.devices
            and demand.memory_bytes <= self.memory_bytes
            and demand.num_cpus <= self.num_cpus
        )


class _SharedDevices:
    """The devices that jobs share: of each the parts by the job's index, and all of them by what is left."""

    def __init__(self) -> None:
        self._by_left: dict[float, list[dict[int, float]]] = {}
        self._device_of: dict[int, dict[int, float]] = {}

    def __iter__(self) -> Iterator[dict[int, float]]:
        return (device for devices in self._by_left.values() for device in devices)

    def has_room_for(self, part: float) -> bool:
        return self._fullest(part) is not None

    def add(self, index: int, part: float) -> bool:
        """Put the job on the fullest that has room for it, else on a new one; returns whether it is a new one."""
        left = self._fullest(part)
        device = {} if left is None else self._take_out(left, self._by_left[left][-1])
        device[index] = part
        self._device_of[index] = device
        self._put_in(device)
        return left is None

    def remove(self, index: int) -> bool:
        """The job has ended; returns whether its device is shared by nobody any more."""
        device = self._device_of.pop(index)
        self._take_out(_left(device), device)
        del device[index]
        if device:
            self._put_in(device)
        return not device

    def _fullest(self, part: float) -> float | None:
        return min((left for left in self._by_left if part <= left + _ROUNDING), default=None)

    def _take_out(self, left: float, device: dict[int, float]) -> dict[int, float]:
        devices = self._by_left[left]
        devices[:] = [other for other in devices if other is not device]
        if not devices:
            del self._by_left[left]
        return device

    def _put_in(self, device: dict[int, float]) -> None:
        self._by_left.setdefault(_left(device), []).append(device)


def _left(device: dict[int, float]) -> float:
    # Rounded, so that the same parts in another order are the same.
    return round(1.0 - math.fsum(device.values()), 9)


@dataclass
class Room:
    """What is occupied of a capacity, by the jobs of one queue."""

    capacity: Capacity
    devices_used: int = 0
    memory_used: int = 0
    cpus_used: float = 0.0
    share_used: float = 0.0
    num_running: int = 0
    exclusive: bool = False
    _shared: _SharedDevices = field(default_factory=_SharedDevices)
    #: What is free of whole devices, as whoever leases them sees it; None: the capacity less what is used.
    seen_free: int | None = None
    #: Whether whoever leases them has devices now for a job that doesn't take any; None: nobody can say.
    can_lease: Callable[[Demand], bool] | None = None

    @property
    def free_devices(self) -> int:
        """How many whole devices can be had now."""
        own = self.capacity.devices - self.devices_used
        return max(0, own if self.seen_free is None else min(own, self.seen_free))

    def fits(self, demand: Demand) -> bool:
        """Whether a job that occupies this much can start now."""
        if self.exclusive or (demand.exclusive_host and self.num_running):
            return False
        return self.has_devices(demand) and self.has_host(demand)

    def has_devices(self, demand: Demand) -> bool:
        """Whether there are devices for it, whatever the host has."""
        if demand.among is not None and self.can_lease is not None and not self.can_lease(demand):
            return False
        if demand.is_share and self._shared.has_room_for(demand.num_gpus):
            return True
        return demand.devices <= self.free_devices

    def has_host(self, demand: Demand) -> bool:
        """Whether the host has memory and cores for it."""
        return (
            self.memory_used + demand.memory_bytes <= self.capacity.memory_bytes
            and self.cpus_used + demand.num_cpus <= self.capacity.num_cpus + _ROUNDING
        )

    def occupy(self, index: int, demand: Demand) -> None:
        """The job starts. A share goes to the fullest shared device that has room, else to a device of its own."""
        self._count(demand, 1)
        self.exclusive = demand.exclusive_host
        if not demand.is_share:
            self._use_devices(demand.whole_devices)
        elif self._shared.add(index, demand.num_gpus):
            self._use_devices(1)

    def release(self, index: int, demand: Demand) -> None:
        """The job has ended. A shared device is free once its last job has."""
        self._count(demand, -1)
        self.exclusive = False
        if not demand.is_share:
            self._use_devices(-demand.whole_devices)
        elif self._shared.remove(index):
            self._use_devices(-1)

    def sharers(self) -> list[list[int]]:
        """For each shared device the indices of its jobs."""
        return [list(parts) for parts in self._shared]

    def _use_devices(self, number: int) -> None:
        self.devices_used += number
        if self.seen_free is not None:  # until it is seen again
            self.seen_free -= number

    def _count(self, demand: Demand, sign: int) -> None:
        self.num_running += sign
        self.memory_used += sign * demand.memory_bytes
        self.cpus_used += sign * demand.num_cpus
        self.share_used += sign * self.capacity.share(demand)
        if self.num_running == 0:  # what rounding left
            self.cpus_used = self.share_used = 0.0
