"""What became of an attempt, as the parent reads it from the attempt's record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from configmill.protocol import status


@dataclass(frozen=True)
class Outcome:
    """The parts of a record (`attempts/<n>.json`) that decide what happens next."""

    attempt: int
    status: str
    failure_class: str | None
    error: str | None
    where: str | None
    seconds: float
    log: str
    unread_keys: tuple[str, ...] = ()
    code_hash: str | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the experiment's function returned and its result is saved."""
        return self.status in status.SUCCESSES

    @classmethod
    def from_record(cls, record: dict[str, Any], log: str) -> Outcome:
        """The outcome that a record tells of."""
        return cls(
            attempt=record["attempt"],
            status=record["status"],
            failure_class=record["failure_class"],
            error=record["error"],
            where=record["where"],
            seconds=record["seconds"] or 0.0,
            log=log,
            unread_keys=tuple(record.get("unread_keys") or ()),
            code_hash=record.get("code_hash"),
        )
