"""What the file of a lock says: who took it, and for which attempts, each with the process that minds it.

The lock alone says whether it is held. The record outlives it, so that whoever takes the lock next can look whether
anything of the former holder still runs.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from configmill.processes import is_running, start_time


@dataclass(frozen=True)
class Process:
    """A process for good: `started` in clock ticks since boot tells it from a later one of the same pid."""

    pid: int
    started: int | None

    @classmethod
    def of(cls, pid: int) -> Process:
        """The process that has that pid now."""
        return cls(pid, start_time(pid))

    @property
    def runs(self) -> bool:
        """Whether it still runs."""
        return is_running(self.pid, self.started)


@dataclass(frozen=True)
class Holder:
    """An attempt that uses what is leased; `minder` None: not started yet, or it was never told."""

    dst_dir: str
    experiment: str
    attempt: int
    minder: Process | None = None


@dataclass(frozen=True)
class Record:
    """Who took a lock. `since` in seconds since the epoch; `baseline_bytes`: memory in use when it was taken."""

    what: str
    manager: Process
    since: float
    user: int
    #: Pids say something only within the same boot and the same pid namespace (a container has its own).
    boot: str
    pid_namespace: str
    baseline_bytes: int | None = None
    holders: tuple[Holder, ...] = ()

    @classmethod
    def new(cls, what: str, since: float, baseline_bytes: int | None = None) -> Record:
        """The record of this process."""
        me = Process.of(os.getpid())
        return cls(what, me, since, os.getuid(), boot_id(), pid_namespace(), baseline_bytes)

    @property
    def pids_are_ours(self) -> bool:
        """Whether its pids mean something to this process."""
        return self.boot == boot_id() and self.pid_namespace == pid_namespace()

    def describe(self) -> str:
        """Who holds it, in words."""
        where = "" if self.pids_are_ours else " in another container"
        who = f"the manager with pid {self.manager.pid}{where} (uid {self.user})"
        if not self.holders:
            return who
        return f"{who} for " + ", ".join(f"{h.experiment} in {h.dst_dir!r}" for h in self.holders)

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Record | None:
        """The record in a lock's file; None where there is none, or what anybody else wrote."""
        try:
            return _record(json.loads(text))
        except (ValueError, TypeError, KeyError):
            return None


def read_record(descriptor: int) -> Record | None:
    """The record in an open file; None where it is empty, or is being written."""
    size = os.fstat(descriptor).st_size
    return Record.from_json(os.pread(descriptor, min(size, 1 << 20), 0).decode("utf-8", "replace")) if size else None


def write_record(descriptor: int, record: Record | None) -> None:
    """Replace what the file says; None empties it. Only the lock's holder may."""
    raw = b"" if record is None else record.to_json().encode("utf-8", "surrogateescape")
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, raw, 0)


def _record(given: dict[str, Any]) -> Record:
    holders = tuple(Holder(**{**one, "minder": _process(one["minder"])}) for one in given["holders"])
    manager = _process(given["manager"])
    if manager is None:
        raise ValueError("no manager")
    return Record(**{**given, "manager": manager, "holders": holders})


def _process(given: dict[str, Any] | None) -> Process | None:
    return None if given is None else Process(int(given["pid"]), given["started"])


@cache
def boot_id() -> str:
    """Which boot of the host this is; "" where it isn't told."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def pid_namespace() -> str:
    """Which namespace this process's pids are of; "" where it isn't told."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""
