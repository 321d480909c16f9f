"""What the user asked for: the one description of a run that the command line and the Python API both fill in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_GRACE = 3.0
DEFAULT_RETRY_BACKOFF = 2.0


@dataclass(frozen=True)
class Selection:
    """Which configs of the list to work on; all where every field is None."""

    start: int | None = None
    indices: tuple[int, ...] | None = None
    #: As the user wrote it, for messages.
    text: str = ""


@dataclass(frozen=True)
class RunRequest:
    """One command. Directories are absolute, durations seconds, `num_threads` at least 1."""

    config_builder: str
    #: `module:function`, or `/path/to/script.py:function` for a function of a script.
    target: str
    dst_dir: str
    project_dir: str
    num_threads: int = 1
    selection: Selection = Selection()
    incremental: bool = True
    num_retries: int = 0
    retry_backoff: float = DEFAULT_RETRY_BACKOFF
    timeout: float | None = None
    abort_on_error: bool = False
    overrides: Mapping[str, object] = field(default_factory=dict)
    clean_dst_dir: bool = False
    confirmed: bool = False
    dry_run: bool = False
    grace: float = DEFAULT_GRACE
    start_method: str = "cold"
    log_level: str = "INFO"
    #: The command as typed, for the run's record.
    command: tuple[str, ...] = ()
