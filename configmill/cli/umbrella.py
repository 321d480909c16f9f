"""`configmill`: what is not a run. `configmill results DIR`, `configmill status DIR`, `configmill failures DIR`."""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from configmill.cli.exits import exit_with
from configmill.cli.options import whole_number
from configmill.cli.parser import Parser
from configmill.config.nearest import nearest_sentence
from configmill.errors import UsageError
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir
from configmill.report.tables import print_failures, print_records, print_status
from configmill.store.campaign import require_campaign
from configmill.store.lock import is_in_use, read_holder
from configmill.store.tables import Row, latest_rows, to_records

DESCRIPTION = """\
Look at what run_experiment.py left in a dst_dir.

  configmill results out/forecast --sort mase --top 5
  configmill status out/forecast
  configmill failures out/forecast
"""


def main() -> None:
    """The command."""
    exit_with(command)


def command(arguments: Sequence[str]) -> int:
    """Parse and print; returns the exit code."""
    parser = Parser("configmill", DESCRIPTION)
    parser.add_argument("what", choices=tuple(_COMMANDS), help="results: a row per config; status: counts; failures")
    parser.add_argument("dst_dir", metavar="DST_DIR", help="the --dst_dir of a run")
    parser.add_argument("--json", action="store_true", help="print JSON, on the last line of stdout")
    parser.add_argument("--sort", metavar="COLUMN", help="results: order by this column, smallest first")
    parser.add_argument("--descending", action="store_true", help="results: largest first")
    parser.add_argument("--top", metavar="N", help="results: only the first N rows")
    given = parser.parse(arguments)
    for name in ("sort", "descending", "top"):
        if getattr(given, name) and given.what != "results":
            raise UsageError(f"--{name} goes with results, not with {given.what!r}. Leave it out.")
    if given.descending and given.sort is None:
        raise UsageError("--descending says nothing without --sort. Add --sort COLUMN.")
    directory = require_campaign(given.dst_dir)
    _COMMANDS[given.what](given, directory, latest_rows(directory))
    return 0


def _results(given: argparse.Namespace, directory: CampaignDir, rows: Sequence[Row]) -> None:
    records = to_records(rows)
    if given.sort is not None:
        records = _sorted(records, given.sort, descending=given.descending)
    if given.top is not None:
        records = records[: whole_number("--top", given.top)]
    if given.json:
        print(json.dumps({"dst_dir": directory.path, "results": records}))
    else:
        print_records(records)
        print(f"\nresults: {directory.results_csv}")


def _sorted(records: list[dict[str, Any]], column: str, *, descending: bool) -> list[dict[str, Any]]:
    """Sorted by a column; what has no value there, or no number among numbers, comes last either way."""
    columns = list(records[0]) if records else []
    if column not in columns:
        raise UsageError(f"--sort {column!r}: there is no such column. {nearest_sentence(column, columns)}")
    numbers = [r for r in records if isinstance(r[column], int | float) and not math.isnan(r[column])]
    texts = [r for r in records if isinstance(r[column], str)]
    rest = [r for r in records if r not in numbers and r not in texts]
    ordered = [sorted(group, key=lambda r: r[column], reverse=descending) for group in (numbers, texts)]
    return [*ordered[0], *ordered[1], *rest]


def _status(given: argparse.Namespace, directory: CampaignDir, rows: Sequence[Row]) -> None:
    counts = Counter(row.status for row in rows)
    by_status = {word: counts.get(word, 0) for word in status.STATUSES}
    holder = read_holder(directory) if is_in_use(directory) else None
    if given.json:
        in_use_by = None if holder is None else {"host": holder.host, "pid": holder.pid, "since": holder.since}
        print(json.dumps({"dst_dir": directory.path, "total": len(rows), **by_status, "in_use_by": in_use_by}))
    else:
        print_status(directory.path, len(rows), by_status, holder)


def _failures(given: argparse.Namespace, directory: CampaignDir, rows: Sequence[Row]) -> None:
    failures = [
        {
            "index": row.index,
            "digest": row.digest,
            "status": row.status,
            "failure_class": row.record.get("failure_class"),
            "error": row.record.get("error"),
            "where": row.record.get("where"),
            "attempts": row.attempts,
            "log": row.dir.log(row.attempts),
        }
        for row in rows
        if row.status in (status.FAILED, status.INTERRUPTED)
    ]
    if given.json:
        print(json.dumps({"dst_dir": directory.path, "failures": failures}))
    else:
        print_failures(failures)


_COMMANDS = {"results": _results, "status": _status, "failures": _failures}
