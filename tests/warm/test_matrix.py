"""The same experiments started warm and cold: whatever a user can see of them is the same.

What is meant to differ, and does: `start_method` in the record; which modules are loaded (a fork has those that the
builder and `--preload` brought along); `sys.orig_argv` and what `ps` shows, which are the server's; the seed of
`hash()` for texts, which forks share; `gc.get_freeze_count()`, since looking at what is shared would copy it; memory,
which is counted for a fork though it shares it; and the builder, which a process that asks for its config again calls
again only where it was started cold.
"""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest

from tests.conftest import Project
from tests.processes.cases import write_cases
from tests.warm.both_ways import BothWays, comparable, comparable_log, comparable_record, run_both
from tests.warm.matrix import BUILDER, CASES, EXPERIMENTS, IN_NO_ORDER, OPTIONS, SHORT, SUCCEEDED


@pytest.fixture(scope="module")
def both(shared_project: Project) -> BothWays:
    """All of EXPERIMENTS, warm and cold."""
    names = write_cases(shared_project, EXPERIMENTS, times_out=SHORT, times_out_stubbornly=SHORT)
    builder = shared_project.root / "builder.py"
    builder.write_text(builder.read_text().partition("\ndef build")[0] + BUILDER)
    shared_project.write("vendored/vendored_module.py", "VERSION = 'the vendored one'\n")
    shared_project.write("vendored_module.py", "VERSION = 'the wrong one'\n")
    return run_both(shared_project, names, *OPTIONS, env=shared_project.environment(MINE="as it was"))


@pytest.mark.parametrize("case", CASES)
def test_each_was_started_as_asked(both: BothWays, case: str) -> None:
    """start_method says how the attempt was really started."""
    assert {record["start_method"] for record in both.warm.attempts(case)} == {"warm"}
    assert {record["start_method"] for record in both.cold.attempts(case)} == {"cold"}


@pytest.mark.parametrize("case", CASES)
def test_records_are_alike(both: BothWays, case: str) -> None:
    """Status, class and text of a failure, its place, exit code, signal, unread keys, code: all fields are the same."""
    attempts = [len(cases.attempts(case)) for cases in (both.warm, both.cold)]
    assert attempts[0] == attempts[1]
    for attempt in range(attempts[0]):
        warm, cold = (comparable_record(cases, case, attempt) for cases in (both.warm, both.cold))
        assert warm == cold
    expected = "succeeded" if case in SUCCEEDED else "failed"
    assert both.warm.record(case)["status"] == expected, both.warm.log(case)


@pytest.mark.parametrize("case", CASES)
def test_logs_are_alike(both: BothWays, case: str) -> None:
    """What imports, the builder, the experiment and its subprocesses write is in the log, in the same order."""
    for attempt in range(1, len(both.warm.attempts(case)) + 1):
        warm, cold = (comparable_log(cases.log(case, attempt), cases) for cases in (both.warm, both.cold))
        assert (set(warm) == set(cold)) if case in IN_NO_ORDER else (warm == cold)
    said = both.warm.log(case)
    for line in ("the experiment's module is imported", "mine WARNING and logs", "UserWarning: and warns"):
        assert said.count(line) == 1 or case in IN_NO_ORDER
    assert "half a line of it" in said
    assert said.index("the experiment's module") < said.index("the builder's module") < said.index("the list is built")


@pytest.mark.parametrize("case", sorted(SUCCEEDED - {"surroundings"}))
def test_results_are_alike(both: BothWays, case: str) -> None:
    """What an experiment returns is the same, the directories that it names left out."""
    warm, cold = (comparable(cases.result(case), cases) for cases in (both.warm, both.cold))
    assert warm == cold


def surroundings(both: BothWays) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the experiment found around it, with one name for the two dst_dirs."""
    warm, cold = (comparable(cases.result("surroundings"), cases) for cases in (both.warm, both.cold))
    return warm, cold


SURROUNDINGS = [
    "at_import", "environ", "environ_of_a_child", "mark", "cwd", "argv", "path", "flags", "executable", "streams",
    "umask", "descriptors", "signals", "masks", "leads_group_and_session", "minder_leads", "foreground", "nice",
    "affinity", "limits", "python_threads", "main_thread", "threads", "recursion", "garbage", "handlers",
    "log_level", "main", "default_start_method", "reaped",
]  # fmt: skip


@pytest.mark.parametrize("what", SURROUNDINGS)
def test_surroundings_are_alike(both: BothWays, what: str) -> None:
    """Each thing that an experiment finds around itself is as it is in a process that was started for it alone."""
    warm, cold = surroundings(both)
    unordered = what in ("descriptors", "environ_of_a_child")
    assert (sorted(warm[what]) if unordered else warm[what]) == (sorted(cold[what]) if unordered else cold[what])


def test_the_comparison_leaves_out_nothing(both: BothWays) -> None:
    """All that the experiment looked at is compared."""
    for found in surroundings(both):
        assert sorted(found) == sorted(SURROUNDINGS)


def test_surroundings_are_what_they_should_be(both: BothWays) -> None:
    """Alike in the right way: the attempt's own variables, the user's, no other of ours, the module's path first."""
    warm, _ = surroundings(both)
    assert warm["environ"]["MINE"] == "as it was"
    assert warm["environ"]["SET_AT_IMPORT"] == "yes"
    assert warm["environ"]["CONFIGMILL_DST_DIR"] == "<dst>"
    assert warm["environ"]["OMP_NUM_THREADS"] == str(max(1, len(os.sched_getaffinity(0)) // 2))
    assert not {"PYTORCH_NVML_BASED_CUDA_CHECK", "CONFIGMILL_RESERVED"} & warm["environ"].keys()
    theirs = [name for name in warm["environ"] if name.startswith("CONFIGMILL_")]
    assert len([name for name in theirs if "TEST" not in name and name != "CONFIGMILL_LEASE_DIR"]) == 9
    assert warm["path"][0].endswith("vendored")
    assert warm["garbage"] == [True, list(gc.get_threshold()), 0]
    assert warm["path"][1] == str(both.warm.project.root)
    assert warm["python_threads"] == ["MainThread"]
    assert set(warm["mark"]) >= {"CONFIGMILL_DST_DIR=<dst>", "CONFIGMILL_CONFIG_IDX=0", "CONFIGMILL_ATTEMPT=1"}


def test_modules_are_the_only_difference_of_a_kind(both: BothWays) -> None:
    """What stands first on the module's own path is what it gets, warm and cold."""
    assert both.results("imports_what_stands_first") == ({"version": "the vendored one"},) * 2


def test_files_and_checkpoints_are_alike(both: BothWays) -> None:
    """Files left open are written to their ends, a checkpoint is taken up by the next attempt."""
    for cases in (both.warm, both.cold):
        assert (cases.dir("leaves_files_open") / "left.txt").read_text() == "all of it"
        assert cases.result("fails_once_with_a_checkpoint") == {"epoch": 3}
        assert cases.record("fails_once_with_a_checkpoint")["resumed_from"] == 1


def test_exit_codes_and_summaries_are_alike(both: BothWays) -> None:
    """The command ends with the same code, and its summary counts and names the same."""
    warm, cold = both.warm.done, both.cold.done
    assert warm.code == cold.code == 1
    same = ("total", "succeeded", "failed", "interrupted", "not_started", "unread_keys")
    assert [warm.summary[name] for name in same] == [cold.summary[name] for name in same]
    told = [comparable(cases.done.summary["failures"], cases) for cases in (both.warm, both.cold)]
    assert told[0] == told[1]
    assert len(told[0]) == len(CASES) - len(SUCCEEDED)
