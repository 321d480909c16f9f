"""The fork server's process: import everything, say so, then fork a minder for each request until the manager is gone.

    python -P -c "... from configmill.forkserver.server import main; main()" '<start as JSON>'   (see launch/warm.py)

One thread, one loop. It dies with the manager, whatever it is doing; its minders don't, and report on their own pipes.
"""

from __future__ import annotations

import array
import fcntl
import gc
import os
import resource  # noqa: F401 - wait4 imports it, in each minder if not here
import select
import signal
import socket
import sys

from configmill.child import current
from configmill.child.experiment_process import prepare_modules, prepare_streams
from configmill.child.inheritance import Inheritance
from configmill.forkserver.finalizers import leave_to_the_system
from configmill.forkserver.mark import Mark
from configmill.forkserver.memory import gather_in_large_pages
from configmill.forkserver.preload import UnsafeError, prepare
from configmill.forkserver.safety import Surroundings
from configmill.minder import Minder
from configmill.processes import become_subreaper, end_all_children, signal_name
from configmill.protocol import attempt as protocol_attempt
from configmill.protocol.attempt import DST_DIR
from configmill.protocol.fork_server import MAX_MESSAGE, ForkRequest, Ready, ServerOrders, ServerStart

TYPE_CHECKING = False  # what the server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from typing import NoReturn

#: The attempt's log, its pulse, the dst_dir's lock, and the locks of devices: as many as the kernel passes at once.
_MAX_DESCRIPTORS = 253
#: From so many on, gathering the memory takes less time than it saves.
_MANY_FORKS = 20
#: Of what the imports printed, so much goes into each attempt's log.
_MAX_SAID = 65536


def main() -> None:
    """Serve as the one argument says."""
    start = ServerStart.from_json(sys.argv[1])
    environment = dict(os.environ)
    _reset_signals()
    _die_with_manager(start.lifeline_fd)
    for descriptor in (start.socket_fd, start.lifeline_fd):
        os.set_inheritable(descriptor, False)  # of what imports may start
    manager = socket.socket(fileno=start.socket_fd)
    mark, pristine_path = Mark(), list(sys.path)
    prepare_streams()
    _expect_processes()
    if start.orders is not None:  # this process begins again, and what it started before is left
        end_all_children()
    asked = _Asked(manager, start)
    try:
        inherited = prepare(asked.orders, Surroundings(), pristine_path, for_notebooks=start.for_notebooks)
    except UnsafeError as error:
        # What the imports have started is not ended here: a thread that keeps up a pool of processes would start as
        # many again. Without this process there is no such thread, and its children fall to the manager.
        if error.max_leading is not None and error.max_leading != asked.orders().max_leading:
            _begin_again(start, asked.orders(), error, environment)
        manager.send(Ready(unsafe=str(error)).to_bytes())
        os._exit(0)
    _expect_no_processes()
    current.inherited = inherited
    server = Server(manager, start.lifeline_fd, mark, inherited, _said())
    # What is there now is never collected: a collection in a fork would touch, and so copy, all of it.
    gc.collect(1)
    gc.freeze()
    leave_to_the_system()
    if asked.orders().num_forks >= _MANY_FORKS:
        gather_in_large_pages()
    manager.send(Ready().to_bytes())
    server.serve()


class _Asked:
    """What the manager asks for, once it knows."""

    def __init__(self, manager: socket.socket, start: ServerStart) -> None:
        self._manager = manager
        self._given = start.orders
        self._orders: ServerOrders | None = None

    def orders(self) -> ServerOrders:
        """The orders, from the first time on that they are asked for in force; ends where there never are any."""
        if self._orders is None:
            message = b"" if self._given is not None else self._manager.recv(MAX_MESSAGE)
            if self._given is None and not message:
                os._exit(0)
            orders = ServerOrders.from_json(message.decode()) if self._given is None else ServerOrders(**self._given)
            os.environ.update(orders.environment)
            prepare_modules(orders.target, orders.search_path, orders.log_level)
            _mark_processes(orders.dst_dir)
            self._orders = orders
        return self._orders


def _begin_again(start: ServerStart, orders: ServerOrders, error: UnsafeError, environment: dict[str, str]) -> NoReturn:
    """Be a new server that leaves to the kernels what did harm when it was imported ahead for them.

    That was meant to make them quicker, and nobody asked for it: it is no reason to start cold.
    """
    print(f"what the notebook imports is not imported ahead: {error}", file=sys.stderr)
    orders.max_leading = error.max_leading
    start.for_notebooks, start.orders = False, vars(orders)
    for descriptor in (start.socket_fd, start.lifeline_fd):
        os.set_inheritable(descriptor, True)
    os.execve(sys.executable, [*sys.orig_argv[:-1], start.to_json()], environment)


def _reset_signals() -> None:
    """Have signals as user code finds them in a cold start; what started the manager may block or ignore some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGUSR1, signal.SIGIO):
        signal.signal(signum, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _expect_processes() -> None:
    """Whatever process the imports start, a daemon too, is to be found: below this one, or by its environment."""
    protocol_attempt.is_fork_server = True
    become_subreaper()


def _mark_processes(dst_dir: str) -> None:
    # Past `os.environ`, in which user code would see it. Where this process and the manager are killed, the next
    # manager ends what carries it.
    os.putenv(DST_DIR, dst_dir)


def _expect_no_processes() -> None:
    """There are none (it was checked), and the minders' are theirs, or the manager's when they are killed."""
    os.unsetenv(DST_DIR)
    become_subreaper(False)


def _die_with_manager(lifeline_fd: int) -> None:
    """Have the kernel end this process when the manager's end of the lifeline closes, in the midst of an import too."""
    fcntl.fcntl(lifeline_fd, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline_fd, fcntl.F_SETFL, fcntl.fcntl(lifeline_fd, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline_fd, 0)
    if poll.poll(0):  # it was gone before
        os._exit(0)


def _said() -> bytes:
    """What the imports have printed: a cold start would have printed it into each attempt's log."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open("/proc/self/fd/1", "rb") as log:
        said = log.read(_MAX_SAID)
        return said if not log.read(1) else said + b"\n(What the imports printed beyond this is left out.)\n"


class Server:
    """Forks a minder for each request, and says at the end of each how it ended."""

    def __init__(
        self, manager: socket.socket, lifeline_fd: int, mark: Mark, inherited: Inheritance, said: bytes
    ) -> None:
        self._manager = manager
        self._lifeline_fd = lifeline_fd
        self._mark = mark
        self._inherited = inherited
        self._said = said
        #: The pulses of the minders that live, by their pids.
        self._pulses: dict[int, int] = {}

    def serve(self) -> None:
        """Returns, or rather ends, when the manager has no more requests."""
        self._wakeup = read_fd, write_fd = os.pipe()
        for descriptor in self._wakeup:
            os.set_blocking(descriptor, False)
        signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)
        poll = select.poll()
        poll.register(self._manager, select.POLLIN)
        poll.register(read_fd, select.POLLIN)
        while True:
            for descriptor, _ in poll.poll():
                if descriptor == read_fd:
                    os.read(read_fd, 4096)
                    self._reap()
                elif not self._take_request():
                    os._exit(0)

    def _take_request(self) -> bool:
        message, ancillary, _, _ = self._manager.recvmsg(MAX_MESSAGE, socket.CMSG_SPACE(_MAX_DESCRIPTORS * 4))
        if not message:
            return False
        descriptors = array.array("i")
        for _, _, data in ancillary:
            descriptors.frombytes(data)
        log_fd, pulse_fd, lock_fd, *lease_fds = descriptors
        try:
            pid = os.fork()
        except OSError as error:
            _write_if_read(pulse_fd, f"no process can be forked: {error.strerror}")
            os.close(pulse_fd)
        else:
            if pid == 0:
                self._become_minder(ForkRequest.from_bytes(message), log_fd, pulse_fd, lock_fd, lease_fds)
            self._pulses[pid] = pulse_fd
        for descriptor in (log_fd, lock_fd, *lease_fds):
            os.close(descriptor)
        return True

    def _become_minder(
        self, request: ForkRequest, log_fd: int, pulse_fd: int, lock_fd: int, lease_fds: list[int]
    ) -> None:
        """Mind the attempt in this fork; never returns."""
        code = 1
        try:
            os.setsid()
            os.dup2(log_fd, 1)
            os.dup2(log_fd, 2)
            signal.set_wakeup_fd(-1)
            for descriptor in (log_fd, self._manager.detach(), *self._wakeup, *self._pulses.values()):
                os.close(descriptor)
            os.write(1, self._said)
            self._take_environment(request)
            orders = request.orders
            orders.lock_fd, orders.lifeline_fd, orders.pulse_fd = lock_fd, self._lifeline_fd, pulse_fd
            orders.lease_fds = lease_fds
            Minder(request.attempt, orders).mind()
            code = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(code)

    def _take_environment(self, request: ForkRequest) -> None:
        """Have the environment that a cold start would have been given."""
        for name, value in self._inherited.environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        variables = request.attempt.to_env()
        os.environ.update(variables)
        self._mark.write(variables)

    def _reap(self) -> None:
        while self._pulses:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            pulse_fd = self._pulses.pop(pid)
            code = os.waitstatus_to_exitcode(status)
            _write_if_read(pulse_fd, signal_name(-code) if code < 0 else f"exit code {code}")
            os.close(pulse_fd)


def _write_if_read(pulse_fd: int, line: str) -> None:
    try:
        os.write(pulse_fd, f"{line}\n".encode())
    except BrokenPipeError:  # the manager has found a record, and asks no more
        return
