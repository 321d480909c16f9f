"""What happens in a run, as lines of text."""

from __future__ import annotations

from configmill.protocol import status
from configmill.protocol.events import Finished, Note, Planned, Stopping
from configmill.report.durations import duration

#: Control characters but for the tab and the end of a line: a terminal obeys them, whoever wrote the text.
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


def visible(text: str) -> str:
    """Text of an experiment's as it may be printed: an error message must not clear the user's terminal."""
    return text.translate(_CONTROL)


def planned_line(event: Planned) -> str:
    """What is about to happen."""
    skipped = f", {event.skipped} skipped because they succeeded before" if event.skipped else ""
    return f"{event.to_run} of {event.total} configs to run{skipped}; {event.num_threads} at a time; {event.dst_dir}"


def finished_lines(event: Finished) -> list[str]:
    """One line for a success; for a failure what, where and which log, and whether it is tried again.

    For a notebook that ran to its end with errors: which cells, and the log.
    """
    outcome = event.outcome
    head = f"result_{event.index} {outcome.status} in {duration(outcome.seconds)}"
    if outcome.status == status.SUCCEEDED:
        return [head]
    if outcome.succeeded:
        return [visible(f"{head}: {outcome.error}"), f"    log  {outcome.log}"]
    again = "" if event.retry_in is None else f"; next attempt in {event.retry_in:g} s"
    head = f"result_{event.index} {outcome.status.upper()} after {duration(outcome.seconds)}{again}"
    lines = [visible(f"{head}: {outcome.failure_class}: {outcome.error}")]
    if outcome.where is not None:
        lines.append(visible(f"    at   {outcome.where}"))
    return [*lines, f"    log  {outcome.log}"]


def notice_line(event: Stopping | Note) -> str:
    """A notice, set off from the rest."""
    return f"note: {event}" if isinstance(event, Note) else f"stopping: {event}"
