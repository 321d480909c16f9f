"""How attempts are started in a run: by the fork server while it can be trusted, else cold.

with Launcher(width=2, owns_process=True) as launcher:
    launcher.begin(lock_fd, say=print)
    launcher.warm_up(orders, mark)     # not called where all starts are to be cold
    launcher.wait_until_ready()
    minder = launcher.start(attempt, limits)
    minder.wait()                      # nothing of the attempt is left; its record is written
    launcher.forget(minder)
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from configmill.launch.ahead import ServerAhead, make_lifeline
from configmill.launch.cold import start_cold
from configmill.launch.minders import Limits, Minder, Minders
from configmill.launch.native_threads import native_thread_limits
from configmill.launch.warm import ForkServer, ServerLostError, WarmMinder, ready_seconds, room_for
from configmill.processes import close
from configmill.protocol.attempt import Attempt
from configmill.protocol.fork_server import ServerOrders
from configmill.protocol.orders import Orders
from configmill.protocol.start_method import COLD, WARM

#: A server that was lost once may have been unlucky; one that is lost again will be lost each time.
_MAX_RESTARTS = 1
#: After so many seconds of imports a user wants to know what is going on.
_PATIENCE = 5.0


class Launcher:
    """Starts minders, and ends what is left below this process when a minder is killed.

    `width` attempts run at a time, each for `timeout` seconds at most. `owns_process` says that this process is the
    manager and nothing else (see Minders).
    """

    def __init__(
        self, *, width: int, owns_process: bool, timeout: float | None = None, ahead: ServerAhead | None = None
    ) -> None:
        self.width = width
        self._timeout = timeout
        self._thread_limits = native_thread_limits(width, os.environ)
        self._minders = Minders(owns_process=owns_process)
        #: One thread at a time starts the server, or replaces it.
        self._turn = threading.RLock()
        self._server: ForkServer | None = None
        self._ahead = ahead
        #: A server that has begun, and waits for orders.
        self._begun: ForkServer | None = None
        self._new_server: Callable[[], ForkServer] | None = None
        self._is_ready = False
        self._dst_dir = ""
        self._restarts = 0
        self._stopping = False
        self._lock_fd = -1
        self._say: Callable[[str], None] = lambda text: None

    def __enter__(self) -> Self:
        if self._ahead is None:
            self._lifeline_read, self._lifeline_write = make_lifeline()
        else:
            self._begun, self._lifeline_read, self._lifeline_write = self._ahead.hand_over()
        self._minders.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._drop_server()
        if self._begun is not None:
            self._begun.close()
        close(self._lifeline_write)
        os.close(self._lifeline_read)
        self._minders.__exit__(kind, error, at)

    def begin(self, lock_fd: int, say: Callable[[str], None]) -> None:
        """Each minder will hold on to the dst_dir's lock `lock_fd`; `say` is told why a start is not warm."""
        self._lock_fd = lock_fd
        self._say = say

    def warm_up(self, orders: ServerOrders, mark: Attempt) -> None:
        """Start the fork server, which begins with its imports, unless it has begun before.

        `mark` is an attempt of this campaign, any one. A server that can't be started is no error.
        """
        orders.environment = dict(self._thread_limits)
        self._new_server = lambda: self._instructed(orders, room_for(mark))
        self._dst_dir = mark.dst_dir
        with self._turn:
            self._start_server()

    @property
    def is_warm(self) -> bool:
        """Whether there is a fork server to wait for or to ask."""
        return self._server is not None

    def wait_until_ready(self) -> str | None:
        """Wait for the server's imports; why all starts are cold where it can't be used, None where it can.

        Returns early where `stop` is called meanwhile.
        """
        with self._turn:
            if self._server is None or self._is_ready:
                return None
            if not self._server.is_ready_within(_PATIENCE):
                self._say(
                    f"the imports take longer than {_PATIENCE:g} s; experiments start as soon as they are over, or "
                    f"cold after {ready_seconds(self._timeout):g} s"
                )
            unsafe = self._server.wait_until_ready(ready_seconds(self._timeout))
            self._is_ready = unsafe is None
            if unsafe is not None and self._server.was_killed and not self._stopping and self._restarts < _MAX_RESTARTS:
                self._replace_server(unsafe.removeprefix("the fork server "))
                return None if self._is_ready else unsafe
            if unsafe is not None:
                self._drop_server()
                if not self._stopping:
                    self._say(f"experiments start cold, since they can't be forks: {unsafe}")
            return unsafe

    def stop(self) -> None:
        """Nothing new will be started: nobody need wait for imports, or for a server that hangs."""
        self._stopping = True
        server = self._server
        if server is not None:
            server.kill()

    def start(self, attempt: Attempt, limits: Limits) -> Minder:
        """Start the attempt, whose directory exists. Raises OSError where no process can be had."""
        self.wait_until_ready()
        minder = self._start_warm(attempt, limits)
        if minder is not None:
            return minder
        with self._minders.birth():
            cold = start_cold(attempt, self._orders(limits, COLD), self._thread_limits)
            self._minders.add(cold.pid)
        return cold

    def _start_warm(self, attempt: Attempt, limits: Limits) -> Minder | None:
        """None where there is no server any more."""
        while (server := self._server) is not None:
            try:
                # A server that dies leaves its minders to this process.
                with self._minders.birth():
                    minder = server.fork(attempt, self._orders(limits, WARM))
                    self._minders.add(minder.pid)
                return minder
            except ServerLostError as error:
                with self._turn:
                    if self._server is server:  # nobody else has found out before
                        self._replace_server(str(error))
        return None

    def _replace_server(self, why: str) -> None:
        self._drop_server()
        if self._stopping:  # what is under way to be started is told to end at once
            return
        if self._restarts >= _MAX_RESTARTS:
            self._say(f"the fork server {why} again: what is left starts cold")
            return
        self._restarts += 1
        self._say(f"the fork server {why}: it is started again")
        self._start_server()
        self.wait_until_ready()

    def _start_server(self) -> None:
        assert self._new_server is not None
        self._is_ready = False
        try:
            with self._minders.birth():
                self._server = self._new_server()
                self._minders.add(self._server.pid)
        except OSError as error:
            self._say(f"experiments start cold, since no fork server could be started: {error}")

    def _instructed(self, orders: ServerOrders, room: int) -> ForkServer:
        server, self._begun = self._begun, None
        if server is not None and not server.suits(orders, room):
            server.close()
            server = None
        if server is None:
            server = ForkServer(orders.project_dir, self._lifeline_read, room=room)
        try:
            server.instruct(orders)
        except OSError:
            server.close()
            raise
        return server

    def _drop_server(self) -> None:
        with self._turn:
            if self._server is not None:
                self._server.close()
                self._minders.forget(self._server.pid)
                self._server = None
                if not self._is_ready:
                    self._minders.end_left_by_imports(self._dst_dir)

    def _orders(self, limits: Limits, start_method: str) -> Orders:
        return Orders(
            **vars(limits),
            start_method=start_method,
            native_threads=next((int(number) for number in self._thread_limits.values()), None),
            lock_fd=self._lock_fd,
            lifeline_fd=self._lifeline_read,
            search_path=[entry for entry in sys.path if entry],
        )

    def end_orphans(self, minder: Minder, attempt: Attempt, experiment_pid: int | None) -> None:
        """End what a killed minder left behind."""
        self._minders.end_orphans(minder.pid, attempt, experiment_pid)

    def forget(self, minder: Minder) -> None:
        """The minder has ended and has been waited for, and nobody asks any more how."""
        self._minders.forget(minder.pid)
        if isinstance(minder, WarmMinder):
            minder.close()
