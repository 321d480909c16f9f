"""What can go wrong in a notebook, as values and exceptions of its runner."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CellFailure:
    """What a cell raised; `cell` is its number, from 1."""

    cell: int
    failure_class: str
    message: str
    where: str | None


class CellFailed(Exception):
    """A cell raised, or ran too long."""

    def __init__(self, failure: CellFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class KernelDied(Exception):
    """The kernel is gone; the message says how it ended."""
