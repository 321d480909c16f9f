"""Cold start: a new Python process, which becomes the attempt's minder and forks the experiment.

    with ColdLauncher(lock_fd, width=2, owns_process=True) as launcher:
        minder = launcher.start(attempt, limits)
        minder.wait()                      # nothing of the attempt is left; its record is written

No shell is involved, nothing runs between fork and exec (`preexec_fn` can deadlock where there are threads), and the
minder gets a session of its own, so that a Ctrl-C in the terminal reaches the manager alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from configmill.launch.native_threads import native_thread_limits
from configmill.processes import (
    become_subreaper,
    children_of,
    close,
    close_in_forks,
    kill,
    processes_with_environment,
    reap,
    signal_name,
)
from configmill.protocol.attempt import Attempt
from configmill.protocol.orders import NotebookOrders, Orders

_PACKAGE_PARENT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The child imports the very Configmill that the manager runs, installed or not, without leaving a trace on sys.path.
_PROGRAM = (
    f"import sys; sys.path.insert(0, {_PACKAGE_PARENT!r}); import configmill; sys.path.pop(0); "
    "from configmill.minder import main; main()"
)


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


class Minder:
    """A started minder, seen from the manager."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._told = False

    @property
    def pid(self) -> int:
        """The minder's process id; the leader of its session."""
        return self._process.pid

    def wait(self) -> None:
        """Wait for the minder's end. Whether it left a record is another question."""
        self._process.wait()

    @property
    def end(self) -> str:
        """How the minder's process ended, in words."""
        code = self._process.returncode
        return signal_name(-code) if code is not None and code < 0 else f"exit code {code}"

    def terminate(self) -> None:
        """Have the attempt end: once with the grace, a second time at once."""
        # Another signal, since two of one kind that are not handled yet are one.
        self._process.send_signal(signal.SIGUSR1 if self._told else signal.SIGTERM)
        self._told = True


class ColdLauncher:
    """Starts minders, and ends what is left below this process when a minder is killed.

    `lock_fd` is the dst_dir's lock, which each minder holds on to; `width` attempts run at a time. `owns_process` says
    that this process is the manager and nothing else, so that every child that isn't a minder is an orphan of one;
    where it isn't (a user's script that calls `configmill.run`), orphans are told by their environment.
    """

    def __init__(self, lock_fd: int, *, width: int, owns_process: bool) -> None:
        self._lock_fd = lock_fd
        self._thread_limits = native_thread_limits(width, os.environ)
        self._owns_process = owns_process
        # Held while a minder is born: until it is registered it would pass for an orphan.
        self._guard = threading.Lock()
        self._sweep = threading.Lock()
        self._minders: set[int] = set()

    def __enter__(self) -> Self:
        self._lifeline_read, self._lifeline_write = os.pipe()
        close_in_forks(self._lifeline_write)
        self._foreign = set(children_of(os.getpid()))
        _subreaping.begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        close(self._lifeline_write)
        os.close(self._lifeline_read)
        _subreaping.end()

    def start(self, attempt: Attempt, limits: Limits) -> Minder:
        """Start the attempt, whose directory exists. Raises OSError where no process can be had."""
        orders = Orders(
            **vars(limits),
            start_method="cold",
            lock_fd=self._lock_fd,
            lifeline_fd=self._lifeline_read,
            search_path=[entry for entry in sys.path if entry],
        )
        optimisation = ["-" + "O" * sys.flags.optimize] if sys.flags.optimize else []
        # -P: neither the current directory nor anything else gets onto sys.path behind the stub's back.
        command = [sys.executable, "-P", *optimisation, "-c", _PROGRAM, orders.to_json()]
        with open(attempt.dir.log(attempt.number), "ab") as log, self._guard:
            process = subprocess.Popen(
                command,
                env={**os.environ, **self._thread_limits, **attempt.to_env()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=attempt.project_dir,
                pass_fds=(self._lock_fd, self._lifeline_read),
                start_new_session=True,
            )
            self._minders.add(process.pid)
        return Minder(process)

    def end_orphans(self, minder: Minder, attempt: Attempt, experiment_pid: int | None) -> None:
        """End what a killed minder left behind: it has fallen to this subreaper, or is about to."""
        # One sweep at a time: two minders killed at once leave orphans that both would wait for.
        with self._sweep:
            while orphans := self._orphans(attempt, experiment_pid):
                for pid in orphans:
                    kill(pid)
                for pid in orphans:
                    # Once it is reaped, its own children have fallen to this process, and the next look finds them.
                    reap(pid)
        self.forget(minder)

    def forget(self, minder: Minder) -> None:
        """The minder has ended and has been waited for: its pid may become another process's."""
        with self._guard:
            self._minders.discard(minder.pid)

    def _orphans(self, attempt: Attempt, experiment_pid: int | None) -> list[int]:
        with self._guard:
            adopted = set(children_of(os.getpid())) - self._minders - self._foreign
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
