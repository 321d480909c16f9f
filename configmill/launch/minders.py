"""The minders of a run as the manager sees them, and the end of what a killed one leaves behind.

This process is a child subreaper while a run lasts: what a dead minder leaves, and minders whose fork server has died,
fall to it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from configmill.processes import become_subreaper, children_of, kill, processes_with_environment, reap
from configmill.protocol.attempt import DST_DIR, Attempt
from configmill.protocol.energy import EnergyOrders
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
    #: The locks of what it runs on, which its minder holds.
    lease_fds: list[int] = field(default_factory=list)
    #: What it asked for and was given, for its record.
    resources: dict[str, Any] = field(default_factory=dict)
    #: In which config's place it runs, for its record.
    derived_from: str | None = None
    #: What starts it as several processes, and how many; None for a single process.
    launcher: str | None = None
    num_processes: int = 1
    #: How its energy is to be measured; None where the command says nothing about it.
    energy: EnergyOrders | None = None


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
        self._changed = threading.Condition()
        self._births = 0
        self._sweep = threading.Lock()
        self._pids: set[int] = set()

    def __enter__(self) -> Self:
        self._foreign = set(children_of(os.getpid()))
        _subreaping.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _subreaping.end()

    @contextmanager
    def birth(self) -> Iterator[None]:
        """To be open while a process is started: until it is added it would pass for an orphan."""
        with self._changed:
            self._births += 1
        try:
            yield
        finally:
            with self._changed:
                self._births -= 1
                self._changed.notify_all()

    def add(self, pid: int) -> None:
        """Count `pid` as one of ours; in `birth`."""
        with self._changed:
            self._pids.add(pid)

    def forget(self, pid: int) -> None:
        """The process has ended and has been waited for: its pid may become another process's."""
        with self._changed:
            self._pids.discard(pid)

    def end_orphans(self, pid: int, attempt: Attempt, experiment_pid: int | None) -> None:
        """End what the killed minder `pid` left behind: it has fallen to this subreaper, or is about to."""
        self._end_all(lambda: self._orphans(attempt.marks(), experiment_pid))
        self.forget(pid)

    def end_left_by_imports(self, dst_dir: str) -> None:
        """End what a fork server has started that is gone before its imports were over."""
        self._end_all(lambda: self._orphans({DST_DIR: dst_dir}, None))

    def _end_all(self, orphans_now: Callable[[], list[int]]) -> None:
        # One sweep at a time: two minders killed at once leave orphans that both would wait for.
        with self._sweep:
            while orphans := orphans_now():
                for orphan in orphans:
                    kill(orphan)
                for orphan in orphans:
                    # Once it is reaped, its own children have fallen to this process, and the next look finds them.
                    reap(orphan)

    def _orphans(self, variables: Mapping[str, str], experiment_pid: int | None) -> list[int]:
        with self._changed:
            self._changed.wait_for(lambda: self._births == 0)
            adopted = set(children_of(os.getpid())) - self._pids - self._foreign
        if not self._owns_process:
            marked = processes_with_environment(f"{name}={value}" for name, value in variables.items())
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
