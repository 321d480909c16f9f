"""What the operating system knows about processes: who descends from whom, and how to end all of them.

A process that is a *child subreaper* inherits every orphan among its descendants, so that "everything below me" stays
well defined even when a descendant daemonises (double fork, session of its own). `killpg` misses such a process.

Linux is the platform (`prctl(2)`, `/proc`). Elsewhere `become_subreaper` and `die_with_parent` answer False and a
process group is all that can be ended.
"""

from __future__ import annotations

import _io
import atexit
import os
import sys
from _thread import get_ident

from configmill.signals import signal

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType
    from typing import Any, NoReturn

ON_LINUX = sys.platform.startswith("linux")
_STANDARD_DESCRIPTORS = 3
_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper(on: bool = True) -> bool:
    """Make orphaned descendants children of this process (prctl(2), PR_SET_CHILD_SUBREAPER); False where unknown."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, int(on))


def die_with_parent(parent: int) -> bool:
    """Have the kernel SIGKILL this process when `parent` dies; a parent that is dead already ends it at once.

    The signal comes at the death of the *thread* that forked (prctl(2)): only a single-threaded parent may be used.
    """
    if not _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        return False
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return True


_prctl_address: int | None = None


def _prctl(option: int, argument: int) -> bool:
    if not ON_LINUX:
        return False
    # What `ctypes` is made of: that one's types take a cold start 1 ms, and here are only ints.
    from _ctypes import call_function, dlopen, dlsym

    global _prctl_address
    if _prctl_address is None:  # kept, since a fork server's forks all need it
        _prctl_address = dlsym(dlopen(None, os.RTLD_NOW), "prctl")  # type: ignore[arg-type]  # None: the program itself
    if call_function(_prctl_address, (option, argument, 0, 0, 0)) != 0:
        raise OSError(f"prctl({option}, {argument}) failed")
    return True


class _NotForForks:
    """Descriptors and signal handlers of this process that its forks must not inherit: user code forks as it likes.

    A descriptor would be held open while others wait for its end; a handler would do here what is meant there.
    """

    def __init__(self) -> None:
        self.descriptors: set[int] = set()
        self.handlers: dict[int, Callable[[int, FrameType | None], None]] = {}
        #: By thread, the signals that were blocked before its fork.
        self._blocked_before: dict[int, Iterable[int]] = {}
        self._registered = False

    def register(self) -> None:
        if not self._registered:
            self._registered = True
            os.register_at_fork(before=self._before, after_in_parent=self._let_signals, after_in_child=self._in_child)

    def _before(self) -> None:
        # A signal that reaches a fork before Python is ready in it (a pool's terminate(), say) would be forgotten, and
        # the pool wait for ever: Python clears what is pending then, and there is a handler to inherit.
        self._blocked_before[get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, self.handlers.keys())

    def _let_signals(self) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked_before.pop(get_ident()))

    def _in_child(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        for signum, handler in self.handlers.items():
            if signal.getsignal(signum) == handler:  # user code may have set its own
                signal.signal(signum, signal.SIG_DFL)
        self.descriptors.clear()
        self.handlers.clear()
        self._let_signals()


_not_for_forks = _NotForForks()


def close_in_forks(descriptor: int) -> None:
    """Have forks of this process close `descriptor`; `close` closes it here."""
    _not_for_forks.register()
    _not_for_forks.descriptors.add(descriptor)


def close(descriptor: int) -> None:
    """Close a descriptor that was given to `close_in_forks`; nothing where this is such a fork."""
    if descriptor in _not_for_forks.descriptors:
        _not_for_forks.descriptors.discard(descriptor)
        os.close(descriptor)


def handle_here(signum: int, handler: Callable[[int, FrameType | None], None]) -> Any:
    """Install a signal handler in this process and in no fork of it; returns the one before. Main thread only."""
    _not_for_forks.register()
    _not_for_forks.handlers[signum] = handler
    return signal.signal(signum, handler)


def handle_no_more(signum: int, handler: Any) -> None:
    """Put another handler, or SIG_DFL or SIG_IGN, in the place of one that `handle_here` installed."""
    _not_for_forks.handlers.pop(signum, None)
    signal.signal(signum, handler)


def num_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def descendants(root: int) -> list[int]:
    """The pids of all processes below `root`, parents before children, zombies included."""
    children: dict[int, list[int]] = {}
    for pid in _all_pids():
        stat = _stat_fields(pid)
        if stat is not None:
            children.setdefault(int(stat[1]), []).append(pid)
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def children_of(parent: int) -> list[int]:
    """The pids of the direct children of `parent`, zombies included."""
    return [pid for pid in _all_pids() if (stat := _stat_fields(pid)) is not None and int(stat[1]) == parent]


def processes_with_environment(entries: Iterable[str]) -> list[int]:
    """The pids of other processes that were started with every one of `entries` ("NAME=value") in their environment."""
    wanted = {entry.encode("utf-8", "surrogateescape") for entry in entries}
    return [pid for pid in _all_pids() if pid != os.getpid() and wanted <= set(_read_proc(pid, "environ").split(b"\0"))]


def environment_of(pid: int) -> dict[str, str]:
    """What `pid` was started with, as NAME: value; {} where it is gone or somebody else's."""
    entries = _read_proc(pid, "environ").decode("utf-8", "surrogateescape").split("\0")
    return {name: value for name, equals, value in (entry.partition("=") for entry in entries) if equals}


def command_line_of(pid: int) -> list[str]:
    """The arguments that `pid`, or what it is a fork of, was started with; [] where it is gone."""
    return _read_proc(pid, "cmdline").decode("utf-8", "surrogateescape").split("\0")[:-1]


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks since boot: with the pid it names a process for good. None: it doesn't run."""
    stat = _stat_fields(pid)
    return None if stat is None or stat[0] == b"Z" else int(stat[19])


def is_running(pid: int, started: int | None) -> bool:
    """Whether `pid` runs and is still the process that started at `started` (see `start_time`)."""
    if not ON_LINUX:
        return _signal_reaches(pid)
    now = start_time(pid)
    return now is not None and (started is None or now == started)


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Send `signum` to `pid`, which may be gone already."""
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        return


def reap(pid: int) -> None:
    """Wait for the end of the child `pid`, which somebody else may have waited for."""
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        return


def signal_name(signum: int) -> str:
    """`SIGKILL` for 9; `signal 37` for one without a name."""
    try:
        import signal as with_names

        return with_names.Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def exit_now(code: int) -> NoReturn:
    """End this process: wait for its threads, run what is registered with atexit, flush, and go.

    As multiprocessing ends its forked children, and for the same reasons: tearing down every module takes milliseconds,
    and is where native libraries crash.
    """
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, *_files_left_open()):
        try:
            stream.flush()
            if stream not in (sys.stdout, sys.stderr):
                stream.close()  # a compressed file has an end to write
        except Exception:  # user code may have put anything there, or closed it
            continue
    os._exit(code)


def _files_left_open() -> list[Any]:
    """The files that user code has left open, in a global, say; what writes into another one comes first."""
    if ON_LINUX and len(os.listdir("/proc/self/fd")) <= _STANDARD_DESCRIPTORS + 1:  # one is the listing's own
        return []  # looking through all objects takes a millisecond of every attempt
    import gc

    left = [
        file
        for file in gc.get_objects()
        if issubclass(type(file), _io._IOBase) and not issubclass(type(file), _io._RawIOBase) and not file.closed
    ]
    return sorted(left, key=lambda file: (not isinstance(file, _io._TextIOBase), isinstance(file, _io.BufferedWriter)))


def end_all_children() -> tuple[float, int]:
    """SIGKILL everything below this subreaper and reap it, until nothing is left.

    Returns the CPU seconds and the largest resident set (bytes) of what was reaped.
    """
    cpu_seconds, peak_rss = 0.0, 0
    while True:
        try:
            pid, _, usage = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                # A process may fork between the look and the signal: look again after each one that ends.
                for descendant in descendants(os.getpid()):
                    kill(descendant)
                pid, _, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return cpu_seconds, peak_rss
        cpu_seconds += usage.ru_utime + usage.ru_stime
        peak_rss = max(peak_rss, usage.ru_maxrss * 1024)


def is_stopped(pid: int) -> bool:
    """Whether somebody has stopped the process (SIGSTOP, Ctrl-Z); False for one that can't be seen."""
    fields = _stat_fields(pid)
    return fields is not None and fields[0] in (b"T", b"t")


def _all_pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()] if ON_LINUX else []


def _stat_fields(pid: int) -> list[bytes] | None:
    """The fields of /proc/<pid>/stat from the state on (proc(5) counts that as field 3)."""
    stat = _read_proc(pid, "stat")
    # The name in parentheses may itself hold spaces and parentheses.
    return stat[stat.rindex(b")") + 2 :].split() if stat else None


def _read_proc(pid: int, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def _signal_reaches(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
