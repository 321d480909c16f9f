"""A long experiment that is cut off goes on from its checkpoint."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import pytest

from tests.conftest import Project, wait_until
from tests.processes.cases import Cases, run_cases

#: Ten steps; each begins by noting which attempt does it, and ends with a checkpoint. At step `dies_at` the first
#: attempt ends itself, or waits for somebody to end it.
LONG = """
    import os, signal, time

    import configmill

    def _steps(config, at_step):
        state = configmill.load_checkpoint() or {"step": 0, "sum": 0}
        for step in range(state["step"], 10):
            with open(os.path.join(config.meta.experiment_dir, "steps.txt"), "a") as file:
                file.write(f"{config.meta.attempt} {step}\\n")
            if step == config.get("at", 6) and config.meta.attempt == 1:
                at_step()
            state = {"step": step + 1, "sum": state["sum"] + step}
            configmill.save_checkpoint(state)
        return {"sum": state["sum"]}

    def is_killed(config):
        return _steps(config, lambda: os.kill(os.getpid(), signal.SIGKILL))

    def fails(config):
        return _steps(config, lambda: 1 / 0)

    def waits(config):
        return _steps(config, lambda: time.sleep(1000))

    def cant_pickle(config):
        configmill.save_checkpoint({"step": 1})
        configmill.save_checkpoint({"step": 2, "model": lambda: None})

    def finds_a_corrupt_one(config):
        if config.meta.attempt == 1:
            configmill.save_checkpoint({"step": 1, "weights": list(range(1000))})
            name, = os.listdir(config.meta.checkpoint_dir)
            os.truncate(os.path.join(config.meta.checkpoint_dir, name), 100)
            raise ValueError
        configmill.load_checkpoint()

    def finds_a_foreign_one(config):
        import pickle
        if config.meta.attempt == 1:
            configmill.save_checkpoint({"step": 1})
            name, = os.listdir(config.meta.checkpoint_dir)
            with open(os.path.join(config.meta.checkpoint_dir, name), "wb") as file:
                pickle.dump(["not", "ours"], file)
            raise ValueError
        configmill.load_checkpoint()

    def saves_twice(config):
        configmill.save_checkpoint(1)
        configmill.save_checkpoint({"step": 2})
        return {"loaded": configmill.load_checkpoint(), "files": os.listdir(config.meta.checkpoint_dir)}

    def keeps_a_file(config):
        path = os.path.join(config.meta.checkpoint_dir, "weights.bin")
        if config.meta.attempt == 1:
            with open(path, "w") as file:
                file.write("many")
            raise ValueError
        with open(path) as file:
            return {"weights": file.read()}
    """


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of LONG but the one that waits, each with one retry."""
    text = LONG.replace("    def waits(config):\n        return _steps(config, lambda: time.sleep(1000))\n\n", "")
    return run_cases(shared_project, text, "--num_retries", "1", "--retry_backoff", "0")


def steps(directory: Any) -> list[tuple[int, int]]:
    """(attempt, step) for every step that began, in order."""
    return [tuple(map(int, line.split())) for line in (directory / "steps.txt").read_text().splitlines()]


def resumed_at(directory: Any, attempt: int) -> int:
    """The first step that the attempt did."""
    return next(step for number, step in steps(directory) if number == attempt)


@pytest.mark.parametrize("case", ["is_killed", "fails"])
def test_a_retry_goes_on_from_the_checkpoint(cases: Cases, case: str) -> None:
    """Cut off at step k, a retry resumes at step k-1 or later, and the result is that of an uninterrupted run."""
    assert cases.result(case) == {"sum": sum(range(10))}
    assert resumed_at(cases.dir(case), 2) >= 6 - 1


def test_the_record_says_what_was_resumed(cases: Cases) -> None:
    """resumed_from is the attempt whose checkpoint was taken up; None for one that began afresh."""
    assert [record["resumed_from"] for record in cases.attempts("is_killed")] == [None, 1]
    assert cases.record("saves_twice")["resumed_from"] is None


def test_what_cant_be_pickled_is_a_clear_error(cases: Cases) -> None:
    """A state that can't be pickled fails with CheckpointError; the checkpoint before it stays."""
    record = cases.record("cant_pickle")
    assert record["failure_class"] == "code_error"
    assert record["error"].startswith("CheckpointError: ")
    assert "can't be pickled" in record["error"]
    (left,) = (cases.dir("cant_pickle") / "checkpoints").iterdir()
    assert b"step" in left.read_bytes()


@pytest.mark.parametrize("case", ["finds_a_corrupt_one", "finds_a_foreign_one"])
def test_what_cant_be_read_is_a_clear_error(cases: Cases, case: str) -> None:
    """A checkpoint that can't be read is CheckpointError with the file's path, not a silent start from nothing."""
    error = cases.attempts(case)[1]["error"]
    assert error.startswith("CheckpointError: ")
    assert "checkpoints/" in error


def test_the_last_checkpoint_counts(cases: Cases) -> None:
    """A checkpoint takes the place of the one before; no half-written file stays beside it."""
    result = cases.result("saves_twice")
    assert result["loaded"] == {"step": 2}
    assert len(result["files"]) == 1


def test_other_files_in_checkpoint_dir_survive_too(cases: Cases) -> None:
    """config.meta.checkpoint_dir as a whole survives attempts, for users who save in their own way."""
    assert cases.result("keeps_a_file") == {"weights": "many"}


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_the_same_command_goes_on_after_the_managers_end(project: Project, signum: int) -> None:
    """The manager ended at step k, by whatever signal: the same command resumes at step k-1 or later."""
    project.write("builder.py", "def build():\n    return [{'case': 'waits'}]\n")
    project.write("experiment.py", LONG + "\n    def run(config):\n        return globals()[config.case](config)\n")
    manager = project.start()
    wait_until(lambda: (project.result_dir(0) / "steps.txt").exists() and (1, 6) in steps(project.result_dir(0)))
    manager.send_signal(signum)
    manager.communicate(timeout=30)
    done = project.run()
    assert done.code == 0, done
    assert project.json(0, "result.json") == {"sum": sum(range(10))}
    assert resumed_at(project.result_dir(0), 2) >= 6 - 1
    assert project.json(0, "attempts/2.json")["resumed_from"] == 1


def test_after_a_success_it_starts_afresh(project: Project) -> None:
    """--no_incremental runs what succeeded again from its first step; the old checkpoint is kept with its attempt."""
    project.write("builder.py", "def build():\n    return [{'case': 'fails', 'at': 99}]\n")
    project.write("experiment.py", LONG + "\n    def run(config):\n        return globals()[config.case](config)\n")
    for _ in range(2):
        done = project.run("--no_incremental")
        assert done.code == 0, done
    assert [step for attempt, step in steps(project.result_dir(0)) if attempt == 2] == list(range(10))
    assert project.json(0, "attempts/2.json")["resumed_from"] is None
    assert list((project.result_dir(0) / "attempts" / "1" / "checkpoints").iterdir())


def test_by_hand_nothing_is_harmed(project: Project) -> None:
    """In a plain script checkpoints and metrics are no errors, return nothing, and leave no file anywhere."""
    project.write(
        "by_hand.py",
        """
        import configmill
        configmill.save_checkpoint({"step": 1, "model": lambda: None})
        assert configmill.load_checkpoint() is None
        configmill.log_metrics(step=1, loss=0.5)
        assert configmill.get_config_from_env() is None
        print("fine")
        """,
    )
    before = set(project.root.rglob("*"))
    done = project.call([sys.executable, "by_hand.py"])
    assert (done.code, done.out) == (0, "fine\n"), done
    assert set(project.root.rglob("*")) - before <= {project.root / "__pycache__"}


def test_by_hand_metrics_are_logged(project: Project) -> None:
    """By hand, log_metrics says through `logging` what it would have saved."""
    project.write(
        "by_hand.py",
        """
        import logging, configmill
        logging.basicConfig(level="INFO")
        configmill.log_metrics(step=1, loss=0.5)
        """,
    )
    assert "0.5" in project.call([sys.executable, "by_hand.py"]).err


def test_half_an_environment_is_an_error(project: Project) -> None:
    """Where only some of the nine variables are set, a checkpoint is refused with the names of those that lack."""
    project.write("by_hand.py", "import configmill\nconfigmill.save_checkpoint(1)\n")
    done = project.call([sys.executable, "by_hand.py"], env=project.environment(CONFIGMILL_DST_DIR="/tmp"))
    assert done.code != 0
    assert "CONFIGMILL_CONFIG_IDX" in done.err
    assert os.listdir(project.root) == ["by_hand.py"]
