"""run_experiment_stub.py with experiments of several ranks: relaunched once, or launched by the user's own hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY, Done, Project, wait_until
from tests.launch.experiments import ranks_dir, record, write_experiment

#: As the customer types it, but for the flags that keep accelerate from asking for a configuration.
LAUNCH = (
    "-m", "accelerate.commands.accelerate_cli", "launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
    "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", "0",
)  # fmt: skip


def stub(project: Project, builder: str, *launch: str) -> list[str]:
    """The argv of the stub, under `launch` where that is given."""
    return [
        sys.executable, *launch, str(REPOSITORY / "run_experiment_stub.py"), "--experiment_builder", "experiment.run",
        "--config_builder", builder, "--config_idx", "0", "--dst_dir", str(project.out),
    ]  # fmt: skip


def by_hand(project: Project, builder: str) -> Done:
    """`accelerate launch` of the stub, to its end."""
    return project.call(stub(project, builder, *LAUNCH), env=project.environment(ACCELERATE_USE_CPU="true"))


def test_it_launches_the_ranks_itself(project: Project) -> None:
    """Started plainly it is one attempt of two ranks, whose lines are on the terminal; a failure is the rank's."""
    write_experiment(project)
    done = project.call(stub(project, "builder.build('sum')"))
    assert done.code == 0, done
    assert {"[rank 0] rank 0 of 2", "[rank 1] rank 1 of 2"} <= set(done.out.splitlines())
    assert project.json(0, "result.json") == {"sum": 3.0, "rank": 0}
    found = record(project, 0)
    assert (found["status"], found["start_method"]) == ("succeeded", "foreground")
    assert found["resources"]["num_processes"] == 2
    failed = project.call(stub(project, "builder.build('raise')"))
    assert failed.code == 1
    assert "failed: rank 1: ValueError: bad luck" in failed.err
    assert record(project, 0)["error"] == "rank 1: ValueError: bad luck"


def test_a_module_that_says_what_launches_it(project: Project) -> None:
    """Without `resources` the ranks are started all the same, by the stub and the manager, where the module says so."""
    write_experiment(project)
    with (project.root / "experiment.py").open("a") as file:
        file.write("\n\ndef estimate_gpu_requirements(config):\n    return {'launcher': 'accelerate'}\n")
    project.write("bare.py", "def build():\n    return [{'how': 'sum', 'num_processes': 2}]\n")
    done = project.call(stub(project, "bare.build()"))
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"sum": 3.0, "rank": 0}
    done = project.run("--no_incremental", "--gpus", "none", builder="bare.build()")
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"sum": 3.0, "rank": 0}


def test_one_process_stays_in_the_foreground(project: Project) -> None:
    """With num_processes 1 nothing is launched: a debugger works in the process that was started."""
    write_experiment(project)
    done = project.call(stub(project, "builder.build('variables', n=1)"))
    assert done.code == 0, done
    assert "rank 0 of 1" in done.out.splitlines()
    assert not ranks_dir(project, 0).exists()


def test_accelerate_launch_by_hand(project: Project) -> None:
    """Rank 0 makes the attempt and its record, the other none; the result is rank 0's, and the ranks work together."""
    write_experiment(project)
    done = by_hand(project, "builder.build('sum')")
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"sum": 3.0, "rank": 0}
    assert sorted(path.name for path in (project.result_dir(0) / "attempts").glob("*.json")) == ["1.json"]
    assert record(project, 0)["status"] == "succeeded"
    assert len(list((project.out / "runs").glob("*.json"))) == 1, "one command, one record of it"
    assert not list((project.out / "runs").glob(".launch*"))
    assert {"[rank 0] rank 0 of 2", "[rank 1] rank 1 of 2"} <= set(done.out.splitlines())


def test_a_failure_by_hand(project: Project) -> None:
    """What another rank failed of is what the record says, and rank 0 ends although it would wait for ever."""
    write_experiment(project)
    done = by_hand(project, "builder.build('raise')")
    assert done.code == 1, done
    found = record(project, 0)
    assert (found["status"], found["error"]) == ("failed", "rank 1: ValueError: bad luck")
    assert not (project.result_dir(0) / "success.txt").exists()


def test_another_number_by_hand(project: Project) -> None:
    """A launch of another number of processes than the config's is refused, in a sentence, before anything is made."""
    write_experiment(project)
    done = by_hand(project, "builder.build('sum', n=3)")
    assert done.code == 1
    assert "has started 2 processes, and the config's num_processes is 3. Give it --num_processes 3" in done.err
    assert not project.out.exists()


def test_a_launch_by_hand_that_is_killed(project: Project) -> None:
    """SIGKILL of accelerate's launcher leaves no rank, and the same command runs the experiment again."""
    write_experiment(project)
    launch = subprocess.Popen(
        stub(project, "builder.build('wait')", *LAUNCH), cwd=project.root, env=project.environment(),
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    wait_until(lambda: all((project.result_dir(0) / f"waits {rank}").exists() for rank in (0, 1)), seconds=60)
    daemon = project.result_dir(0) / "daemon 1"
    wait_until(daemon.exists)
    launch.send_signal(signal.SIGKILL)
    launch.wait()
    pids = [int((ranks_dir(project, 0) / f"{rank}.pid").read_text()) for rank in (0, 1)]
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), seconds=5)
    (left,) = project.processes()  # nobody minds a launch by hand: a daemon that a rank has made is the user's
    os.kill(left, signal.SIGKILL)
    wait_until(lambda: not project.processes())
    assert not (project.result_dir(0) / "success.txt").exists()
    again = project.configmill("status", str(project.out), "--json")
    assert json.loads(again.out)["interrupted"] == 1, again
