"""What must not be there when a process forks, since a fork would not have it, or would share it.

before = Surroundings()
import mine
before.harm_done()           # "the Python thread 'Thread-1 (poll)' is alive", or None
"""

from __future__ import annotations

import os
import signal
import sys

from configmill.forkserver.finalizers import Removals
from configmill.processes import children_of, signal_name

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from typing import Any

_DEVICES = "/dev/nvidia"
#: Descriptors that are as good in a fork as they were: nobody's position in them, nobody at the other end.
_HARMLESS = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")


class Surroundings:
    """What a process has around it before user code is imported: descriptors, signal handlers, children."""

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._descriptors = set(_descriptors())
        self._shared = _shared_mappings()
        self._handlers = _handlers()
        self._masks = _signal_masks()
        self._removals = Removals()
        self._forks = 0
        os.register_at_fork(before=self._count_fork)

    def _count_fork(self) -> None:
        self._forks += 1

    def harm_done(self) -> str | None:
        """Why a fork is not safe any more, in words that go on after "a fork is not safe: "; None where it is."""
        if self._forks:
            return "the process forked"
        return (
            self._device_in_use()
            or _python_thread()
            or self._child()
            or self._open_descriptor()
            or self._shared_memory()
            or self._signal_handler()
            or self._removals.harm_done()
        )

    def forked_here(self) -> None:
        """Forks of the server's own are no harm."""
        self._forks = 0

    def _device_in_use(self) -> str | None:
        for path in _descriptors().values():
            if path.startswith(_DEVICES):
                return f"{path} is open"
        return device_of(sys.modules.get("torch"))

    def _child(self) -> str | None:
        children = children_of(self._pid)
        return f"it has started a process ({_command_of(children[0])}), which still runs" if children else None

    def _open_descriptor(self) -> str | None:
        for descriptor, path in _descriptors().items():
            if descriptor not in self._descriptors and path not in _HARMLESS:
                return f"{path!r} is open, and all forks would share it"
        return None

    def _shared_memory(self) -> str | None:
        shared = _shared_mappings() - self._shared
        if not shared:
            return None
        return f"memory is there that all forks would share ({sorted(shared)[0]}: a multiprocessing.Lock, an mmap)"

    def _signal_handler(self) -> str | None:
        if any(signal.getitimer(signal.ITIMER_REAL)):
            return "a timer is set (signal.alarm)"
        now = _handlers()
        changed = [number for number, handler in self._handlers.items() if now[number] != handler]
        if changed:
            return f"a handler for {signal_name(changed[0])} is set"
        for (how, mask), before in zip(_signal_masks().items(), self._masks.values(), strict=True):
            if mask != before:
                return f"{signal_name((mask ^ before).bit_length())} is {how}"
        return None


def device_of(torch: Any) -> str | None:
    """Why torch's state is none to fork, None where it is one."""
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    return "CUDA is initialised" if is_initialized is not None and is_initialized() else None


def native_threads() -> int:
    """How many threads of native libraries are alive; after a fork, those of pools that know how to fork are not."""
    import _thread

    return len(os.listdir("/proc/self/task")) - 1 - _thread._count()


def _python_thread() -> str | None:
    import _thread

    threading = sys.modules.get("threading")  # which would make each fork dearer
    known = [] if threading is None else threading.enumerate()
    others = [thread for thread in known if thread is not threading.main_thread()]  # type: ignore[union-attr]
    if others:
        return f"the Python thread {others[0].name!r} is alive"

    # One that was started without `threading` has no name.
    return "a Python thread is alive" if _thread._count() > 0 else None


def _descriptors() -> dict[int, str]:
    """What each open descriptor leads to; pipes and sockets by the kernel's names for them."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # the listing's own
            continue
    return found


def _shared_mappings() -> set[str]:
    """What writable memory is shared with forks, and is no file that anybody else could open."""
    found = set()
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            addresses, rights, _, _, _, *name = line.split(maxsplit=5)
            path = name[0].strip() if name else ""
            if rights.startswith("rw-s") and (path.endswith("(deleted)") or path.startswith("/dev/shm/") or not path):
                found.add(path or f"at {addresses}")
    return found


def _handlers() -> dict[int, Any]:
    return {number: signal.getsignal(number) for number in signal.valid_signals() if number in set(signal.Signals)}


def _signal_masks() -> dict[str, int]:
    """The signals that are blocked, ignored or handled, by native code too, as bits from 1 on (proc(5))."""
    with open("/proc/self/status", encoding="ascii", errors="replace") as file:
        fields = dict(line.split(":", 1) for line in file)
    names = {"SigBlk": "blocked or not", "SigIgn": "ignored or not", "SigCgt": "handled by native code"}
    # The C library keeps two for itself, and begins to handle them with the first thread.
    usable = sum(1 << number - 1 for number in signal.valid_signals())
    return {how: int(fields[name], 16) & usable for name, how in names.items()}


def _command_of(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        words = []
    return os.fsdecode(b" ".join(words[:3])).strip() or f"process {pid}"
