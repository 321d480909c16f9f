"""What a manager at work waits for: `waiting.json`, a view for `configmill explain` and for other programs.

    write_waiting(campaign, [Waiting(3, "2 GPUs", "waits for 2 free devices", behind=(1, 2))])    # the manager
    read_waiting(campaign)     # None: no manager is at work
    remove_waiting(campaign)   # the manager, at its end

A killed manager leaves its view behind; what is older than the manager at work is not shown.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from configmill.files import read_json_of_experiment, remove_if_there, write_json
from configmill.protocol.layout import CampaignDir
from configmill.protocol.timestamps import timestamp
from configmill.store.lock import is_in_use, read_holder


@dataclass(frozen=True)
class Waiting:
    """An experiment that waits: what it asks for, why it can't start yet, and the indices that go before it."""

    index: int
    asks: str
    why: str
    behind: tuple[int, ...] = ()
    #: Seconds since the epoch; None where nobody can tell.
    expected_start: float | None = None


def write_waiting(campaign: CampaignDir, entries: Iterable[Waiting]) -> None:
    """Replace the view, in one step. Only the manager that holds the campaign's lock may."""
    waiting = [
        {
            "index": entry.index,
            "asks": entry.asks,
            "why": entry.why,
            "behind": list(entry.behind),
            "expected_start": None if entry.expected_start is None else timestamp(entry.expected_start),
        }
        for entry in entries
    ]
    write_json(campaign.waiting, {"updated": timestamp(time.time()), "waiting": waiting})


def remove_waiting(campaign: CampaignDir) -> None:
    """The manager is at its end."""
    remove_if_there(campaign.waiting)


def read_waiting(campaign: CampaignDir) -> list[Waiting] | None:
    """What waits, in the order of the view; None where no manager is at work. Nothing that is older than it counts."""
    holder = read_holder(campaign)
    if holder is None or not is_in_use(campaign) or not holder.alive:
        return None
    view = read_json_of_experiment(campaign.waiting) or {}
    updated, entries = view.get("updated"), view.get("waiting")
    if not isinstance(updated, str) or updated < holder.since or not isinstance(entries, list):
        return []
    parsed = (_parse(entry) for entry in entries)
    return [entry for entry in parsed if entry is not None]


def _parse(entry: Any) -> Waiting | None:
    """An entry of the view; None for what this version doesn't know how to read."""
    try:
        expected = entry["expected_start"]
        return Waiting(
            index=int(entry["index"]),
            asks=str(entry["asks"]),
            why=str(entry["why"]),
            behind=tuple(int(index) for index in entry["behind"]),
            expected_start=None if expected is None else datetime.fromisoformat(expected).timestamp(),
        )
    except (KeyError, TypeError, ValueError):
        return None
