"""A fork of the runner that becomes its notebook's kernel, with what a kernel imports already imported.

    fork = fork_kernel()                                 # first thing in the runner, which has no thread yet
    fork.start(arguments, env=..., cwd=..., seconds=20)  # as a command line would; None once its sockets are bound
    fork.process                                         # as subprocess knows one
    fork.dismiss()                                       # it is not needed: another program is the kernel

It is the runner's child, as jupyter_client's kernels are: its exit code is known, and it dies with its runner.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import select
import signal
import socket
import sys
from importlib import import_module
from importlib.util import find_spec
from subprocess import TimeoutExpired
from types import SimpleNamespace
from typing import Any, NoReturn

from configmill.child import current
from configmill.processes import die_with_parent, exit_now, kill, signal_name

_READY = b"\n"
_PROGRAM = "ipykernel_launcher"
#: For the end of a fork that has closed its socket.
_END_SECONDS = 1.0
#: What a kernel imports as well as its runner: jupyter_client with zmq, and IPython, whose folder that one asks for.
_SHARED_MODULES = ("ipykernel", "IPython")
#: What a kernel imports when it starts. The fork does so while its runner imports what that one needs.
_KERNEL_MODULES = ("ipykernel.kernelapp", "ipykernel.debugger", "IPython.core.oinspect", "sqlite3")
#: Has the debugger that ipykernel imports say nothing of frozen modules, as the option in a kernel's command line does.
_SILENT_DEBUGGER = "PYDEVD_DISABLE_FILE_VALIDATION"


def fork_kernel() -> KernelFork | None:
    """A fork that is to be the kernel; None where what it needs can't be imported: one that starts cold will say why.

    Where the runner itself has started cold, what both need is imported here, once for the two.
    """
    gc.disable()  # of what is imported next to nothing is garbage
    try:
        for name in _SHARED_MODULES:
            import_module(name)
        gc.freeze()  # a collection in the fork would copy what it touches
        return KernelFork()
    except Exception:  # a broken package may raise whatever it likes
        return None
    finally:
        gc.enable()


class ForkedProcess:
    """A child of this process by fork, with as much of subprocess.Popen's ways as kernel managers use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.stdin = self.stdout = self.stderr = None
        self._descriptor = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """The exit code, below 0 a signal's number; None while it runs."""
        if self.returncode is None:
            self._reap(os.WNOHANG)
        return self.returncode

    def _reap(self, options: int) -> None:
        pid, status = os.waitpid(self.pid, options)
        if pid:
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._descriptor)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                assert timeout is not None
                raise TimeoutExpired([_PROGRAM], timeout)
            self._reap(0)  # it has ended; where somebody traces it (strace), it can be reaped a moment later
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, signum: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)


class KernelFork:
    """A fork that waits to be told that it is a kernel; made where there is no thread but this one."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        runner = os.getpid()
        pid = os.fork()
        if pid == 0:
            self._socket.close()
            _become_kernel(theirs, runner)
        theirs.close()
        self.process = ForkedProcess(pid)

    def start(self, arguments: list[str], *, env: dict[str, str], cwd: str | None, seconds: float) -> str | None:
        """Have it start as a program with these arguments would, in that environment and directory.

        None once its sockets are bound; why it can't be used, where they are not within that time.
        """
        message = json.dumps({"arguments": arguments, "env": env, "cwd": cwd})
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(message.encode())
            self._socket.shutdown(socket.SHUT_WR)
            if self._socket.recv(1) == _READY:
                self._socket.close()
                return None
        except TimeoutError:
            return f"was not ready within {seconds:g} s"
        except ConnectionError:  # it was dead before it was asked
            pass
        return f"ended before it was ready ({self._how_it_ended()})"

    def _how_it_ended(self) -> str:
        try:
            code = self.process.wait(_END_SECONDS)
        except TimeoutExpired:
            return "nobody saw how"
        return f"exit code {code}" if code >= 0 else signal_name(-code)

    def dismiss(self) -> None:
        """End it."""
        kill(self.process.pid)
        self.process.wait()
        self._socket.close()


def _become_kernel(orders: socket.socket, runner: int) -> NoReturn:
    """Wait for the orders, be a kernel, and end as any Python ends; never returns."""
    code = 1
    try:
        _leave_runner(orders, runner)
        variables = _import_all()
        given = _read_all(orders)
        if not given:
            os._exit(0)
        _take_place_of_program(json.loads(given))
        os.environ.update(variables)
        from ipykernel.kernelapp import IPKernelApp

        # It reads JPY_PARENT_PID when it is imported, which was before there was a parent.
        app = IPKernelApp.instance(parent_handle=runner)
        app.init_path = lambda: _look_in_working_directory(app)  # type: ignore[method-assign]
        with _OwnModules():
            app.initialize(sys.argv[1:])  # type: ignore[no-untyped-call]
        orders.sendall(_READY)
        orders.close()
        app.start()  # type: ignore[no-untyped-call]
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    exit_now(code)


def _leave_runner(orders: socket.socket, runner: int) -> None:
    """Keep nothing of the runner's but the log."""
    os.setsid()  # an interrupt goes to the kernel's group
    die_with_parent(runner)
    for name in os.listdir("/proc/self/fd"):
        descriptor = int(name)
        if descriptor not in (0, 1, 2, orders.fileno()) and not _is_device(name):
            try:
                os.close(descriptor)
            except OSError:  # the listing's own
                continue
    if current.inherited is not None:
        current.inherited.generators.renew()


def _import_all() -> dict[str, str]:
    """Import what a kernel needs (a fork of the fork server's has it all); the variables that this has set."""
    before = dict(os.environ)
    os.environ[_SILENT_DEBUGGER] = "1"
    gc.disable()
    for name in _KERNEL_MODULES:
        import_module(name)
    gc.freeze()
    gc.enable()
    return {name: value for name, value in os.environ.items() if name not in before and name != _SILENT_DEBUGGER}


def _is_device(descriptor: str) -> bool:
    """Whether it leads to /dev/null or the like: an imported module has opened it, and may well use it."""
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}").startswith("/dev/")
    except FileNotFoundError:  # the listing's own
        return False


def _take_place_of_program(given: dict[str, Any]) -> None:
    """Have what a program that was just started has: arguments, environment, directory, path, an unused `logging`."""
    os.environ.clear()
    os.environ.update(given["env"])
    if given["cwd"] is not None:
        os.chdir(given["cwd"])
    launcher = find_spec(_PROGRAM)
    sys.argv = [_PROGRAM if launcher is None else str(launcher.origin), *given["arguments"]]
    if current.inherited is not None:
        sys.path[:] = current.inherited.pristine_path
    logging.root.handlers.clear()
    logging.root.setLevel(logging.WARNING)


def _look_in_working_directory(app: Any) -> None:
    """Have modules found in the working directory, after the standard library's: IPython's `init_path`.

    That one leaves it out in a process that was started with `-P`, as the fork server is; a kernel's command line has
    no such option.
    """
    if "" in sys.path or app.ignore_cwd or os.environ.get("PYTHONSAFEPATH"):
        return
    folders = (os.path.basename(entry) for entry in sys.path)
    installed = (index for index, folder in enumerate(folders) if folder in ("site-packages", "dist-packages"))
    sys.path.insert(next(installed, 0), "")


#: The files of the modules that a kernel imports when it starts, where what the notebook imports is there as well.
_own_files: list[str] = []


def note_own_modules() -> None:
    """What is imported now is what a kernel imports itself; the fork server goes on with what its notebooks import."""
    _own_files[:] = [file for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))]


class _OwnModules:
    """Within, ipykernel takes those modules alone for its own: the debugger steps over them, and not over torch.

    It would ask each module that there is for its file, and so copy the page of each: 1,300 of them, with matplotlib,
    take a fork 5 ms.
    """

    def __enter__(self) -> None:
        from ipykernel import ipkernel

        self._names = vars(ipkernel)
        if _own_files:
            self._names["sys"] = _SysOfKernel()

    def __exit__(self, *error: object) -> None:
        self._names["sys"] = sys


class _SysOfKernel:
    """`sys`, but for the modules."""

    def __init__(self) -> None:
        self.modules = {file: SimpleNamespace(__file__=file) for file in _own_files}

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def _read_all(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received
