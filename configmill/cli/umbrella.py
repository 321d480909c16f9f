"""`configmill`: what is not a run. `configmill results DIR`, status, failures, explain, report, compare, gpus."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from configmill.cli import explain, gpus, simulate
from configmill.cli.exits import exit_with
from configmill.cli.parser import Parser, whole_number
from configmill.config.nearest import nearest_sentence
from configmill.errors import UsageError
from configmill.files import read_json_of_experiment
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir, is_notebook
from configmill.report.terminal.tables import print_failures, print_records, print_status
from configmill.store.campaign import open_campaign, read_campaign, require_campaign
from configmill.store.experiments import interrupt_unfinished, unfinished_experiments
from configmill.store.lock import is_in_use, read_holder
from configmill.store.tables import last_run, latest_rows, to_records, varying_keys, write_tables

DESCRIPTION = """\
Look at what run_experiment.py and run_notebook.py left in a dst_dir.

  configmill results out/forecast --sort mase --top 5
  configmill results out/forecast --sort mase --top 3 --only_indices     (for --indices of another run)
  configmill status out/forecast
  configmill failures out/forecast
  configmill report out/nb                      makes report/index.html and the notebooks' pages again
  configmill compare out/nb --cell forecast     the cell tagged "forecast" of every config on one page

Each of these says more with -h:

  configmill explain out/forecast 3                 why a config would run, is skipped, runs or waits
  configmill gpus                                   the devices of this host, and who has them
  configmill simulate --jobs jobs.json --gpus 8     what a policy would make of a list of jobs
"""

#: Commands with options of their own.
_WITH_OWN_OPTIONS = {"explain": explain.command, "gpus": gpus.command, "simulate": simulate.command}

#: The options that go with one command only.
_OPTIONS_OF = {
    "results": ("sort", "descending", "top", "only_indices"),
    "report": ("hide_input",),
    "compare": ("cell",),
}


def main() -> None:
    """The command."""
    exit_with(command)


def command(arguments: Sequence[str]) -> int:
    """Parse and print; returns the exit code."""
    if arguments and arguments[0] in _WITH_OWN_OPTIONS:
        return _WITH_OWN_OPTIONS[arguments[0]](arguments[1:])
    parser = Parser("configmill", DESCRIPTION)
    parser.add_argument(
        "what", choices=(*_COMMANDS, *_WITH_OWN_OPTIONS),
        help="results: a row per config; status: counts; failures; report: pages; compare: a cell of all notebooks",
    )  # fmt: skip
    parser.add_argument("dst_dir", metavar="DST_DIR", help="the --dst_dir of a run")
    parser.add_argument("--json", action="store_true", help="print JSON, on the last line of stdout")
    parser.add_argument("--sort", metavar="COLUMN", help="results: order by this column, smallest first")
    parser.add_argument("--descending", action="store_true", help="results: largest first")
    parser.add_argument("--top", metavar="N", help="results: only the first N rows")
    parser.add_argument("--only_indices", action="store_true", help="results: print only their indices, as 4,0,7")
    parser.add_argument("--hide_input", action="store_true", help="report: leave the code out of the notebooks' pages")
    parser.add_argument("--cell", metavar="TAG", help="compare: the tag of the cell to show of every config")
    given = parser.parse(arguments)
    if given.what in _WITH_OWN_OPTIONS:
        raise UsageError(f"{given.what!r} comes before its options. Write: configmill {given.what} ...")
    for what, names in _OPTIONS_OF.items():
        for name in names:
            if getattr(given, name) and given.what != what:
                raise UsageError(f"--{name} goes with {what}, not with {given.what!r}. Leave it out.")
    if given.descending and given.sort is None:
        raise UsageError("--descending says nothing without --sort. Add --sort COLUMN.")
    directory = require_campaign(given.dst_dir)
    try:
        _COMMANDS[given.what](given, directory)
    except PermissionError as error:
        raise UsageError(f"{given.dst_dir!r} can't be written to ({error}). Ask its owner, or copy it.") from error
    return 0


def _results(given: argparse.Namespace, directory: CampaignDir) -> None:
    records = to_records(latest_rows(directory))
    if given.sort is not None:
        records = _sorted(records, given.sort, descending=given.descending)
    if given.top is not None:
        records = records[: whole_number("--top", given.top)]
    if given.only_indices:
        indices = [record["index"] for record in records]
        print(
            json.dumps({"dst_dir": directory.path, "indices": indices}) if given.json else ",".join(map(str, indices))
        )
    elif given.json:
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


def _status(given: argparse.Namespace, directory: CampaignDir) -> None:
    rows = latest_rows(directory)
    counts = Counter(row.status for row in rows)
    by_status = {word: counts.get(word, 0) for word in status.STATUSES}
    holder = read_holder(directory) if is_in_use(directory) else None
    if given.json:
        in_use_by = None if holder is None else {"host": holder.host, "pid": holder.pid, "since": holder.since}
        print(json.dumps({"dst_dir": directory.path, "total": len(rows), **by_status, "in_use_by": in_use_by}))
    else:
        print_status(directory.path, len(rows), by_status, holder)


def _failures(given: argparse.Namespace, directory: CampaignDir) -> None:
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
        for row in latest_rows(directory)
        if row.status in (status.FAILED, status.INTERRUPTED)
    ]
    if given.json:
        print(json.dumps({"dst_dir": directory.path, "failures": failures}))
    else:
        print_failures(failures)


def _report(given: argparse.Namespace, directory: CampaignDir) -> None:
    from configmill.report.campaign_report import NotebookPages, write_report

    target = _target_of(directory)
    repaired = _repair(directory, target)
    rows = latest_rows(directory)
    pages = None
    if is_notebook(target):
        hide_input = given.hide_input or _hid_input(directory)
        pages = NotebookPages(directory, target, varying=varying_keys(rows), hide_input=hide_input)
    before = _last_change(directory.index_html)
    warnings = write_report(directory, pages)
    if _last_change(directory.index_html) == before:
        raise UsageError(f"{given.dst_dir!r} gets no report: {warnings[-1]} Give a directory that you may write to.")
    if given.json:
        said = {"dst_dir": directory.path, "report": directory.index_html, "repaired": repaired, "warnings": warnings}
        print(json.dumps(said))
    else:
        done = [f"a killed manager had left {repaired} of the experiments half done; they are put in order"]
        for line in (done if repaired else []) + warnings:
            print(f"note: {line}")
        print(f"report: {directory.index_html}")


def _last_change(path: str) -> int | None:
    return os.stat(path).st_mtime_ns if os.path.exists(path) else None


def _hid_input(directory: CampaignDir) -> bool:
    """Whether the last command was told to leave the code out of the pages."""
    request = (read_json_of_experiment(directory.run_file(last_run(directory), ".json")) or {}).get("request") or {}
    return bool((request.get("notebook") or {}).get("hide_input"))


def _repair(directory: CampaignDir, target: str) -> int:
    """Finish what a killed manager left half done; returns how many experiments that was. Nothing while one works."""
    unfinished = unfinished_experiments(directory)
    if not unfinished or is_in_use(directory):
        return 0
    with open_campaign(directory, target):
        interrupt_unfinished(unfinished, last_run(directory), target)
        write_tables(directory, latest_rows(directory))
    return len(unfinished)


def _compare(given: argparse.Namespace, directory: CampaignDir) -> None:
    from configmill.report.notebooks.cell_matrix import matrix_path, write_cell_matrix

    if given.cell is None:
        raise UsageError("'compare' needs the tag of a cell. Add --cell TAG.")
    path = matrix_path(directory, given.cell)
    write_cell_matrix(directory, latest_rows(directory), _target_of(directory), given.cell, path)
    print(json.dumps({"dst_dir": directory.path, "page": path}) if given.json else f"page: {path}")


def _target_of(directory: CampaignDir) -> str:
    campaign = read_campaign(directory)
    assert campaign is not None  # require_campaign has seen it
    return str(campaign["target"])


_COMMANDS = {
    "results": _results,
    "status": _status,
    "failures": _failures,
    "report": _report,
    "compare": _compare,
}
