"""The folder of a kernel's sockets: made by the minder before the experiment, removed after all of it has ended."""

from __future__ import annotations

import os
import shutil
import tempfile


def make_socket_dir() -> str:
    """A folder of this attempt's own for its kernel's sockets; their paths may have 107 bytes at most (unix(7))."""
    above = tempfile.gettempdir()
    return tempfile.mkdtemp(prefix="configmill-", dir=above if len(os.fsencode(above)) <= 60 else "/tmp")


def remove_socket_dir(path: str) -> None:
    """Remove the folder, once the kernel has ended."""
    shutil.rmtree(path, ignore_errors=True)  # litter in a temporary folder is no reason to fail
