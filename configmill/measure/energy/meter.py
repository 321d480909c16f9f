"""EnergyMeter: the energy of a window, by the best method that this host has.

    meter = configmill.EnergyMeter.from_environment()     # the attempt's devices, and what the command said
    meter.measure_idle(2.0)                               # with the model loaded, before anything is asked of it
    meter.start()
    ...                                                   # the window
    reading = meter.stop()                                # EnergyReading: joules, watts, grams, method, uncertainty

One meter a host: of several ranks on one host the first alone reads, and nothing is summed over them. GPUs are read by
NVML's counter, else by its power; without a GPU the CPU's own counters are read (RAPL), else codecarbon estimates.
"""

from __future__ import annotations

import os
import time

from configmill.errors import UsageError
from configmill.measure.energy.carbon import Carbon
from configmill.measure.energy.rapl import RaplCounter
from configmill.measure.energy.reading import NO_METHOD, EnergyReading
from configmill.measure.energy.source import EnergyUnavailableError
from configmill.protocol import energy as backends
from configmill.protocol.attempt import GPUS
from configmill.protocol.energy import BACKENDS, EnergyOrders

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Self

    from configmill.measure.energy.source import Source, Window
    from configmill.measure.nvml import Nvml

_SHARED = "the device is shared with other experiments, and its meter can't tell whose energy it is"
_ALONE = ", as others may run at the same time (resources.exclusive_host keeps them off)"
_VIRTUAL = "virtual:"


class EnergyMeter:
    """Reads the energy of `devices` (UUIDs), or without any of the host's CPU; one window after another.

    `exclusive`: nothing else runs on the host, else readings are `contended`. `shared`: others may use the device at
    the same time; then there is no figure. `powercap` is where RAPL is looked for. Raises UsageError for a backend
    that doesn't exist; what can't be measured is no error but a reading without a figure.
    """

    def __init__(
        self,
        devices: Iterable[str] = (),
        backend: str = backends.AUTO,
        carbon: Carbon | None = None,
        exclusive: bool = False,
        *,
        shared: bool = False,
        nvml: Nvml | None = None,
        powercap: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if backend not in BACKENDS:
            raise UsageError(f"There is no energy backend {backend!r}. Give one of {', '.join(BACKENDS)}.")
        # A pretended device draws nothing: what an experiment uses on it, the host does.
        self._devices = [id for id in devices if not id.startswith(_VIRTUAL)]
        self._backend = backend
        self._carbon = Carbon() if carbon is None else carbon
        self._exclusive = exclusive
        self._shared = shared
        self._nvml = nvml
        self._powercap = powercap
        self._sleep = sleep
        self._source: Source | None = None
        #: Why nothing is measured; None where something is.
        self.reason: str | None = None
        self._idle_reason = "idle power was not measured" + ("" if exclusive else _ALONE)
        self._idle_watts: float | None = None
        #: The CPU's energy, beside the GPUs'.
        self._host: Source | None = None
        self._window: _Window | _NoWindow | None = None
        self._host_window: _Window | None = None
        self._choose()

    @classmethod
    def from_environment(cls, devices: Iterable[str] | None = None, exclusive: bool | None = None) -> Self:
        """A meter as the command asked for it (`--energy_backend`, `--country`, ...); by hand one with the defaults.

        Where they aren't given, the devices are the attempt's, and `exclusive` is what the manager knows.
        """
        orders = EnergyOrders.from_env(os.environ) or EnergyOrders()
        if devices is None:
            devices = [id for id in os.environ.get(GPUS, "").split(",") if id]
        return cls._as_ordered(orders, devices, orders.exclusive if exclusive is None else exclusive)

    @classmethod
    def from_orders(cls, orders: EnergyOrders, devices: Iterable[str]) -> Self:
        """The meter of a whole attempt on `devices`."""
        return cls._as_ordered(orders, devices, orders.exclusive)

    @classmethod
    def _as_ordered(cls, orders: EnergyOrders, devices: Iterable[str], exclusive: bool) -> Self:
        carbon = Carbon(pue=orders.pue)
        if orders.g_per_kwh is not None:
            carbon = Carbon(orders.g_per_kwh, orders.g_per_kwh_source or "", orders.pue)
        return cls(devices, orders.backend, carbon, exclusive, shared=orders.shared)

    @property
    def method(self) -> str:
        """How readings will be made: nvml_counter, nvml_poll, rapl, modelled, or none."""
        return NO_METHOD if self._source is None else self._source.method

    def measure_idle(self, seconds: float) -> float | None:
        """Mean watts over a time in which nothing is done; readings from then on have it. None where it isn't known.

        Call it in the state of which the rest is to be told apart: device context open, model resident.
        """
        self._idle_watts = None
        if self._source is None:
            return None
        try:
            self._source.begin()
            self._sleep(seconds)
            window = self._source.end()
        except EnergyUnavailableError as error:
            self._idle_reason = f"idle power is not known: {error}"
            return None
        self._idle_watts = sum(window.joules.values()) / window.seconds
        return self._idle_watts

    def start(self) -> None:
        """The window begins. Where there will be no figure it is `stop` that says why."""
        # The window that counts is the inner one.
        self._host_window = None if self._host is None else _Window(self._host)
        self._window = _Window(self._source) if self._source is not None else _NoWindow(self.reason or "")

    def stop(self) -> EnergyReading:
        """The window ends. Raises RuntimeError where none was started."""
        window, self._window = self._window, None
        if window is None:
            raise RuntimeError("EnergyMeter.stop() was called before start().")
        reading = self._reading(window.end(), self._source, self._idle_watts)
        if self._host_window is not None:
            reading.host = self._reading(self._host_window.end(), self._host, None)
        return reading

    def _choose(self) -> None:
        """Find the source, and what is read beside it."""
        try:
            self._source = self._find()
        except EnergyUnavailableError as error:
            self.reason = str(error)
        if self._devices and self._backend == backends.AUTO:
            try:
                self._host = RaplCounter(self._powercap)
            except EnergyUnavailableError:
                self._host = None  # it would have been an addition

    def _find(self) -> Source:
        if self._backend == backends.NONE:
            raise EnergyUnavailableError("the energy backend is 'none'")
        if self._backend == backends.RAPL:
            return RaplCounter(self._powercap)
        if self._shared and self._devices:
            raise EnergyUnavailableError(_SHARED)
        if self._backend == backends.CODECARBON:
            return self._modelled()
        if self._devices:
            from configmill.measure.energy.devices import device_source

            return device_source(self._devices, self._opened_nvml())
        if self._backend == backends.NVML:
            raise EnergyUnavailableError("NVML knows GPUs alone, and no device was given")
        return self._of_the_host()

    def _of_the_host(self) -> Source:
        try:
            return RaplCounter(self._powercap)
        except EnergyUnavailableError as error:
            why = str(error)
        try:
            return self._modelled()
        except EnergyUnavailableError as error:
            raise EnergyUnavailableError(f"{why}; {error}") from error

    def _modelled(self) -> Source:
        from configmill.measure.energy.modelled import Modelled

        return Modelled(self._devices, self._opened_nvml(), self._carbon.g_per_kwh)

    def _opened_nvml(self) -> Nvml:
        if self._nvml is None:
            from configmill.measure.nvml import Nvml

            self._nvml = Nvml()
        return self._nvml

    def _reading(self, window: Window | str, source: Source | None, idle_watts: float | None) -> EnergyReading:
        """The reading of a window; or, where that is a reason, one without a figure."""
        known: dict[str, Any] = {
            "contended": not self._exclusive,
            "g_per_kwh": self._carbon.g_per_kwh,
            "g_per_kwh_source": self._carbon.source,
            "pue": self._carbon.pue,
        }
        if isinstance(window, str) or source is None:
            return EnergyReading(devices=dict.fromkeys(self._devices), reason=str(window), **known)
        return EnergyReading(
            method=source.method,
            scope=source.scope,
            devices=window.joules,
            gross_joules=sum(window.joules.values()),
            idle_watts=idle_watts,
            seconds=window.seconds,
            samples=window.samples,
            uncertainty=window.uncertainty,
            uncertainty_source=window.uncertainty_source,
            reason=f"net_joules: {self._idle_reason}" if idle_watts is None else None,
            assumptions=window.assumptions,
            **known,
        )


class _Window:
    """A window of a source, open from when it is made; a source that fails gives a reason in place of a figure."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._failure: str | None = None
        try:
            source.begin()
        except EnergyUnavailableError as error:
            self._failure = str(error)

    def end(self) -> Window | str:
        """What was used in it, or why that isn't known."""
        if self._failure is not None:
            return self._failure
        try:
            return self._source.end()
        except EnergyUnavailableError as error:
            return str(error)


class _NoWindow:
    """In the place of a window where nothing can be read."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def end(self) -> str:
        """Why."""
        return self._reason
