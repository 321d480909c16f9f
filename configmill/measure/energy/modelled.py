"""codecarbon's estimate of a whole machine, for hosts where nothing can be read: a model, and labelled as one.

    source = Modelled(["GPU-3f2a..."], Nvml(), g_per_kwh=475.0)      # raises EnergyUnavailableError

Of the CPU it takes the load and a power at full load from a table (or RAPL, where that can be read), of the memory a
figure by its size; a GPU's part is NVML's. `assumptions` says which of it was taken for granted.
"""

from __future__ import annotations

import logging
import time

from configmill.measure.energy.reading import JOULES_PER_KWH, MODELLED
from configmill.measure.energy.source import EnergyUnavailableError, Window

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from configmill.measure.nvml import Nvml

#: codecarbon doesn't measure again at its end what it has measured less than this before: 0 J would be its answer, or
#: a window without its last moments. So it measures seldom; it looks at the CPU's load every second in any case.
_SHORTEST = 0.05
_MEASURE_SECONDS = 15


class Modelled:
    """OfflineEmissionsTracker: the other one asks the network where it is, and without one takes Quebec."""

    method = MODELLED

    def __init__(
        self, devices: Sequence[str], nvml: Nvml, g_per_kwh: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._with_gpus = bool(devices)
        self.scope = "machine (cpu, gpu, ram) modelled" if devices else "machine (cpu, ram) modelled"
        self._g_per_kwh = g_per_kwh
        self._log = _Log()
        self._places = _places(devices, nvml) if devices else []
        self._tracker = self._new_tracker()

    def begin(self) -> None:
        """Start a tracker; the first one has been made ready."""
        if self._tracker is None:
            self._tracker = self._new_tracker()
        self._tracker.start()
        self._began = self._clock()

    def end(self) -> Window:
        """Stop it. Errors are suppressed inside of it: what counts is whether there are data."""
        tracker, self._tracker = self._tracker, None
        # Its own duration goes on while it looks up where it is, which isn't in its energy.
        seconds = self._clock() - self._began
        tracker.stop()
        data = getattr(tracker, "final_emissions_data", None)
        if data is None:
            raise EnergyUnavailableError(f"codecarbon gave no figure{self._log.last}")
        if seconds < _SHORTEST:
            raise EnergyUnavailableError(f"codecarbon gives no figure for a window below {_SHORTEST:g} s")
        parts = {"cpu": data.cpu_energy, "ram": data.ram_energy}
        if self._with_gpus:
            parts["gpu"] = data.gpu_energy
        return Window(
            {name: float(kwh) * JOULES_PER_KWH for name, kwh in parts.items()},
            seconds,
            samples=int(getattr(tracker, "_power_measurement_count", 0)),
            uncertainty_source="a model of the machine, not a measurement: no bound can be given",
            assumptions=_assumptions(tracker, data, seconds),
        )

    def _new_tracker(self) -> Any:
        try:
            from codecarbon import OfflineEmissionsTracker
        except Exception as error:  # a broken installation may raise anything
            raise EnergyUnavailableError(
                f"codecarbon can't be imported ({error}): pip install 'configmill[llm]' brings it"
            ) from error
        self._log.listen()
        # All that a file .codecarbon.config, or a variable CODECARBON_..., could turn into files, a connection, or
        # another scope is said here. PUE is ours to apply.
        tracker = OfflineEmissionsTracker(
            tracking_mode="machine",
            gpu_ids=self._places,
            measure_power_secs=_MEASURE_SECONDS,
            force_carbon_intensity_g_co2e_kwh=self._g_per_kwh,
            pue=1.0,
            output_methods=[],
            output_handlers=[],
            emissions_endpoint=None,
            electricitymaps_api_token=None,
            allow_multiple_runs=True,
            log_level="warning",
        )
        self._log.listen()  # it has put a handler of its own in the place of others
        try:
            tracker.get_detected_hardware()  # takes a second the first time, which is no part of a window
        except Exception as error:  # whatever it stumbles over in this machine
            raise EnergyUnavailableError(f"codecarbon can't tell this machine: {error!r}") from error
        return tracker


class _Log:
    """Keeps codecarbon's log out of the experiment's, but for what it said last."""

    def __init__(self) -> None:
        self.last = ""

    def listen(self) -> None:
        """Be the one handler of its logger."""
        logger = logging.getLogger("codecarbon")
        handler = logging.Handler(logging.WARNING)
        handler.emit = self._keep  # type: ignore[method-assign]
        logger.handlers = [handler]

    def _keep(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            self.last = f": {error!r}"


def _places(devices: Sequence[str], nvml: Nvml) -> list[int]:
    """NVML's numbers of the devices: of a UUID codecarbon 3.3 strips the G as if it were of `MIG-`, and finds none."""
    found = nvml.boards()
    numbers = {board.id: number for number, board in enumerate(found.boards)}
    missing = [id for id in devices if id not in numbers]
    if missing or found.reasons:
        why = "; ".join(found.reasons) or "NVML lists it nowhere"
        raise EnergyUnavailableError(
            f"codecarbon counts devices by number, and that of {devices[0]} isn't known: {why}"
        )
    return [numbers[id] for id in devices]


def _assumptions(tracker: Any, data: Any, seconds: float) -> dict[str, Any]:
    """What the figure rests on. The power at full load has no public name: it is None where it can't be found."""
    cpu = next((part for part in tracker._hardware if hasattr(part, "_tdp")), None)
    return {
        "codecarbon": data.codecarbon_version,
        "cpu_model": data.cpu_model,
        "cpu_mode": getattr(cpu, "_mode", None),
        "cpu_watts_at_full_load": getattr(cpu, "_tdp", None),
        # codecarbon's own mean has samples of before the window in it.
        "cpu_average_watts": float(data.cpu_energy) * JOULES_PER_KWH / seconds,
        "ram_gigabytes": data.ram_total_size,
        "ram_watts": data.ram_power,
        "gpu_model": data.gpu_model or None,
        "tracking_mode": data.tracking_mode,
    }
