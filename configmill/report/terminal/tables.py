"""Tables for the terminal: results, counts by status, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from configmill.protocol import status
from configmill.report.terminal.lines import visible
from configmill.store.lock import Holder

#: Columns that hold the same for every reader and take up room; `--json` and results.csv have them.
_LEFT_OUT = ("digest", "attempts", "derived_from")
#: Characters of a value; `--json` and results.csv have all of it.
_MAX_CELL = 60


def print_records(records: Sequence[Mapping[str, Any]]) -> None:
    """Print a row per record; a table wider than the terminal is cut at its right, results.csv has all of it."""
    if not records:
        print("No config is known yet.")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    names = [name for name in records[0] if name not in _LEFT_OUT]
    for name in names:
        numeric = all(isinstance(record[name], int | float | None) for record in records)
        table.add_column(Text(name), justify="right" if numeric else "left", no_wrap=True)
    for record in records:
        table.add_row(*(Text(_shown(record[name])) for name in names))
    console().print(table)


def print_status(path: str, total: int, counts: Mapping[str, int], holder: Holder | None) -> None:
    """Print how many configs are in which state, and who works on them."""
    print(f"{path}: {total} configs")
    for word, count in counts.items():
        if count:
            print(f"  {count:>6} {word}")
    if holder is not None:
        print(f"in use by a manager on {holder.host} (pid {holder.pid}, since {holder.since})")


def print_failures(failures: Sequence[Mapping[str, Any]]) -> None:
    """Print each failure: class, message, last frame in user code, log to open."""
    if not failures:
        print("No experiment failed.")
    for failure in failures:
        word = "failed" if failure["status"] == status.FAILED else failure["status"]
        print(visible(f"result_{failure['index']} {word} ({failure['failure_class']}): {failure['error']}"))
        if failure["where"] is not None:
            print(visible(f"    at   {failure['where']}"))
        print(f"    log  {failure['log']}  (attempt {failure['attempts']})")


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else visible(str(value))
    return text if len(text) <= _MAX_CELL else text[: _MAX_CELL - 1] + "…"


def console() -> Console:
    """The terminal, or a pipe as wide as it takes."""
    # Piped into a file or a pager, a table must not be cut to 80 columns.
    out = Console(highlight=False)
    return out if out.is_terminal else Console(highlight=False, width=10_000)
