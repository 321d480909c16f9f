"""A pseudo-terminal with a command in it, and what stands on its screen."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[=>78]")


class Terminal:
    """A terminal of 50 lines by 300 columns; `printed` is everything that came so far, without escape codes.

    with Terminal(argv, cwd, env) as terminal:
        terminal.wait_for("y/N")
        terminal.type("y")
        assert terminal.end() == 0
    """

    def __init__(self, argv: list[str], cwd: Path, env: dict[str, str], *, stdout: int | None = None) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 300, 0, 0))
        environment = {**env, "TERM": "xterm", "LINES": "50", "COLUMNS": "300"}
        self.process = subprocess.Popen(
            argv, cwd=cwd, env=environment, stdin=slave, stdout=slave if stdout is None else stdout, stderr=slave,
            start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        self._raw = b""
        self._open = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    @property
    def raw(self) -> str:
        """Everything that came, escape codes included."""
        return self._raw.decode(errors="replace")

    @property
    def printed(self) -> str:
        """Everything that came, as text."""
        return _ESCAPES.sub("", self.raw).replace("\r", "")

    def wait_for(self, pattern: str, seconds: float = 10.0) -> re.Match[str]:
        """Read until the regular expression is in what was printed; fails the test where it doesn't come."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.printed)) is None:
            if not self._open or time.monotonic() > deadline:
                pytest.fail(f"{pattern!r} didn't come on the terminal, which ends so:\n{self.printed[-2000:]}")
            self._read(deadline)
        return found

    def type(self, line: str) -> None:
        """Type a line."""
        os.write(self._master, (line + "\n").encode())

    def end(self, seconds: float = 30.0) -> int:
        """Read to the end, and return the exit code."""
        deadline = time.monotonic() + seconds
        while self._open:
            if time.monotonic() > deadline:
                pytest.fail(f"it didn't end within {seconds:g} s; the terminal ends so:\n{self.printed[-2000:]}")
            self._read(deadline)
        return self.process.wait(timeout=seconds)

    def _read(self, deadline: float) -> None:
        ready, _, _ = select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))
        if not ready:
            return
        try:
            received = os.read(self._master, 65536)
        except OSError:  # EIO: nobody has the other end open any more
            received = b""
        self._raw += received
        self._open = bool(received)
