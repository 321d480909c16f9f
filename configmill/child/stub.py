"""One attempt at one experiment, from beginning to end, inside the process that runs it.

    report = perform(attempt)       # never raises: what user code raised is in report.error

The minder calls it in the process it forked; `run_experiment_stub.py` calls it in the foreground.
"""

from __future__ import annotations

import os
import sys

from configmill.child import current
from configmill.child.failures import describe, failure_class_of
from configmill.child.rebuild import put_first_on_path, rebuild_config
from configmill.child.results import result_to_jsonable
from configmill.child.target import load_target, module_of
from configmill.child.termination import Termination
from configmill.config.frames import last_user_frame, user_traceback
from configmill.errors import ConfigmillError, Terminated
from configmill.files import write_json
from configmill.measure.provenance import ProjectCode, code_hash
from configmill.protocol import status
from configmill.protocol.report import Report

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TextIO

    from configmill.config import Config
    from configmill.protocol.attempt import Attempt

#: Keys that the manager reads, not the experiment.
MANAGERS_KEY = "resources"


def save_result(attempt: Attempt, result: Any) -> None:
    """Save what the function returned as the experiment's result. Raises ResultError."""
    # Non-finite floats are kept the way Python's json writes and reads them.
    write_json(attempt.dir.result, result_to_jsonable(result))


def perform(
    attempt: Attempt, termination: Termination | None = None, save: Callable[[Attempt, Any], None] = save_result
) -> Report:
    """Build the config, call the function, `save` what it returns. Every exception becomes a Report."""
    termination = termination or Termination()
    process = os.getpid()
    current.attempt = attempt
    current.code = code = _project_code(attempt)
    try:
        termination.listen()
        if current.inherited is None:  # else what the imports have put before the project stays there
            put_first_on_path(attempt.project_dir)
        function = load_target(attempt.target)
        if current.inherited is None:
            code.add_module(module_of(attempt.target))
        config = rebuild_config(attempt)
        result = function(config)
        _end_copy(process)
        termination.close()
        if termination.asked:
            raise Terminated("it went on after it was told to end, and returned")
        save(attempt, result)
        report = Report(status.SUCCEEDED, unread_keys=_unread_keys(config))
    except BaseException as error:  # SystemExit and KeyboardInterrupt included: none of them is a success
        _end_copy(process, error)
        termination.close()
        report = _failure_report(error)
    report.code = code.tokens
    report.code_hash = code_hash(report.code)
    report.resumed_from = current.resumed_from
    return report


def _project_code(attempt: Attempt) -> ProjectCode:
    """What counts as the experiment's code from here on; the fork server has noted what it imported itself."""
    if current.inherited is not None:
        return current.inherited.code
    code = ProjectCode(attempt.project_dir, leave_out=attempt.dst_dir)
    code.pass_over()  # in the foreground the plan has imported the builder, and what else it needs
    return code


def _end_copy(process: int, error: BaseException | None = None) -> None:
    """End this process if it isn't the experiment's but one that user code forked: the result isn't its to report."""
    if os.getpid() != process:
        if error is not None and not isinstance(error, SystemExit):
            print_error(error, sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(0 if error is None else 1)


def _failure_report(error: BaseException) -> Report:
    where = last_user_frame(error)
    if isinstance(error, KeyboardInterrupt):  # Terminated is one; another one comes from Ctrl-C in the foreground
        return Report(status.INTERRUPTED, message=describe(error), where=where, error=error)
    message = f"the experiment called sys.exit({error.code!r})" if isinstance(error, SystemExit) else describe(error)
    return Report(status.FAILED, failure_class=failure_class_of(error), message=message, where=where, error=error)


def _unread_keys(config: Config) -> list[str]:
    return [key for key in config.unread_keys() if key.split(".", 1)[0] != MANAGERS_KEY]


def print_error(error: BaseException, stream: TextIO) -> None:
    """Print the traceback of user code; an error of ours outside of it needs none, it says what to do itself."""
    if isinstance(error, ConfigmillError) and last_user_frame(error) is None:
        print(f"{type(error).__name__}: {error}", file=stream)
    else:
        print(user_traceback(error), end="", file=stream)
