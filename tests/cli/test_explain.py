"""configmill explain: why a config would run, is skipped, runs or waits."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.protocol.layout import CampaignDir
from configmill.store.lock import CampaignLock
from configmill.store.waiting import Waiting, read_waiting, remove_waiting, write_waiting
from tests.cli.listing import listing
from tests.conftest import Project, project_within, wait_until

EXPERIMENT = """
    def run(config):
        if config.x in (3, 4):
            raise ValueError("three is [red]a crowd[/red]\\x1b[2J")
        return {"y": config.x}
    """
BUILDER = """
    def build(n=6):
        return [{"x": x} for x in range(n)]
    """
GATED = """
    import os, time

    def run(config):
        open(f"started {config.x}", "w").close()
        while not os.path.exists("gate"):
            time.sleep(0.005)
        return {"y": config.x}
    """


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Six configs: 0, 1 and 2 succeeded, 3 and 4 failed, 5 never ran."""
    with project_within(tmp_path_factory.mktemp("explain")) as project:
        project.write("builder.py", BUILDER)
        project.write("experiment.py", EXPERIMENT)
        assert project.run("--indices", "0-4", "--num_threads", "2", "--start_method", "cold").code == 1
        yield project


@pytest.fixture
def busy(project: Project, request: pytest.FixtureRequest) -> Iterator[tuple[Project, subprocess.Popen[str]]]:
    """A manager of configs 0 to 2 of four, one at a time, each on one of two devices, and none ends before `gate`."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", GATED)
    method = getattr(request, "param", "cold")
    devices = ["--gpus", "virtual:2", "--num_gpus", "1"]
    manager = project.start("--indices", "0-2", "--start_method", method, *devices, builder="builder.build(4)")
    wait_until((project.root / "started 0").exists)
    wait_until(lambda: explained(project, 0).get("pid"))
    yield project, manager
    (project.root / "gate").touch()
    manager.communicate(timeout=30)


def explained(project: Project, *arguments: object) -> dict[str, Any]:
    """What --json prints."""
    done = project.configmill("explain", str(project.out), *map(str, arguments), "--json")
    assert (done.code, done.err) == (0, ""), done
    return done.summary


def shown(project: Project, *arguments: object) -> str:
    """What is printed for the eye."""
    done = project.configmill("explain", str(project.out), *map(str, arguments))
    assert (done.code, done.err) == (0, ""), done
    assert "\x1b" not in done.out, "what experiments say can't clear a terminal"
    return done.out


def test_counts(campaign: Project) -> None:
    """Every config counts once, and those that are not skipped are listed with their reason."""
    view = explained(campaign)
    counts = {verdict: view[verdict] for verdict in ("skipped", "running", "waiting", "runs")}
    assert (view["total"], counts) == (6, {"skipped": 3, "running": 0, "waiting": 0, "runs": 3})
    assert view["in_use_by"] is None
    assert [(one["index"], one["verdict"], one["status"]) for one in view["configs"]] == [
        (3, "runs", "failed"),
        (4, "runs", "failed"),
        (5, "runs", "pending"),
    ]
    out = shown(campaign)
    assert "6 configs" in out and "no manager is at work" in out
    numbers = {text: int(count) for count, text in re.findall(r"^\s+(\d+) (.+)$", out, re.M)}
    assert list(numbers.values()) == [3, 1, 2]
    assert re.search(r"result_3  attempt 1 failed \(code_error\): ValueError: three is \[red\]a crowd", out)


def test_it_says_what_a_dry_run_says(campaign: Project) -> None:
    """The reason for each config is the one that the same command's --dry_run gives, after a change of code too."""
    for _ in range(2):
        done = campaign.run("--dry_run")
        assert done.code == 0, done
        reasons = re.findall(r"^result_(\d+)  [0-9a-f]+  (.+)$", done.out, re.M)
        assert len(reasons) == 6
        assert [(index, explained(campaign, index)["why"]) for index, _ in reasons] == reasons
        campaign.write("experiment.py", EXPERIMENT.replace("config.x}", "config.x + 0}"))
    assert explained(campaign, 0)["changed"] == ["experiment.py"]
    campaign.write("experiment.py", EXPERIMENT)


def test_one_that_failed(campaign: Project) -> None:
    """Class, message, last frame in user code, log, and whether such a failure is tried again."""
    one = explained(campaign, 3)
    assert (one["verdict"], one["attempt"], one["failure_class"]) == ("runs", 1, "code_error")
    assert one["error"].startswith("ValueError: three is")
    assert one["where"] == f"{campaign.root / 'experiment.py'}:4 in run"
    assert "a crowd" in Path(one["log"]).read_text()
    assert one["retried_by_default"] is True
    out = shown(campaign, 3)
    for value in ("result_3 runs: attempt 1 failed (code_error)", one["where"], one["log"], "--num_retries", "cold"):
        assert value in out


def test_one_that_succeeded(campaign: Project) -> None:
    """When it succeeded, in which attempt, and that the same command would skip it."""
    one = explained(campaign, 1)
    assert (one["verdict"], one["why"], one["attempt"]) == ("skipped", "skipped: it succeeded before", 1)
    ended = datetime.fromisoformat(one["ended"])
    assert abs((datetime.now(UTC) - ended).total_seconds()) < 100
    assert f"ended {one['ended']}" in shown(campaign, 1)


def test_one_that_never_ran(campaign: Project) -> None:
    """It says so, and nothing of attempts."""
    assert explained(campaign, 5)["why"] == "runs: it never ran"
    assert "log" not in explained(campaign, 5)


@pytest.mark.parametrize("busy", ["warm", "cold"], indirect=True)
def test_what_runs_and_what_waits(busy: tuple[Project, subprocess.Popen[str]], request: pytest.FixtureRequest) -> None:
    """Of a running one since when, which process, on what and how started; of the others whether they are to come."""
    project, manager = busy
    view = explained(project)
    assert {one["index"]: one["verdict"] for one in view["configs"]} == {
        0: "running",
        1: "waiting",
        2: "waiting",
        3: "runs",  # the manager at work wasn't told to run it
    }
    assert view["in_use_by"]["pid"] == manager.pid
    one = explained(project, 0)
    assert project.root == Path(os.readlink(f"/proc/{one['pid']}/cwd"))
    assert (one["start_method"], one["gpus"]) == (request.node.callspec.params["busy"], ["virtual:0"])
    since = datetime.fromisoformat(one["since"])
    assert 0 <= (datetime.now(UTC) - since).total_seconds() < 60
    out = shown(project, 0)
    assert "result_0 runs now, attempt 1" in out and re.search(f"pid +{one['pid']}$", out, re.M)
    assert f"pid {manager.pid}" in shown(project)


def test_what_waits_for_a_device(project: Project) -> None:
    """Real managers: what waits for devices says for which, who has them, and behind whom; `gpus` agrees with it."""
    build = "def build(*widths):\n    return [{'x': x, 'resources': {'num_gpus': n}} for x, n in enumerate(widths)]\n"
    project.write("builder.py", build)
    project.write("experiment.py", GATED)
    devices = ["--gpus", "virtual:2", "--num_threads", "2"]
    managers = [project.start(*devices, builder="builder.build(2, 1)")]
    wait_until((project.root / "started 0").exists)
    one = wait_until(lambda: (found := explained(project, 1))["verdict"] == "waiting" and found["place"] and found)
    assert (one["asks"], one["behind"]) == ("1 GPU", [0])
    seen = project.configmill("gpus", "--gpus", "virtual:2", "--json").summary["devices"]
    assert [(device["state"], device["lease"]["manager"]) for device in seen] == [("leased", managers[0].pid)] * 2
    assert {holder["index"] for device in seen for holder in device["lease"]["holders"]} == {0}
    other = project.root / "other"
    managers.append(project.start(*devices, builder="builder.build(2)", dst=other))
    told = wait_until(
        lambda: (found := project.configmill("explain", str(other), "0").out) and "leased by" in found and found
    )
    assert "2 free devices" in told and f"pid {managers[0].pid}" in told
    (project.root / "gate").touch()
    for manager in managers:
        output, _ = manager.communicate(timeout=30)
        assert manager.returncode == 0, output
    assert not (project.out / "waiting.json").exists()


def test_what_waits_for_the_host(project: Project) -> None:
    """One that asks for nothing is told who has the host for itself, in `explain` and on the terminal."""
    build = "def build(alone):\n    return [{'x': 0, 'resources': {'exclusive_host': alone}}]\n"
    project.write("builder.py", build)
    project.write("experiment.py", GATED)
    measurer = project.start(builder="builder.build(True)")
    wait_until((project.root / "started 0").exists)
    other = project.root / "other"
    waiting = project.start(builder="builder.build(False)", dst=other)
    told = wait_until(
        lambda: (found := project.configmill("explain", str(other), "0").out) and "for the host" in found and found
    )
    assert f"pid {measurer.pid}" in told
    (project.root / "gate").touch()
    for manager in (measurer, waiting):
        output, _ = manager.communicate(timeout=30)
        assert manager.returncode == 0, output
    assert f"result_0 waits: the host is leased by the manager with pid {measurer.pid}" in output


def test_what_the_manager_says_of_its_queue(busy: tuple[Project, subprocess.Popen[str]]) -> None:
    """What a waiting one asks for, waits for, stands behind, and when it may start; a dead manager's view is void."""
    project, manager = busy
    directory = CampaignDir(str(project.out))
    expected = time.time() + 3000
    write_waiting(directory, [Waiting(2, "2 GPUs, 8 GB", "2 free devices: virtual:0 is leased", (0, 1), expected)])
    one = explained(project, 2)
    assert (one["verdict"], one["asks"], one["behind"]) == ("waiting", "2 GPUs, 8 GB", [0, 1])
    assert one["why"] == "waits: 2 free devices: virtual:0 is leased"
    assert datetime.fromisoformat(one["expected_start"]).timestamp() == pytest.approx(expected, abs=0.002)
    for out in (shown(project), shown(project, 2)):
        assert "behind result_0, result_1" in out and "2 GPUs, 8 GB" in out and re.search("in (49|50) min", out)
    os.kill(manager.pid, signal.SIGKILL)
    manager.wait()
    wait_until(lambda: not project.processes())
    view = explained(project)
    assert {one["index"]: one["verdict"] for one in view["configs"]} == dict.fromkeys(range(4), "runs")
    assert (view["in_use_by"], read_waiting(directory)) == (None, None)
    os.unlink(explained(project, 0)["log"].removesuffix("log") + "json")  # as if the minder had been killed as well
    assert re.search("^  result_0  attempt 1 interrupted$", shown(project), re.M)
    assert "result_0 runs: attempt 1 interrupted" in shown(project, 0)


def test_many_are_counted_and_some_are_shown(project: Project) -> None:
    """With many failures the text stays short and says how many there are; --json has all."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", "def run(config):\n    raise ValueError(config.x)\n")
    project.run("--num_threads", "4", "--indices", "0-29", builder="builder.build(500)")
    out = shown(project)
    assert re.search(r"^ +30 would run again", out, re.M) and re.search(r"^ +470 would run: they never ran", out, re.M)
    assert len(re.findall(r"^  result_", out, re.M)) == 20 and "... and 10 more" in out
    assert len(explained(project)["configs"]) == 500


def test_what_experiments_leave_in_their_files(campaign: Project) -> None:
    """A record or a view that user code has spoilt makes no crash."""
    record = campaign.result_dir(4) / "attempts" / "1.json"
    kept = record.read_text()
    view = campaign.result_dir(4) / "status.json"
    try:
        for spoilt in (
            {"gpus": 7, "ended": [], "seconds": "many", "start_method": 3},
            {"failure_class": ["a"]},
            {"failure_class": "made_up", "error": None, "gpus": [1, None]},
            {"status": "succeeded"},
        ):
            record.write_text(json.dumps({**json.loads(kept), **spoilt}))
            view.write_text(json.dumps({"pid": "one", "attempt": 1}))
            assert explained(campaign, 4)["verdict"] == "runs"
            assert "result_4" in shown(campaign, 4)
        record.write_text("[")
        assert "result_4 runs" in shown(campaign, 4)
    finally:
        record.write_text(kept)


def test_looking_touches_nothing(campaign: Project) -> None:
    """Not a byte or a time stamp of the campaign changes."""
    before = listing(campaign.out, times=True)
    shown(campaign)
    explained(campaign, 3)
    assert listing(campaign.out, times=True) == before


@pytest.mark.parametrize(
    ("index", "quoted"), [("6", "from 0 to 5"), ("-1", "'-1'"), ("three", "'three'"), ("1.0", "'1.0'"), ("²", "'²'")]
)
def test_wrong_index(campaign: Project, index: str, quoted: str) -> None:
    """An index that the list doesn't have is a usage error, which quotes it."""
    done = campaign.configmill("explain", str(campaign.out), index)
    assert (done.code, done.out) == (2, ""), done
    assert quoted in done.err and "Traceback" not in done.err and "\n" not in done.err.rstrip("\n")


def test_wrong_directory(campaign: Project) -> None:
    """What is no campaign is refused as by the other commands; options before the command are told apart."""
    for path in (campaign.root, campaign.root / "nowhere"):
        done = campaign.configmill("explain", str(path))
        assert (done.code, done.out) == (2, "") and "no directory of Configmill's" in done.err
    done = campaign.configmill("--json", "explain", str(campaign.out))
    assert done.code == 2 and "configmill explain" in done.err


TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.lists(
        st.builds(
            Waiting,
            index=st.integers(0, 10**6),
            asks=TEXT,
            why=TEXT,
            behind=st.lists(st.integers(0, 10**6)).map(tuple),
            expected_start=st.none() | st.integers(0, 4 * 10**9).map(float),
        )
    )
)
def test_the_view_comes_back(tmp_path_factory: pytest.TempPathFactory, entries: list[Waiting]) -> None:
    """What the manager writes is what is read while it holds the lock, and nothing once it is gone."""
    directory = CampaignDir(str(tmp_path_factory.mktemp("view")))
    with CampaignLock(directory):
        assert read_waiting(directory) == []
        write_waiting(directory, entries)
        assert read_waiting(directory) == entries
        remove_waiting(directory)
        assert read_waiting(directory) == []
        write_waiting(directory, entries)
    assert read_waiting(directory) is None
    with CampaignLock(directory) as lock:
        newer = dict(json.loads(Path(directory.lock).read_text()), since="9999-01-01T00:00:00.000Z")
        os.pwrite(lock.descriptor, json.dumps(newer).encode(), 0)
        assert read_waiting(directory) == []
