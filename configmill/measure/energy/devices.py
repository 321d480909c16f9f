"""The energy of GPUs, as NVML knows it: a counter in millijoules, or where there is none the integral of its power.

    source = device_source(["GPU-3f2a..."], Nvml())      # DeviceCounter, or DevicePower; raises EnergyUnavailableError

The device ids are given, never guessed: who measures all devices of a host measures other people's work.
"""

from __future__ import annotations

import math
import time

from configmill.measure.energy.reading import NVML_COUNTER, NVML_POLL
from configmill.measure.energy.repeated import Repeated
from configmill.measure.energy.source import EnergyUnavailableError, Window
from configmill.measure.nvml import NvmlError

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from configmill.measure.energy.source import Source
    from configmill.measure.nvml import Nvml

#: NVML's documentation of nvmlDeviceGetPowerUsage, which gives it for Fermi and Kepler and no figure for later devices.
_SENSOR = 0.05
_SENSOR_SOURCE = "5 % of the sensor (NVML's documentation, for Kepler and older; none is published for later devices)"
#: The counter grows in steps of about this many seconds.
_STEP = 0.1
_POLL_SECONDS = 0.05
#: Two-sided 95 % of a normal distribution.
_Z95 = 1.96


def device_source(devices: Sequence[str], nvml: Nvml) -> Source:
    """The counter where each of the devices has one, else their power. Raises EnergyUnavailableError."""
    mig = [id for id in devices if id.startswith("MIG-")]
    if mig:
        raise EnergyUnavailableError(f"{mig[0]} is a part of a GPU, and only the whole has a meter")
    try:
        for id in devices:
            nvml.energy_joules(id)
        return DeviceCounter(devices, nvml)
    except NvmlError as error:
        if not error.unsupported:
            raise EnergyUnavailableError(f"the devices' energy can't be read: {error}") from error
    try:
        for id in devices:
            nvml.power_watts(id)
    except NvmlError as error:
        raise EnergyUnavailableError(
            f"the devices have no energy counter, and no power can be read: {error}"
        ) from error
    return DevicePower(devices, nvml)


class DeviceCounter:
    """The difference of each device's own counter. `clock` is monotonic, in seconds."""

    method = NVML_COUNTER
    scope = "gpu"

    def __init__(self, devices: Sequence[str], nvml: Nvml, clock: Callable[[], float] = time.monotonic) -> None:
        self._devices = devices
        self._nvml = nvml
        self._clock = clock

    def begin(self) -> None:
        """Read the counters."""
        self._before = self._read()
        self._began = self._clock()

    def end(self) -> Window:
        """Read them again."""
        seconds = self._clock() - self._began
        after = self._read()
        joules = {id: after[id] - self._before[id] for id in self._devices}
        for id, used in joules.items():
            if used < 0:
                raise EnergyUnavailableError(f"the counter of {id} went back: its driver was loaded anew meanwhile")
        return Window(
            joules,
            seconds,
            samples=2,
            uncertainty=_SENSOR + 2 * _STEP / seconds if seconds > 0 else None,
            uncertainty_source=f"{_SENSOR_SOURCE}, and a step of the counter ({_STEP:g} s) at each end",
        )

    def _read(self) -> dict[str, float]:
        try:
            return {id: self._nvml.energy_joules(id) for id in self._devices}
        except NvmlError as error:
            raise EnergyUnavailableError(f"the devices' energy can't be read: {error}") from error


class DevicePower:
    """The integral of each device's power over time, by trapezoids. Of some devices a sample sees a part only."""

    method = NVML_POLL
    scope = "gpu"

    def __init__(
        self,
        devices: Sequence[str],
        nvml: Nvml,
        clock: Callable[[], float] = time.monotonic,
        every: float = _POLL_SECONDS,
    ) -> None:
        self._devices = devices
        self._nvml = nvml
        self._clock = clock
        self._polling = Repeated(self.look, every)

    def begin(self) -> None:
        """Take the first sample, and go on."""
        self._watts: list[float] = []
        self._joules = dict.fromkeys(self._devices, 0.0)
        self._last: dict[str, float] = {}
        self._now = 0.0
        self.look()
        self._began = self._now
        self._polling.start()

    def look(self) -> None:
        """Take a sample of each device."""
        try:
            watts = {id: self._nvml.power_watts(id) for id in self._devices}
        except NvmlError as error:
            raise EnergyUnavailableError(f"the devices' power can't be read: {error}") from error
        now = self._clock()
        for id, before in self._last.items():
            self._joules[id] += (before + watts[id]) / 2 * (now - self._now)
        self._last, self._now = watts, now
        self._watts.append(sum(watts.values()))

    def end(self) -> Window:
        """Take the last sample."""
        self._polling.stop()
        self.look()
        number = len(self._watts)
        mean = sum(self._watts) / number
        spread = math.sqrt(sum((watts - mean) ** 2 for watts in self._watts) / (number - 1))
        return Window(
            self._joules,
            self._now - self._began,
            samples=number,
            uncertainty=_SENSOR + _Z95 * spread / math.sqrt(number) / mean if mean else None,
            uncertainty_source=f"{_SENSOR_SOURCE}, and 95 % of the mean of {number} samples of power; what happens "
            "between samples is not seen",
        )
