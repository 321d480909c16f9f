"""`configmill gpus`: the devices of this host, who has them, and why the others can't be had; as text or JSON.

It takes nothing and makes nothing; a ticket whose manager is dead goes, as with everybody who looks at the line.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Sequence
from typing import Any

from configmill.cli.parser import Parser
from configmill.errors import UsageError
from configmill.files import read_json_of_experiment
from configmill.gpus.devices import Device, select
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import lease_holder
from configmill.gpus.leftovers import left_over
from configmill.gpus.memory import DEFAULT_BUSY_MEMORY_MB, DeviceMemory
from configmill.gpus.records import Holder, Record, read_record
from configmill.gpus.tickets import PlacedTicket, tickets
from configmill.measure.nvml import DeviceProcess, DeviceUse, Nvml, NvmlError
from configmill.processes import descendants, start_time
from configmill.protocol.layout import CampaignDir
from configmill.protocol.timestamps import timestamp
from configmill.report.terminal.devices import print_devices

DESCRIPTION = """\
Show the devices that experiments can be given here: memory and use, who leases each, and why one can't be had.

  configmill gpus
  configmill gpus --gpus virtual:4      the pretend devices that campaigns with --gpus virtual:4 share

Give it the CUDA_VISIBLE_DEVICES and the CONFIGMILL_LEASE_DIR that the campaigns have.
"""

#: States of a device; besides, the first words of why it can't be had (`quarantined`, `draining`, ...).
FREE, LEASED, KEPT = "free", "leased", "kept"
#: Of the host: nobody has it, experiments share it, one has it alone.
SHARED, ALONE = "shared", "alone"

_HOST_LOCK = "host.lock"


def command(arguments: Sequence[str], nvml: Nvml | None = None) -> int:
    """Parse, look, print; returns the exit code. Raises UsageError for a --gpus that can't be met."""
    parser = Parser("configmill gpus", DESCRIPTION)
    parser.add_argument(
        "--gpus", metavar="WHICH", default="auto",
        help="as of run_experiment.py: auto (all that are visible, the default), 0,1, GPU-<uuid>,..., or virtual:N",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON, on the last line of stdout")
    given = parser.parse(arguments)
    view = _look(given.gpus, nvml or Nvml())
    if given.json:
        print(json.dumps(view))
    else:
        print_devices(view)
    return 0


def _look(text: str, nvml: Nvml) -> dict[str, Any]:
    selection = select(text, os.environ, nvml)
    leases = LeaseDir()
    line, unusable = _line(leases)
    memory = DeviceMemory(nvml, DEFAULT_BUSY_MEMORY_MB << 20)
    kept = {id: ticket.pid for ticket in reversed(line) for id in ticket.wish.devices}
    return {
        "gpus": text,
        "devices": [_device(device, leases, nvml, memory, kept) for device in selection.devices],
        "reason": selection.reason,
        "host": _host(leases),
        "tickets": [
            {"pid": ticket.pid, "devices": sorted(ticket.wish.devices), "exclusive_host": ticket.wish.exclusive_host}
            for ticket in line
        ],
        "lease_dir": {"path": leases.path, "exists": os.path.isdir(leases.path), "unusable": unusable},
    }


def _line(leases: LeaseDir) -> tuple[list[PlacedTicket], str]:
    """Who waits, and why managers can't use the directory ("" where they can)."""
    try:
        line = tickets(leases)
    except UsageError as error:
        return [], str(error)
    if os.path.isdir(leases.path) and not os.access(leases.path, os.R_OK | os.W_OK | os.X_OK):
        return line, "you may not write to it"
    return line, ""


def _device(device: Device, leases: LeaseDir, nvml: Nvml, memory: DeviceMemory, kept: dict[str, int]) -> dict[str, Any]:
    use, unknown = DeviceUse(None), ""
    if device.kind != "virtual":
        try:
            use = nvml.use(device.id)
        except NvmlError as error:
            unknown = f"its memory can't be told: {error}"
    record, state, reason = None, FREE, unknown
    try:
        record = lease_holder(leases, device.id)
        refusal = None if record is not None else _refusal(device, leases, memory)
    except OSError as error:
        refusal = f"unknown: its lock can't be read ({error.strerror or error})"
    if record is not None:
        state = LEASED
    elif refusal is not None:
        state, _, reason = refusal.partition(": ")
    elif device.id in kept:
        state, reason = KEPT, f"for the manager with pid {kept[device.id]}, which has waited longer than others"
    return {
        "index": device.index,
        "id": device.id,
        "name": device.name,
        "kind": device.kind,
        "parent": device.parent,
        "total_memory": device.total_memory or None,
        "used_memory": use.used_bytes,
        "utilisation": use.utilisation,
        "state": state,
        "reason": reason,
        "lease": None if record is None else _lease(record),
        "processes": _processes(use.processes, record),
    }


def _refusal(device: Device, leases: LeaseDir, memory: DeviceMemory) -> str | None:
    """Why a device that nobody leases would be refused all the same."""
    former = _former(leases.lease_path(device.id))
    left = None if former is None else left_over(former)
    return memory.refusal(device, former) if left is None else f"quarantined: {left}"


def _former(path: str) -> Record | None:
    """Who had the lock last, if nobody tidied up."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        return read_record(descriptor)
    finally:
        os.close(descriptor)


def _host(leases: LeaseDir) -> dict[str, Any]:
    """Whether experiments share the host, one has it alone, or nothing runs."""
    try:
        descriptor = os.open(leases.file(_HOST_LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # there is none; of a directory that can't be used the view says so elsewhere
        return {"state": FREE, "lease": None}
    try:
        for kind, state in ((fcntl.LOCK_SH, ALONE), (fcntl.LOCK_EX, SHARED)):
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                record = read_record(descriptor) if state == ALONE else None
                return {"state": state, "lease": None if record is None else _lease(record)}
        return {"state": FREE, "lease": None}
    finally:
        os.close(descriptor)


def _lease(record: Record) -> dict[str, Any]:
    return {
        "since": timestamp(record.since),
        "seconds": round(max(0.0, time.time() - record.since), 3),
        "manager": record.manager.pid,
        "manager_runs": record.manager.runs if record.pids_are_ours else None,
        "user": record.user,
        "holders": [_holder(holder) for holder in record.holders],
    }


def _holder(holder: Holder) -> dict[str, Any]:
    view = read_json_of_experiment(CampaignDir(holder.dst_dir).experiment(holder.experiment).status) or {}
    return {
        "dst_dir": holder.dst_dir,
        "experiment": holder.experiment,
        "index": view.get("index"),
        "attempt": holder.attempt,
        "minder": None if holder.minder is None else holder.minder.pid,
    }


def _processes(processes: Sequence[DeviceProcess], record: Record | None) -> list[dict[str, Any]]:
    """What NVML sees on the device; `of_lease`: whether it belongs to who has leased it, None where nobody can tell."""
    ours = _tree_of(record) if processes and record is not None else frozenset()
    seen = []
    for process in processes:
        here = start_time(process.pid) is not None
        known = here and (record is None or record.pids_are_ours)
        seen.append(
            {
                "pid": process.pid,
                "memory": process.bytes,
                "graphics": process.graphics,
                "here": here,
                "of_lease": process.pid in ours if known else None,
            }
        )
    return seen


def _tree_of(record: Record) -> frozenset[int]:
    """The processes that the lease is for: its minders' and all below, or where there is none its manager's."""
    minders = [holder.minder.pid for holder in record.holders if holder.minder is not None]
    roots = minders or [record.manager.pid]
    return frozenset(pid for root in roots for pid in (root, *descendants(root)))
