"""One attempt at one experiment, from beginning to end, inside the process that runs it.

    report = perform(attempt)       # never raises: what user code raised is in report.error

The minder calls it in the process it forked; `run_experiment_stub.py` calls it in the foreground.
"""

from __future__ import annotations

import json
import logging
import signal
import sys
import traceback

from configmill.child.context import resumed_from
from configmill.child.failures import describe, failure_class_of, last_user_frame, without_own_frames
from configmill.child.rebuild import put_first_on_path, rebuild_config
from configmill.child.results import result_to_jsonable
from configmill.child.target import load_target
from configmill.errors import ConfigmillError, Terminated
from configmill.files import write_json
from configmill.measure.provenance import code_hash
from configmill.protocol import status

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

    from configmill.config import Config
    from configmill.protocol.attempt import Attempt

LOG_FORMAT = "%(asctime)s %(name)s %(levelname)s %(message)s"

#: Keys that the manager reads, not the experiment.
_MANAGERS_KEY = "resources"


class Report:
    """What the experiment's process tells its minder before it exits."""

    def __init__(
        self,
        status: str,
        *,
        failure_class: str | None = None,
        message: str | None = None,
        where: str | None = None,
        error: BaseException | None = None,
        unread_keys: list[str] | None = None,
        resumed_from: int | None = None,
        code_hash: str | None = None,
    ) -> None:
        self.status = status
        self.failure_class = failure_class
        self.message = message
        self.where = where
        #: The exception itself; stays in this process.
        self.error = error
        self.unread_keys = unread_keys or []
        self.resumed_from = resumed_from
        self.code_hash = code_hash

    def to_json(self) -> str:
        """As text that `from_json` reads, without the exception."""
        return json.dumps({name: value for name, value in vars(self).items() if name != "error"})

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """The report that `to_json` wrote."""
        return cls(**json.loads(text))


class _Termination:
    """Turns SIGTERM into an exception in user code, and remembers it where user code swallows it."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, self._on_signal)

    def close(self) -> None:
        """From here on a SIGTERM comes too late: what is left to do is ours and short."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        self.asked = True
        raise Terminated


def configure_logging(level: str) -> None:
    """Send standard logging to stderr: time, name, level, message."""
    logging.basicConfig(level=level, format=LOG_FORMAT, stream=sys.stderr)


def perform(attempt: Attempt) -> Report:
    """Build the config, call the function, save what it returns. Every exception becomes a Report."""
    termination = _Termination()
    config: Config | None = None
    try:
        termination.listen()
        put_first_on_path(attempt.project_dir)
        config = rebuild_config(attempt)
        result = load_target(attempt.target)(config)
        termination.close()
        if termination.asked:
            raise Terminated("it went on after it was told to end, and returned")
        _save_result(attempt, result)
        report = Report(status.SUCCEEDED, unread_keys=_unread_keys(config))
    except BaseException as error:  # SystemExit and KeyboardInterrupt included: none of them is a success
        termination.close()
        report = _failure_report(error, attempt.project_dir)
    report.resumed_from = resumed_from()
    report.code_hash = code_hash(attempt.project_dir)
    return report


def _failure_report(error: BaseException, project_dir: str) -> Report:
    where = last_user_frame(error.__traceback__, project_dir)
    if isinstance(error, Terminated):
        return Report(status.INTERRUPTED, message=describe(error), where=where, error=error)
    message = f"the experiment called sys.exit({error.code!r})" if isinstance(error, SystemExit) else describe(error)
    return Report(
        status.FAILED, failure_class=failure_class_of(error), message=message, where=where, error=error
    )


def _save_result(attempt: Attempt, result: Any) -> None:
    # Non-finite floats are kept the way Python's json writes and reads them.
    write_json(attempt.dir.result, result_to_jsonable(result))


def _unread_keys(config: Config) -> list[str]:
    return [key for key in config.unread_keys() if key.split(".", 1)[0] != _MANAGERS_KEY]


def print_error(error: BaseException) -> None:
    """Print the traceback of user code to stderr; an error of ours needs none, it says what to do itself."""
    if isinstance(error, ConfigmillError):
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    else:
        traceback.print_exception(type(error), error, without_own_frames(error.__traceback__))
