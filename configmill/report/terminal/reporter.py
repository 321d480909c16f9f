"""The terminal: how a run goes on, and what came of it.

    with make_reporter(sys.stdout) as reporter:
        summary = run(request, on_event=reporter)
    print_summary(summary, sys.stdout)

A live table where there is a terminal (report/live.py), plain lines everywhere else. Failures are shown at once, with
the log to open.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TextIO

from configmill.plan.code_changes import named
from configmill.plan.decide import Decision, changed_files, other_version
from configmill.protocol.events import Event, Finished, Planned, Started
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import Parallelism, Summary
from configmill.report.durations import duration
from configmill.report.terminal.lines import finished_lines, notice_line, planned_line, visible

MAX_FAILURES_SHOWN = 20

Reporter = Callable[[Event], None]


def make_reporter(out: TextIO) -> AbstractContextManager[Reporter]:
    """The reporter that fits `out`."""
    if out.isatty() and os.environ.get("TERM") != "dumb":
        from configmill.report.terminal.live import LiveReporter  # rich takes 40 ms, which plain lines don't need

        return LiveReporter(out)
    return nullcontext(PlainReporter(out))


class PlainReporter:
    """A line for each event that a log reader wants: ends, failures, retries, notes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._over = 0
        self._to_run = 0

    def __call__(self, event: Event) -> None:
        """Print the event's line."""
        if isinstance(event, Planned):
            self._to_run = event.to_run
            self._print(planned_line(event))
        elif isinstance(event, Finished):
            self._over += event.retry_in is None
            counter = f"[{self._over:>{len(str(self._to_run))}}/{self._to_run}] "
            for line in finished_lines(event):
                self._print(counter + line)
                counter = ""
        elif not isinstance(event, Started):
            self._print(notice_line(event))

    def _print(self, line: str) -> None:
        print(line, file=self._out, flush=True)


def print_summary(summary: Summary, out: TextIO) -> None:
    """Print what came of the run, each failure with its log, and where the results are."""
    print(file=out)
    for failure in summary.failures[:MAX_FAILURES_SHOWN]:
        print(visible(f"result_{failure.index} failed ({failure.failure_class}): {failure.error}"), file=out)
        if failure.where is not None:
            print(visible(f"    at   {failure.where}"), file=out)
        print(f"    log  {failure.log}", file=out)
    if len(summary.failures) > MAX_FAILURES_SHOWN:
        more = len(summary.failures) - MAX_FAILURES_SHOWN
        print(f"... and {more} more: configmill failures {shlex.quote(summary.dst_dir)}", file=out)
    for notebook in summary.succeeded_with_errors[:MAX_FAILURES_SHOWN]:
        print(visible(f"result_{notebook.index} succeeded with errors: {notebook.error}"), file=out)
    if summary.unread_keys:
        print(f"note: no experiment read {', '.join(summary.unread_keys[:10])}: is a name misspelt?", file=out)
    if summary.skipped_of_other_version:
        print(_other_version_note(summary.skipped_of_other_version, summary.changed_code), file=out)
    print(f"{_counts(summary)} in {duration(summary.seconds)}", file=out)
    if summary.parallelism is not None:
        print(_parallelism_line(summary.parallelism), file=out)
    if summary.advice is not None:
        print(f"advice: {summary.advice}", file=out)
    directory = CampaignDir(summary.dst_dir)
    print(f"results: {directory.results_csv}", file=out)
    if os.path.exists(directory.index_html):
        print(f"report:  {directory.index_html}", file=out)
    if summary.exit_code not in (0, 2):
        print("The same command goes on with what has not succeeded.", file=out)


def _parallelism_line(came_to: Parallelism) -> str:
    kind = "device" if came_to.devices else "thread"
    places = f"{came_to.places} {kind}" + ("" if came_to.places == 1 else "s")
    used = f"{places}, {came_to.efficiency:.0%} of {'its' if came_to.places == 1 else 'their'} time used"
    if came_to.places == 1:
        return used
    return f"{used}: {came_to.speed_up:.3g} times as fast as one experiment at a time"


def _counts(summary: Summary) -> str:
    with_errors = len(summary.succeeded_with_errors)
    counts = [
        f"{summary.succeeded} succeeded" + (f" ({with_errors} with errors)" if with_errors else ""),
        f"{summary.failed} failed",
        f"{summary.skipped} skipped (succeeded before)",
    ]
    if summary.interrupted:
        counts.append(f"{summary.interrupted} interrupted")
    if summary.not_started:
        counts.append(f"{summary.not_started} not started")
    return f"{summary.selected} of {summary.total} configs: " + ", ".join(counts)


def _other_version_note(number: int, changed: Sequence[str]) -> str:
    results = "1 of the skipped results was" if number == 1 else f"{number} of the skipped results were"
    return (
        f"note: {results} made by another version of the code (changed since: {named(changed)}); "
        f"--rerun_on_code_change runs {'it' if number == 1 else 'them'} again."
    )


def print_dry_run(request: RunRequest, decisions: Sequence[Decision], out: TextIO) -> None:
    """Print what a run would do with each config, and why."""
    for decision in decisions:
        print(f"result_{decision.index}  {decision.digest}  {decision.why}", file=out)
    skipped = other_version(decisions)
    if skipped:
        print(f"\n{_other_version_note(len(skipped), changed_files(skipped))}", file=out)
    runs = sum(decision.runs for decision in decisions)
    print(f"\nA dry run: {runs} would run, {len(decisions) - runs} would be skipped; nothing was touched.", file=out)
    if request.clean_dst_dir and os.path.isdir(request.dst_dir):
        print(f"Without --dry_run everything in {request.dst_dir} would be deleted first.", file=out)
