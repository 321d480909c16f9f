"""A rank's process: one attempt at the experiment, as one of several, and what it reports.

It is started by `accelerate launch`, which `child.ranks.launcher` carries out. Each rank builds the config again and
checks its digest; rank 0's result is the experiment's.
"""

from __future__ import annotations

import os
import sys
import time

from configmill.child.experiment_process import prepare_process
from configmill.child.ranks.environment import LAUNCHED, RANKS_DIR, launch_of
from configmill.child.ranks.folder import RanksFolder
from configmill.child.ranks.verdict import CAUSE_SECONDS, End
from configmill.child.results import result_to_jsonable
from configmill.child.stub import perform, print_error
from configmill.child.termination import Termination
from configmill.config.frames import user_traceback
from configmill.files import read_json, write_atomic, write_json
from configmill.measure.memory import peak_resident_bytes
from configmill.processes import die_with_parent, exit_now
from configmill.protocol import status
from configmill.protocol.attempt import Attempt

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from configmill.protocol.report import Report


def main() -> None:
    """Be the rank that the environment describes."""
    launcher, path, attempt = os.environ.get(LAUNCHED), os.environ.get(RANKS_DIR), Attempt.from_env(os.environ)
    if launcher is None or path is None or attempt is None:
        raise SystemExit("A rank needs Configmill's environment variables. Give resources.launcher in the config.")
    die_with_parent(int(launcher))
    rank, num_processes = launch_of(os.environ)
    folder = RanksFolder(path)
    write_atomic(folder.pid(rank), f"{os.getpid()}\n")  # from its first moment on, whatever the imports do
    orders = read_json(folder.orders)
    prepare_process(attempt.target, orders["search_path"], orders["log_level"], prefix_of(rank))
    run_rank(attempt, folder, rank, num_processes)


def prefix_of(rank: int) -> str:
    """What stands in front of each line that a rank prints."""
    return f"[rank {rank}] "


def run_rank(attempt: Attempt, folder: RanksFolder, rank: int, num_processes: int) -> NoReturn:
    """Run, report and exit; never returns. The process is prepared."""
    errors = sys.stderr
    report = perform_rank(attempt, folder, rank)
    if report.error is not None:
        try:
            print_error(report.error, errors)
        except (OSError, ValueError):  # user code has closed it
            report.error = None
    if End(report, 0.0).is_consequence:
        _wait_for_another(folder, set(range(num_processes)) - {rank})
    exit_now(0 if report.status in status.SUCCESSES else 1)


def _wait_for_another(folder: RanksFolder, others: set[int]) -> None:
    """Have another rank say what it failed of.

    As soon as a rank ends its launcher tells the others to end. The one whose failure made this one lose its connection
    may be tearing down, and would report the signal in its place.
    """
    until = time.monotonic() + CAUSE_SECONDS
    while time.monotonic() < until and not any(os.path.exists(folder.report(other)) for other in others):
        time.sleep(0.05)


def perform_rank(attempt: Attempt, folder: RanksFolder, rank: int) -> Report:
    """Run the experiment as that rank, and leave its report in the folder. Every exception becomes a Report."""

    def save(_: Attempt, result: Any) -> None:
        if rank == 0:
            write_json(folder.result, result_to_jsonable(result))

    write_atomic(folder.pid(rank), f"{os.getpid()}\n")
    # accelerate's launcher tells all that are left to end when one has ended: those may have been told before.
    report = perform(attempt, Termination(once=True), save)
    report.peak_rss_bytes = peak_resident_bytes()
    if report.error is not None:
        write_atomic(folder.error(rank), user_traceback(report.error))
    write_json(folder.report(rank), {"at": time.monotonic(), "report": vars(report) | {"error": None}})
    return report
