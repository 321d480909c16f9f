"""A fork that tries out what experiments will do in theirs, so that what can't work there is known before.

    reason = send_canary()        # "a fork of it hangs in numpy", or None

Native libraries keep pools of threads, which a fork doesn't have. Some make a new one, some wait for the old one for
ever. Single-threaded use is no proof, so the canary has every pool work that it can reach.
"""

from __future__ import annotations

import os
import select
import signal
import sys

from configmill.forkserver.safety import native_threads
from configmill.processes import signal_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: A fork that does nothing takes milliseconds; a loaded machine with a large parent takes seconds.
_SECONDS = 20.0
_FINE = 0


def send_canary() -> str | None:
    """Fork, let the fork try, and wait for it; returns what went wrong, None where nothing did."""
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_fd)
        _try_all(write_fd)
    os.close(write_fd)
    try:
        problem = _await(pid, read_fd)
    finally:
        os.close(read_fd)
    if problem is None and native_threads() > 0:
        # The pools that know how to fork (OpenBLAS's, for one) have ended their threads before it.
        problem = f"{native_threads()} thread(s) of a native library are alive (OpenMP's, say), which a fork would lack"
    return problem


def _await(pid: int, read_fd: int) -> str | None:
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        hangs = not poll.poll(_SECONDS * 1000)
    finally:
        os.close(descriptor)
    if hangs:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    at = os.read(read_fd, 4096).decode().rpartition("\n")[2] or "its start"
    if hangs:
        return f"a fork of it hangs in {at}"
    if code == _FINE:
        return None
    return f"a fork of it ends with {signal_name(-code) if code < 0 else f'exit code {code}'} in {at}"


def _try_all(write_fd: int) -> None:
    """Never returns. What is about to be tried is written first: a hang can't say where it is."""
    code = 1
    try:
        for name, attempt in (("threading", _try_threads), ("numpy", _try_numpy), ("torch", _try_torch)):
            os.write(write_fd, f"\n{name}".encode())
            attempt()
        code = _FINE
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def _try_threads() -> None:
    threading: Any = sys.modules.get("threading")
    if threading is not None:
        thread = threading.Thread(target=lambda: None)
        thread.start()
        thread.join()


def _try_numpy() -> None:
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and hasattr(numpy, "ones"):
        ones = numpy.ones((128, 128))
        ones @ ones  # large enough for BLAS to use its pool


def _try_torch() -> None:
    torch: Any = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "ones"):
        torch.ones(1 << 16).add_(1).sum().item()  # twice the size from which torch splits work among threads
