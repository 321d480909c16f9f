"""A fork server that is started before it is known what is to run, and imports what any notebook needs meanwhile.

with ServerAhead(project_dir, room=32768) as ahead:
request = ...                             # a quarter of a second, in which the notebook is read and checked
run(request, ahead=ahead)                 # takes it over; otherwise it ends here
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from configmill.launch.warm import ForkServer
from configmill.processes import close, close_in_forks


def make_lifeline() -> tuple[int, int]:
    """A pipe that is open for as long as this process is the manager: read end and write end."""
    read, write = os.pipe()
    close_in_forks(write)
    return read, write


class ServerAhead:
    """The server and its lifeline, until somebody takes them over. Raises OSError where no process can be had."""

    def __init__(self, project_dir: str, *, room: int) -> None:
        self._lifeline = make_lifeline()
        self._is_ours = True
        try:
            self._server = ForkServer(project_dir, self._lifeline[0], room=room, for_notebooks=True)
        except OSError:
            self._close_lifeline()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._is_ours:
            self._server.close()
            self._close_lifeline()

    def hand_over(self) -> tuple[ForkServer, int, int]:
        """The server, which waits for its orders, and the ends of the lifeline: from now on the caller's to close."""
        self._is_ours = False
        return self._server, *self._lifeline

    def _close_lifeline(self) -> None:
        read, write = self._lifeline
        close(write)
        os.close(read)
