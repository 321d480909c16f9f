"""`configmill explain DST_DIR [INDEX]`: why a config would run, is skipped, runs or waits; as text or JSON.

It has the dst_dir alone: what the experiments' files say, the last command's record, and what a manager at work waits
for. Nothing is built or imported, and nothing is touched.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from configmill.cli.parser import Parser
from configmill.errors import EnvironmentIncompleteError, UsageError
from configmill.files import read_json_of_experiment
from configmill.plan.code_changes import CodeChanges
from configmill.plan.decide import why_it_is_skipped, why_it_runs
from configmill.plan.selection import select
from configmill.processes import command_line_of, environment_of
from configmill.protocol import status
from configmill.protocol.attempt import Attempt
from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.protocol.request import FOREGROUND, Selection
from configmill.protocol.start_method import COLD, WARM
from configmill.protocol.timestamps import timestamp
from configmill.report.terminal.explanations import print_explanation, print_explanations
from configmill.schedule.retry import RETRIED_BY_DEFAULT
from configmill.store.campaign import require_campaign
from configmill.store.derived import Standing, standing
from configmill.store.experiments import State, read_state
from configmill.store.lineage import with_tried
from configmill.store.lock import is_in_use, read_holder
from configmill.store.tables import last_run, latest_list
from configmill.store.waiting import Waiting, read_waiting

DESCRIPTION = """\
Say of each config why the same command would run or skip it, or since when it runs, or what it waits for.

  configmill explain out/forecast        counts, and what runs, waits or has failed
  configmill explain out/forecast 3      one config, with all that is known
"""

#: What becomes of a config, with what `explain` says of many.
RUNS, SKIPPED, RUNNING, WAITING = "runs", "skipped", "running", "waiting"
VERDICTS = (SKIPPED, RUNNING, WAITING, RUNS)


def command(arguments: Sequence[str]) -> int:
    """Parse, look, print; returns the exit code. Raises UsageError."""
    parser = Parser("configmill explain", DESCRIPTION)
    parser.add_argument("dst_dir", metavar="DST_DIR", help="the --dst_dir of a run")
    parser.add_argument("index", metavar="INDEX", nargs="?", help="the config to explain (default: all)")
    parser.add_argument("--json", action="store_true", help="print JSON, on the last line of stdout")
    given = parser.parse(arguments)
    campaign = _Campaign(require_campaign(given.dst_dir))
    if given.index is not None:
        explanation = campaign.explain(campaign.look(_checked_index(given.index, len(campaign.digests))))
        if given.json:
            print(json.dumps({"dst_dir": campaign.dir.path, **explanation}))
        else:
            print_explanation(explanation)
        return 0
    view = _overview(campaign)
    if given.json:
        print(json.dumps(view))
    else:
        print_explanations(view)
    return 0


def _checked_index(given: str, total: int) -> int:
    if not total:
        raise UsageError(f"INDEX {given!r}: no config is known yet, as no command got that far. Leave it out.")
    if not given.isdecimal() or int(given) >= total:
        raise UsageError(
            f"INDEX {given!r} is no config of the last command, whose list has {total}. "
            f"Give an index from 0 to {total - 1}."
        )
    return int(given)


def _overview(campaign: _Campaign) -> dict[str, Any]:
    """Counts, and all configs that are not skipped."""
    looks = [campaign.look(index) for index in range(len(campaign.digests))]
    counts = Counter(look.verdict for look in looks)
    holder = campaign.holder
    return {
        "dst_dir": campaign.dir.path,
        "total": len(looks),
        **{verdict: counts.get(verdict, 0) for verdict in VERDICTS},
        "in_use_by": None if holder is None else {"host": holder.host, "pid": holder.pid, "since": holder.since},
        "configs": [campaign.explain(look) for look in looks if look.verdict != SKIPPED],
    }


@dataclass(frozen=True)
class _Look:
    """One config: its files, what they say, and what that comes to."""

    index: int
    place: Standing
    state: State
    verdict: str

    @property
    def directory(self) -> ExperimentDir:
        """The directory of what stands for the config: itself, or one derived from it."""
        return self.place.dir


class _Campaign:
    """What the files of a dst_dir say at this moment."""

    def __init__(self, directory: CampaignDir) -> None:
        self.dir = directory
        self._run = latest_list(directory)
        self.digests: list[str] = self._run.get("experiments") or []
        self._in_use = is_in_use(directory)
        self.holder = read_holder(directory) if self._in_use else None
        waiting = read_waiting(directory)
        self._is_managed = waiting is not None
        self._waiting = {entry.index: entry for entry in waiting or ()}
        self._last_run = last_run(directory)

    def look(self, index: int) -> _Look:
        """What becomes of the config: a look at one or two of its files, and no more, as there may be thousands."""
        place = standing(self.dir, self.digests[index])
        state = read_state(place.dir, in_use=self._in_use)
        return _Look(index, place, state, self._verdict(index, state))

    def explain(self, look: _Look) -> dict[str, Any]:
        """The verdict on one config, the reason in words, and the facts that go with it."""
        facts = {RUNS: _of_one_to_run, SKIPPED: self._of_success, RUNNING: self._of_running, WAITING: self._of_waiting}
        return {
            "index": look.index,
            "digest": look.place.digest,
            **({"derived_from": self.digests[look.index]} if look.place.tried else {}),
            "verdict": look.verdict,
            "status": look.state.status,
            "attempt": look.state.attempts,
            **facts[look.verdict](look),
        }

    def _verdict(self, index: int, state: State) -> str:
        if state.status == status.RUNNING:
            return RUNNING
        if index in self._waiting:
            return WAITING
        if state.status in status.SUCCESSES:
            return SKIPPED
        return WAITING if self._is_to_come(index, state) else RUNS

    def _is_to_come(self, index: int, state: State) -> bool:
        """Whether the manager at work is to run it, and hasn't yet."""
        if not self._is_managed or self._run.get("run") != self._last_run or index not in self._selected:
            return False
        return (state.record or {}).get("run") != self._last_run

    @cached_property
    def _selected(self) -> frozenset[int]:
        given = (self._run.get("request") or {}).get("selection") or {}
        ranges = given.get("ranges")
        selection = Selection(
            given.get("start"), None if ranges is None else tuple((low, high) for low, high in ranges)
        )
        return frozenset(select(selection, len(self.digests)))

    @property
    def _not_come_to_it(self) -> str:
        """Why one waits that needs nothing but somebody to start it, or has so many before it that it isn't listed."""
        width = (self._run.get("request") or {}).get("num_threads")
        return f"waits: the manager at work has not come to it yet, and runs {width} at a time (--num_threads)"

    @cached_property
    def _changes(self) -> CodeChanges:
        return CodeChanges(self.dir, (self._run.get("request") or {}).get("project_dir") or "")

    def _of_success(self, look: _Look) -> dict[str, Any]:
        changed = list(self._changes.since(look.directory))
        record = look.state.record or {}
        return {
            "why": why_it_is_skipped(changed, look.place.derived_as),
            "ended": record.get("ended"),
            "seconds": record.get("seconds"),
            "changed": changed,
            **_where_it_ran(record),
            "log": look.directory.log(look.state.attempts),
        }

    def _of_running(self, look: _Look) -> dict[str, Any]:
        directory, state = look.directory, look.state
        as_what = f" with {look.place.derived_as}" if look.place.tried else ""
        view = read_json_of_experiment(directory.status) or {}
        pid = view.get("pid") if view.get("attempt") == state.attempts else None
        # Written just before the attempt began; nobody writes to it afterwards.
        since = _last_change(directory.config_json)
        progress: dict[str, Any] = {name: view[name] for name in ("cell", "cells") if pid is not None and name in view}
        return {
            "why": f"runs now, attempt {state.attempts}{as_what}",
            "since": None if since is None else timestamp(since),
            "pid": pid,
            **progress,
            **self._where_it_runs(pid, directory, state.attempts),
            "log": directory.log(state.attempts),
        }

    def _where_it_runs(self, pid: object, directory: ExperimentDir, number: int) -> dict[str, Any]:
        """The devices and the start method of a process, None where they can't be seen from here."""
        here = self.holder is not None and self.holder.host == os.uname().nodename
        if not here or not isinstance(pid, int):
            return {"gpus": None, "start_method": None}
        attempt = _attempt_of(pid)
        if attempt is None or (attempt.dir.path, attempt.number) != (directory.path, number):
            return {"gpus": None, "start_method": None}
        return {"gpus": list(attempt.gpus), "start_method": self._start_method_of(pid)}

    def _start_method_of(self, pid: int) -> str | None:
        if (self._run.get("request") or {}).get("start_method") == FOREGROUND:
            return FOREGROUND
        # A fork shows the command line of the process that it is a fork of.
        shown = " ".join(command_line_of(pid))
        modules = {"configmill.forkserver.server": WARM, "configmill.minder": COLD}
        return next((method for module, method in modules.items() if f"from {module} import" in shown), None)

    def _of_waiting(self, look: _Look) -> dict[str, Any]:
        entry = self._waiting.get(look.index) or Waiting(look.index, "", self._not_come_to_it)
        places = list(self._waiting)
        expected = entry.expected_start
        return {
            "why": entry.why if entry.why.startswith("waits") else f"waits: {entry.why}",
            "asks": entry.asks,
            "place": places.index(look.index) + 1 if look.index in self._waiting else None,
            "behind": list(entry.behind),
            "expected_start": None if expected is None else timestamp(expected),
            **_failure(look),
        }


def _of_one_to_run(look: _Look) -> dict[str, Any]:
    return {"why": why_it_runs(look.state, look.place.derived_as), **_failure(look)}


def _failure(look: _Look) -> dict[str, Any]:
    """How the last attempt failed, as far as it left a record; {} where it did not."""
    record = look.state.record or {}
    failure_class = record.get("failure_class")
    if look.state.status not in (status.FAILED, status.INTERRUPTED):
        return {}
    if not isinstance(failure_class, str):
        return {"log": look.directory.log(look.state.attempts)}
    error, failed = record.get("error"), look.state.status == status.FAILED
    return {
        "failure_class": failure_class,
        "error": with_tried(error, look.place.tried) if look.place.tried and failed else error,
        "where": record.get("where"),
        "ended": record.get("ended"),
        "retried_by_default": RETRIED_BY_DEFAULT.get(failure_class),
        **_where_it_ran(record),
        "log": look.directory.log(look.state.attempts),
    }


def _where_it_ran(record: dict[str, Any]) -> dict[str, Any]:
    gpus = record.get("gpus")
    return {
        "gpus": [str(gpu) for gpu in gpus] if isinstance(gpus, list) else None,
        "start_method": record.get("start_method"),
    }


def _attempt_of(pid: int) -> Attempt | None:
    """The attempt that a process belongs to; None where it can't be told, as of another user's process."""
    try:
        return Attempt.from_env(environment_of(pid))
    except EnvironmentIncompleteError:
        return None


def _last_change(path: str) -> float | None:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return None
