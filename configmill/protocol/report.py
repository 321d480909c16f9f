"""What the experiment's process tells whoever minds it before it exits."""

from __future__ import annotations

from configmill.jsontext import dumps, loads

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any


class Report:
    """How the experiment ended, as it knows itself: `message` in one line, `where` the last frame in user code."""

    def __init__(
        self,
        status: str,
        *,
        failure_class: str | None = None,
        message: str | None = None,
        where: str | None = None,
        error: BaseException | None = None,
        unread_keys: list[str] | None = None,
        resumed_from: int | None = None,
        code_hash: str | None = None,
        code: dict[str, str] | None = None,
        cell_errors: list[dict[str, Any]] | None = None,
        peak_rss_bytes: int | None = None,
    ) -> None:
        self.status = status
        self.failure_class = failure_class
        self.message = message
        self.where = where
        #: The exception itself; stays in this process.
        self.error = error
        self.unread_keys = unread_keys or []
        self.resumed_from = resumed_from
        self.code_hash = code_hash
        #: The files of the project that went into the result, each with its token (measure/provenance.py).
        self.code = code
        #: The cells of a notebook that raised, as {"cell": 3, "error": "ValueError: bad"}.
        self.cell_errors = cell_errors or []
        #: The most memory that its ranks had together; None where it is one process, which whoever minds it can see.
        self.peak_rss_bytes = peak_rss_bytes

    def to_json(self) -> str:
        """As text that `from_json` reads, without the exception."""
        return dumps({name: value for name, value in vars(self).items() if name != "error"})

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """The report that `to_json` wrote."""
        return cls(**loads(text))
