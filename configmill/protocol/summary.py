"""What came of a run: what the terminal prints, `--json` writes and `configmill.run` returns."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Failure:
    """An experiment that failed for good in this run."""

    index: int
    digest: str
    failure_class: str
    error: str
    where: str | None
    log: str
    attempts: int


@dataclass(frozen=True)
class CellErrors:
    """A notebook that ran to its end with errors; `error` names the cells."""

    index: int
    digest: str
    error: str


@dataclass(frozen=True)
class DeviceTime:
    """For how long (s) a device was handed out, and for how long it was there and wasn't."""

    busy_seconds: float
    idle_seconds: float


@dataclass(frozen=True)
class Parallelism:
    """What running side by side came to; for the formulas see `manager.efficiency.parallelism`."""

    #: How many times as fast as one at a time: for experiments of one device each, as on one device.
    speed_up: float
    #: The part of the places' time that was used, 0 to 1.
    efficiency: float
    #: How many devices, or where none was handed out threads.
    places: int
    #: The wall time in which any of them was held.
    seconds: float
    #: By id; empty where none was handed out.
    devices: dict[str, DeviceTime] = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """Counts are of configs in the list; `seconds` is the run's wall time."""

    run: str
    dst_dir: str
    total: int
    selected: int
    succeeded: int
    skipped: int
    failed: int
    interrupted: int
    #: Selected, but not started before the run ended (Ctrl-C, --abort_on_error).
    not_started: int
    seconds: float
    #: Of `succeeded`: those that ran to their end although some of their cells raised.
    succeeded_with_errors: tuple[CellErrors, ...] = ()
    #: Of `skipped`: those whose result another version of the code made.
    skipped_of_other_version: int = 0
    #: The files that changed since, by their paths within the project.
    changed_code: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    #: Keys that no successful experiment of this run read.
    unread_keys: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    #: None where one ran at a time, and no device was handed out.
    parallelism: Parallelism | None = None
    #: What another width would have made of it; None where that isn't worth a sentence.
    advice: str | None = None
    #: The signal that ended the run, None where it ran to its end.
    signal: int | None = None
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0 all succeeded or skipped, 1 some did not, 128 + signal where interrupted."""
        if self.signal is not None:
            return 128 + self.signal
        missed = self.failed or self.interrupted or self.not_started
        return 1 if missed and not self.dry_run else 0

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able values, with the exit code."""
        return {**asdict(self), "exit_code": self.exit_code}
