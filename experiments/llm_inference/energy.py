"""The energy of the window, read by one process of a host for all devices that its ranks use.

    tracking = start_energy_tracking(["GPU-5e1f..."], idle_seconds=2.0)
    ...                                          # the window
    reading = stop_energy_tracking(tracking)     # {"gross_joules": ..., "method": "nvml_counter", ...}

What is read, and how well, is `configmill.EnergyMeter`'s affair.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from configmill.measure.energy.meter import EnergyMeter
from configmill.measure.energy.reading import EnergyReading
from experiments.llm_inference.settings import Settings

_NOT_READ_HERE = "read once for the whole host, by its first rank: no part of it is this rank's own"


@dataclass
class Tracking:
    """A meter, whose idle power is known where it can be."""

    meter: EnergyMeter

    def begin(self) -> None:
        """The window begins."""
        self.meter.start()

    def end(self) -> dict[str, Any]:
        """The window ends; what it used, as `EnergyReading.to_json` has it."""
        return self.meter.stop().to_json()


def prepare_energy_tracking(
    devices: Iterable[str] = (), *, idle_seconds: float = 0.0, exclusive: bool | None = None
) -> Tracking:
    """Open the meter of the devices (UUIDs; none: of the host's CPU), and read what is used while nothing is done.

    Call it where the model is loaded and warmed up. `exclusive`: the experiment has the host alone (None: as far as
    Configmill knows). `idle_seconds` of 0 leaves out idle power, and with it the net figures.
    """
    meter = EnergyMeter.from_environment(list(devices), exclusive)
    if idle_seconds > 0:
        meter.measure_idle(idle_seconds)
    return Tracking(meter)


def start_energy_tracking(
    devices: Iterable[str] = (), *, idle_seconds: float = 0.0, exclusive: bool | None = None
) -> Tracking:
    """Prepare, and begin the window at once."""
    tracking = prepare_energy_tracking(devices, idle_seconds=idle_seconds, exclusive=exclusive)
    tracking.begin()
    return tracking


def stop_energy_tracking(tracking: Tracking) -> dict[str, Any]:
    """End the window and return what it used; figures that can't be known are None, with a reason."""
    return tracking.end()


def devices_of(device: torch.device, settings: Settings, leased: Sequence[str]) -> list[str]:
    """Return the ids (UUIDs) of the devices that this process uses; `leased` are those given to the experiment."""
    if device.type != "cuda":
        return []
    whole_host = settings.sharding.strategy == "device_map"
    used = range(torch.cuda.device_count()) if whole_host else [device.index or 0]
    # CUDA numbers devices as CUDA_VISIBLE_DEVICES has them, which is how they are leased.
    return [leased[index] if index < len(leased) else _uuid(index) for index in used]


def _uuid(index: int) -> str:
    return f"GPU-{torch.cuda.get_device_properties(index).uuid}"


def local_reading(host: Mapping[str, Any] | None, devices: Sequence[str]) -> dict[str, Any]:
    """Return a rank's own part of its host's reading: the joules of its devices, None on a host without any."""
    whole = dict(host or EnergyReading(reason="no meter was read").to_json())
    joules = {device: whole["devices"].get(device) for device in devices}
    known = bool(joules) and all(value is not None for value in joules.values())
    return {
        "devices": joules,
        "gross_joules": sum(joules.values()) if known else None,
        "seconds": whole["seconds"],
        **{name: whole[name] for name in ("method", "scope", "samples", "uncertainty", "contended")},
        "reason": None if known else (_NOT_READ_HERE if not devices else whole["reason"]),
    }


def global_reading(hosts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the reading of all hosts together: the sums, where all are measured alike."""
    if len(hosts) == 1:
        return dict(hosts[0])
    alike = len({(host["method"], host["scope"]) for host in hosts}) == 1
    if not alike:
        reason = "the hosts were measured in different ways, which must not be summed"
        return EnergyReading(reason=reason).to_json()
    readings = [EnergyReading.from_json(host) for host in hosts]
    return EnergyReading(
        method=readings[0].method,
        scope=readings[0].scope,
        devices={name: joules for reading in readings for name, joules in reading.devices.items()},
        gross_joules=_sum(reading.gross_joules for reading in readings),
        idle_watts=_sum(reading.idle_watts for reading in readings),
        seconds=max(reading.seconds or 0.0 for reading in readings),
        samples=min(reading.samples or 0 for reading in readings),
        uncertainty=max((reading.uncertainty for reading in readings if reading.uncertainty is not None), default=None),
        uncertainty_source=readings[0].uncertainty_source,
        contended=any(reading.contended for reading in readings),
        reason=readings[0].reason,
        assumptions=readings[0].assumptions,
        g_per_kwh=readings[0].g_per_kwh,
        g_per_kwh_source=readings[0].g_per_kwh_source,
        pue=readings[0].pue,
    ).to_json()


def _sum(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if any(value is None for value in known) else sum(value for value in known if value is not None)
