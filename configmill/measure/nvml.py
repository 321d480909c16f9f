"""The one edge to NVML: every call of pynvml goes through here, and every error of it becomes an `NvmlError`.

    for board in Nvml().boards():
        print(board.id, board.name, board.total_memory)

The library is initialised at the first question and stays so for as long as the process lives: without a persistence
daemon each initialisation wakes the devices, which takes up to seconds, and a device must change hands in milliseconds.
NVML has no threads and no context; what a fork inherits is not relied on all the same: a process with another pid
initialises anew, which NVML counts.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from typing import Any

from configmill.errors import ConfigmillError

#: nvmlReturn_t in nvml.h.
_UNINITIALIZED, _NOT_SUPPORTED, _DRIVER_NOT_LOADED, _FUNCTION_NOT_FOUND = 1, 3, 9, 13
_GPU_IS_LOST, _RESET_REQUIRED, _LIB_RM_VERSION_MISMATCH = 15, 16, 18
#: NVML_TEMPERATURE_GPU: of the sensors, the one on the die.
_ON_THE_DIE = 0

#: After these the library has to be initialised again: a driver may have been loaded anew.
_SESSION_IS_OVER = (_UNINITIALIZED, _DRIVER_NOT_LOADED, _LIB_RM_VERSION_MISMATCH)


class NvmlError(ConfigmillError):
    """NVML doesn't answer."""

    def __init__(self, message: str, code: int | None = None) -> None:
        super().__init__(message)
        #: nvmlReturn_t, None where the error isn't NVML's own.
        self.code = code

    @property
    def unsupported(self) -> bool:
        """Whether the device or the driver has no answer to this question at all."""
        return self.code in (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND)

    @property
    def lost(self) -> bool:
        """Whether the device is gone until the host (or the device) is reset."""
        return self.code in (_GPU_IS_LOST, _RESET_REQUIRED)


@dataclass(frozen=True)
class Board:
    """A device as NVML lists it, in PCI order; `instances` are the MIG devices of one in MIG mode, else None."""

    id: str
    name: str
    total_memory: int
    instances: tuple[Board, ...] | None = None


@dataclass(frozen=True)
class DeviceProcess:
    """A process that NVML sees on a device; inside a container the pid is the host's. `bytes` None: not told."""

    pid: int
    bytes: int | None
    #: It only draws: a desktop.
    graphics: bool = False


@dataclass(frozen=True)
class DeviceUse:
    """How a device is used now: memory in bytes, utilisation in percent; None where NVML can't tell."""

    used_bytes: int | None
    utilisation: int | None = None
    processes: tuple[DeviceProcess, ...] = ()


@dataclass(frozen=True)
class DeviceSample:
    """How busy a device is now: percent, bytes, watts, degrees Celsius; None where NVML can't tell.

    The utilisation is of the last sixth of a second to second, depending on the device; so is the power on most.
    """

    utilisation: int | None
    used_bytes: int | None
    power: float | None
    temperature: int | None


@dataclass
class Boards:
    """What NVML lists, and what it couldn't: reasons in words."""

    boards: list[Board] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)


class Nvml:
    """NVML's answers as values. `pynvml` is the module, imported at the first question where it isn't given."""

    def __init__(self, pynvml: Any = None) -> None:
        self._pynvml = pynvml
        self._initialised_by: int | None = None
        self._guard = threading.Lock()

    def boards(self) -> Boards:
        """All devices that answer; one that doesn't is a reason. Raises NvmlError where NVML itself doesn't."""
        found = Boards()
        for index in range(int(self._call("nvmlDeviceGetCount"))):
            try:
                found.boards.append(self._board(self._call("nvmlDeviceGetHandleByIndex", index)))
            except NvmlError as error:
                found.reasons.append(f"device {index} is left out: {error}")
        return found

    def use(self, device_id: str) -> DeviceUse:
        """How the device with that UUID is used. Raises NvmlError where it is gone."""
        handle = self._call("nvmlDeviceGetHandleByUUID", device_id)
        rates = self._optional("nvmlDeviceGetUtilizationRates", handle)
        compute = self._processes("nvmlDeviceGetComputeRunningProcesses", handle, graphics=False)
        known = {process.pid for process in compute}
        drawing = self._processes("nvmlDeviceGetGraphicsRunningProcesses", handle, graphics=True)
        return DeviceUse(
            used_bytes=self._used_bytes(handle),
            utilisation=None if rates is None else int(rates.gpu),
            processes=(*compute, *(process for process in drawing if process.pid not in known)),
        )

    def sample(self, device_id: str) -> DeviceSample:
        """How busy the device with that UUID is. Raises NvmlError where it is gone."""
        handle = self._call("nvmlDeviceGetHandleByUUID", device_id)
        rates = self._optional("nvmlDeviceGetUtilizationRates", handle)
        milliwatts = self._optional("nvmlDeviceGetPowerUsage", handle)
        celsius = self._optional("nvmlDeviceGetTemperature", handle, _ON_THE_DIE)
        return DeviceSample(
            utilisation=None if rates is None else int(rates.gpu),
            used_bytes=self._used_bytes(handle),
            power=None if milliwatts is None else int(milliwatts) / 1000,
            temperature=None if celsius is None else int(celsius),
        )

    def energy_joules(self, device_id: str) -> float:
        """What the device has used since its driver was loaded; it grows about ten times a second.

        Raises NvmlError; one that is `unsupported` where it has no counter (a MIG device, a GPU older than Volta).
        """
        handle = self._call("nvmlDeviceGetHandleByUUID", device_id)
        return int(self._call("nvmlDeviceGetTotalEnergyConsumption", handle)) / 1000

    def power_watts(self, device_id: str) -> float:
        """What the device draws now, or has drawn in the last second, depending on the device. Raises NvmlError."""
        handle = self._call("nvmlDeviceGetHandleByUUID", device_id)
        return int(self._call("nvmlDeviceGetPowerUsage", handle)) / 1000

    def close(self) -> None:
        """Let go of the library; the next question takes it again."""
        with self._guard:
            if self._initialised_by == os.getpid():
                self._initialised_by = None
                try:
                    self._pynvml.nvmlShutdown()
                except Exception:  # it is closed or broken: either way there is nothing left to let go of
                    return

    def _board(self, handle: Any) -> Board:
        mode = self._optional("nvmlDeviceGetMigMode", handle)
        in_mig_mode = mode is not None and mode[0] == 1
        return Board(
            id=_text(self._call("nvmlDeviceGetUUID", handle)),
            name=_text(self._call("nvmlDeviceGetName", handle)),
            total_memory=self._total_bytes(handle),
            instances=self._instances(handle) if in_mig_mode else None,
        )

    def _instances(self, handle: Any) -> tuple[Board, ...]:
        found = []
        for index in range(int(self._optional("nvmlDeviceGetMaxMigDeviceCount", handle) or 0)):
            try:
                instance = self._call("nvmlDeviceGetMigDeviceHandleByIndex", handle, index)
                uuid = _text(self._call("nvmlDeviceGetUUID", instance))
            except NvmlError:
                continue  # the places of instances that nobody has made
            name = self._optional("nvmlDeviceGetName", instance)
            found.append(Board(uuid, _text(name) if name else "MIG device", self._total_bytes(instance)))
        return tuple(found)

    def _total_bytes(self, handle: Any) -> int:
        memory = self._optional("nvmlDeviceGetMemoryInfo", handle)
        return 0 if memory is None else int(memory.total)

    def _used_bytes(self, handle: Any) -> int | None:
        # Version 2 leaves out what the driver keeps for itself, hundreds of MiB on an idle device.
        version = getattr(self._pynvml, "nvmlMemory_v2", None)
        memory = None if version is None else self._optional("nvmlDeviceGetMemoryInfo", handle, version)
        if memory is None:
            memory = self._optional("nvmlDeviceGetMemoryInfo", handle)
        return None if memory is None else int(memory.used)

    def _processes(self, function: str, handle: Any, *, graphics: bool) -> tuple[DeviceProcess, ...]:
        listed = self._optional(function, handle) or ()
        return tuple(DeviceProcess(int(one.pid), _bytes(one.usedGpuMemory), graphics) for one in listed)

    def _optional(self, function: str, *arguments: Any) -> Any:
        """The answer, None where there is none to this question. Raises NvmlError for a device that is lost."""
        try:
            return self._call(function, *arguments)
        except NvmlError as error:
            if error.lost:
                raise
            return None

    def _call(self, function: str, *arguments: Any) -> Any:
        self._initialise()
        return self._ask(function, *arguments)

    def _initialise(self) -> None:
        with self._guard:
            if self._initialised_by == os.getpid():
                return
            if self._pynvml is None:
                try:
                    import pynvml
                except Exception as error:  # a broken installation may raise anything
                    raise NvmlError(f"pynvml can't be imported ({error})") from error
                self._pynvml = pynvml
            self._ask("nvmlInit")
            self._initialised_by = os.getpid()

    def _ask(self, function: str, *arguments: Any) -> Any:
        try:
            return getattr(self._pynvml, function)(*arguments)
        except Exception as error:  # beside NVMLError: OSError of a broken library, AttributeError of an old pynvml
            code = getattr(error, "value", None)
            code = code if isinstance(code, int) else None
            if code in _SESSION_IS_OVER:
                self._initialised_by = None
            text = str(error) or type(error).__name__
            raise NvmlError(f"NVML says {text!r} to {function}", code) from error


def _text(value: str | bytes) -> str:
    """Older versions of pynvml give bytes."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _bytes(value: Any) -> int | None:
    # NVML_VALUE_NOT_AVAILABLE is -1 as an unsigned number; not every version of pynvml makes None of it.
    return None if value is None or not 0 <= int(value) < 1 << 63 else int(value)
