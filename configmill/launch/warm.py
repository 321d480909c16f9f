"""Warm start: a minder forked by the fork server, for the manager's side of it.

    server = ForkServer(project_dir, lifeline_fd, room=room_for(attempt))
    server.instruct(orders)
    unsafe = server.wait_until_ready(60.0)      # None, or why it can't be used
    minder = server.fork(attempt, orders)       # raises ServerLostError where the server is dead or hangs
    server.end()

The server isn't trusted to be alive: each minder has a pipe of its own to the manager (the pulse), so that one that was
forked is known even where the server is gone, and one that was not is known as well.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import threading
import time

from configmill.child.python import start_python
from configmill.processes import children_of, kill, signal_name
from configmill.protocol.attempt import Attempt
from configmill.protocol.fork_server import MAX_MESSAGE, RESERVED, ForkRequest, Ready, ServerOrders, ServerStart
from configmill.protocol.orders import Orders

#: For the imports. Those that take longer hang, or are no worse off cold.
READY_SECONDS = 600.0
#: However short experiments are to be: several imports at once may take longer than one of them.
_MIN_READY_SECONDS = 60.0
#: For a fork: milliseconds usually, a tenth of a second for a large server on a loaded machine.
FORK_SECONDS = 10.0
#: For what a minder that was killed died of, which the server says when it has reaped it.
_END_SECONDS = 2.0
#: How often a minder is asked for that ends before it has said so.
_TRIES = 2
_CLOSED = -1  # socket.fileno()
#: Room for the index, the attempt's number and the devices in the place where a fork says whose attempt it is.
_ROOM = 8192


def ready_seconds(timeout: float | None) -> float:
    """For how long to wait for the imports where each experiment may run for `timeout` seconds, its own included."""
    return READY_SECONDS if timeout is None else min(READY_SECONDS, max(_MIN_READY_SECONDS, 2 * timeout))


class ServerLostError(Exception):
    """The server was killed, or hangs and was killed for it; nothing of what was asked for was forked."""


class _Pulse:
    """The manager's end of a minder's pipe: lines, the first of which is the minder's pid."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._received = b""

    def read_line(self, seconds: float | None) -> str:
        """One line without its end; empty where the other end is closed, or `seconds` are over."""
        until = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        while b"\n" not in self._received:
            left = None if until is None else max(0.0, until - time.monotonic()) * 1000
            if not poll.poll(left):
                return ""
            received = os.read(self._descriptor, 256)
            if not received:
                return ""
            self._received += received
        line, _, self._received = self._received.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        """Nothing more is read."""
        os.close(self._descriptor)


class WarmMinder:
    """A minder that is the fork server's child, or after that one's death this process's."""

    def __init__(self, pid: int, pulse: _Pulse) -> None:
        self.pid = pid
        self._pulse = pulse
        #: Names the very process, whatever becomes of its pid; None once it is gone.
        self._process = _open_process(pid)
        self._guard = threading.Lock()
        self._told = False

    def wait(self) -> None:
        """Wait for the minder's end."""
        if self._process is not None:
            poll = select.poll()
            poll.register(self._process, select.POLLIN)
            poll.poll()

    @property
    def end(self) -> str:
        """How the minder's process ended, in words."""
        if self._process is None:
            return "nobody saw how"
        said = _reap(self._process) or self._pulse.read_line(_END_SECONDS)
        until = time.monotonic() + _END_SECONDS
        # The server is dead as well: its children fall to this process a moment after its descriptors are closed.
        while not said and time.monotonic() < until:
            time.sleep(0.01)
            said = _reap(self._process)
        return said or "nobody saw how"

    def close(self) -> None:
        """Let go of what is left; `end` is known no more."""
        with self._guard:  # a number that is free again may become another process's
            if self._process is not None:
                _reap(self._process)
                os.close(self._process)
                self._process = None
        self._pulse.close()

    def terminate(self) -> None:
        """Have the attempt end: once with the grace, a second time at once."""
        with self._guard:
            if self._process is not None:
                try:
                    signal.pidfd_send_signal(self._process, signal.SIGUSR1 if self._told else signal.SIGTERM)
                    signal.pidfd_send_signal(self._process, signal.SIGCONT)  # in case somebody has stopped it
                except ProcessLookupError:  # it has ended, and the server has reaped it
                    return
                self._told = True


def _open_process(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:  # it was killed as soon as it had spoken
        return None


def _reap(process: int) -> str:
    """Reap a process that has fallen to this one; how it ended, empty where it is the server's."""
    try:
        ended = os.waitid(os.P_PIDFD, process, os.WEXITED)
    except ChildProcessError:
        return ""
    if ended is None or ended.si_code == os.CLD_EXITED:
        return f"exit code {0 if ended is None else ended.si_status}"
    return signal_name(ended.si_status)


class ForkServer:
    """A started server; several threads may ask it to fork."""

    def __init__(self, project_dir: str, lifeline_fd: int, *, room: int, for_notebooks: bool = False) -> None:
        """Start it. Raises OSError.

        `room`: bytes for what is shown of each fork. `for_notebooks`: it imports what any of them needs at once.
        """
        self._project_dir = project_dir
        self._room = room
        self._for_notebooks = for_notebooks
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # What the imports print goes into each attempt's log, by way of a file that nobody sees.
        with theirs, tempfile.TemporaryFile() as log:
            start = ServerStart(socket_fd=theirs.fileno(), lifeline_fd=lifeline_fd, for_notebooks=for_notebooks)
            self._process: subprocess.Popen[bytes] = start_python(
                "configmill.forkserver.server",
                start.to_json(),
                env={**os.environ, RESERVED: "x" * room},
                cwd=project_dir,
                output=log,
                descriptors=(theirs.fileno(), lifeline_fd),
            )
        #: The minders that were forked: its other children have not got so far.
        self._minders: set[int] = set()

    def suits(self, orders: ServerOrders, room: int) -> bool:
        """Whether it can be given these orders, though it was started before they were known."""
        begun = orders.forks_kernels or not self._for_notebooks
        return begun and orders.project_dir == self._project_dir and room <= self._room

    def instruct(self, orders: ServerOrders) -> None:
        """Tell it what it is for, once. Raises OSError where that can't be sent."""
        try:
            self._socket.send(orders.to_json().encode())
        except ConnectionError:  # it has ended, and `wait_until_ready` says how
            return

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def is_ready_within(self, seconds: float) -> bool:
        """Whether `wait_until_ready` would return at once, at the latest after so long."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    @property
    def was_killed(self) -> bool:
        """Whether somebody, the OOM killer perhaps, has killed it."""
        return self._process.poll() == -signal.SIGKILL

    def wait_until_ready(self, seconds: float) -> str | None:
        """Wait for the imports, `seconds` at most; why the server can't be used, None where it can."""
        process = _open_process(self.pid)
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        if process is not None:  # a process that its imports have forked may hold its end of the socket open
            poll.register(process, select.POLLIN)
        try:
            if not poll.poll(seconds * 1000):
                return f"the imports took longer than {seconds:g} s"
            self._socket.settimeout(0.0)
            message = self._socket.recv(MAX_MESSAGE)
        except OSError:
            message = b""
        finally:
            if process is not None:
                os.close(process)
        if not message:
            return f"the fork server ended while it was importing ({self._how_it_ended()})"
        try:
            return Ready.from_bytes(message).unsafe
        except ValueError:  # user code may change anything in its process
            return f"the fork server's answer can't be read ({message[:40]!r})"

    def fork(self, attempt: Attempt, orders: Orders) -> WarmMinder:
        """Have the attempt, whose directory exists, minded by a fork.

        Raises OSError where no process can be had, ServerLostError where the server is lost.
        """
        request = ForkRequest(attempt, orders)
        for _ in range(_TRIES):
            ours, theirs = os.pipe()
            pulse = _Pulse(ours)
            try:
                self._ask(request, theirs)
                line = pulse.read_line(FORK_SECONDS) or self._last_chance(pulse)
            except BaseException:
                pulse.close()
                raise
            if line.isdigit():
                self._minders.add(int(line))
                return WarmMinder(int(line), pulse)
            # Nothing of the attempt has begun: a minder says who it is before it forks the experiment.
            pulse.close()
        raise OSError(line)

    def _ask(self, request: ForkRequest, pulse: int) -> None:
        attempt = request.attempt
        try:
            log = os.open(attempt.dir.log(attempt.number), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                self._socket.settimeout(FORK_SECONDS)
                socket.send_fds(
                    self._socket, [request.to_bytes()], [log, pulse, request.orders.lock_fd, *request.orders.lease_fds]
                )
            finally:
                os.close(log)
        except (ConnectionError, TimeoutError):
            raise ServerLostError(self._give_up()) from None
        except OSError:
            if self._socket.fileno() == _CLOSED:  # another thread has found out that the server is lost
                raise ServerLostError(self._give_up()) from None
            raise
        finally:
            os.close(pulse)

    def _last_chance(self, pulse: _Pulse) -> str:
        """The server is dead or hangs: make sure, and see whether it has forked before. Raises ServerLostError."""
        below = set(children_of(self.pid)) - self._minders
        why = self._give_up()
        line = pulse.read_line(1.0)
        if not line:
            for pid in below:  # forked, but stuck before it could say so
                kill(pid)
            line = pulse.read_line(None)
        if not line:
            raise ServerLostError(why)
        return line

    def _give_up(self) -> str:
        """End the server, which is of no use any more; how it had ended, in words."""
        if self._process.poll() is None:
            # A killed process closes its socket a moment before it can be waited for.
            self._socket.settimeout(0.0)
            try:
                hangs = self._socket.recv(1, socket.MSG_PEEK) != b""
            except BlockingIOError:
                hangs = True
            except OSError:
                hangs = False
            if hangs:
                self.end()
                return f"did not answer for {FORK_SECONDS:g} s"
        return f"ended ({self._how_it_ended()})"

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(5.0)
        except subprocess.TimeoutExpired:
            self.end()
            return "it closed its socket"
        return signal_name(-code) if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """Send the server SIGKILL; what it has forked goes on."""
        self._process.kill()

    def end(self) -> None:
        """End the server."""
        self.kill()
        self._process.wait()

    def close(self) -> None:
        """End the server, and let go of it."""
        self.end()
        self._socket.close()


def room_for(attempt: Attempt) -> int:
    """The bytes that are enough for what is shown of any attempt of the same command."""
    return sum(len(os.fsencode(f"{name}={value}")) + 1 for name, value in attempt.to_env().items()) + _ROOM
