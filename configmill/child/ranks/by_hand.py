"""Ranks that a user started: `accelerate launch --num_processes 2 run_experiment_stub.py ...`.

    place = launch_place(directory)     # None: this process was not launched so
    place.tell(attempt, "INFO")         # rank 0, which has the lock, makes the attempt and writes its record
    place.wait_for_attempt()            # the others, which write none

All ranks of a launch have one parent on one host: its pid and the time of its start name the launch for good.
"""

from __future__ import annotations

import os
import time

from configmill.child.ranks.environment import LAUNCHED, RANKS_DIR, launch_of
from configmill.child.ranks.folder import RanksFolder, keep_result
from configmill.child.ranks.verdict import decide
from configmill.child.ranks.watch import Ranks
from configmill.errors import UsageError
from configmill.files import read_json, remove_if_there, write_json
from configmill.measure.provenance import code_hash
from configmill.processes import die_with_parent, start_time
from configmill.protocol import status
from configmill.protocol.attempt import Attempt

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping

    from configmill.protocol.layout import CampaignDir
    from configmill.protocol.report import Report

#: For rank 0 to build the list, take the lock and begin.
_WAIT_SECONDS = 300.0


class LaunchPlace:
    """Where the ranks of one launch meet; `rank` of `num_processes` is this process."""

    def __init__(self, directory: CampaignDir, rank: int, num_processes: int, parent: int) -> None:
        self.rank = rank
        self.num_processes = num_processes
        self._file = os.path.join(directory.runs, f".launch-{parent}-{start_time(parent)}")

    def check_number(self, asked: object) -> None:
        """Raise UsageError unless the config's `num_processes` is how many were launched; None asks for nothing."""
        if asked is not None and asked != self.num_processes:
            raise UsageError(
                f"accelerate launch has started {self.num_processes} processes, and the config's num_processes is "
                f"{asked!r}. Give it --num_processes {asked!r}, or start run_experiment_stub.py without it."
            )

    def tell(self, attempt: Attempt, log_level: str) -> None:
        """Have the other ranks begin the attempt."""
        write_json(self._file, {"attempt": attempt.to_env(), "log_level": log_level})

    def wait_for_attempt(self) -> tuple[Attempt, str]:
        """The attempt that rank 0 has begun, and the level of logging. Raises UsageError."""
        until = time.monotonic() + _WAIT_SECONDS
        while (told := read_json(self._file)) is None:
            if time.monotonic() > until:
                raise UsageError(
                    f"Rank 0 of this launch has not begun the experiment within {_WAIT_SECONDS:g} s. See what it says."
                )
            time.sleep(0.05)
        attempt = Attempt.from_env(told["attempt"])
        assert attempt is not None
        return attempt, told["log_level"]

    def judge(self, attempt: Attempt) -> Report:
        """Wait for the ranks' ends, and say what became of them all; for rank 0, when it has reported itself."""
        folder = RanksFolder(attempt.dir.ranks(attempt.number))
        ranks = Ranks(folder, self.num_processes)
        ranks.until_over()
        ranks.close()
        report = decide(ranks.ends(out_of_memory=False))
        report.code_hash = code_hash(report.code or {})
        if report.status in status.SUCCESSES:
            keep_result(folder, attempt)
        return report

    def close(self) -> None:
        """The attempt is over."""
        remove_if_there(self._file)


def launch_place(directory: CampaignDir, environ: Mapping[str, str]) -> LaunchPlace | None:
    """The place of this process's launch; None where it is a single process, or Configmill launched it.

    The process dies with its launcher from here on. Raises UsageError for ranks on several hosts.
    """
    rank, num_processes = launch_of(environ)
    if num_processes == 1 or LAUNCHED in environ or RANKS_DIR in environ:
        return None
    if environ.get("LOCAL_WORLD_SIZE", str(num_processes)) != str(num_processes):
        raise UsageError(
            f"This launch has {num_processes} ranks on several hosts, which run_experiment_stub.py can't be one of. "
            "Launch them all on one host."
        )
    parent = os.getppid()
    die_with_parent(parent)
    return LaunchPlace(directory, rank, num_processes, parent)
