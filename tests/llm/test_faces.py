"""The customer's names for running configs are thin: the manager runs, retries, resumes and keeps."""

from __future__ import annotations

import csv
import inspect
import json
import subprocess
import sys

import pytest

from experiments.llm_inference.launching import launch_experiment_via_accelerate
from experiments.llm_inference.progress import log_failed_experiment
from experiments.llm_inference.retry import batch_launch_experiments, run_single_config_with_retry
from tests.conftest import Done, Project
from tests.llm.faces import CAMPAIGN, attempts, environment, script, write_script

SINGLE = """
    def config(name, **more):
        return {"model_name": "m", "suite": "s", "config_name": name, "cycle_id": 1, **more}

    fails, flaky = config("fails"), config("flaky")
    print("fails:", run_single_config_with_retry(fails, max_retries=3, backoff_base=0.1), fails.get("experiment_id"))
    print("flaky:", run_single_config_with_retry(flaky, backoff_base=0), flaky.get("experiment_id"))
    print("again:", run_single_config_with_retry(flaky, backoff_base=0))
    many = config("too many", resources={"num_gpus": 1000})
    print("many:", run_single_config_with_retry(many))
    misspelt = config("misspelt", max_output_token=5)
    print("misspelt:", run_single_config_with_retry(misspelt))
    batch = [config("one"), config("two"), many, misspelt, config("fails at once")]
    batch += [config("same"), config("same", seed=7)]
    batch[-1]["cycle_id"] = 2
    print("batch:", batch_launch_experiments(batch, max_parallel=2, max_retries=0))
    print("progress:", sorted(load_progress().items()))
    """


@pytest.fixture(scope="module")
def done(shared_project: Project) -> Done:
    """Single configs, then several, in one script and so in one campaign."""
    ended = script(shared_project, SINGLE)
    assert ended.code == 0, ended
    return ended


def said(done: Done, what: str) -> str:
    """What the script printed of one of its steps."""
    [line] = [line for line in done.out.splitlines() if line.startswith(f"{what}: ")]
    return line.removeprefix(f"{what}: ")


def test_the_signatures_are_the_published_ones() -> None:
    """Parameters that callers name keep their names, order and defaults."""
    assert str(inspect.signature(run_single_config_with_retry)).startswith("(experiment_config: ")
    defaults = {name: p.default for name, p in inspect.signature(run_single_config_with_retry).parameters.items()}
    assert list(defaults.items())[1:] == [("max_retries", 3), ("backoff_base", 2)]
    batch = inspect.signature(batch_launch_experiments).parameters
    assert list(batch)[:2] == ["experiment_configs", "max_parallel"] and batch["max_parallel"].default == 1
    assert list(inspect.signature(launch_experiment_via_accelerate).parameters) == [
        "experiment_config", "temp_config_path",
    ]  # fmt: skip
    assert inspect.signature(log_failed_experiment).parameters["log_file"].default == "failed_experiments.csv"


def test_one_run_and_three_more_with_growing_waits(done: Done, shared_project: Project) -> None:
    """A config that always fails is run four times, waits base^1, base^2, base^3 in between, and gives False."""
    assert said(done, "fails") == "False None"
    assert attempts(shared_project)["m-fails-1"] == [f"{number} begins" for number in (1, 2, 3, 4)]
    assert [wait for wait in ("0.1 s", "0.01 s", "0.001 s") if f"next attempt in {wait}" in done.out] == [
        "0.1 s", "0.01 s", "0.001 s",
    ]  # fmt: skip


def test_a_success_gives_true_and_the_id_and_is_not_run_again(done: Done, shared_project: Project) -> None:
    """A flaky config succeeds in its third attempt; the id that is left in the config makes it no other config."""
    assert said(done, "flaky") == "True id-of-m-flaky-1"
    assert said(done, "again") == "True"
    assert attempts(shared_project)["m-flaky-1"] == ["1 begins", "2 begins", "3 begins", "3 ends"]


def test_a_config_that_cannot_be_run_is_said_and_is_no_success(done: Done, shared_project: Project) -> None:
    """What could never run is False with its sentence, at once; it ends neither the script nor its batch."""
    assert said(done, "many") == said(done, "misspelt") == "False"
    assert "m::s::too many::1 can't be run: " in done.out
    assert "m::s::misspelt::1 can't be run: " in done.out and '"max_output_tokens"?' in done.out
    assert not any("too many" in name or "misspelt" in name for name in attempts(shared_project))


def test_a_batch_says_of_each_name_whether_it_succeeded(done: Done) -> None:
    """The result is by config_name, or by the whole key where a name isn't a config's own, and a summary is printed."""
    result = {"one": True, "two": True, "too many": False, "misspelt": False, "fails at once": False,
              "m::s::same::1": True, "m::s::same::2": True}  # fmt: skip
    assert said(done, "batch") == str(result)
    assert "4 of 7 succeeded, 3 failed" in done.out


def test_all_calls_are_one_campaign(done: Done, shared_project: Project) -> None:
    """The campaign's table has a line for each config that ran, of whichever call; its links are theirs."""
    with open(shared_project.root / CAMPAIGN / "results.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["config_name"] for line in lines] == [
        "fails", "flaky", "one", "two", "fails at once", "same", "same",
    ]  # fmt: skip
    assert [line["status"] for line in lines] == ["failed", *["succeeded"] * 3, "failed", *["succeeded"] * 2]
    for index, line in enumerate(lines):
        kept = json.loads((shared_project.root / CAMPAIGN / f"result_{index}" / "config.json").read_text())
        assert kept["config_name"] == line["config_name"]


def test_progress_is_what_succeeded(done: Done) -> None:
    """load_progress has the key and the id of each success, and of nothing else."""
    names = [("flaky", 1), ("one", 1), ("same", 1), ("same", 2), ("two", 1)]
    expected = [(f"m::s::{name}::{cycle}", f"id-of-m-{name}-{cycle}") for name, cycle in names]
    assert said(done, "progress") == str(expected)


def test_inside_of_an_experiment_the_manager_alone_retries(project: Project) -> None:
    """Called by an experiment, the config is run once in its place, and its failure is the attempt's."""
    project.write("builder.py", "def build():\n    return [{'model_name': './nowhere'}]\n")
    project.write(
        "experiment.py",
        """
        from experiments.llm_inference.retry import run_single_config_with_retry

        def run(config):
            print("asked", flush=True)
            run_single_config_with_retry(config.to_dict(), max_retries=3)
        """,
    )
    done = project.run("--num_retries", "1", "--retry_backoff", "0", "--json")
    assert done.code == 1
    [failure] = done.summary["failures"]
    assert failure["attempts"] == 2 and "./nowhere" in failure["error"]
    assert [project.log(0, number).count("asked") for number in (1, 2)] == [1, 1]


def test_ranks_output_is_streamed_with_the_rank_in_front(project: Project) -> None:
    """launch_experiment_via_accelerate shows what each rank prints, runs once, and takes its file away afterwards."""
    done = script(
        project,
        """
        config = {"model_name": "m", "config_name": "on ranks", "num_processes": 2}
        print(launch_experiment_via_accelerate(config, temp_config_path="config.json"), os.path.exists("config.json"))
        print(launch_experiment_via_accelerate({**config, "config_name": "fails on ranks"}))
        """,
    )
    assert done.code == 0, done
    for rank in (0, 1):
        assert f"[rank {rank}] rank {rank} of 2" in done.out.splitlines(), done
    said = done.out.splitlines()
    assert "True False" in said and "False" in said, done
    assert attempts(project)["m-fails on ranks-None"] in (["1 begins"], ["1 begins"] * 2)  # a rank may be too late


def test_numbers_are_given_once_over_processes(project: Project) -> None:
    """Four processes that draw numbers at the same time get each number once, from 0001 on."""
    path = write_script(project, "print([get_next_experiment_id() for _ in range(25)])")
    started = [
        subprocess.Popen([sys.executable, path], cwd=project.root, env=environment(project), stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    drawn = [number for process in started for number in json.loads(process.communicate()[0].replace(b"'", b'"'))]
    assert sorted(drawn) == [f"{number:04d}" for number in range(1, 101)]


def test_a_failure_is_a_line_of_a_table(project: Project) -> None:
    """Processes that log at the same time make one table: a head, and a whole line for each."""
    path = write_script(
        project,
        """
        for number in range(10):
            config = {"model_name": "m", "config_name": f"{os.getpid()}-{number}", "text": 'a, "b"\\nc'}
            log_failed_experiment(config, "CUDA out of memory, again", log_file="logs/failed.csv")
        """,
    )
    started = [subprocess.Popen([sys.executable, path], cwd=project.root, env=environment(project)) for _ in range(3)]
    assert [process.wait() for process in started] == [0, 0, 0]
    with open(project.root / "logs" / "failed.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len({line["config_name"] for line in lines}) == 30
    assert {line["error_message"] for line in lines} == {"CUDA out of memory, again"}
    assert all(json.loads(line["config_json"])["text"] == 'a, "b"\nc' for line in lines)


def test_saved_progress_never_outweighs_the_campaign(project: Project) -> None:
    """Saved keys that the campaign doesn't know are kept; of those that it knows it decides; false ones aren't done."""
    done = script(
        project,
        """
        save_progress({"early": "0001"})
        print("no campaign:", load_progress())
        failing = {"model_name": "m", "suite": "s", "config_name": "fails", "cycle_id": 1}
        run_single_config_with_retry(failing, max_retries=0)
        save_progress({"m::s::fails::1": "0002", "my own key": "0003", "not done": False, "nor this": None})
        print("saved:", load_progress())
        with open(os.environ["CONFIGMILL_LLM_DST_DIR"] + ".progress/configs_run_progress.json", "w") as file:
            file.write("[1, 2")
        try:
            load_progress()
        except ValueError as error:
            print("damaged:", error)
        """,
    )
    assert done.code == 0, done
    assert said(done, "no campaign") == "{}"
    assert said(done, "saved") == "{'my own key': '0003'}"
    assert "configs_run_progress.json" in said(done, "damaged")


def test_a_config_that_was_changed_and_fails_is_not_done(project: Project) -> None:
    """Of several configs with one key it is the last to run that says whether the key is done."""
    done = script(
        project,
        """
        def config(**more):
            return {"model_name": "m", "suite": "s", "config_name": "first fine", "cycle_id": 1, **more}

        print("fine:", run_single_config_with_retry(config()), sorted(load_progress()))
        print("changed:", run_single_config_with_retry(config(seed=13), max_retries=0), sorted(load_progress()))
        try:
            run_single_config_with_retry(None)
        except TypeError as error:
            print("none:", error)
        """,
    )
    assert done.code == 0, done
    assert said(done, "fine") == "True ['m::s::first fine::1']"
    assert said(done, "changed") == "False []"
    assert "is no mapping" in said(done, "none")


def test_the_names_are_the_packages_own() -> None:
    """Every name can be imported from experiments.llm_inference, as the README does."""
    import experiments.llm_inference as package

    for name in (
        "run_single_config_with_retry", "batch_launch_experiments", "launch_experiment_via_accelerate",
        "load_progress", "save_progress", "get_next_experiment_id", "log_failed_experiment",
    ):  # fmt: skip
        assert callable(getattr(package, name)), name
