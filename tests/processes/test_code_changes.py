"""A skip of a result that another version of the code made is said, and --rerun_on_code_change runs it again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.listing import listing
from tests.conftest import REPOSITORY, Done, Project

RERUN = "--rerun_on_code_change"
#: Two kinds of model that are imported when they are needed, and a module that the builder imports first.
MODULES = {
    "experiments/__init__.py": "",
    "experiments/mine.py": """
        from experiments import scale

        def run(config):
            import common
            if config.kind == "a":
                from models import a as model
            else:
                from models import b as model
            return {"y": scale.by(model.fit(config.x), common.FACTOR)}
        """,
    "experiments/scale.py": "def by(x, factor):\n    return x * factor\n",
    "models/__init__.py": "",
    "models/a.py": "def fit(x):\n    return x + 1\n",
    "models/b.py": "def fit(x):\n    return x + 2\n",
    "common.py": "import numbers_of_it\n\nFACTOR = numbers_of_it.TEN\n",
    "numbers_of_it.py": "TEN = 10\n",
    "builders.py": """
        import common, listed

        def build(n=2):
            return [{"kind": kind, "x": x} for kind in listed.KINDS for x in range(n)]
        """,
    "listed.py": 'KINDS = ["a", "b"]\n',
}
COMMAND = {"experiment": "experiments.mine.run", "builder": "builders.build()"}


@pytest.fixture
def mine(project: Project) -> Project:
    """A project whose configs 0 and 1 are of kind a, 2 and 3 of kind b; all have succeeded."""
    for name, text in MODULES.items():
        project.write(name, text)
    assert project.run(**COMMAND).code == 0
    return project


def again(project: Project, *options: str) -> Done:
    """The same command again, to its good end."""
    done = project.run("--json", *options, **COMMAND)
    assert done.code == 0, done
    return done


def said(done: Done) -> tuple[int, list[str]]:
    """What the summary says of skipped results of another version: how many, and the files."""
    return done.summary["skipped_of_other_version"], done.summary["changed_code"]


def edit(project: Project, name: str, old: str, new: str) -> None:
    """Replace a part of a file, which must be there."""
    text = (project.root / name).read_text()
    assert old in text
    (project.root / name).write_text(text.replace(old, new))


def test_comments_and_white_space_are_silent(mine: Project) -> None:
    """After edits of comments, layout, docstrings and main parts nothing is said, and the flag runs nothing."""
    for name in ("experiments/mine.py", "experiments/scale.py", "models/a.py", "common.py"):
        text = (mine.root / name).read_text().replace("    ", "  ").replace("\n\n", "\n\n# Why.\n")
        mine.write(name, f'"""What it is for."""\n{text}\n\nif __name__ == "__main__":\n    print(1)\n')
    done = again(mine)
    assert (done.summary["skipped"], said(done)) == (4, (0, []))
    assert "version" not in done.err
    assert again(mine, RERUN).summary["skipped"] == 4


@pytest.mark.parametrize(
    ("name", "old", "new", "affected"),
    [
        ("experiments/mine.py", "common.FACTOR", "-common.FACTOR", [0, 1, 2, 3]),
        ("experiments/scale.py", "x * factor", "x / factor", [0, 1, 2, 3]),
        ("experiments/__init__.py", "", "X = 1", [0, 1, 2, 3]),
        ("models/a.py", "x + 1", "x + 1.5", [0, 1]),
        ("models/b.py", "x + 2", "x - 2", [2, 3]),
        ("common.py", "FACTOR = ", "FACTOR = 2 * ", [0, 1, 2, 3]),
        ("numbers_of_it.py", "10", "11", [0, 1, 2, 3]),
    ],
    ids=["function", "helper", "package", "lazily", "lazily, other configs", "shared with the builder", "below that"],
)
def test_a_change_of_code_is_said_and_run_again(
    mine: Project, name: str, old: str, new: str, affected: list[int]
) -> None:
    """A changed file is named, and the number of results that it went into; the flag runs those again and no others.

    After that nothing is said.
    """
    edit(mine, name, old, new)
    done = again(mine)
    assert (done.summary["skipped"], done.summary["succeeded"]) == (4, 0)
    assert said(done) == (len(affected), [name])
    assert f"another version of the code (changed since: {name}); {RERUN} runs them again" in done.err

    rerun = again(mine, RERUN)
    assert said(rerun) == (0, [])
    assert (rerun.summary["succeeded"], rerun.summary["skipped"]) == (len(affected), 4 - len(affected))
    assert f"{len(affected)} run again: {name} changed since they succeeded" in rerun.err
    attempts = [int((mine.result_dir(index) / "success.txt").read_text()) for index in range(4)]
    assert attempts == [2 if index in affected else 1 for index in range(4)]
    assert said(again(mine)) == (0, [])


def test_the_builder_alone_is_no_change(mine: Project) -> None:
    """Edits of what only the builder needs aren't said: a config more in its list runs, the others are skipped."""
    edit(mine, "builders.py", "n=2", "n=3")
    edit(mine, "listed.py", '["a", "b"]', '["a"] + ["b"]')
    done = again(mine, RERUN)
    assert (done.summary["succeeded"], done.summary["skipped"], said(done)) == (2, 4, (0, []))
    record = mine.json(0, "attempts/1.json")
    assert sorted(record["code"]) == sorted(MODULES.keys() - {"builders.py", "listed.py", "models/b.py"})


def test_a_module_that_is_gone_is_a_change(mine: Project) -> None:
    """A module that the result was made with and that is there no more is named; what runs again does without it."""
    edit(mine, "models/a.py", "x + 1", "x + 1  # as ever")
    edit(mine, "experiments/mine.py", "from models import b as model", "model = scale; scale.fit = abs")
    (mine.root / "models/b.py").unlink()
    assert said(again(mine)) == (4, ["experiments/mine.py", "models/b.py"])
    assert again(mine, RERUN).summary["succeeded"] == 4
    assert said(again(mine)) == (0, [])


def test_a_change_that_is_taken_back(mine: Project) -> None:
    """A file that is again what it was is no change, whatever its time stamp."""
    edit(mine, "common.py", "FACTOR = ", "FACTOR = 3 * ")
    assert said(again(mine))[0] == 4
    edit(mine, "common.py", "FACTOR = 3 * ", "FACTOR = ")
    assert said(again(mine)) == (0, [])


def test_without_incremental_the_flag_does_no_harm(mine: Project) -> None:
    """With --no_incremental everything runs again, changed or not, with the flag and without."""
    edit(mine, "models/a.py", "x + 1", "x + 3")
    assert again(mine, "--no_incremental", RERUN).summary["succeeded"] == 4
    assert said(again(mine)) == (0, [])


def test_only_what_is_selected_is_said(mine: Project) -> None:
    """The note counts the results of this command's selection."""
    edit(mine, "models/a.py", "x + 1", "x + 3")
    assert said(again(mine, "--indices", "1,2")) == (1, ["models/a.py"])
    done = mine.run("--index", "1", **COMMAND)
    assert "note: 1 of the skipped results was made by another version of the code" in done.out
    assert f"{RERUN} runs it again." in done.out


def test_the_files_are_named_by_number_where_they_are_many(project: Project) -> None:
    """The terminal names the first three files and counts the others; --json has all of them."""
    names = [f"part_{number}" for number in range(6)]
    for name in names:
        project.write(f"{name}.py", "X = 1\n")
    project.write("experiment.py", f"import {', '.join(names)}\ndef run(config): pass\n")
    project.write("builder.py", "def build(): return [{'x': 1}]\n")
    assert project.run().code == 0
    for name in names:
        project.write(f"{name}.py", "X = 2\n")
    assert "(changed since: part_0.py, part_1.py, part_2.py and 3 more)" in project.run().out
    assert project.run("--json").summary["changed_code"] == [f"{name}.py" for name in names]


def test_a_dry_run_says_it_of_each_config(mine: Project) -> None:
    """A dry run says which results are of another version and which would run again, and touches nothing."""
    edit(mine, "models/a.py", "x + 1", "x + 3")
    before = listing(mine.out, times=True)
    plain = mine.run("--dry_run", **COMMAND)
    why = "skipped: it succeeded before, with another version of the code (changed since: models/a.py)"
    assert [line.split("  ", 2)[2] for line in plain.out.splitlines()[:4]] == [
        why, why, "skipped: it succeeded before", "skipped: it succeeded before"
    ]  # fmt: skip
    assert "note: 2 of the skipped results were made by another version of the code" in plain.out
    flagged = mine.run("--dry_run", "--json", "--rerun-on-code-change", **COMMAND)
    assert [line.split("  ", 2)[2] for line in flagged.err.splitlines()[:2]] == [
        "runs again: models/a.py changed since"
    ] * 2
    assert (flagged.summary["not_started"], flagged.summary["skipped"], said(flagged)) == (2, 2, (0, []))
    assert said(mine.run("--dry_run", "--json", **COMMAND)) == (2, ["models/a.py"])
    assert listing(mine.out, times=True) == before


def test_what_failed_runs_anyway(project: Project) -> None:
    """A failed experiment runs again without the flag, and no note is made of it."""
    project.write("builder.py", "def build(): return [{'x': 0}, {'x': 1}]\n")
    project.write("experiment.py", "def run(config):\n    return {'y': 1 / config.x}\n")
    assert project.run().code == 1
    project.write("experiment.py", "def run(config):\n    return {'y': 1 / (config.x or 1)}\n")
    done = project.run("--json")
    assert (done.code, done.summary["succeeded"], said(done)) == (0, 1, (1, ["experiment.py"]))
    assert project.run("--json", RERUN).summary["succeeded"] == 1
    assert said(project.run("--json")) == (0, [])


CONFIGS_WITH_CODE = {
    "function": ("tools.double", ["tools.py", "deeper.py"]),
    "class": ("tools.Doubler", ["tools.py", "deeper.py"]),
    "partial": ("functools.partial(tools.times, 2)", ["tools.py", "deeper.py"]),
    "lambda that calls it": ("lambda x: tools.double(x)", ["builder.py", "tools.py", "deeper.py"]),
    "lambda": ("lambda x: 2 * x", []),
}


@pytest.mark.parametrize("what", CONFIGS_WITH_CODE)
def test_what_a_config_holds_counts(project: Project, what: str) -> None:
    """The module of a function or class in a config counts with what it imports, though only the builder imported it.

    A config without it isn't affected, and a function that is all in its own code affects none: it is in the identity.
    """
    value, files = CONFIGS_WITH_CODE[what]
    tools = (
        "def double(x): return deeper.times(2, x)\ndef times(x, y): return deeper.times(x, y)\nclass Doubler: pass\n"
    )
    project.write("tools.py", f"import deeper\n{tools}")
    project.write("deeper.py", "def times(x, y): return x * y\n")
    builder = f"import functools, tools\ndef build():\n    return [{{'f': {value}}}, {{'f': None}}]\n"
    project.write("builder.py", builder)
    project.write("experiment.py", "def run(config):\n    return {'y': config.f and str(config.f)}\n")
    assert project.run().code == 0
    assert project.json(0, "attempts/1.json")["code"].keys() == {"experiment.py", *files}
    assert project.json(1, "attempts/1.json")["code"].keys() == {"experiment.py"}
    edit(project, "deeper.py", "x * y", "y * x")
    edit(project, "builder.py", "'f': None}", "'f': None}, {'f': 1}")
    assert said(project.run("--json")) == (bool(files), sorted({"builder.py", "deeper.py"}.intersection(files)))


def test_an_edit_while_it_runs(project: Project) -> None:
    """A result is of the code that was imported, not of what the file holds when it ends.

    Of a file that was edited while it ran and imported at some moment of that, nobody knows which version it was: it is
    said to have changed, until the experiment has run again.
    """
    project.write("builder.py", "def build(): return [{'x': 1}]\n")
    project.write("early.py", "X = 1\n")
    project.write("late.py", "X = 1\n")
    project.write(
        "experiment.py",
        """
        import os, early

        def run(config):
            if os.path.exists("edit"):
                os.unlink("edit")
                for name in ("early.py", "late.py"):
                    with open(name, "w") as file:
                        file.write("X = 2\\n")
            import late
            return {"y": [early.X, late.X]}
        """,
    )
    project.write("edit", "")
    assert project.run().code == 0
    assert project.json(0, "result.json") == {"y": [1, 2]}
    assert said(project.run("--json")) == (1, ["early.py", "late.py"])
    assert project.run("--json", RERUN).summary["succeeded"] == 1
    assert project.json(0, "result.json") == {"y": [2, 2]}
    assert said(project.run("--json")) == (0, [])


def test_of_older_and_broken_records_nothing_is_claimed(mine: Project) -> None:
    """Where no record says what ran (an earlier version's, a damaged one, none) the result is skipped in silence."""
    edit(mine, "common.py", "FACTOR = ", "FACTOR = 3 * ")
    records = [mine.result_dir(index) / "attempts" / "1.json" for index in range(4)]
    older = json.loads(records[0].read_text())
    del older["code"]
    records[0].write_text(json.dumps(older | {"code_hash": "0123456789abcdef"}, indent=1))
    records[1].write_bytes(b'{\n "code_hash": "abc",\n \xff')
    records[2].unlink()
    records[2].mkdir()
    assert said(again(mine)) == (1, ["common.py"])
    records[3].unlink()
    assert said(again(mine, RERUN)) == (0, [])


def test_the_record_of_the_attempt_that_succeeded_counts(project: Project) -> None:
    """After failures it is the code of the success that is compared, by the number in its marker.

    A marker that an experiment has overwritten stands for the last attempt.
    """
    project.write("builder.py", "def build(): return [{'x': 1}]\n")
    project.write("experiment.py", "def run(config):\n    raise ValueError\n")
    assert project.run().code == 1
    project.write("experiment.py", "def run(config):\n    return {}\n")
    assert project.run().code == 0
    assert said(project.run("--json")) == (0, [])
    (project.result_dir(0) / "success.txt").write_text("mine\n")
    assert said(project.run("--json")) == (0, [])
    (project.result_dir(0) / "success.txt").write_text("1\n")
    assert said(project.run("--json")) == (1, ["experiment.py"])


def test_the_foreground_counts_the_same_files(mine: Project) -> None:
    """run_experiment_stub.py, whose process has imported the builder before the experiment, records the same code."""
    arguments = ("--config_builder", "builders.build()", "--config_idx", "0", "--dst_dir", str(mine.out))
    done = mine.script("run_experiment_stub.py", "--experiment_builder", "experiments.mine.run", *arguments)
    assert done.code == 0, done
    cold, foreground = (mine.json(0, f"attempts/{attempt}.json") for attempt in (1, 2))
    assert (foreground["code"], foreground["code_hash"]) == (cold["code"], cold["code_hash"])


def test_from_another_directory(mine: Project, tmp_path: Path) -> None:
    """A command that is given in another directory, the project on its PYTHONPATH, compares the same files."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    argv = mine.command("--json", RERUN, **COMMAND)

    def from_elsewhere() -> dict[str, Any]:
        path = f"{mine.root}{os.pathsep}{REPOSITORY}"
        done = subprocess.run(
            argv, cwd=elsewhere, env=mine.environment(PYTHONPATH=path), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        summary: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return summary

    assert from_elsewhere()["skipped"] == 4
    edit(mine, "models/b.py", "x + 2", "x + 4")
    assert from_elsewhere()["succeeded"] == 2
    assert again(mine, RERUN).summary["skipped"] == 4


SCRIPT = """
import configmill, sys

def train(config):
    return {"y": config.x + 1}

if __name__ == "__main__":
    summary = configmill.run([{"x": 1}, {"x": 2}], train, "out", rerun_on_code_change="rerun" in sys.argv)
    print(summary.succeeded, summary.skipped, summary.skipped_of_other_version, *summary.changed_code)
"""


def test_from_python(project: Project) -> None:
    """configmill.run says it in its Summary, and takes the keyword.

    A script's main part, with its list of configs, is not the experiment's code.
    """
    script = project.write("script.py", SCRIPT)

    def run(*arguments: str) -> str:
        done = project.call([sys.executable, str(script), *arguments])
        assert done.code == 0, done
        return done.out.strip()

    assert run() == "2 0 0"
    edit(project, "script.py", '{"x": 2}]', '{"x": 2}, {"x": 3}]')
    assert run("rerun") == "1 2 0"
    edit(project, "script.py", "config.x + 1", "config.x + 2")
    assert run() == "0 3 3 script.py"
    assert run("rerun") == "3 0 0"
    assert run("rerun") == "0 3 0"
