"""The ranks of an attempt as another process sees them: begun, reported, dead.

    watch = Watch(folder, num_processes=2, launcher=process)
    watch.until_over()              # all have ended, or one has failed and the others had a moment to say why
    watch.end_all()
    watch.ends(out_of_memory=False)     # by rank

Ranks are no children of this process, but their launcher's. Each says its pid in a file, by which its end is seen at
once; how it ended is then the launcher's to say.
"""

from __future__ import annotations

import math
import os
import select
import signal
import subprocess
import time

from configmill.child.failures import report_of_death
from configmill.child.ranks.folder import RanksFolder
from configmill.child.ranks.verdict import CAUSE_SECONDS, End, failed
from configmill.files import read_json
from configmill.processes import children_of, descendants, kill
from configmill.protocol.report import Report

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

#: How often (s) to look for what ranks have written.
_LOOK_SECONDS = 0.1
#: For other ranks, when one has failed: to tell of the same (memory), and to tear down what they can.
_SETTLE_SECONDS = 0.5
#: For a launcher whose ranks are gone: it looks ten times a second, and Python takes its time to end.
_LAUNCHER_SECONDS = 10.0


class Ranks:
    """What is known of the ranks that leave their reports in `folder`."""

    def __init__(self, folder: RanksFolder, num_processes: int) -> None:
        self._folder = folder
        self._num_processes = num_processes
        self._handles: dict[int, int] = {}
        self._reports: dict[int, End] = {}
        #: When ranks ended without a report.
        self._died_at: dict[int, float] = {}
        self._poll = select.poll()

    def until_over(self) -> None:
        """Wait until all have ended, or one has failed and the others had a moment to say why."""
        failed_at: float | None = None
        self.look()
        while not self._is_over():
            failures = failed(self._ends({}, None, out_of_memory=False))
            now = time.monotonic()
            if failures:
                failed_at = now if failed_at is None else failed_at
                is_clear = any(end.is_cause for end in failures.values())
                if now >= failed_at + (_SETTLE_SECONDS if is_clear else CAUSE_SECONDS):
                    return
            self._poll.poll(_LOOK_SECONDS * 1000)
            self.look()

    def ends(self, *, out_of_memory: bool) -> dict[int, End]:
        """How each rank ended of which that is known. `out_of_memory` is report_of_death's."""
        return self._ends({}, None, out_of_memory=out_of_memory)

    def look(self) -> None:
        """See which have begun, reported or died."""
        for rank in range(self._num_processes):
            if rank not in self._reports and rank not in self._died_at:
                self._look_at(rank)

    def close(self) -> None:
        """Let go of the handles."""
        for handle in self._handles.values():
            os.close(handle)
        self._handles.clear()

    def _is_over(self) -> bool:
        return len(self._reports) + len(self._died_at) == self._num_processes

    def _ends(self, codes: dict[str, int], unnamed: int | None, *, out_of_memory: bool) -> dict[int, End]:
        """Reports, and what is to be said of the dead: `codes` are their exit codes, `unnamed` that of all others."""
        died_at = self._died_at
        if not died_at and not failed(self._reports):  # some may have died in their first moment, seen by nobody else
            died_at = {int(rank): math.inf for rank in codes if int(rank) not in self._reports}
        return self._reports | {
            rank: End(report_of_death(codes.get(str(rank), unnamed), out_of_memory=out_of_memory), at)
            for rank, at in died_at.items()
        }

    def _look_at(self, rank: int) -> None:
        if rank not in self._handles:
            self._begin(rank)
        handle = self._handles.get(rank)
        has_ended = handle is not None and _is_readable(handle)
        written = read_json(self._folder.report(rank))  # after the look at its process: it reports before it ends
        if written is not None:
            self._reports[rank] = End(Report(**written["report"]), written["at"], is_reported=True)
        elif has_ended:
            self._died_at[rank] = time.monotonic()
        if handle is not None and (written is not None or has_ended):
            self._poll.unregister(handle)  # one that has ended would keep the poll awake

    def _begin(self, rank: int) -> None:
        try:
            with open(self._folder.pid(rank), encoding="ascii") as file:
                pid = int(file.read())
        except FileNotFoundError:
            return
        try:
            self._handles[rank] = handle = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended, and its launcher has waited for it
            if read_json(self._folder.report(rank)) is None:
                self._died_at[rank] = time.monotonic()
            return
        self._poll.register(handle, select.POLLIN)


class Watch(Ranks):
    """With their `launcher`, which is this process's child."""

    def __init__(self, folder: RanksFolder, num_processes: int, launcher: subprocess.Popen[bytes]) -> None:
        super().__init__(folder, num_processes)
        self._launcher = launcher
        #: The launcher's exit code, or minus the signal, where it ended by itself; after `end_all`.
        self.launcher_code: int | None = None
        self._launcher_handle = os.pidfd_open(launcher.pid)
        self._poll.register(self._launcher_handle, select.POLLIN)

    def _is_over(self) -> bool:
        return self._launcher.poll() is not None  # after all of its ranks, unless it is killed

    def until_launcher_ends(self) -> None:
        """Wait for the launcher's end, however long it takes."""
        self._launcher.wait()

    def tell_to_end(self) -> None:
        """Have the ranks end as their own SIGTERM has it."""
        ranks = children_of(self._launcher.pid)
        for pid in ranks or [self._launcher.pid]:
            kill(pid, signal.SIGTERM)
            kill(pid, signal.SIGCONT)  # a stopped process would only see it later

    def end_all(self) -> None:
        """End what is left; the launcher last, for it to say how its ranks ended."""
        self.look()
        if self._launcher.poll() is not None:
            self.launcher_code = self._launcher.returncode
        else:
            for pid in descendants(self._launcher.pid):
                kill(pid)
            try:
                self._launcher.wait(_LAUNCHER_SECONDS)
            except subprocess.TimeoutExpired:
                self._launcher.kill()
                self._launcher.wait()
        os.close(self._launcher_handle)
        self.close()

    def launcher_said(self) -> dict[str, Any] | None:
        """What the launcher left: see `launcher.launch`; None where it was killed before."""
        said: dict[str, Any] | None = read_json(self._folder.launcher)
        return said

    def ends(self, *, out_of_memory: bool) -> dict[int, End]:
        """As of all ranks; how the dead ones ended is known after `end_all`."""
        said = self.launcher_said()
        # A rank that the launcher doesn't name has ended with exit code 0.
        unnamed = None if said is None else 0
        return self._ends({} if said is None else said.get("exit_codes", {}), unnamed, out_of_memory=out_of_memory)


def _is_readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
