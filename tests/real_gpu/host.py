"""The devices of this host that the checks may use: those that nobody else uses, leased while the checks run.

with idle_devices() as (devices, reason):       # none: reason says why
    ...

`python -m tests.real_gpu` says which they are; where there is none, why, with exit code 1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from configmill.gpus.devices import Device, visible_devices
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Refusal, try_lease
from configmill.gpus.memory import DEFAULT_BUSY_MEMORY_MB, DeviceMemory
from configmill.measure.nvml import Nvml

#: The one that the host's managers use. It is looked up when this is imported: the tests' own is set later.
_HOST_LEASE_DIR = LeaseDir().path


@contextmanager
def idle_devices() -> Iterator[tuple[tuple[Device, ...], str]]:
    """Whole GPUs that nobody uses, kept from the host's own managers; and why there is none, or one is missing.

    Only within CUDA_VISIBLE_DEVICES. MIG devices are left out: torch has other rules for them.
    """
    nvml = Nvml()
    visible = visible_devices(os.environ, nvml)
    memory = DeviceMemory(nvml, DEFAULT_BUSY_MEMORY_MB << 20)
    leases = LeaseDir(_HOST_LEASE_DIR)
    idle, reasons = [], [visible.reason] if visible.reason else []
    with ExitStack() as held:
        for device in visible.devices:
            if device.kind != "cuda":
                reasons.append(f"{device.id} is a MIG device, and the checks are for whole GPUs")
                continue
            lease = try_lease(leases, device, memory)
            if isinstance(lease, Refusal):
                reasons.append(f"{device.id} is {lease.reason}")
            else:
                held.callback(lease.release)
                idle.append(device)
        yield tuple(idle), "; ".join(reasons)


def refusal(reason: str) -> str:
    """What to tell where the checks can't run."""
    return f"The checks on a real GPU need an idle NVIDIA GPU, and there is none: {reason}. Nothing was checked."
