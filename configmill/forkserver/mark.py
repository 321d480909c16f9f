"""Whose attempt a fork is, for whoever looks into `/proc/<pid>/environ`: its variables are written into a place there.

    mark = Mark()                 # in the server: finds the place that the manager has reserved
    mark.write(attempt.to_env())  # in a fork

The kernel shows the memory in which a process found its environment when it started; variables that are set later are
kept elsewhere. A manager that ends what a dead one left behind knows processes by that memory alone.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping

from configmill.protocol.fork_server import RESERVED

#: Fields of /proc/<pid>/stat after the name in parentheses: proc(5) counts env_start as 50, the state as 3.
_ENV_START = 50 - 3


class Mark:
    """A place in this process's initial environment that nobody else uses."""

    def __init__(self) -> None:
        with open("/proc/self/environ", "rb") as file:
            environment = file.read()
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b") ")[2].split()
        prefix = RESERVED.encode() + b"="
        offset = environment.find(b"\0" + prefix) + 1
        if offset == 0 and not environment.startswith(prefix):
            raise LookupError(f"{RESERVED} is not in the environment that this process was started with")
        self._address = int(fields[_ENV_START]) + offset
        self._size = environment.index(b"\0", offset) - offset
        os.environ.pop(RESERVED, None)  # from here on nobody reads that memory but the kernel

    def write(self, variables: Mapping[str, str]) -> None:
        """Show `variables` in place of what was there; what there is no room for is cut off."""
        text = b"".join(os.fsencode(f"{name}={value}") + b"\0" for name, value in variables.items())
        ctypes.memmove(self._address, text.ljust(self._size, b"\0")[: self._size], self._size)
