"""What NVML says of a device, asked without Configmill's own edge to it, which is among what is checked.

    used_bytes("GPU-3f2a...")

The experiments of the checks ask as well.
"""

from __future__ import annotations

from typing import Any

#: What may be used more than before without being called a rest; a CUDA context takes several times that.
SLACK_BYTES = 128 << 20


def used_bytes(uuid: str) -> int:
    """The memory in use, what the driver keeps for itself left out where it tells that."""
    nvml, device = _device(uuid)
    return int(nvml.nvmlDeviceGetMemoryInfo(device, nvml.nvmlMemory_v2).used)


def compute_pids(uuid: str) -> list[int]:
    """Who computes on it; inside a container these are pids of the host, or none."""
    nvml, device = _device(uuid)
    return [int(process.pid) for process in nvml.nvmlDeviceGetComputeRunningProcesses(device)]


def energy_joules(uuid: str) -> float:
    """The energy that it has used since its driver was loaded; the counter grows about ten times a second."""
    nvml, device = _device(uuid)
    return int(nvml.nvmlDeviceGetTotalEnergyConsumption(device)) / 1e3


def power_limit_watts(uuid: str) -> float:
    """What it may draw at most."""
    nvml, device = _device(uuid)
    return int(nvml.nvmlDeviceGetEnforcedPowerLimit(device)) / 1e3


def driver_version() -> str:
    """The version of the driver."""
    import pynvml

    pynvml.nvmlInit()
    return str(pynvml.nvmlSystemGetDriverVersion())


def _device(uuid: str) -> tuple[Any, Any]:
    import pynvml

    pynvml.nvmlInit()  # it counts: a second time costs nothing
    return pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid)
