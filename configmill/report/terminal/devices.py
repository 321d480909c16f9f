"""The devices of a host, for the terminal: a table, what is to be said of each, the host and who waits.

print_devices(view)      # the values that `configmill gpus --json` prints
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from configmill.report.durations import duration
from configmill.report.terminal.lines import visible
from configmill.report.terminal.tables import console

#: As much of a UUID as tells devices apart, `GPU-3f2a8c1e`; `--gpus` takes it too.
_SHORT_ID = 12


def print_devices(view: Mapping[str, Any]) -> None:
    """Print all of it; where there is no device, why."""
    devices: Sequence[Mapping[str, Any]] = view["devices"]
    if devices:
        _print_table(devices)
        for device in devices:
            for number, line in enumerate(_lines_about(device)):
                if number == 0:
                    print(visible(f"\n{device['index']}  {device['id']}: {line}"))
                else:
                    print(visible(f"   {line}"))
        print()
    if view["reason"]:
        print(visible(f"{'note' if devices else 'nothing to hand out'}: {view['reason']}"))
    elif not devices:
        print("nothing to hand out")
    print(f"host: {_of_host(view['host'])}")
    for ticket in view["tickets"]:
        wanted = "the whole host" if ticket["exclusive_host"] else ", ".join(ticket["devices"])
        print(visible(f"next: the manager with pid {ticket['pid']} has waited too long, and is kept {wanted}"))
    print(visible(f"lease directory: {_of_directory(view['lease_dir'])}"))


def _print_table(devices: Sequence[Mapping[str, Any]]) -> None:
    ids = _short_ids([device["id"] for device in devices])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name, justify in (
        ("index", "right"),
        ("id", "left"),
        ("name", "left"),
        ("GB used", "right"),
        ("busy", "right"),
    ):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    table.add_column("state", no_wrap=True)
    for device, id in zip(devices, ids, strict=True):
        busy = device["utilisation"]
        cells = (
            str(device["index"]),
            id,
            device["name"],
            _memory(device),
            "-" if busy is None else f"{busy} %",
            device["state"],
        )
        table.add_row(*(Text(visible(cell)) for cell in cells))
    console().print(table)


def _short_ids(ids: Sequence[str]) -> list[str]:
    """The beginnings of UUIDs where they tell all apart."""
    short = [id[:_SHORT_ID] if id.startswith(("GPU-", "MIG-")) else id for id in ids]
    count = Counter(short)
    return [id if count[beginning] > 1 else beginning for id, beginning in zip(ids, short, strict=True)]


def _memory(device: Mapping[str, Any]) -> str:
    total, used = device["total_memory"], device["used_memory"]
    if total is None:
        return "-"
    return f"{'?' if used is None else f'{used / 1e9:.1f}'} of {total / 1e9:.1f}"


def _lines_about(device: Mapping[str, Any]) -> list[str]:
    lines = []
    if device["lease"] is not None:
        lines += _of_lease(device["lease"])
    if device["reason"]:
        lines.append(device["reason"] if device["state"] == "free" else f"{device['state']}: {device['reason']}")
    foreign = [one for one in device["processes"] if not one["graphics"] and one["of_lease"] is False]
    if device["lease"] is not None:
        lines += [
            f"also used by pid {one['pid']} ({_mib(one['memory'])}), which is not of the lease" for one in foreign
        ]
    elif device["state"] in ("free", "kept"):
        others = [one for one in device["processes"] if not one["graphics"]]
        lines += [f"pid {one['pid']} uses {_mib(one['memory'])}, too little to be in the way" for one in others]
    return lines


def _of_lease(lease: Mapping[str, Any]) -> list[str]:
    where = {True: "", False: ", which has ended", None: ", in another container"}[lease["manager_runs"]]
    lines = [f"leased for {duration(lease['seconds'])}, since {lease['since']}"]
    lines.append(f"by the manager with pid {lease['manager']} (uid {lease['user']}){where}")
    for holder in lease["holders"]:
        what = f"experiment {holder['experiment']}" if holder["index"] is None else f"result_{holder['index']}"
        minder = "" if holder["minder"] is None else f", minder {holder['minder']}"
        lines.append(f"for {what} of {holder['dst_dir']!r}, attempt {holder['attempt']}{minder}")
    return lines


def _of_host(host: Mapping[str, Any]) -> str:
    if host["state"] == "shared":
        return "shared by the experiments that run"
    if host["state"] == "alone":
        lease = host["lease"]
        return "leased as a whole" if lease is None else "as a whole " + " ".join(_of_lease(lease))
    return "no experiment runs"


def _of_directory(directory: Mapping[str, Any]) -> str:
    if directory["unusable"]:
        return f"{directory['path']} can't be used: {directory['unusable']}"
    return f"{directory['path']}{'' if directory['exists'] else ' (nobody has leased anything yet)'}"


def _mib(count: int | None) -> str:
    return "an unknown amount" if count is None else f"{count / (1 << 20):.0f} MiB"
