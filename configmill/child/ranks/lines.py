r"""A stream that puts its rank in front of each line: ranks share one log.

    PrefixedLines(1, "[rank 1] ").write(b"a\nb\n")      # "[rank 1] a" and "[rank 1] b"

It writes straight to the descriptor, as an experiment's streams do: what was printed before a SIGKILL is in the log.
What native code or a child process writes past it has no prefix.
"""

from __future__ import annotations

import io

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any


class PrefixedLines(io.FileIO):
    """A raw stream over an open descriptor, which stays open."""

    def __init__(self, descriptor: int, prefix: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._prefix = prefix.encode()
        self._at_start = True

    def write(self, data: Any, /) -> int:
        """Write all of `data` in one go, so that lines of several ranks don't mix; returns its length in bytes."""
        raw = bytes(data)
        if not raw:
            return 0
        body = raw[:-1].replace(b"\n", b"\n" + self._prefix) + raw[-1:]  # a last line end begins no line yet
        view = memoryview(self._prefix + body if self._at_start else body)
        self._at_start = raw.endswith(b"\n")
        while view:
            view = view[super().write(view) :]
        return len(raw)
