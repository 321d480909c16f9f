"""One manager at a time: the lock of a dst_dir, and who holds it.

    with CampaignLock(CampaignDir("/data/out")) as lock:
        lock.descriptor      # minders inherit it, so that the lock outlives a killed manager for as long as they do

The lock is a flock of `.lock`; the text in it says who took it and is empty while nobody has it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Self

from configmill.errors import UsageError
from configmill.files import is_locked, try_lock
from configmill.processes import close, close_in_forks, is_running, start_time
from configmill.protocol.layout import CampaignDir
from configmill.protocol.timestamps import timestamp

#: How long to wait for the minders of a manager that is dead: they need the grace and little more.
MAX_WAIT_FOR_MINDERS = 10.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Holder:
    """Who holds a lock: `started` is the process's start in clock ticks since boot, which tells it from a namesake."""

    host: str
    pid: int
    started: int | None
    since: str
    command: str

    @property
    def alive(self) -> bool:
        """Whether it still runs; of another host nobody here knows, so it counts as alive."""
        return self.host != os.uname().nodename or is_running(self.pid, self.started)


class CampaignLock:
    """Held from `__enter__` to `__exit__`, and by whoever inherited the descriptor. Raises UsageError where taken."""

    def __init__(self, campaign: CampaignDir) -> None:
        self._campaign = campaign
        self.descriptor = -1
        #: Whether the manager before died without letting go.
        self.previous_died = False

    def __enter__(self) -> Self:
        self.descriptor = self._take()
        close_in_forks(self.descriptor)
        self.previous_died = read_holder(self._campaign) is not None
        holder = Holder(
            host=os.uname().nodename,
            pid=os.getpid(),
            started=start_time(os.getpid()),
            since=timestamp(time.time()),
            command=" ".join(sys.argv),
        )
        self._write(json.dumps(asdict(holder)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._write("")
        close(self.descriptor)

    def _write(self, text: str) -> None:
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, text.encode("utf-8", "surrogateescape"), 0)

    def _take(self) -> int:
        deadline = time.monotonic() + MAX_WAIT_FOR_MINDERS
        while True:
            descriptor = try_lock(self._campaign.lock)
            if descriptor is not None:
                return descriptor
            holder = read_holder(self._campaign)
            if holder is not None and holder.alive:
                raise UsageError(
                    f"{self._campaign.path!r} is in use by a manager on host {holder.host!r} (pid {holder.pid}, since "
                    f"{holder.since}). Wait for it to end, or give another --dst_dir."
                )
            if time.monotonic() > deadline:
                raise UsageError(
                    f"{self._campaign.path!r} is still held by the experiments of a manager that is dead, "
                    f"{MAX_WAIT_FOR_MINDERS:g} s after this one began to wait. Try again in a moment."
                )
            time.sleep(_POLL_SECONDS)


def read_holder(campaign: CampaignDir) -> Holder | None:
    """Who took the lock last and has not let go of it; None: nobody."""
    try:
        with open(campaign.lock, encoding="utf-8", errors="surrogateescape") as file:
            text = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        return Holder(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None  # read in the middle of its being written: the next look sees it whole


def is_in_use(campaign: CampaignDir) -> bool:
    """Whether a manager, or a minder that outlived one, works in the campaign now."""
    return is_locked(campaign.lock)
