"""A module that answers as pynvml does on a host that a test describes: the one fake, at the machine's border."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

MIB = 1 << 20
#: Every function that Configmill calls.
CALLS = (
    "nvmlInit",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetName",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlShutdown",
)
NOT_SUPPORTED, NOT_FOUND, UNINITIALIZED, GPU_IS_LOST, UNKNOWN = 3, 6, 1, 15, 999


class NVMLError(Exception):
    """As pynvml's: `value` is nvmlReturn_t."""

    def __init__(self, value: int) -> None:
        super().__init__(f"error {value}")
        self.value = value


@dataclass
class Gpu:
    uuid: str
    name: str = "NVIDIA H100"
    total: int = 80_000 * MIB
    used: int = 0
    #: (pid, bytes or None)
    compute: list[tuple[int, int | None]] = field(default_factory=list)
    graphics: list[tuple[int, int | None]] = field(default_factory=list)
    mig: list[Gpu | None] | None = None
    is_instance: bool = False
    #: Percent, milliwatts, degrees Celsius.
    busy: int = 37
    power: int = 350_000
    temperature: int = 61
    #: Millijoules since the driver was loaded.
    energy: int = 1_000_000


class FakePynvml:
    """`faults`: by function, what it raises; a dict of device to error for one device alone."""

    nvmlMemory_v2 = 2

    def __init__(self, *gpus: Gpu) -> None:
        self.gpus = list(gpus)
        self.faults: dict[str, Exception | dict[str, Exception]] = {}
        self.initialised = 0
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name not in CALLS:
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            fault = self.faults.get(name)
            if isinstance(fault, dict):
                fault = fault.get(arguments[0].uuid) if isinstance(arguments[0], Gpu) else None
            if fault is not None:
                raise fault
            if name != "nvmlInit" and not self.initialised:
                raise NVMLError(UNINITIALIZED)
            return getattr(self, "_" + name.removeprefix("nvml"))(*arguments)

        return call

    def _Init(self) -> None:
        self.initialised += 1

    def _Shutdown(self) -> None:
        self.initialised -= 1

    def _DeviceGetCount(self) -> int:
        return len(self.gpus)

    def _DeviceGetHandleByIndex(self, index: int) -> Gpu:
        return self.gpus[index]

    def _DeviceGetHandleByUUID(self, uuid: str) -> Gpu:
        every = [*self.gpus, *(part for gpu in self.gpus for part in gpu.mig or () if part)]
        for gpu in every:
            if gpu.uuid == uuid:
                return gpu
        raise NVMLError(NOT_FOUND)

    def _DeviceGetUUID(self, gpu: Gpu) -> bytes | str:
        return gpu.uuid.encode() if gpu.is_instance else gpu.uuid  # both are met in the wild

    def _DeviceGetName(self, gpu: Gpu) -> str:
        return gpu.name

    def _DeviceGetMemoryInfo(self, gpu: Gpu, version: int | None = None) -> Any:
        reserved = 0 if version else 600 * MIB
        return SimpleNamespace(total=gpu.total, used=gpu.used + reserved)

    def _DeviceGetMigMode(self, gpu: Gpu) -> list[int]:
        return [int(gpu.mig is not None), 0]

    def _DeviceGetMaxMigDeviceCount(self, gpu: Gpu) -> int:
        return len(gpu.mig or ())

    def _DeviceGetMigDeviceHandleByIndex(self, gpu: Gpu, index: int) -> Gpu:
        part = (gpu.mig or [])[index]
        if part is None:
            raise NVMLError(NOT_FOUND)
        return part

    def _DeviceGetUtilizationRates(self, gpu: Gpu) -> Any:
        if gpu.is_instance:
            raise NVMLError(NOT_SUPPORTED)
        return SimpleNamespace(gpu=gpu.busy)

    def _DeviceGetPowerUsage(self, gpu: Gpu) -> int:
        if gpu.is_instance:
            raise NVMLError(NOT_SUPPORTED)
        return gpu.power

    def _DeviceGetTotalEnergyConsumption(self, gpu: Gpu) -> int:
        if gpu.is_instance:
            raise NVMLError(NOT_SUPPORTED)
        return gpu.energy

    def _DeviceGetTemperature(self, gpu: Gpu, sensor: int) -> int:
        assert sensor == 0
        if gpu.is_instance:
            raise NVMLError(NOT_SUPPORTED)
        return gpu.temperature

    def _DeviceGetComputeRunningProcesses(self, gpu: Gpu) -> Any:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in gpu.compute]

    def _DeviceGetGraphicsRunningProcesses(self, gpu: Gpu) -> Any:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in gpu.graphics]


def instance(uuid: str) -> Gpu:
    """A MIG device."""
    return Gpu(uuid, "NVIDIA H100 MIG 1g.10gb", 10_000 * MIB, is_instance=True)
