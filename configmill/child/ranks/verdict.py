"""What became of an experiment of several ranks, from what each of them reported and how each ended. Pure.

    decide({0: End(report, at=3.2), 1: End(died, at=3.1)})  ->  Report("failed", message="rank 1: ...")

Where one rank fails, the others lose their connection to it: what they say of that is a consequence, and so is that
they were told to end. A rank that ran out of a device's memory wins over all, since that has a remedy.
"""

from __future__ import annotations

from configmill.protocol import status
from configmill.protocol.report import Report

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping

#: How the loss of another rank reads in an exception's class or message (gloo, NCCL, torch's store).
_LOST_ANOTHER = (
    "Connection closed by peer",
    "Connection reset by peer",
    "Broken pipe",
    "gloo/transport",
    "ncclRemoteError",
    "ncclSystemError",
    "remote process exited",
    "DistBackendError",
    "DistNetworkError",
    "DistStoreError",
)
_CAUSE, _CONSEQUENCE, _TOLD_TO_END = 2, 3, 4
#: For how long (s) the failure may be waited for that a lost connection is the consequence of.
CAUSE_SECONDS = 3.0
#: The config's key that says how many ranks there are: it has been read, if by no experiment.
_READ_BY_US = "num_processes"
#: Lower wins.
_PRECEDENCE = {status.OOM_GPU: 0, status.OOM_HOST: 1}


class End:
    """How a rank ended: what it reported, or what is known of its death; `at` is on the host's monotonic clock (s)."""

    def __init__(self, report: Report, at: float, *, is_reported: bool = False) -> None:
        self.report = report
        self.at = at
        #: Whether the rank said so itself.
        self.is_reported = is_reported

    @property
    def precedence(self) -> int:
        """How much it counts beside the other ranks' failures: the lower, the more."""
        report = self.report
        if report.status == status.INTERRUPTED:
            return _TOLD_TO_END
        if report.failure_class in _PRECEDENCE:
            return _PRECEDENCE[report.failure_class]
        lost_another = any(phrase in (report.message or "") for phrase in _LOST_ANOTHER)
        return _CONSEQUENCE if lost_another else _CAUSE

    @property
    def is_cause(self) -> bool:
        """Whether no other rank's end can be why it failed."""
        return self.precedence <= _CAUSE

    @property
    def is_consequence(self) -> bool:
        """Whether it failed of the loss of another rank."""
        return self.precedence == _CONSEQUENCE


def failed(ends: Mapping[int, End]) -> dict[int, End]:
    """Those that did not succeed."""
    return {rank: end for rank, end in ends.items() if end.report.status not in status.SUCCESSES}


def decide(ends: Mapping[int, End]) -> Report:
    """The report of them all: there is one of each rank, or one that failed."""
    failures = failed(ends)
    if not failures:
        return _success([ends[rank].report for rank in sorted(ends)])
    rank, end = min(failures.items(), key=lambda item: (item[1].precedence, item[1].at, item[0]))
    report = end.report
    report.message = f"rank {rank}: {report.message}"
    report.peak_rss_bytes = _together(ends)
    return report


def _success(reports: list[Report]) -> Report:
    """Rank 0's, with what only all of them know: a key that one of them has read was read."""
    first = reports[0]
    unread = [key for key in first.unread_keys if all(key in report.unread_keys for report in reports)]
    first.unread_keys = [key for key in unread if key != _READ_BY_US]
    for report in reports[1:]:
        first.code = {**(report.code or {}), **(first.code or {})}
    first.peak_rss_bytes = sum(report.peak_rss_bytes or 0 for report in reports)
    return first


def _together(ends: Mapping[int, End]) -> int | None:
    known = [end.report.peak_rss_bytes for end in ends.values() if end.report.peak_rss_bytes]
    return sum(known) if known else None
