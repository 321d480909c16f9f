"""The record of an attempt, `attempts/<n>.json`: its fields, and how it is written so that a crash tells no lie.

    record = make_record(run=..., number=2, index=7, status="failed", ...)
    write_end(directory, record)

Whoever minds the attempt writes it: the minder, the foreground stub, or the manager for a minder that was killed.
"""

from __future__ import annotations

import os

from configmill.files import remove_if_there, write_atomic, write_json
from configmill.protocol import FORMAT_VERSION
from configmill.protocol import status as statuses
from configmill.protocol.timestamps import timestamp

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

    from configmill.protocol.layout import ExperimentDir
    from configmill.protocol.report import Report


def make_record(
    *,
    run: str,
    number: int,
    index: int | None,
    started: float,
    ended: float,
    report: Report,
    start_method: str | None = None,
    queued_seconds: float | None = None,
    pid: int | None = None,
    exit_code: int | None = None,
    signal: int | None = None,
    gpus: tuple[str, ...] = (),
    resources: dict[str, Any] | None = None,
    derived_from: str | None = None,
    peak_rss_bytes: int | None = None,
    baseline_rss_bytes: int | None = None,
    cpu_seconds: float | None = None,
    energy: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The record of an attempt that ended: times in seconds since the epoch, None for what nobody could know."""
    return {
        "version": FORMAT_VERSION,
        "run": run,
        "attempt": number,
        "index": index,
        "status": report.status,
        "failure_class": report.failure_class,
        "error": report.message,
        "where": report.where,
        "started": timestamp(started),
        "ended": timestamp(ended),
        "seconds": round(max(0.0, ended - started), 4),
        "queued_seconds": None if queued_seconds is None else round(queued_seconds, 4),
        "host": os.uname().nodename,
        "pid": pid,
        "exit_code": exit_code,
        "signal": signal,
        "start_method": start_method,
        "gpus": list(gpus),
        "resources": resources or {},
        "derived_from": derived_from,
        "peak_rss_bytes": peak_rss_bytes,
        # What it shared with the fork server at its start: only what came on top of it is its own.
        "baseline_rss_bytes": baseline_rss_bytes,
        "cpu_seconds": None if cpu_seconds is None else round(cpu_seconds, 4),
        # An EnergyReading; None where nobody asked for one.
        "energy": energy,
        "code_hash": report.code_hash,
        "code": report.code,
        "resumed_from": report.resumed_from,
        "unread_keys": report.unread_keys,
        "cell_errors": report.cell_errors,
        "log": f"attempts/{number}.log",
    }


def write_end(directory: ExperimentDir, record: dict[str, Any]) -> None:
    """Write the record, the view, and for a success the marker: last, so that it never tells of what isn't there."""
    os.makedirs(directory.attempts, exist_ok=True)  # user code may have removed all of it
    write_json(directory.record(record["attempt"]), record)
    write_status(directory, record["status"], record["attempt"], record["index"])
    if record["status"] in statuses.SUCCESSES:
        write_success(directory, record["attempt"])
    else:
        remove_if_there(directory.success)  # only user code can have made it


def write_success(directory: ExperimentDir, number: int) -> None:
    """Set the marker that alone decides a skip; it holds the attempt's number."""
    write_atomic(directory.success, f"{number}\n")


def write_status(
    directory: ExperimentDir, word: str, number: int, index: int | None, pid: int | None = None, **progress: int
) -> None:
    """Write `status.json`, the view for other programs; `pid` is the experiment's, while it runs.

    `progress` is how far a notebook is: `cell` (from 1) of `cells`.
    """
    view = {"status": word, "attempt": number, "index": index}
    write_json(directory.status, view if pid is None else {**view, "pid": pid, **progress})
