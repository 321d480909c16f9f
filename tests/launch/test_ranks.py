"""Experiments that `accelerate launch` starts as several processes: what comes of them, however their ranks end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Done, Project, project_within
from tests.launch.experiments import ranks_dir, record, write_experiment

#: What one command runs for the whole module, by index.
HOWS = ("sum", "raise", "memory", "rank 0 fails too", "kill", "leave", "drift", "variables")
#: A user's own configuration of accelerate, and the variables of another launch around the command.
CONFIG = {
    "compute_environment": "LOCAL_MACHINE", "distributed_type": "FSDP", "mixed_precision": "bf16", "use_cpu": False,
    "num_processes": 7, "num_machines": 1, "main_process_port": 1, "gpu_ids": "5", "debug": True,
    "fsdp_config": {"fsdp_version": 2},
}  # fmt: skip
OTHER_LAUNCH = {
    "RANK": "3", "LOCAL_RANK": "3", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8", "MASTER_ADDR": "192.0.2.1",
    "MASTER_PORT": "1", "GROUP_RANK": "2", "ROLE_RANK": "3", "TORCHELASTIC_USE_AGENT_STORE": "True",
    "TORCHELASTIC_RUN_ID": "other",
}  # fmt: skip


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, Done]]:
    """One command over all of HOWS, two at a time, so that there are always two launches at once."""
    with project_within(tmp_path_factory.mktemp("ranks")) as made:
        project = write_experiment(made)
        home = made.root / "home"
        (home / "accelerate").mkdir(parents=True)
        (home / "accelerate" / "default_config.yaml").write_text(json.dumps(CONFIG))
        (made.root / "temporary").mkdir()
        environment = project.environment(HF_HOME=str(home), TMPDIR=str(made.root / "temporary"), **OTHER_LAUNCH)
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            environment.pop(name, None)
        builder = f"builder.build(*{HOWS!r})"
        yield project, project.run("--num_threads", "2", "--json", builder=builder, env=environment)


def outcome(project: Project, how: str) -> dict[str, Any]:
    """What the record of the last attempt says of the failure."""
    found = record(project, HOWS.index(how))
    return {name: found[name] for name in ("status", "failure_class", "error")}


def failed(failure_class: str, error: str) -> dict[str, str]:
    """A record of a failure."""
    return {"status": "failed", "failure_class": failure_class, "error": error}


def test_ranks_work_together(campaign: tuple[Project, Done]) -> None:
    """Two ranks add up what each has; the result is rank 0's, and each rank's report and rank 0's result are kept."""
    project, done = campaign
    index = HOWS.index("sum")
    assert outcome(project, "sum")["status"] == "succeeded", done
    assert project.json(index, "result.json") == {"sum": 3.0, "rank": 0}
    kept = {path.name for path in ranks_dir(project, index).iterdir()}
    assert {"0.json", "1.json", "result.json", "orders.json"} <= kept
    assert not any(name.endswith("error.txt") for name in kept)


def test_the_folder_for_temporary_files_is_left_as_it_was(campaign: tuple[Project, Done]) -> None:
    """torch's launcher makes a folder for each launch: it is the attempt's own, whatever became of the ranks."""
    project, _ = campaign
    assert [path.name for path in (project.root / "temporary").iterdir()] == []


def test_the_record_counts_all_ranks(campaign: tuple[Project, Done]) -> None:
    """The record says how many there were, the memory of all of them together, and no key that a rank has read."""
    project, _ = campaign
    found = record(project, HOWS.index("sum"))
    resources = {name: found["resources"][name] for name in ("launcher", "num_processes")}
    assert resources == {"launcher": "accelerate", "num_processes": 2}
    reports = [json.loads((ranks_dir(project, HOWS.index("sum")) / f"{rank}.json").read_text()) for rank in (0, 1)]
    each = [report["report"]["peak_rss_bytes"] for report in reports]
    assert min(each) > 100_000_000, "torch alone takes more"
    assert found["peak_rss_bytes"] == sum(each)
    assert found["cpu_seconds"] > 1
    assert found["code"].keys() == {"experiment.py"}
    assert found["unread_keys"] == []


def test_each_line_says_which_rank_printed_it(campaign: tuple[Project, Done]) -> None:
    """Every line that a rank prints has the rank in front, in stdout and in stderr."""
    project, _ = campaign
    lines = project.log(HOWS.index("sum")).splitlines()
    for rank in (0, 1):
        own = [line for line in lines if line.startswith(f"[rank {rank}] ")]
        assert own == [f"[rank {rank}] rank {rank} of 2", f"[rank {rank}] two", f"[rank {rank}] lines"]


def test_neither_a_users_configuration_nor_another_launch_has_an_effect(campaign: tuple[Project, Done]) -> None:
    """accelerate's default_config.yaml and the variables of a launch around the command change nothing for ranks."""
    project, _ = campaign
    found = project.json(HOWS.index("variables"), "result.json")
    assert found["world"] == 2
    assert found["ACCELERATE_MIXED_PRECISION"] == "no"
    assert found["FSDP_VERSION"] is None
    assert found["ACCELERATE_USE_CPU"] == "true", "no device, so the ranks are to use the CPU"
    assert int(found["MASTER_PORT"]) > 1
    assert found["OMP_NUM_THREADS"] == "1"


def test_the_rank_that_raised_is_named(campaign: tuple[Project, Done]) -> None:
    """Its exception is the attempt's failure, with its place; its traceback is in a file and in the log."""
    project, _ = campaign
    index = HOWS.index("raise")
    assert outcome(project, "raise") == failed("code_error", "rank 1: ValueError: bad luck")
    assert "experiment.py" in record(project, index)["where"]
    assert "ValueError: bad luck" in (ranks_dir(project, index) / "1.error.txt").read_text()
    assert "[rank 1] ValueError: bad luck" in project.log(index)
    assert "[rank 1] about to raise" in project.log(index)
    assert not (project.result_dir(index) / "result.json").exists()


def test_memory_that_runs_out_in_any_rank_halves_the_batch(campaign: tuple[Project, Done]) -> None:
    """OOM of rank 1 ends the attempt as oom_gpu, and the config goes on as a derived one until it fits."""
    project, done = campaign
    index = HOWS.index("memory")
    assert project.json(index, "result.json") == {"largest": 2}
    assert project.json(index, "config.json")["batch_size"] == 2
    derived_from = record(project, index)["derived_from"]
    first = json.loads((project.out / "experiments" / derived_from / "attempts" / "1.json").read_text())
    assert first["failure_class"] == "oom_gpu", done


def test_a_lost_connection_is_a_consequence(campaign: tuple[Project, Done]) -> None:
    """Rank 0 reports first, that it lost its connection; what rank 1 says a moment later is the failure."""
    project, _ = campaign
    expected = failed("oom_gpu", "rank 1: OutOfMemoryError: CUDA out of memory. Tried to allocate")
    assert outcome(project, "rank 0 fails too") == expected


def test_a_rank_that_dies_ends_the_attempt(campaign: tuple[Project, Done]) -> None:
    """A rank that is killed, or ends its process, fails the attempt at once, and the record says how it died."""
    project, _ = campaign
    assert outcome(project, "kill") == failed("killed", "rank 1: its process was ended by SIGKILL")
    left = failed("code_error", "rank 1: its process ended with exit code 0 before the experiment returned")
    assert outcome(project, "leave") == left
    assert max(record(project, HOWS.index(how))["seconds"] for how in ("kill", "leave")) < 30, (
        "rank 0 would wait 1000 s"
    )


def test_each_rank_checks_its_config(campaign: tuple[Project, Done]) -> None:
    """A builder that makes another config in a rank is refused there: no rank runs it."""
    project, _ = campaign
    found = outcome(project, "drift")
    assert found["failure_class"] == "config_drift"
    assert "'seen'" in found["error"]
    assert not list(project.result_dir(HOWS.index("drift")).glob("began*"))


def test_the_command_goes_by_them(campaign: tuple[Project, Done]) -> None:
    """The command counts three successes and exits 1; launched experiments start cold without anybody's saying so."""
    project, done = campaign
    assert (done.code, done.summary["succeeded"], done.summary["failed"]) == (1, 3, 5)
    assert record(project, 0)["start_method"] == "cold"


def test_one_process_a_device(project: Project) -> None:
    """Without num_processes there is a rank for each device that was granted; one device, one process, no port."""
    write_experiment(project)
    project.write("sized.py", """
        def build():
            return [{"how": "variables", "resources": {"launcher": "accelerate", "num_gpus": n}} for n in (2, 1)]
        """)  # fmt: skip
    project.start_method = "warm"
    done = project.run("--gpus", "virtual:3", "--num_threads", "2", builder="sized.build()")
    assert done.code == 0, done
    assert [project.json(index, "result.json")["world"] for index in (0, 1)] == [2, 1]
    assert [record(project, index)["resources"]["num_processes"] for index in (0, 1)] == [2, 1]
    assert record(project, 0)["start_method"] == "warm", "it is a fork that launches them"


def test_a_port_that_is_taken_meanwhile(project: Project, tmp_path: Path) -> None:
    """Where another process takes the port between the look and the use, the ranks are launched again."""
    write_experiment(project)
    # Bound, but nobody listens: the look finds it free, the use fails.
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "sitecustomize.py").write_text(
        """
import os, socket, sys
if "configmill.child.ranks.launcher" in " ".join(sys.orig_argv) and not os.path.exists("taken"):
    import accelerate.utils.launch as module
    taken = socket.socket(socket.AF_INET6)
    taken.bind(("::", 0))
    open("taken", "w").close()
    module.get_free_port = lambda: taken.getsockname()[1]
"""
    )
    environment = project.environment()
    environment["PYTHONPATH"] += f":{tmp_path / 'first'}"
    done = project.run(builder="builder.build('variables')", env=environment)
    assert done.code == 0, done.out + project.log(0)
    assert (project.root / "taken").exists()
    assert "launched again" in project.log(0)
    assert project.json(0, "result.json")["world"] == 2
