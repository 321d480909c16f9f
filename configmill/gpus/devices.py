"""Devices, and which of them `--gpus` selects.

    selection = select("auto", os.environ)
    selection.devices     # what may be handed out, in the order that `configmill gpus` shows
    selection.reason      # why there is none, or why one is missing; "" where nothing is to be said

What CUDA_VISIBLE_DEVICES shows is the outer bound, read as CUDA reads it: indices, UUIDs or their beginnings, MIG
devices; it ends at the first entry that is none. An index in `--gpus` counts within that bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from configmill.errors import UsageError
from configmill.measure.nvml import Board, Nvml, NvmlError

CUDA_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
_CUDA_DEVICE_ORDER = "CUDA_DEVICE_ORDER"

_VIRTUAL = "virtual:"
#: More than any host has; a slip of the finger must not make a million files.
MAX_VIRTUAL = 4096

_SPELLINGS = "Give auto, none, inherit, indices such as 0,1, UUIDs such as GPU-3f2a, MIG-<uuid>, or virtual:N."


@dataclass(frozen=True)
class Device:
    """A device that experiments can be given; `index` counts within what is visible, `total_memory` is in bytes.

    The id is the UUID, `virtual:<k>` for a pretended one, whose memory counts as 0: unknown. `parent` is the UUID of
    the GPU that a MIG device is a part of.
    """

    id: str
    index: int
    name: str
    total_memory: int
    kind: Literal["cuda", "mig", "virtual"] = "cuda"
    parent: str | None = None


@dataclass(frozen=True)
class Selection:
    """What `--gpus` stands for on this host."""

    devices: tuple[Device, ...] = ()
    reason: str = ""
    #: The environment of experiments is left alone, and nothing is handed out.
    inherits: bool = False


def select(text: str, environ: Mapping[str, str], nvml: Nvml | None = None) -> Selection:
    """The devices that `--gpus` names. Raises UsageError for what is no selection or isn't there.

    `auto` never raises: a host without devices, or with a broken driver, has none, and the reason is told.
    """
    text = text.strip()
    if text == "none":
        return Selection(reason="--gpus none hands out no device")
    if text == "inherit":
        return Selection(reason="--gpus inherit hands out no device", inherits=True)
    if text.startswith(_VIRTUAL):
        return Selection(virtual_devices(_virtual_count(text)))
    visible = visible_devices(environ, nvml or Nvml())
    return visible if text == "auto" else Selection(_chosen(text, visible), visible.reason)


def check_spelling(text: str) -> None:
    """Raise UsageError for what `--gpus` could mean on no host; what there is here isn't looked at."""
    text = text.strip()
    if text.startswith(_VIRTUAL):
        _virtual_count(text)
    elif text not in ("auto", "none", "inherit"):
        for entry in text.split(","):
            if not _is_entry(entry.strip()):
                raise UsageError(f"--gpus {text!r}: {entry.strip()!r} names no device. {_SPELLINGS}")


def _is_entry(entry: str) -> bool:
    return (entry.isascii() and entry.isdecimal()) or entry.startswith(("GPU-", "MIG-"))


def virtual_devices(count: int) -> tuple[Device, ...]:
    """Devices that are only pretended: all of Configmill works on them but CUDA."""
    return tuple(Device(f"{_VIRTUAL}{i}", i, "virtual device", 0, "virtual") for i in range(count))


def visible_devices(environ: Mapping[str, str], nvml: Nvml) -> Selection:
    """All devices within CUDA_VISIBLE_DEVICES, in its order; without it in PCI order, MIG devices for their GPU."""
    try:
        found = nvml.boards()
    except NvmlError as error:
        return Selection(reason=f"no device can be seen: {error}")
    reason = "; ".join(found.reasons)
    if not found.boards:
        return Selection(reason=reason or "this host has no NVIDIA device")
    bound = environ.get(CUDA_VISIBLE_DEVICES)
    if bound is None:
        return Selection(_numbered(_parts(found.boards)), reason)
    if found.reasons and _INDEX.match(bound.strip()):
        # With one of them gone, all that came behind it would pass for another.
        return Selection(reason=f"{reason}; so the indices of CUDA_VISIBLE_DEVICES={bound!r} can't be told: use UUIDs")
    if _order_is_unknown(bound, found.boards, environ):
        return Selection(
            reason=f"the indices of CUDA_VISIBLE_DEVICES={bound!r} count by speed where devices differ, as they do "
            "here: set CUDA_DEVICE_ORDER=PCI_BUS_ID, or use UUIDs"
        )
    shown = _numbered(_within(bound, found.boards))
    return Selection(shown, reason if shown else _because(reason, f"CUDA_VISIBLE_DEVICES={bound!r} shows no device"))


def cuda_visible_devices(devices: Iterable[Device]) -> str:
    """CUDA_VISIBLE_DEVICES for an experiment that is given `devices`: UUIDs; virtual ones show it no device."""
    return ",".join(device.id for device in devices if device.kind != "virtual")


def describe(devices: Sequence[Device]) -> str:
    """The devices for a message: `0 (GPU-3f2a…, NVIDIA H100), 1 (…)`."""
    shown = [f"{device.index} ({device.id}, {device.name})" for device in devices[:8]]
    return ", ".join(shown) + (f" and {len(devices) - 8} more" if len(devices) > 8 else "")


def _because(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)


def _virtual_count(text: str) -> int:
    count = text.removeprefix(_VIRTUAL)
    if not (count.isascii() and count.isdecimal()) or not 1 <= int(count) <= MAX_VIRTUAL:
        raise UsageError(
            f"--gpus {text!r} is no number of virtual devices. Give virtual:N with N from 1 to {MAX_VIRTUAL}."
        )
    return int(count)


# -- What CUDA would see -----------------------------------------------------------------------------------------------

_INDEX = re.compile(r"[+-]?\d+")


@dataclass(frozen=True)
class _Part:
    """What can be handed out: a GPU, or a MIG device of one."""

    board: Board
    parent: Board | None = None


def _parts(boards: Iterable[Board]) -> list[_Part]:
    parts = []
    for board in boards:
        parts += [_Part(board)] if board.instances is None else [_Part(part, board) for part in board.instances]
    return parts


def _numbered(parts: Sequence[_Part]) -> tuple[Device, ...]:
    return tuple(
        Device(
            id=part.board.id,
            index=index,
            name=part.board.name,
            total_memory=part.board.total_memory,
            kind="mig" if part.parent else "cuda",
            parent=part.parent.id if part.parent else None,
        )
        for index, part in enumerate(parts)
    )


def _order_is_unknown(bound: str, boards: Sequence[Board], environ: Mapping[str, str]) -> bool:
    """Whether indices of CUDA may name other devices than NVML's do, and it matters."""
    indices = {int(entry) for entry in bound.split(",") if _INDEX.fullmatch(entry.strip())}
    alike = len({board.name for board in boards}) == 1 or environ.get(_CUDA_DEVICE_ORDER) == "PCI_BUS_ID"
    return bool(indices) and min(indices) >= 0 and not alike and indices != set(range(len(boards)))


def _within(bound: str, boards: Sequence[Board]) -> list[_Part]:
    """The parts that CUDA would show. What the first entry is, the others must be too; a duplicate voids the list."""
    entries = [entry.strip() for entry in bound.split(",")]
    named = next((prefix for prefix in ("GPU-", "MIG-") if entries[0].startswith(prefix)), None)
    shown: list[_Part] = []
    for entry in entries:
        part = _by_index(entry, boards) if named is None else _by_name(entry, named, boards)
        if part is None:
            break
        if part in shown:
            return []
        shown.append(part)
    return shown


def _by_index(entry: str, boards: Sequence[Board]) -> _Part | None:
    match = _INDEX.match(entry)
    index = int(match[0]) if match else -1
    return _first_part(boards[index]) if 0 <= index < len(boards) else None


def _by_name(entry: str, prefix: str, boards: Sequence[Board]) -> _Part | None:
    if not entry.startswith(prefix):
        return None
    if prefix == "GPU-":
        matching = [_first_part(board) for board in boards if board.id.startswith(entry)]
    else:
        matching = [part for part in _parts(boards) if part.parent and part.board.id.startswith(entry)]
    return matching[0] if len(matching) == 1 else None


def _first_part(board: Board) -> _Part | None:
    """What CUDA makes of a GPU: in MIG mode its first MIG device, and none where nobody has made one."""
    if board.instances is None:
        return _Part(board)
    return _Part(board.instances[0], board) if board.instances else None


# -- What --gpus names within it ---------------------------------------------------------------------------------------


def _chosen(text: str, visible: Selection) -> tuple[Device, ...]:
    chosen: list[Device] = []
    for entry in (entry.strip() for entry in text.split(",")):
        for device in _named(entry, text, visible):
            if device in chosen:
                raise UsageError(f"--gpus {text!r} names the device {device.id!r} twice. Name each once.")
            chosen.append(device)
    return tuple(chosen)


def _named(entry: str, text: str, visible: Selection) -> list[Device]:
    check_spelling(entry)
    if entry.isascii() and entry.isdecimal():
        found = [device for device in visible.devices if device.index == int(entry)]
    elif entry.startswith(("GPU-", "MIG-")):
        found = [device for device in visible.devices if device.id.startswith(entry)]
        # A GPU in MIG mode stands for all of its parts.
        found = found or [device for device in visible.devices if (device.parent or "").startswith(entry)]
        if len({device.parent or device.id for device in found}) > 1:
            raise UsageError(
                f"--gpus {text!r}: more than one device begins with {entry!r}. Give more of the UUID: "
                f"there are {describe(found)}."
            )
    else:
        raise UsageError(f"--gpus {text!r}: {entry!r} names no device. {_SPELLINGS}")
    if not found:
        there = f"There are: {describe(visible.devices)}." if visible.devices else f"There is none: {visible.reason}."
        raise UsageError(f"--gpus {text!r}: there is no device {entry!r}. {there}")
    return found
