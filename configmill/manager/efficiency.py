"""What a command made of its devices and threads: samples of each attempt, busy and idle time, the speed-up.

use = UseOfDevices(devices, log)
use.begin(allotment, attempt)       # the attempt is about to start
use.end(allotment, outcome)         # it has ended, and still has its devices
use.close()                         # every loop has returned
use.parallelism(num_threads=4)      # for the summary
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from configmill.gpus.sampler import Sampler, Sampling
from configmill.manager.devices import Allotment, Devices
from configmill.protocol.attempt import Attempt
from configmill.protocol.outcome import Outcome
from configmill.protocol.summary import DeviceTime, Parallelism


@dataclass(frozen=True)
class _Held:
    """An attempt under way: since when it has its devices (s), and what samples them."""

    since: float
    sampling: Sampling | None


@dataclass(frozen=True)
class Span:
    """An attempt that is over: from when to when it held `devices` (a number, or a share of one), and ran for how long.

    All in seconds; `ran` leaves out what starting and ending it took.
    """

    begin: float
    end: float
    devices: float
    ran: float


class UseOfDevices:
    """Thread-safe. `clock` is monotonic, in seconds."""

    def __init__(self, devices: Devices, log: logging.Logger, clock: Callable[[], float] = time.monotonic) -> None:
        self._devices = devices
        self._sampler = Sampler(devices.nvml, log.warning)
        self._clock = clock
        self._guard = threading.Lock()
        self._held: dict[int, _Held] = {}
        self._spans: list[Span] = []
        self._times: dict[str, DeviceTime] = {}

    def begin(self, allotment: Allotment, attempt: Attempt) -> None:
        """The attempt has its devices, and is about to start."""
        sampling = None
        if allotment.grant is not None:
            directory, number = attempt.dir, attempt.number
            samples, use = directory.device_samples(number), directory.device_use(number)
            sampling = self._sampler.begin(samples, use, allotment.grant.devices)
        with self._guard:
            self._held[id(allotment)] = _Held(self._clock(), sampling)

    def end(self, allotment: Allotment, outcome: Outcome) -> None:
        """The attempt is over, its devices not given back yet. One that never began is none."""
        with self._guard:
            held = self._held.pop(id(allotment), None)
        if held is None:
            return
        self._sampler.end(held.sampling)
        grant = allotment.grant
        devices = 0.0 if grant is None else len(grant.devices) * grant.share
        with self._guard:
            self._spans.append(Span(held.since, self._clock(), devices, outcome.seconds))

    def close(self) -> None:
        """Nothing runs any more: the devices' times are what they are now."""
        self._sampler.close()
        pool = self._devices.pool
        if pool is not None:
            idle = pool.idle_seconds()
            self._times = {
                id: DeviceTime(round(busy, 3), round(idle.get(id, 0.0), 3)) for id, busy in pool.busy_seconds().items()
            }

    def parallelism(self, num_threads: int) -> Parallelism | None:
        """What came of it: on devices where any were handed out, else in threads; None where one ran at a time."""
        with_devices = [span for span in self._spans if span.devices]
        if with_devices:
            return parallelism(with_devices, len(self._times), self._times)
        threads = min(num_threads, len(self._spans))
        return parallelism(self._spans, threads) if threads > 1 else None


def parallelism(
    spans: Iterable[Span], places: int, device_times: dict[str, DeviceTime] | None = None
) -> Parallelism | None:
    """The speed-up of attempts that ran on so many devices (or threads, where `device_times` is None).

    speed_up = seconds that the attempts ran, summed, over the wall time in which any of them held a place: how much
    faster it was than one at a time. For experiments of one device each that is the speed-up against one device.
    efficiency = seconds times devices (or share of one; of threads 1), summed, over the same wall time times the
    places: the part of them that was used. Where each attempt holds one place, that is speed_up / places.
    """
    spans = list(spans)
    wall = covered([(span.begin, span.end) for span in spans])
    if wall <= 0 or places < 1:
        return None
    area = math.fsum(span.ran * (1.0 if device_times is None else span.devices) for span in spans)
    return Parallelism(
        speed_up=round(math.fsum(span.ran for span in spans) / wall, 3),
        efficiency=round(area / (wall * places), 3),
        places=places,
        seconds=round(wall, 3),
        devices=device_times or {},
    )


def covered(intervals: Iterable[tuple[float, float]]) -> float:
    """The length of the union of intervals."""
    total, reached = 0.0, -math.inf
    for begin, end in sorted(intervals):
        total += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return total
