"""How much memory and computing time a rank used in the window.

    usage = Usage(torch.device("cpu"), device_ids=[])
    usage.begin()
    ...                          # the window
    usage.end()["peak_memory_bytes"]

A thread looks four times a second. On a GPU the allocator's own peak is exact; on the CPU the kernel keeps one peak for
the whole life of a process, which is the window's only where it rose in it.
"""

import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

from configmill.measure.memory import peak_resident_bytes, resident_bytes
from configmill.measure.nvml import Nvml, NvmlError

_SECONDS_BETWEEN = 0.25


class Usage:
    """One rank's use of its device and of the host's cores, between `begin` and `end`."""

    def __init__(self, device: torch.device, device_ids: Sequence[str]) -> None:
        self._device = device
        self._read_gpus, self._reason = _gpu_reader(device_ids)

    def begin(self) -> None:
        """The window begins."""
        if self._device.type == "cuda":
            for index in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(index)
        self._resident: list[int] = []
        self._cpu: list[float] = []
        self._gpu: list[float] = []
        self._peak_before = peak_resident_bytes()
        self._begun, self._cpu_begun = time.monotonic(), time.process_time()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="usage of the window", daemon=True)
        self._thread.start()

    def end(self) -> dict[str, Any]:
        """The window ends; bytes, seconds, and utilisations as fractions of the host's cores and of the devices."""
        seconds = time.monotonic() - self._begun
        cpu_seconds = time.process_time() - self._cpu_begun
        self._over.set()
        self._thread.join()
        cores = len(os.sched_getaffinity(0))
        mean_cpu = cpu_seconds / seconds / cores if seconds else None
        return {
            **self._memory(),
            "cpu_seconds": cpu_seconds,
            "cpu_utilisation_mean": mean_cpu,
            "cpu_utilisation_max": max(self._cpu, default=mean_cpu),
            "gpu_utilisation_mean": sum(self._gpu) / len(self._gpu) if self._gpu else None,
            "gpu_utilisation_max": max(self._gpu, default=None),
            "utilisation_method": f"CPU: its time over {cores} cores; GPU: NVML; every {_SECONDS_BETWEEN:g} s",
            "gpu_utilisation_reason": None if self._gpu else self._reason,
        }

    def _memory(self) -> dict[str, Any]:
        if self._device.type == "cuda":
            peaks = [torch.cuda.max_memory_allocated(index) for index in range(torch.cuda.device_count())]
            method = "allocated by torch on its devices, reset before the window"
            return {"peak_memory_bytes": sum(peaks), "peak_memory_method": method}
        peak = peak_resident_bytes()
        if peak > self._peak_before:
            return {"peak_memory_bytes": peak, "peak_memory_method": "VmHWM of the process, which rose in the window"}
        sampled = max([*self._resident, resident_bytes()])
        method = f"VmRSS of the process every {_SECONDS_BETWEEN:g} s, since VmHWM is of before the window"
        return {"peak_memory_bytes": sampled, "peak_memory_method": method}

    def _look(self) -> None:
        cores = len(os.sched_getaffinity(0))
        at, used = self._begun, self._cpu_begun
        while not self._over.wait(_SECONDS_BETWEEN):
            now, cpu = time.monotonic(), time.process_time()
            self._cpu.append((cpu - used) / (now - at) / cores)
            at, used = now, cpu
            self._resident.append(resident_bytes())
            self._gpu.extend(self._read_gpus())


def _gpu_reader(device_ids: Sequence[str]) -> tuple[Callable[[], list[float]], str | None]:
    """What reads the utilisation of each device, as a fraction, and why it reads nothing."""
    if not device_ids:
        return list, "no GPU is used"
    nvml = Nvml()

    def read() -> list[float]:
        found = []
        for device in device_ids:
            try:
                sample = nvml.sample(device).utilisation
            except NvmlError:  # an addition: the figure is None then, with the reason below
                continue
            if sample is not None:
                found.append(sample / 100)
        return found

    return read, "NVML doesn't tell it for this device"
