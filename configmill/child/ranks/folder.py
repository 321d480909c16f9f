"""`attempts/<n>.ranks/`: what the ranks of an attempt leave. It is kept.

RanksFolder(attempt.dir.ranks(2)).report(1)  ->  ".../attempts/2.ranks/1.json"
"""

from __future__ import annotations

import os

from configmill.files import write_atomic

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from configmill.protocol.attempt import Attempt


class RanksFolder:
    """Names of files; all but `create` only name."""

    def __init__(self, path: str) -> None:
        self.path = path
        #: What the ranks are told besides their environment.
        self.orders = os.path.join(path, "orders.json")
        #: accelerate's own configuration, in place of the user's.
        self.accelerate = os.path.join(path, "accelerate.yaml")
        #: torch's own folder for the launch.
        self.elastic = os.path.join(path, "elastic")
        #: What the launcher's process says of its end.
        self.launcher = os.path.join(path, "launcher.json")
        #: What rank 0 returned.
        self.result = os.path.join(path, "result.json")

    def create(self) -> None:
        """Make the folder."""
        os.makedirs(self.path, exist_ok=True)

    def pid(self, rank: int) -> str:
        """A rank's process id, from its first moment on."""
        return os.path.join(self.path, f"{rank}.pid")

    def report(self, rank: int) -> str:
        """How a rank ended, as it knows itself."""
        return os.path.join(self.path, f"{rank}.json")

    def error(self, rank: int) -> str:
        """The traceback of a rank that failed."""
        return os.path.join(self.path, f"{rank}.error.txt")


def keep_result(folder: RanksFolder, attempt: Attempt) -> None:
    """Make what rank 0 returned the experiment's result."""
    with open(folder.result, "rb") as file:
        write_atomic(attempt.dir.result, file.read())
