"""What a minder is told besides the attempt: limits, descriptors, and facts that belong into the record."""

from __future__ import annotations

import json


class Orders:
    """Passed as one JSON argument. Durations are seconds; descriptors are inherited ones."""

    def __init__(
        self,
        *,
        run: str,
        timeout: float | None,
        grace: float,
        log_level: str,
        queued_seconds: float,
        start_method: str,
        lock_fd: int,
        lifeline_fd: int,
        search_path: list[str],
    ) -> None:
        self.run = run
        self.timeout = timeout
        self.grace = grace
        self.log_level = log_level
        self.queued_seconds = queued_seconds
        self.start_method = start_method
        #: Holds the dst_dir's lock for as long as the minder lives, the manager's death included.
        self.lock_fd = lock_fd
        #: The read end of a pipe whose only writer is the manager: its end is the manager's.
        self.lifeline_fd = lifeline_fd
        #: The manager's sys.path: what it could import, the experiment can.
        self.search_path = search_path

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """The orders that `to_json` wrote."""
        return cls(**json.loads(text))
