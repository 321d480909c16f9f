"""Same identity and succeeded: skipped. Everything else runs, and nothing inherits what isn't its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.cli.listing import listing
from tests.conftest import Project

BUILDER = """
    import configmill

    def build(xs=(0, 1, 2, 3), **resources):
        base = {"x": 0, "name": "square", **({"resources": resources} if resources else {})}
        return configmill.grid(base, {"x": list(xs)})
    """
EXPERIMENT = """
    def run(config):
        print(f"attempt {config.meta.attempt} of {config.x}")
        return {"y": config.x ** 2, "attempt": config.meta.attempt}
    """


@pytest.fixture
def sweep(project: Project) -> Project:
    """A project whose builder takes the values of `x`, and resources."""
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    return project


def run(project: Project, builder: str, *options: str) -> dict:
    """Run a list, and return the summary."""
    return project.run("--json", "--num_threads", "2", *options, builder=builder).summary


def data(project: Project) -> dict:
    """What lies in the experiments' directories."""
    return listing(project.out / "experiments", times=True)


def links(project: Project) -> dict[int, str]:
    """Where the links by index point."""
    found = [path for path in project.out.glob("result_*") if path.is_symlink()]
    return {int(path.name.removeprefix("result_")): os.readlink(path) for path in found}


def test_what_succeeded_is_skipped(sweep: Project) -> None:
    """The same command again runs nothing, changes no data, and says how many it skipped."""
    assert run(sweep, "builder.build()")["succeeded"] == 4
    before = data(sweep)
    again = sweep.run(builder="builder.build()")
    assert again.code == 0
    assert "4 skipped" in again.out
    assert data(sweep) == before


def test_the_builder_string_is_no_part_of_the_identity(sweep: Project) -> None:
    """Configs that are the same are skipped whatever the call that built them, and whatever the order of their keys."""
    run(sweep, "builder.build()")
    sweep.write("other.py", "def build():\n    return [{'name': 'square', 'x': x} for x in range(4)]\n")
    before = data(sweep)
    assert run(sweep, "other.build()")["skipped"] == 4
    assert data(sweep) == before


def test_a_reordered_list_moves_no_data(sweep: Project) -> None:
    """In another order nothing runs and no file changes; each link leads to its config's own result."""
    run(sweep, "builder.build()")
    before = data(sweep)
    summary = run(sweep, "builder.build(xs=(3, 1, 0, 2))")
    assert (summary["succeeded"], summary["skipped"]) == (0, 4)
    assert data(sweep) == before
    assert [sweep.json(i, "result.json")["y"] for i in range(4)] == [9, 1, 0, 4]
    assert [sweep.json(i, "config.json")["x"] for i in range(4)] == [3, 1, 0, 2]


def test_a_prepended_config_alone_runs(sweep: Project) -> None:
    """Of a list that grew at its front only the new one runs, and every index has its own result."""
    run(sweep, "builder.build()")
    before = data(sweep)
    summary = run(sweep, "builder.build(xs=(9, 0, 1, 2, 3))")
    assert (summary["succeeded"], summary["skipped"]) == (1, 4)
    assert [sweep.json(i, "result.json")["y"] for i in range(5)] == [81, 0, 1, 4, 9]
    after = data(sweep)
    assert {path: after[path] for path in before if path != f"{sweep.out}/experiments/"} == {
        path: entry for path, entry in before.items() if path != f"{sweep.out}/experiments/"
    }


def test_links_are_relative_and_the_campaign_can_be_moved(sweep: Project) -> None:
    """Links are relative, so a campaign that is moved as a whole works on: nothing runs again."""
    run(sweep, "builder.build()")
    assert all(target.startswith("experiments/") for target in links(sweep).values())
    moved = sweep.root / "moved" / "elsewhere"
    moved.parent.mkdir()
    sweep.out.rename(moved)
    assert json.loads((moved / "result_2/result.json").read_text())["y"] == 4
    assert sweep.run("--json", builder="builder.build()", dst=moved).summary["skipped"] == 4


def test_surplus_links_go_and_their_data_stays(sweep: Project) -> None:
    """Of a list that shrank the links beyond it go; the experiments stay, and are skipped when they come back."""
    run(sweep, "builder.build()")
    before = set(os.listdir(sweep.out / "experiments"))
    run(sweep, "builder.build(xs=(0, 1))")
    assert sorted(links(sweep)) == [0, 1]
    assert set(os.listdir(sweep.out / "experiments")) == before
    assert run(sweep, "builder.build()")["skipped"] == 4
    assert sorted(links(sweep)) == [0, 1, 2, 3]


def test_what_a_user_made_stays(sweep: Project) -> None:
    """A user's file, folder or link stays, also where its name begins with result_ or is that of a surplus index."""
    run(sweep, "builder.build()")
    (sweep.out / "result_notes.txt").write_text("mine")
    (sweep.out / "result_17").write_text("mine")
    (sweep.out / "result_best").mkdir()
    (sweep.result_dir(0) / "plot.png").write_bytes(b"png")
    before = listing(sweep.out)
    run(sweep, "builder.build(xs=(0, 1, 2))")
    after = listing(sweep.out)
    for path in ("result_notes.txt", "result_17", "result_best", f"{links(sweep)[0]}/plot.png"):
        assert after[f"{sweep.out}/{path}"] == before[f"{sweep.out}/{path}"]


@pytest.mark.parametrize("name", ["result_best", "result_17"])
def test_a_link_of_the_user_stays(sweep: Project, name: str) -> None:
    """A link that a user made is theirs: only links by index into experiments/ are surplus."""
    run(sweep, "builder.build(xs=(0, 1))")
    target = sweep.write("my pictures/final.png", "png")
    (sweep.out / name).symlink_to(target)
    run(sweep, "builder.build(xs=(0,))")
    assert (sweep.out / name).is_symlink()
    assert not (sweep.out / "result_1").is_symlink()


def test_a_users_file_in_the_place_of_a_link(sweep: Project) -> None:
    """Where a user's file has the name of a link, the file stays and the experiment runs all the same."""
    run(sweep, "builder.build(xs=(0,))")
    (sweep.out / "result_1").write_text("mine")
    assert run(sweep, "builder.build(xs=(0, 1))")["succeeded"] == 1
    assert (sweep.out / "result_1").read_text() == "mine"


@pytest.mark.parametrize("change", ["--set=name=cube", "--set=x=7"])
def test_a_changed_config_inherits_nothing(sweep: Project, change: str) -> None:
    """A config with another value is another experiment: a directory of its own, attempt 1."""
    run(sweep, "builder.build(xs=(2,))")
    old = links(sweep)[0]
    assert run(sweep, "builder.build(xs=(2,))", change)["succeeded"] == 1
    assert links(sweep)[0] != old
    assert (sweep.out / old / "success.txt").exists()
    assert sweep.json(0, "result.json")["attempt"] == 1


def test_a_changed_function_inherits_nothing(sweep: Project) -> None:
    """A function in a config counts with its code: changed, the config runs; a comment more, it is skipped."""
    sweep.write("experiment.py", "def run(config):\n    return {'y': config.f(3)}\n")
    text = "def build():\n    return [{{'f': lambda x: x {}}}]\n"
    sweep.write("builder.py", text.format("+ 1"))
    assert run(sweep, "builder.build()")["succeeded"] == 1
    sweep.write("builder.py", "# a comment\n\n" + text.format("+ 1"))
    assert run(sweep, "builder.build()")["skipped"] == 1
    sweep.write("builder.py", text.format("* 1"))
    assert run(sweep, "builder.build()")["succeeded"] == 1
    assert sweep.json(0, "result.json") == {"y": 3}


def test_resources_that_do_not_identify(sweep: Project) -> None:
    """Time-out and priority say how to run, not what: with others, or none, the config is skipped."""
    assert run(sweep, "builder.build(timeout=50, priority=1)")["succeeded"] == 4
    for builder in ("builder.build(timeout=60, priority=2)", "builder.build(timeout=50)", "builder.build()"):
        assert run(sweep, builder)["skipped"] == 4, builder
    others = "expected_seconds=1, gpu_memory_gb=2, memory_gb=1, num_cpus=1, exclusive_host=True"
    assert run(sweep, f"builder.build(xs=(1, 2, 3), {others}, on_oom={{'x': 'halve'}})")["skipped"] == 3


def test_resources_that_identify(sweep: Project) -> None:
    """`num_gpus` counts where the config gives it; what the command says for all is no part of any config."""
    assert run(sweep, "builder.build(xs=(0,))")["succeeded"] == 1
    assert run(sweep, "builder.build(xs=(0,))", "--num_gpus", "0")["skipped"] == 1
    assert run(sweep, "builder.build(xs=(0,), num_gpus=0)")["succeeded"] == 1
    assert run(sweep, "builder.build(xs=(0,), num_gpus=0)")["skipped"] == 1


def test_another_key_by_the_name_of_a_resource_identifies(sweep: Project) -> None:
    """Only the top-level mapping `resources` is left out: `timeout` anywhere else is the experiment's own."""
    for value in (1, 2):
        sweep.write(
            "builder.py", f"def build():\n    return [{{'x': 1, 'timeout': {value}, 'a': {{'priority': 1}}}}]\n"
        )
        assert run(sweep, "builder.build()")["succeeded"] == 1


FLAKY = """
    import os, configmill

    def run(config):
        configmill.log_metrics(step=1, loss=float(config.meta.attempt))
        if os.path.exists(os.path.join(config.meta.project_dir, "broken")):
            raise ValueError("it broke")
        return {"attempt": config.meta.attempt}
    """


def test_a_failing_rerun_takes_the_success_back(sweep: Project) -> None:
    """A re-run with --no_incremental that fails leaves no success marker: the next command runs it again."""
    sweep.write("experiment.py", FLAKY)
    one = "builder.build(xs=(0,))"
    assert run(sweep, one)["succeeded"] == 1
    (sweep.root / "broken").touch()
    assert run(sweep, one, "--no_incremental")["failed"] == 1
    assert not (sweep.result_dir(0) / "success.txt").exists()
    assert sweep.json(0, "status.json")["status"] == "failed"
    (sweep.root / "broken").unlink()
    third = run(sweep, one)
    assert (third["succeeded"], third["skipped"]) == (1, 0)
    assert (sweep.result_dir(0) / "success.txt").read_text() == "3\n"
    assert sweep.json(0, "result.json") == {"attempt": 3}


def test_reruns_archive_result_and_metrics(sweep: Project) -> None:
    """Before attempt n the result and the metrics of the attempt before move to attempts/<n-1>/; nothing is mixed."""
    sweep.write("experiment.py", FLAKY)
    one = "builder.build(xs=(0,))"
    run(sweep, one)
    run(sweep, one, "--no_incremental")
    (sweep.root / "broken").touch()
    run(sweep, one, "--no_incremental")
    attempts = sweep.result_dir(0) / "attempts"
    assert json.loads((attempts / "1/result.json").read_text()) == {"attempt": 1}
    assert json.loads((attempts / "2/result.json").read_text()) == {"attempt": 2}
    assert not (sweep.result_dir(0) / "result.json").exists(), "attempt 3 failed and returned nothing"
    assert _losses(attempts / "1") == [1.0]
    assert _losses(attempts / "2") == [2.0]
    assert _losses(sweep.result_dir(0)) == [3.0]
    records = [json.loads((attempts / f"{n}.json").read_text()) for n in (1, 2, 3)]
    assert [(r["attempt"], r["status"]) for r in records] == [(1, "succeeded"), (2, "succeeded"), (3, "failed")]
    assert all((attempts / f"{n}.log").exists() for n in (1, 2, 3))


def _losses(directory: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_retries_archive_too(sweep: Project) -> None:
    """Attempts of one command are kept apart as those of several are."""
    sweep.write(
        "experiment.py",
        """
        import configmill

        def run(config):
            configmill.log_metrics(step=0, loss=config.meta.attempt)
            if config.meta.attempt < 3:
                raise ValueError("not yet")
            return {"attempt": config.meta.attempt}
        """,
    )
    summary = run(sweep, "builder.build(xs=(0,))", "--num_retries", "2", "--retry_backoff", "0")
    assert (summary["succeeded"], summary["failed"]) == (1, 0)
    assert _losses(sweep.result_dir(0)) == [3]
    assert [_losses(sweep.result_dir(0) / "attempts" / n) for n in "12"] == [[1], [2]]


def test_a_failure_runs_again_and_a_success_beside_it_does_not(sweep: Project) -> None:
    """The next command runs just what failed."""
    sweep.write(
        "experiment.py",
        """
        def run(config):
            if config.x == 1 and config.meta.attempt == 1:
                raise ValueError("the first time it fails")
            return {"attempt": config.meta.attempt}
        """,
    )
    first, second = run(sweep, "builder.build()"), run(sweep, "builder.build()")
    assert (first["succeeded"], first["failed"], first["exit_code"]) == (3, 1, 1)
    assert (second["succeeded"], second["skipped"], second["exit_code"]) == (1, 3, 0)
    assert [sweep.json(i, "result.json")["attempt"] for i in range(4)] == [1, 2, 1, 1]


def test_the_marker_is_gone_before_the_next_attempt_starts(squares: Project) -> None:
    """While what succeeded before runs again there is no marker: a crash then can't pass for a success."""
    squares.write(
        "experiment.py",
        """
        import os

        def run(config):
            return {"marked": os.path.exists(os.path.join(config.meta.experiment_dir, "success.txt"))}
        """,
    )
    for options in ([], ["--no_incremental"]):
        assert squares.run("--index", "0", *options).code == 0
        assert squares.json(0, "result.json") == {"marked": False}
    assert squares.json(0, "attempts/2.json")["status"] == "succeeded"
