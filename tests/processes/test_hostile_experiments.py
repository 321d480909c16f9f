"""Experiments that work against the tool: their own directory, their environment, their streams."""

from __future__ import annotations

import pytest

from tests.conftest import Project

EXPERIMENT = """
    import os, shutil, sys
    import configmill

    def run(config):
        globals()[config.what](config)
        return {"fine": True}

    def well(config):
        pass

    def forges_success(config):
        open(os.path.join(config.meta.experiment_dir, "success.txt"), "w").close()
        raise ValueError("and then it failed")

    def removes_its_directory(config):
        shutil.rmtree(config.meta.experiment_dir)

    def removes_its_attempts(config):
        shutil.rmtree(os.path.join(config.meta.experiment_dir, "attempts"))

    def spoils_its_config(config):
        with open(os.path.join(config.meta.experiment_dir, "config.json"), "wb") as file:
            file.write(b"{\\xff")

    def spoils_its_status(config):
        with open(os.path.join(config.meta.experiment_dir, "status.json"), "w") as file:
            file.write("[")

    def spoils_it_as_json(config):
        with open(os.path.join(config.meta.experiment_dir, "status.json"), "w") as file:
            file.write("[1]")
        os.kill(os.getppid(), 9)

    def clears_the_environment(config):
        os.environ.clear()
        configmill.log_metrics(step=1, loss=0.5)
        configmill.save_checkpoint({"kept": True})

    def counts_far(config):
        raise_later.append(10 ** 5000)
    raise_later = []
    """


def builder(*what: str) -> str:
    """The builder string of experiments that do these things."""
    return f"builder.build({list(what)!r})"


@pytest.fixture
def hostile(project: Project) -> Project:
    """A project of such experiments."""
    project.write("experiment.py", EXPERIMENT)
    project.write("builder.py", "def build(what):\n    return [{'what': each} for each in what]\n")
    return project


def test_a_forged_success_is_none(hostile: Project) -> None:
    """An experiment that makes its own success.txt and fails has failed, and runs again."""
    for _ in range(2):
        done = hostile.run("--json", builder=builder("forges_success"))
        assert (done.code, done.summary["failed"], done.summary["skipped"]) == (1, 1, 0)
    assert not (hostile.result_dir(0) / "success.txt").exists()
    assert hostile.configmill("status", str(hostile.out), "--json").summary["failed"] == 1


@pytest.mark.parametrize(
    "what",
    ["removes_its_directory", "removes_its_attempts", "spoils_its_config", "spoils_its_status", "spoils_it_as_json"],
)
def test_who_spoils_its_own_directory_stops_nobody_else(hostile: Project, what: str) -> None:
    """The others run, the tables are written, and the next command goes on."""
    done = hostile.run("--json", builder=builder(what, "well"))
    assert done.code in (0, 1), done
    assert done.summary["succeeded"] >= 1
    assert (hostile.result_dir(1) / "success.txt").exists()
    assert (hostile.out / "results.csv").read_text().count("\n") == 3
    again = hostile.run("--json", builder=builder(what, "well"))
    assert again.code in (0, 1), again
    assert hostile.configmill("results", str(hostile.out), "--json").code == 0


def test_the_environment_is_the_experiments_own(hostile: Project) -> None:
    """Metrics and checkpoints are kept also where user code has cleared os.environ."""
    assert hostile.run(builder=builder("clears_the_environment")).code == 0
    assert "0.5" in (hostile.result_dir(0) / "metrics.jsonl").read_text()
    assert list((hostile.result_dir(0) / "checkpoints").iterdir())


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams(hostile: Project, closed: str) -> None:
    """A manager that is started with closed streams runs its experiments all the same."""
    command = hostile.command(builder=builder("well"))
    done = hostile.call(["sh", "-c", f'"$@" {closed}', "sh", *command])
    assert done.code == 0, done
    assert (hostile.result_dir(0) / "success.txt").exists()


def test_an_encoding_that_cannot_show_the_path(hostile: Project) -> None:
    """Output that the terminal's encoding can't show is escaped, not an error."""
    environment = hostile.environment(PYTHONIOENCODING="ascii")
    done = hostile.call(hostile.command(builder=builder("well"), dst=hostile.root / "ört"), env=environment)
    assert done.code == 0, done
    assert "rt" in done.out


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("class Odd(BaseException):\n        pass\n    raise Odd('odd')", "Odd: odd"),
        ("class Mute(Exception):\n        def __str__(self):\n            raise KeyError\n    raise Mute", "Mute"),
    ],
)
def test_a_builder_may_raise_anything(hostile: Project, body: str, said: str) -> None:
    """Whatever a builder raises is a usage error that names it."""
    hostile.write("raising.py", "def build():\n    " + body + "\n")
    done = hostile.run(builder="raising.build()")
    assert done.code == 2, done
    assert said in done.err


def test_a_start_that_fails_ends_the_manager(hostile: Project) -> None:
    """Where an experiment's directory can't be prepared, that one fails, and the others run."""
    hostile.run("--index", "1", builder=builder("well", "clears_the_environment"))
    done = hostile.run("--json", "--dry_run", builder=builder("well", "clears_the_environment"))
    assert done.summary["not_started"] == 1
    digest = next(line.split()[1] for line in done.err.splitlines() if line.startswith("result_0"))
    (hostile.out / "experiments" / digest).write_text("in the way")
    done = hostile.run("--json", builder=builder("well", "clears_the_environment"))
    assert done.code == 1, done
    assert [failure["failure_class"] for failure in done.summary["failures"]] == ["io"]
