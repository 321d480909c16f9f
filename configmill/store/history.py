"""How long experiments have run before and what memory they took, for predicting both.

    history = History(CampaignDir("/data/out"))
    history.of_config("3f2a…")     # [61.0, 64.0]: seconds of its runs that succeeded, oldest first
    history.of_target              # the same of the campaign's two latest successes, whichever config they are of

Only runs that succeeded count: a failure says how long it took to fail.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from configmill.files import read_json_of_experiment
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.store.experiments import last_attempt

#: A prediction looks at no more.
_RECENT = 2


class History:
    """What the files of one campaign, which belongs to one target, tell of run times (s)."""

    def __init__(self, campaign: CampaignDir) -> None:
        self._campaign = campaign

    def of_config(self, digest: str) -> list[float]:
        """Seconds of the config's latest runs that succeeded, oldest first."""
        if digest not in self._known:
            return []
        directory = self._campaign.experiment(digest)
        found: list[float] = []
        for attempt in range(last_attempt(directory), 0, -1):
            seconds = _seconds_of(directory, attempt)
            if seconds is not None:
                found.append(seconds)
            if len(found) == _RECENT:
                break
        return found[::-1]

    def memory_of_config(self, digest: str) -> int | None:
        """Bytes of the host's memory that its latest runs took at most, however they ended; None where it never ran."""
        if digest not in self._known:
            return None
        directory = self._campaign.experiment(digest)
        last = last_attempt(directory)
        found = (_memory_of(directory, attempt) for attempt in range(last, max(0, last - _RECENT), -1))
        return max((taken for taken in found if taken is not None), default=None)

    @cached_property
    def memory_of_target(self) -> int | None:
        """The same of the campaign's latest successes."""
        found = (self.memory_of_config(digest) for digest in self._latest)
        return max((taken for taken in found if taken is not None), default=None)

    @cached_property
    def of_target(self) -> list[float]:
        """Seconds of the campaign's latest successes, oldest first."""
        runs = (self.of_config(digest) for digest in self._latest)
        return [seconds[-1] for seconds in runs if seconds]

    def latest_records(self, most: int, digests: Iterable[str] | None = None) -> list[dict[str, Any]]:
        """The records of the latest successes, `most` at most; of `digests` alone where they are given."""
        among = self._known if digests is None else self._known.intersection(digests)
        records = []
        for _, digest in heapq.nlargest(most, _successes(self._folder, among)):
            directory = self._campaign.experiment(digest)
            record = read_json_of_experiment(directory.record(last_attempt(directory))) or {}
            if record.get("status") in status.SUCCESSES:
                records.append(record)
        return records

    @cached_property
    def _latest(self) -> list[str]:
        """The digests of the latest successes, oldest first."""
        found = heapq.nlargest(_RECENT, _successes(self._folder, self._known))
        return [digest for _, digest in reversed(found)]

    @cached_property
    def _known(self) -> frozenset[str]:
        """The digests of all that ever began: of thousands that never ran, nobody need look for the files."""
        try:
            return frozenset(os.listdir(self._folder))
        except FileNotFoundError:
            return frozenset()

    @property
    def _folder(self) -> str:
        return os.path.dirname(self._campaign.experiment("_").path)


def _successes(folder: str, digests: Iterable[str]) -> Iterator[tuple[float, str]]:
    """When each experiment succeeded, and its digest."""
    for digest in digests:
        try:
            yield os.stat(ExperimentDir(os.path.join(folder, digest)).success).st_mtime, digest
        except (FileNotFoundError, NotADirectoryError):
            continue


def _memory_of(directory: ExperimentDir, attempt: int) -> int | None:
    """What the attempt's processes had of the host's memory beside what they shared with the fork server."""
    record = read_json_of_experiment(directory.record(attempt)) or {}
    peak, baseline = record.get("peak_rss_bytes"), record.get("baseline_rss_bytes")
    return max(0, peak - baseline) if isinstance(peak, int) and isinstance(baseline, int) else None


def _seconds_of(directory: ExperimentDir, attempt: int) -> float | None:
    """How long the attempt ran, None where it did not succeed."""
    record = read_json_of_experiment(directory.record(attempt)) or {}
    seconds = record.get("seconds")
    succeeded = record.get("status") in status.SUCCESSES
    return float(seconds) if succeeded and isinstance(seconds, int | float) else None
