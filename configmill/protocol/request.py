"""What the user asked for: the one description of a run that the command line and the Python API both fill in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from configmill.errors import UsageError
from configmill.processes import num_cores
from configmill.protocol.start_method import AUTO, COLD, START_METHODS

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

#: How run_experiment_stub.py starts its one experiment.
FOREGROUND = "foreground"

DEFAULT_GRACE = 3.0
DEFAULT_RETRY_BACKOFF = 2.0


@dataclass(frozen=True)
class Selection:
    """Which configs of the list to work on; all where every field is None."""

    start: int | None = None
    #: Ranges (first, last), not expanded: a user may write 0-999999999.
    ranges: tuple[tuple[int, int], ...] | None = None
    #: As the user wrote it, for messages.
    text: str = ""


@dataclass(frozen=True)
class NotebookRequest:
    """What is asked for where the target is a notebook; `cell_timeout` in seconds for each cell."""

    kernel_name: str
    allow_errors: bool = False
    cell_timeout: float | None = None
    publish: bool = False
    hide_input: bool = False
    #: Why a fork can't be the kernel; None where it can.
    cold_kernel: str | None = None

    def __post_init__(self) -> None:
        above_zero = self.cell_timeout is None or (_is_number(self.cell_timeout, 0) and self.cell_timeout > 0)
        _require(above_zero, "cell_timeout", self.cell_timeout, "a number of seconds above 0")


@dataclass(frozen=True)
class RunRequest:
    """One command. Directories are absolute, durations seconds, `num_threads` at least 1."""

    config_builder: str
    #: `module:function`, `/path/to/script.py:function` for a function of a script, or a notebook's path, relative to
    #: the project where it is inside of it.
    target: str
    dst_dir: str
    project_dir: str
    num_threads: int = 1
    selection: Selection = Selection()
    incremental: bool = True
    #: Run again what succeeded with another version of the code.
    rerun_on_code_change: bool = False
    num_retries: int = 0
    retry_backoff: float = DEFAULT_RETRY_BACKOFF
    timeout: float | None = None
    abort_on_error: bool = False
    overrides: Mapping[str, object] = field(default_factory=dict)
    clean_dst_dir: bool = False
    confirmed: bool = False
    dry_run: bool = False
    grace: float = DEFAULT_GRACE
    start_method: str = AUTO
    #: Modules that the fork server imports as well.
    preload: tuple[str, ...] = ()
    log_level: str = "INFO"
    #: None for an experiment that is a function.
    notebook: NotebookRequest | None = None
    #: The command as typed, for the run's record.
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(
            isinstance(self.num_threads, int) and self.num_threads >= 1, "num_threads", self.num_threads, "1 or more"
        )
        _require(
            isinstance(self.num_retries, int) and self.num_retries >= 0, "num_retries", self.num_retries, "0 or more"
        )
        _require(_is_number(self.retry_backoff, 0), "retry_backoff", self.retry_backoff, "a number from 0")
        _require(_is_number(self.grace, 0), "grace", self.grace, "a number of seconds from 0")
        above_zero = self.timeout is None or (_is_number(self.timeout, 0) and self.timeout > 0)
        _require(above_zero, "timeout", self.timeout, "a number of seconds above 0")
        known = (*START_METHODS, FOREGROUND)
        _require(self.start_method in known, "start_method", self.start_method, f"one of {', '.join(START_METHODS)}")
        if self.preload and self.start_method == COLD:
            raise UsageError(
                f"--preload {','.join(self.preload)!r} is for warm starts, and --start_method is 'cold'. Leave one out."
            )
        for module in self.preload:
            is_name = all(part.isidentifier() for part in module.split("."))
            _require(is_name, "preload", module, "the name of a module, such as torch")
        _require(self.log_level in LOG_LEVELS, "log_level", self.log_level, f"one of {', '.join(LOG_LEVELS)}")


def width_of(given: int | str) -> int:
    """How many run at a time: a number, "serial" for one, -1 for as many as there are cores. Raises UsageError."""
    if given == "serial":
        return 1
    if given in (-1, "-1"):
        return num_cores()
    number = int(given) if isinstance(given, str) and given.isdecimal() else given
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise UsageError(f"--num_threads {given!r} is no number of threads. Give 1 or more, 'serial', or -1.")
    return number


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise UsageError(f"--{name} {value!r} can't be used. Give {wanted}.")


def _is_number(value: object, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf
