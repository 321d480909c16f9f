"""What one experiment asks for, as a checked value: devices, memory, cores, time, and what to do when memory runs out.

    ResourceRequest(num_gpus=GpuCount.whole(2), memory_bytes=8_000_000_000)

It is data only. How a config, an estimator and the command line are read is in `plan.resources`; what is free, and who
goes first, is others' affair. A gigabyte is 10^9 bytes here: a "24 GB" device has a little more than that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Protocol

from configmill.errors import UsageError

GIGABYTE = 10**9
_MAX_SHOWN = 100
#: How ids begin of which the beginning will do.
_UUIDS = ("GPU-", "MIG-")

#: Who may have asked for something.
CONFIG, COMMAND, ESTIMATOR = "config", "command", "estimator"
#: What can start an experiment as several processes.
ACCELERATE = "accelerate"
LAUNCHERS = (ACCELERATE,)
#: The config's key, outside of `resources`, that says how many.
NUM_PROCESSES = "num_processes"
#: The function of an experiment's module that estimates: `estimate_gpu_requirements(config, devices)`, or without the
#: second parameter, which returns a mapping or None.
HOOK = "estimate_gpu_requirements"


class DeviceFacts(Protocol):
    """What must be known of a device to say whether a request can be met on it."""

    @property
    def id(self) -> str:
        """What it is called for good: a UUID, or `virtual:0`."""

    @property
    def index(self) -> int:
        """Its number among those that are visible."""

    @property
    def name(self) -> str:
        """What its maker calls it."""

    @property
    def total_memory(self) -> int:
        """In bytes; 0 where it is unknown, or the device is a pretend one."""


@dataclass(frozen=True)
class GpuCount:
    """How many devices: from `least` to `most`, or a `share` (between 0 and 1) of one, where both are 1."""

    least: int = 0
    most: int = 0
    share: float | None = None

    @classmethod
    def whole(cls, number: int) -> GpuCount:
        """Exactly so many."""
        return cls(number, number)

    @classmethod
    def of(cls, value: object) -> GpuCount:
        """The count that a number means: a whole one from 0, or a fraction below 1 of a device that others share.

        Raises ValueError, which says what is wrong with it.
        """
        number = real_number(value)
        if number is None:
            raise ValueError("is no number")
        if number < 0:
            raise ValueError("is below 0")
        if number == int(number):
            return cls.whole(int(number))
        if number > 1:
            raise ValueError("is neither whole nor below 1")
        return cls(1, 1, float(number))

    @property
    def is_range(self) -> bool:
        """Whether how many there will be is known at the start only."""
        return self.least != self.most

    def fixed(self, num_free: int) -> float:
        """How many it comes to where so many devices are free: never fewer than `least`, and the share where it is one.

        Whether there are enough is for the caller to know.
        """
        return self.share if self.share is not None else min(self.most, max(self.least, num_free))

    def to_json(self) -> float | dict[str, int]:
        """As a config gives it."""
        if self.share is not None:
            return self.share
        return {"min": self.least, "max": self.most} if self.is_range else self.least

    def __str__(self) -> str:
        if self.share is not None:
            return f"{self.share:g} of a GPU"
        count = f"{self.least} to {self.most}" if self.is_range else str(self.least)
        return f"{count} GPU{'s' if self.most != 1 else ''}"


@dataclass(frozen=True)
class Remedy:
    """What to try when device memory runs out: half of the config's `key`, as often as it stays at `floor` or above."""

    key: str
    floor: float = 1

    def next_value(self, value: float) -> float | None:
        """The value after this one, whole where this one is; None where it would fall below the floor."""
        half = value // 2 if isinstance(value, Integral) else value / 2
        return half if half >= self.floor else None


@dataclass(frozen=True)
class ResourceRequest:
    """What one experiment asks for; None where nobody asked.

    `gpu_memory_bytes` is of each device, `memory_bytes` of the host, `num_cpus` cores (2.5 is possible), `priority` the
    higher the sooner, `timeout` seconds of run time, `expected_seconds` a hint that orders and never kills.
    """

    num_gpus: GpuCount = GpuCount()
    gpu_memory_bytes: int | None = None
    memory_bytes: int | None = None
    num_cpus: float | None = None
    exclusive_host: bool = False
    priority: float = 0.0
    timeout: float | None = None
    expected_seconds: float | None = None
    on_oom: tuple[Remedy, ...] = ()
    #: What starts it as several processes (of LAUNCHERS), None for a single one; and how many, None: one a device.
    launcher: str | None = None
    num_processes: int | None = None
    #: The only devices that it may be given, by index or UUID (or the beginning of one); any where it is empty.
    gpu_list: tuple[int | str, ...] = ()
    #: Who asked (CONFIG, COMMAND, ESTIMATOR), by the names that a config has for it; what nobody asked for is missing.
    origins: Mapping[str, str] = field(default_factory=dict, hash=False)
    #: What the estimator returned, as it returned it; None where none was asked.
    estimate: Mapping[str, Any] | None = field(default=None, hash=False)
    #: What `num_gpus` came to at the start; None before.
    effective: float | None = None

    def started_with(self, num_gpus: float) -> ResourceRequest:
        """This request, as it was granted: so many devices, or that share of one, and so many processes."""
        return replace(self, effective=num_gpus, num_processes=self.processes_on(num_gpus))

    def names(self, device: DeviceFacts) -> bool:
        """Whether `gpu_list` lets it have the device."""
        return not self.gpu_list or any(is_named(entry, device) for entry in self.gpu_list)

    def admits(self, device: DeviceFacts) -> bool:
        """Whether it may be given the device: `gpu_list` names it, and it has the memory (or nobody knows how much)."""
        wanted, there = self.gpu_memory_bytes, device.total_memory
        return self.names(device) and (wanted is None or not there or there >= wanted)

    def processes_on(self, num_gpus: float) -> int | None:
        """How many processes it is on so many devices; None where nothing launches it, and it is one."""
        if self.launcher is None:
            return None
        return self.num_processes or max(1, int(num_gpus))

    def to_json(self) -> dict[str, Any]:
        """As a record keeps it: what was asked for, by whom, and what came of it."""
        asked: dict[str, Any] = {"num_gpus": self.num_gpus.to_json()}
        for name in (
            "gpu_memory_bytes",
            "memory_bytes",
            "num_cpus",
            "timeout",
            "expected_seconds",
            "launcher",
            "num_processes",
            "effective",
        ):
            if (value := getattr(self, name)) is not None:
                asked[name] = value
        if self.gpu_list:
            asked["gpu_list"] = list(self.gpu_list)
        if self.exclusive_host:
            asked["exclusive_host"] = True
        if self.priority:
            asked["priority"] = self.priority
        if self.on_oom:
            asked["on_oom"] = {remedy.key: {"halve": True, "floor": remedy.floor} for remedy in self.on_oom}
        if self.origins:
            asked["origins"] = dict(self.origins)
        if self.estimate is not None:
            asked["estimate"] = dict(self.estimate)
        return asked


#: Of experiments for which nobody asked for anything.
NOTHING_ASKED = ResourceRequest()


def is_named(entry: int | str, device: DeviceFacts) -> bool:
    """Whether an entry of a `gpu_list` means the device: its index, its id, or the beginning of its UUID."""
    if isinstance(entry, int):
        return device.index == entry
    return device.id == entry or (entry.startswith(_UUIDS) and device.id.startswith(entry))


def real_number(value: object) -> float | None:
    """`value` where it is a finite number, numpy's included; None for anything else, booleans included."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = int(value) if isinstance(value, Integral) else float(value)
        return number if math.isfinite(number) else None
    except OverflowError:  # of more than 308 digits
        return None


def checked_num_gpus(value: object, place: str) -> GpuCount:
    """The count that `value` means; `place` begins the sentence of a UsageError."""
    try:
        return GpuCount.of(value)
    except ValueError as error:
        raise UsageError(
            f"{place} {shown(value)}, which {error}. Give a whole number from 0, or a fraction below 1 to share a GPU."
        ) from None


def shown(value: object) -> str:
    """A value for a message: short, whatever it is."""
    try:
        text = repr(value)
    except Exception:  # a user's own, or a whole number of too many digits
        return f"a value of type {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
