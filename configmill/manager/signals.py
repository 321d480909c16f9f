"""Ctrl-C, SIGTERM and SIGHUP as calls of a function, outside of the signal handler.

A handler runs between any two bytecodes of the main thread, which may hold the very lock that stopping needs. So the
handler only writes to a pipe, and a thread does the rest.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

from configmill.processes import close, close_in_forks, handle_here, handle_no_more

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalListener:
    """Calls `on_signal(signum)` for each signal while it is open; does nothing outside of the main thread.

    SIGINT is taken even where it was ignored (a shell does that to a job it starts with `&`); an ignored SIGHUP
    stays ignored (`nohup`).
    """

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        self._on_signal = on_signal
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        self._read_fd, self._write_fd = os.pipe()
        close_in_forks(self._write_fd)
        self._thread = threading.Thread(target=self._forward, name="configmill-signals", daemon=True)
        self._thread.start()
        for signum in SIGNALS:
            if signum == signal.SIGHUP and signal.getsignal(signum) == signal.SIG_IGN:
                continue
            self._previous[signum] = handle_here(signum, self._write)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._previous:
            return
        for signum, handler in self._previous.items():
            # None: it was not installed from Python, and can't be put back from here.
            handle_no_more(signum, handler if handler is not None else signal.SIG_DFL)
        close(self._write_fd)
        self._thread.join()
        os.close(self._read_fd)

    def _write(self, signum: int, frame: FrameType | None) -> None:
        os.write(self._write_fd, bytes([signum]))

    def _forward(self) -> None:
        while received := os.read(self._read_fd, 1):
            self._on_signal(received[0])
