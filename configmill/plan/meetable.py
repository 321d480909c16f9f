"""Whether what experiments ask for can ever be had here: refused before anything starts where it can't.

    check_meetable({3: request}, devices, memory_limit=memory_limit_bytes(), num_cpus=usable_cpus())

Pure: which devices there are, and what the host may use, is the caller's to know.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from configmill.errors import UsageError
from configmill.protocol.resources import (
    COMMAND,
    ESTIMATOR,
    GIGABYTE,
    HOOK,
    NOTHING_ASKED,
    NUM_PROCESSES,
    DeviceFacts,
    ResourceRequest,
    is_named,
)

_MAX_NAMED = 8


def check_meetable(
    requests: Mapping[int, ResourceRequest],
    devices: Sequence[DeviceFacts] | None,
    *,
    why_no_devices: str = "",
    memory_limit: int = 0,
    num_cpus: float = 0,
) -> None:
    """Raise UsageError, saying what was asked and what there is, for a request (by index) that can never be met.

    `devices` are all that may ever be handed out (None: not known, and not checked); `why_no_devices` is a half
    sentence on why there are none. `memory_limit` (bytes) and `num_cpus` are the host's, 0 where they aren't known.
    """
    for index, request in requests.items():
        if request is NOTHING_ASKED:
            continue
        _check_processes(request, index)
        if devices is not None and request.num_gpus.least:
            named = [device for device in devices if request.names(device)]
            _check_list(request, index, devices, why_no_devices)
            _check_number(request, index, named, why_no_devices)
            _check_device_memory(request, index, named)
        if memory_limit and request.memory_bytes is not None and request.memory_bytes > memory_limit:
            raise UsageError(
                f"{_asks(request, 'memory_gb', index)} {_gb(request.memory_bytes)} of memory, and this host allows "
                f"{_gb(memory_limit)}. Ask for less, or run it where there is more."
            )
        if num_cpus and request.num_cpus is not None and request.num_cpus > num_cpus:
            raise UsageError(
                f"{_asks(request, 'num_cpus', index)} {request.num_cpus:g} cores, and this host allows {num_cpus:g}. "
                "Ask for fewer, or run it where there are more."
            )


def _check_processes(request: ResourceRequest, index: int) -> None:
    """Two processes on one device is what no launcher can do (NCCL refuses it)."""
    asked, devices = request.num_processes or 1, request.num_gpus.least
    if request.launcher is not None and devices and asked > devices:
        raise UsageError(
            f"Config {index}: {NUM_PROCESSES} is {asked}, which is more than the devices that it is sure to have "
            f"({request.num_gpus}). Ask for as many devices as processes, or for none to run it on the CPU."
        )


def _check_list(request: ResourceRequest, index: int, devices: Sequence[DeviceFacts], why_none: str) -> None:
    """Every entry of `gpu_list` must name one device."""
    for entry in request.gpu_list:
        meant = [device for device in devices if is_named(entry, device)]
        if len(meant) == 1:
            continue
        there = ", ".join(f"{device.index} ({device.id})" for device in (meant or devices)[:_MAX_NAMED])
        how = "more than one device" if meant else "none of the devices that there are"
        there = there or f"none{': ' if why_none else ''}{why_none}"
        raise UsageError(
            f"Config {index}: resources.gpu_list has {entry!r}, which names {how}: {there}. Name devices that this "
            "command may use, each by its index or by enough of its UUID."
        )


def _check_number(request: ResourceRequest, index: int, devices: Sequence[DeviceFacts], why_none: str) -> None:
    if len(devices) >= request.num_gpus.least:
        return
    asked = f"{_asks(request, 'num_gpus', index)} {request.num_gpus}"
    if not devices:
        why = f": {why_none}" if why_none else ""
        raise UsageError(
            f"{asked}, and there is none{why}. Ask for 0, or let it have some: by another --gpus, or elsewhere."
        )
    names = ", ".join(device.id for device in devices[:_MAX_NAMED])
    more = ", ..." if len(devices) > _MAX_NAMED else ""
    are = "is" if len(devices) == 1 else "are"
    raise UsageError(
        f"{asked}, and there {are} {len(devices)} ({names}{more}). Ask for fewer, or run it where there are more."
    )


def _check_device_memory(request: ResourceRequest, index: int, devices: Sequence[DeviceFacts]) -> None:
    wanted = request.gpu_memory_bytes
    if wanted is None:
        return
    large_enough = [device for device in devices if not device.total_memory or device.total_memory >= wanted]
    if len(large_enough) >= request.num_gpus.least:
        return
    largest = max(device.total_memory for device in devices)
    raise UsageError(
        f"{_asks(request, 'gpu_memory_gb', index)} {_gb(wanted)} on each of {request.num_gpus}, and "
        f"{len(large_enough)} of the {len(devices)} there have as much (the largest has {_gb(largest)}). "
        "Ask for less, or run it where there is more."
    )


def _asks(request: ResourceRequest, key: str, index: int) -> str:
    """The beginning of a sentence: who asked for too much."""
    origin = request.origins.get(key)
    if origin == COMMAND:
        return f"--{key} asks for"
    if origin == ESTIMATOR:
        return f"{HOOK} asks, for config {index}, for"
    return f"Config {index}: resources.{key} asks for"


def _gb(number: int) -> str:
    return f"{number / GIGABYTE:.4g} GB"
