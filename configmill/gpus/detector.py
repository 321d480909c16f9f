"""`GPUDetector`: what devices there are, for whoever asks by index; torch is not needed, nor a driver.

    detector = GPUDetector()
    if detector.is_cuda_available():
        detector.get_gpu_info(0)["total_memory"]      # bytes
    else:
        print(detector.reason)

Indices count within CUDA_VISIBLE_DEVICES, as in torch and in `configmill gpus`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from configmill.errors import UsageError
from configmill.gpus.devices import Device, describe, select, visible_devices
from configmill.measure.nvml import DeviceUse, Nvml, NvmlError
from configmill.processes import start_time


class GPUDetector:
    """The visible devices as they are at each question: one may be lost, or come back, between two of them."""

    def __init__(self, environ: Mapping[str, str] | None = None, nvml: Nvml | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._nvml = nvml or Nvml()

    @property
    def reason(self) -> str:
        """Why there is no device, or one is missing; "" where nothing is to be said."""
        return visible_devices(self._environ, self._nvml).reason

    def devices(self) -> tuple[Device, ...]:
        """The visible devices."""
        return visible_devices(self._environ, self._nvml).devices

    def is_cuda_available(self) -> bool:
        """Whether there is at least one device."""
        return bool(self.devices())

    def get_available_gpus(self) -> list[int]:
        """The indices of the visible devices."""
        return [device.index for device in self.devices()]

    def validate_gpus(self, gpu_ids: Sequence[int]) -> tuple[bool, str]:
        """Whether all of `gpu_ids` are there, each once, and a sentence about it."""
        visible = visible_devices(self._environ, self._nvml)
        if not gpu_ids:
            return False, "No device is named."
        if len(set(gpu_ids)) < len(gpu_ids):
            return False, f"A device is named twice in {list(gpu_ids)}."
        missing = [gpu for gpu in gpu_ids if gpu not in {device.index for device in visible.devices}]
        if not missing:
            return True, f"All of {list(gpu_ids)} are there."
        there = f"There are: {describe(visible.devices)}." if visible.devices else f"There is none: {visible.reason}."
        return False, f"There is no device {', '.join(map(str, missing))}. {there}"

    def parse_gpu_list(self, text: str) -> list[int]:
        """The indices that `"auto"`, `"0,1,2"` or UUIDs stand for. Raises UsageError as `--gpus` does."""
        return [device.index for device in select(text, self._environ, self._nvml).devices]

    def get_gpu_info(self, gpu_id: int | str) -> dict[str, Any]:
        """What is known of a device, by index or by id.

        `index`, `id`, `name`, `kind`, `total_memory` (bytes), and as of now `used_memory` (bytes), `utilisation`
        (percent), `processes` (pid, `memory` in bytes, `here`: whether that pid is one of this host or container) and
        `reason`; None for what NVML can't tell. Raises UsageError where there is no such device.
        """
        visible = visible_devices(self._environ, self._nvml)
        device = next((device for device in visible.devices if gpu_id in (device.index, device.id)), None)
        if device is None:
            there = f"There are: {describe(visible.devices)}." if visible.devices else visible.reason
            raise UsageError(f"There is no device {gpu_id!r}. {there}")
        reason = ""
        try:
            use = self._nvml.use(device.id)
        except NvmlError as error:
            use, reason = DeviceUse(None), str(error)
        return {
            "index": device.index,
            "id": device.id,
            "name": device.name,
            "kind": device.kind,
            "total_memory": device.total_memory,
            "used_memory": use.used_bytes,
            "utilisation": use.utilisation,
            "processes": [
                {"pid": process.pid, "memory": process.bytes, "here": start_time(process.pid) is not None}
                for process in use.processes
            ],
            "reason": reason,
        }
