"""The minders of a run as the manager sees them, and the end of what a killed one leaves behind.

This process is a child subreaper while a run lasts: what a dead minder leaves, and minders whose fork server has died,
fall to it.
"""

from __future__ import annotations

import os
import threading
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from configmill.processes import become_subreaper, children_of, kill, processes_with_environment, reap
from configmill.protocol.attempt import Attempt
from configmill.protocol.orders import NotebookOrders


@dataclass(frozen=True)
class Limits:
    """What bounds an attempt (seconds), and what its record says of its start."""

    run: str
    timeout: float | None
    grace: float
    log_level: str
    queued_seconds: float
    #: How to run the target where it is a notebook.
    notebook: NotebookOrders | None = None


class Minder(Protocol):
    """A started minder, seen from the manager."""

    @property
    def pid(self) -> int:
        """The minder's process id; the leader of its session."""

    def wait(self) -> None:
        """Wait for the minder's end. Whether it left a record is another question."""

    @property
    def end(self) -> str:
        """How the minder's process ended, in words; after `wait`."""

    def terminate(self) -> None:
        """Have the attempt end: once with the grace, a second time at once."""


class Minders:
    """The processes of a run that are no orphans; `owns_process` says that every other child is one.

    Where it isn't so (a user's script that calls `configmill.run`), orphans are told by their environment.
    """

    def __init__(self, *, owns_process: bool) -> None:
        self._owns_process = owns_process
        self._guard = threading.Lock()
        self._sweep = threading.Lock()
        self._pids: set[int] = set()

    def __enter__(self) -> Self:
        self._foreign = set(children_of(os.getpid()))
        _subreaping.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _subreaping.end()

    def birth(self) -> AbstractContextManager[object]:
        """To be held while a process is started: until it is added it would pass for an orphan."""
        return self._guard

    def add(self, pid: int) -> None:
        """Count `pid` as one of ours; in `birth`."""
        self._pids.add(pid)

    def forget(self, pid: int) -> None:
        """The process has ended and has been waited for: its pid may become another process's."""
        with self._guard:
            self._pids.discard(pid)

    def end_orphans(self, pid: int, attempt: Attempt, experiment_pid: int | None) -> None:
        """End what the killed minder `pid` left behind: it has fallen to this subreaper, or is about to."""
        # One sweep at a time: two minders killed at once leave orphans that both would wait for.
        with self._sweep:
            while orphans := self._orphans(attempt, experiment_pid):
                for orphan in orphans:
                    kill(orphan)
                for orphan in orphans:
                    # Once it is reaped, its own children have fallen to this process, and the next look finds them.
                    reap(orphan)
        self.forget(pid)

    def _orphans(self, attempt: Attempt, experiment_pid: int | None) -> list[int]:
        with self._guard:
            adopted = set(children_of(os.getpid())) - self._pids - self._foreign
        if not self._owns_process:
            marked = processes_with_environment(f"{name}={value}" for name, value in attempt.to_env().items())
            adopted &= {*marked, experiment_pid}
        return sorted(adopted)


class _Subreaping:
    """Whether this process is a subreaper: for as long as any run in it lasts."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._runs = 0

    def begin(self) -> None:
        with self._guard:
            self._runs += 1
            become_subreaper()

    def end(self) -> None:
        with self._guard:
            self._runs -= 1
            if self._runs == 0:
                become_subreaper(False)


_subreaping = _Subreaping()
