"""One experiment's directory: starting an attempt in it, and reading what became of it.

number = begin_attempt(directory, config)        # under the campaign's lock
outcome = read_outcome(directory, number)        # None: the minder left no record
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from configmill.child.notebook.executed import finish_saved
from configmill.child.record import make_record, write_end
from configmill.config import Config
from configmill.config.encoding import encode
from configmill.files import read_json, read_json_of_experiment, remove_if_there, write_atomic, write_json
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir, ExperimentDir, is_notebook
from configmill.protocol.outcome import Outcome
from configmill.protocol.report import Report
from configmill.store.lineage import Lineage, read_lineage, write_lineage


@dataclass(frozen=True)
class State:
    """What an experiment's files say: `status` is one of protocol.status, `record` the last attempt's."""

    status: str
    attempts: int
    record: dict[str, Any] | None


def is_done(directory: ExperimentDir) -> bool:
    """Whether it succeeded: the success marker alone decides."""
    return os.path.exists(directory.success)


def read_state(directory: ExperimentDir, *, in_use: bool) -> State:
    """The experiment's state; `in_use` says whether anybody holds the campaign's lock."""
    attempts = last_attempt(directory)
    record = read_json_of_experiment(directory.record(attempts)) if attempts else None
    if record is not None and record.get("status") not in status.STATUSES:
        record = None
    if is_done(directory):
        with_errors = record is not None and record["status"] == status.SUCCEEDED_WITH_ERRORS
        return State(status.SUCCEEDED_WITH_ERRORS if with_errors else status.SUCCEEDED, attempts, record)
    if attempts == 0:
        return State(status.PENDING, 0, None)
    if record is not None and record["status"] not in status.SUCCESSES:
        return State(record["status"], attempts, record)
    # No record yet, or one whose success was never sealed: somebody is at it, or died at it.
    return State(status.RUNNING if in_use else status.INTERRUPTED, attempts, record)


def last_attempt(directory: ExperimentDir) -> int:
    """The number of the last attempt that began, 0 where none did."""
    try:
        names = os.listdir(directory.attempts)
    except (FileNotFoundError, NotADirectoryError):
        return 0
    stems = (name.partition(".")[0] for name in names)
    return max((int(stem) for stem in stems if stem.isdigit()), default=0)


def begin_attempt(directory: ExperimentDir, config: Config, target: str, derived_from: str | None = None) -> int:
    """Prepare the directory for the next attempt and return its number; `derived_from`: it runs in that config's place.

    The success marker goes first, so that a crash from here on can't be taken for a success. What an attempt before
    returned, logged and showed moves to `attempts/<n-1>/`; checkpoints stay, unless that attempt succeeded: what runs
    again after a success is to start afresh.
    """
    os.makedirs(directory.attempts, exist_ok=True)
    previous = last_attempt(directory)
    succeeded_before = is_done(directory)
    remove_if_there(directory.success)
    # For its own sake it starts afresh: nothing derived stands for it any more.
    kept = Lineage() if derived_from is None else replace(read_lineage(directory), derived_from=derived_from)
    write_lineage(directory, kept)
    if previous:
        _archive(directory, previous, target, with_checkpoints=succeeded_before)
    os.makedirs(directory.checkpoints, exist_ok=True)
    write_json(directory.config_json, encode(config))
    write_atomic(directory.config_txt, config.to_text() + "\n")
    number = previous + 1
    # The log's existence is the attempt's: numbers are never given twice.
    os.close(os.open(directory.log(number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    return number


def _archive(directory: ExperimentDir, attempt: int, target: str, *, with_checkpoints: bool) -> None:
    paths = [directory.result, directory.metrics, directory.tables]
    if with_checkpoints:
        paths.append(directory.checkpoints)
    if is_notebook(target):
        paths.append(directory.notebook(target))
        remove_if_there(directory.page(target))  # its links lead from here; the notebook has all that it shows
    for path in paths:
        if os.path.exists(path):
            os.makedirs(directory.archive(attempt), exist_ok=True)
            os.replace(path, os.path.join(directory.archive(attempt), os.path.basename(path)))


def read_outcome(directory: ExperimentDir, attempt: int) -> Outcome | None:
    """What the attempt's record says; None where there is none."""
    record = read_json_of_experiment(directory.record(attempt))
    return None if record is None else Outcome.from_record(record, directory.log(attempt))


def seal_success(directory: ExperimentDir, attempt: int) -> None:
    """Finish what a minder was killed at: its record says that the attempt succeeded."""
    write_end(directory, read_json(directory.record(attempt)))


def record_missing_end(
    directory: ExperimentDir, attempt: int, report: Report, *, run: str, index: int | None, target: str
) -> Outcome:
    """Write the record of an attempt whose minder could not: it was killed, or never started."""
    record = make_record(
        run=run,
        number=attempt,
        index=index,
        started=_last_change(directory.config_json),  # written just before the attempt
        ended=time.time(),
        report=report,
        derived_from=read_lineage(directory).derived_from,
    )
    if is_notebook(target):
        finish_saved(directory, target, record)
    write_end(directory, record)
    return Outcome.from_record(record, directory.log(attempt))


def _last_change(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:  # user code may have removed it
        return time.time()


def unfinished_experiments(campaign: CampaignDir) -> list[ExperimentDir]:
    """The experiments whose last attempt has no record: it runs, or nobody was left to write one."""
    names = os.listdir(campaign.experiments) if os.path.isdir(campaign.experiments) else []
    directories = [campaign.experiment(name) for name in sorted(names)]
    return [
        directory
        for directory in directories
        if (attempt := last_attempt(directory)) and not os.path.exists(directory.record(attempt))
    ]


def interrupt_unfinished(directories: Iterable[ExperimentDir], run: str, target: str) -> None:
    """Write the record of each last attempt that has none: its manager and its minder were killed together.

    Only under the campaign's lock, when nothing runs.
    """
    for directory in directories:
        attempt = last_attempt(directory)
        if attempt and not os.path.exists(directory.record(attempt)):
            index = (read_json_of_experiment(directory.status) or {}).get("index")
            why = "its manager and the process that minded it were both killed"
            report = Report(status.INTERRUPTED, failure_class=status.LOST, message=why)
            record_missing_end(directory, attempt, report, run=run, index=index, target=target)


def running_pid(directory: ExperimentDir) -> int | None:
    """The process id of the experiment that `status.json` says is running."""
    view = read_json_of_experiment(directory.status) or {}
    return view.get("pid") if view.get("status") == status.RUNNING else None
