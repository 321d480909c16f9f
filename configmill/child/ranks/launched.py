"""One attempt at an experiment of several ranks, from beginning to end, in the experiment's own process.

    report = perform_launched(attempt, num_processes=2, ...)    # never raises; returns when no rank is left

It imports no user code: it starts the launcher, watches the ranks, ends those that are left when one has failed, and
keeps rank 0's result as the experiment's.
"""

from __future__ import annotations

import os
import sys

from configmill.child.failures import describe, failure_class_of
from configmill.child.python import start_python
from configmill.child.ranks.environment import RANKS_DIR, ranks_environment
from configmill.child.ranks.folder import RanksFolder, keep_result
from configmill.child.ranks.verdict import decide, failed
from configmill.child.ranks.watch import Watch
from configmill.child.termination import Termination
from configmill.errors import ConfigmillError, Terminated
from configmill.files import write_json
from configmill.measure.memory import oom_kills
from configmill.measure.provenance import code_hash
from configmill.processes import signal_name
from configmill.protocol import status
from configmill.protocol.report import Report

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from configmill.protocol.attempt import Attempt

#: How often a launch is tried whose port another process takes in the moment before it is used.
_TRIES = 5


class LaunchError(ConfigmillError):
    """The ranks could not be launched."""


def perform_launched(
    attempt: Attempt, *, num_processes: int, search_path: list[str], log_level: str, native_threads: int | None = None
) -> Report:
    """Launch so many ranks and wait for their end. Every exception becomes a Report.

    What the ranks find in their processes is what a single one would: `search_path` at the end of `sys.path`, logging
    from `log_level` on. `native_threads` is how many threads their native libraries may start together.
    """
    termination = Termination(once=True)
    told = {"num_processes": num_processes, "search_path": search_path, "log_level": log_level}
    environment = ranks_environment(os.environ, num_processes, native_threads)
    try:
        termination.listen()
        watch, folder, out_of_memory = _launch(attempt, told, environment)
        termination.close()
        report = _judge(watch, num_processes, out_of_memory=out_of_memory, asked=termination.asked)
        report.code_hash = code_hash(report.code or {})
        if report.status in status.SUCCESSES:
            keep_result(folder, attempt)
        return report
    except BaseException as error:
        termination.close()
        if isinstance(error, KeyboardInterrupt):  # Terminated is one; it came before there was a rank to tell
            return Report(status.INTERRUPTED, message=describe(error), error=error)
        return Report(status.FAILED, failure_class=failure_class_of(error), message=describe(error), error=error)


def _launch(
    attempt: Attempt, told: Mapping[str, Any], environment: Mapping[str, str]
) -> tuple[Watch, RanksFolder, bool]:
    """Launch until the port is ours; also whether the kernel has killed something for want of memory meanwhile."""
    for number in range(_TRIES):
        folder = RanksFolder(attempt.dir.ranks(attempt.number) + (f".{number}" if number else ""))
        kills_before = oom_kills()
        watch = _run(folder, told, environment)
        if not (watch.launcher_said() or {}).get("address_in_use"):
            break
        print("Another process has taken the port that was free a moment before: launched again.", file=sys.stderr)
    return watch, folder, oom_kills() > kills_before


def _run(folder: RanksFolder, told: Mapping[str, Any], environment: Mapping[str, str]) -> Watch:
    """One launch to its end."""
    folder.create()
    write_json(folder.orders, told)
    process = start_python(
        "configmill.child.ranks.launcher", str(os.getpid()), env={**environment, RANKS_DIR: folder.path}
    )
    watch = Watch(folder, told["num_processes"], process)
    try:
        watch.until_over()
    except KeyboardInterrupt:  # whoever asked for it bounds the time that this may take
        watch.tell_to_end()
        watch.until_launcher_ends()
    finally:
        watch.end_all()
    return watch


def _judge(watch: Watch, num_processes: int, *, out_of_memory: bool, asked: bool) -> Report:
    """What became of all of them. Raises LaunchError where none began."""
    ends, said = watch.ends(out_of_memory=out_of_memory), watch.launcher_said()
    failures = failed(ends)
    if len(ends) == num_processes and not failures:
        return decide(ends)
    if asked and not any(end.is_cause for end in failures.values()):
        return Report(status.INTERRUPTED, message=describe(Terminated()))
    code = watch.launcher_code
    if said is None and code is not None and not any(end.is_reported and end.is_cause for end in failures.values()):
        how = signal_name(-code) if code < 0 else f"exit code {code}"
        message = f"accelerate's launcher ended before its ranks ({how})"
        return Report(status.FAILED, failure_class=status.KILLED if code < 0 else status.CODE_ERROR, message=message)
    if not failures:
        why = (said or {}).get("error", "it ended before all of them had")
        raise LaunchError(f"accelerate could not launch the ranks: {why}. The attempt's log has all that it said.")
    return decide(ends)
