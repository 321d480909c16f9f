"""The folder of a kernel's sockets: made by the minder before the experiment, removed after all of it has ended."""

from __future__ import annotations

import os
import shutil
import tempfile

from configmill.config.hashing import sha256_hex
from configmill.processes import is_running, start_time

_PREFIX = "configmill-"
#: What is left of the 107 for the folder's own name, and jupyter's for a socket.
_MAX_BYTES_ABOVE = 45


def make_socket_dir() -> str:
    """A folder of this attempt's own for its kernel's sockets; their paths may have 107 bytes at most (unix(7)).

    Those of minders that were killed go: nobody else was left to remove them.
    """
    above = tempfile.gettempdir()
    if len(os.fsencode(above)) > _MAX_BYTES_ABOVE:
        above = "/tmp"
    _remove_left_behind(above)
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{_host()}-{os.getpid()}-{start_time(os.getpid())}-", dir=above)


def remove_socket_dir(path: str) -> None:
    """Remove the folder, once the kernel has ended."""
    shutil.rmtree(path, ignore_errors=True)  # litter in a temporary folder is no reason to fail


def _remove_left_behind(above: str) -> None:
    prefix = f"{_PREFIX}{_host()}-"
    for name in os.listdir(above):
        pid, _, rest = name.removeprefix(prefix).partition("-")
        started = rest.partition("-")[0]
        if name.startswith(prefix) and pid.isdigit() and started.isdigit() and not is_running(int(pid), int(started)):
            remove_socket_dir(os.path.join(above, name))


def _host() -> str:
    """A name of this host, short enough: another host or container that shares the folder has other processes."""
    return sha256_hex(os.uname().nodename)[:6]
