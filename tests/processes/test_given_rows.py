"""Tables that experiments give rows to: derived by the manager, of what succeeded, never half and never twice."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

import configmill
from configmill.errors import ResultError
from tests.conftest import Project, wait_until
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import configmill

    def gives_a_row(config):
        configmill.add_to_table("text_results", {"speed": 1.5, "model": {"name": "tiny", "sizes": [1, 2]}, "gap": None})

    def gives_it_twice(config):
        configmill.add_to_table("text_results", {"speed": 1.0, "draft": True})
        configmill.add_to_table("text_results", {"speed": 2.5})

    def gives_to_two_tables(config):
        configmill.add_to_table("text_results", {"speed": 3.5, "index": "its own", "digest": 7})
        configmill.add_to_table("other-results.v2", {"a, b": 'say "hi"\\nnow'})

    def gives_and_fails(config):
        configmill.add_to_table("text_results", {"speed": 4.5})
        raise RuntimeError("after its row")

    def gives_from_a_child(config):
        import subprocess, sys
        program = "import configmill; configmill.add_to_table('text_results', {'speed': 5.5})"
        subprocess.run([sys.executable, "-c", program], check=True)

    def gives_an_object(config):
        configmill.add_to_table("text_results", {"model": {"weights": object()}})

    def climbs_out(config):
        configmill.add_to_table("../text_results", {"speed": 1})

    def gives_no_mapping(config):
        configmill.add_to_table("text_results", [1, 2])

    def gives_none(config):
        return {"y": 1}
    """

#: What a campaign's command is asked for, by `plan`: a line for each config.
PLANNED = """
    import configmill, json, os, pathlib, time

    def run(config):
        plan = json.loads(pathlib.Path("plan.json").read_text())[config.name]
        configmill.add_to_table("t", plan["row"])
        pathlib.Path(f"given-{config.name}").touch()
        if plan.get("then") == "fail":
            raise RuntimeError("after its row")
        if plan.get("then") == "hang":
            time.sleep(1000)
    """


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """All the cases, run by one command, warm and cold."""
    return run_cases(shared_project, EXPERIMENTS)


def table(dst: Path, name: str) -> list[dict[str, str]]:
    """The lines of a campaign's table."""
    with open(dst / "results" / f"{name}.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_has_a_line_for_each_success_that_gave_a_row(cases: Cases) -> None:
    """A line for each of those that succeeded and gave one, in the list's order, joined to its result by the digest."""
    lines = table(cases.dst, "text_results")
    given = ["gives_a_row", "gives_it_twice", "gives_to_two_tables", "gives_from_a_child"]
    assert [line["index"] for line in lines] == [str(cases.index(case)) for case in given]
    assert [line["digest"] for line in lines] == [cases.dir(case).resolve().name for case in given]
    assert [line["speed"] for line in lines] == ["1.5", "2.5", "3.5", "5.5"]
    assert lines[0] | {"model.name": "tiny", "model.sizes": "[1, 2]", "gap": ""} == lines[0]
    assert "draft" not in lines[0]


def test_a_key_that_bears_the_name_of_a_first_column_is_renamed(cases: Cases) -> None:
    """A row's own `index` and `digest` are kept beside the table's."""
    line = table(cases.dst, "text_results")[2]
    assert (line["row.index"], line["row.digest"]) == ("its own", "7")


def test_tables_are_apart_and_text_is_exact(cases: Cases) -> None:
    """Another table has the rows that were given to it alone; commas, quotes and ends of lines survive."""
    [line] = table(cases.dst, "other-results.v2")
    assert line["a, b"] == 'say "hi"\nnow'


@pytest.mark.parametrize(
    ("case", "named"),
    [("gives_an_object", "row of text_results.model.weights"), ("climbs_out", "../text_results"),
     ("gives_no_mapping", "[1, 2]")],
)  # fmt: skip
def test_what_cannot_be_a_row_fails_its_experiment_by_name(cases: Cases, case: str, named: str) -> None:
    """A value that JSON lacks, a name that is no file's and a row that is no mapping fail their experiment alone."""
    record = cases.record(case)
    assert record["status"] == "failed"
    assert named in record["error"]
    assert not (cases.dst / "experiments" / "text_results.json").exists()


def test_by_hand_a_row_goes_to_the_log_alone(caplog: pytest.LogCaptureFixture) -> None:
    """Outside of an experiment nothing is written; what could never be a row is still said."""
    with caplog.at_level("INFO", logger="configmill"):
        configmill.add_to_table("text_results", {"speed": 1.5})
    assert "text_results" in caplog.text and "1.5" in caplog.text
    with pytest.raises(ResultError, match="letters, digits"):
        configmill.add_to_table(".hidden", {})


class Planned:
    """A project whose experiments do as they are told, command by command."""

    def __init__(self, project: Project) -> None:
        self.project = project
        project.write("experiment.py", PLANNED)

    def write(self, **rows: dict[str, object]) -> None:
        """The next command's list: a config for each name, in that order, and what it does."""
        self.project.write("plan.json", json.dumps(rows))
        configs = [{"name": name} for name in rows]
        self.project.write("builder.py", f"def build():\n    return {configs!r}\n")

    def lines(self) -> list[tuple[str, ...]]:
        """The table, its head first."""
        with open(self.project.out / "results" / "t.csv", newline="") as file:
            return [tuple(line[:1] + line[2:]) for line in csv.reader(file)]


@pytest.fixture
def planned(project: Project) -> Planned:
    """A project whose experiments do as they are told."""
    return Planned(project)


def test_columns_and_rows_are_stable_over_commands(planned: Planned) -> None:
    """A reordered and longer list moves lines and adds columns behind; what is no longer in the list has no index."""
    planned.write(a={"row": {"x": 1, "y": 2}}, b={"row": {"x": 3, "y": 4}})
    assert planned.project.run().code == 0
    assert planned.lines() == [("index", "x", "y"), ("0", "1", "2"), ("1", "3", "4")]
    planned.write(c={"row": {"z": 9, "y": 8}}, b={"row": {"x": 0, "y": 0}})
    assert planned.project.run().code == 0
    assert planned.lines() == [("index", "x", "y", "z"), ("0", "", "8", "9"), ("1", "3", "4", ""), ("", "1", "2", "")]
    before = (planned.project.out / "results" / "t.csv").read_bytes()
    assert planned.project.run().code == 0
    assert (planned.project.out / "results" / "t.csv").read_bytes() == before


def test_a_rerun_replaces_the_row_and_a_failure_takes_it_away(planned: Planned) -> None:
    """An experiment that runs again has its new row or none, and what the attempt before gave is kept beside it."""
    planned.write(a={"row": {"x": 1}}, b={"row": {"x": 2}})
    planned.project.run()
    planned.write(a={"row": {"x": 10}}, b={"row": {"x": 20}, "then": "fail"})
    assert planned.project.run("--no_incremental").code == 1
    assert planned.lines() == [("index", "x"), ("0", "10")]
    assert planned.project.json(1, "attempts/1/tables/t.json") == {"x": 2}
    planned.write(a={"row": {"x": 10}, "then": "fail"}, b={"row": {"x": 20}, "then": "fail"})
    planned.project.run("--no_incremental")
    assert planned.lines() == [("index",)]


def test_what_was_cut_off_after_its_row_is_in_no_table(planned: Planned) -> None:
    """A manager killed while an experiment that has given its row still runs; the next command has the row once."""
    planned.write(a={"row": {"x": 1}}, b={"row": {"x": 2}, "then": "hang"})
    manager = planned.project.start()
    wait_until((planned.project.root / "given-b").exists)
    manager.kill()
    manager.wait()
    wait_until(lambda: not planned.project.processes())
    planned.write(a={"row": {"x": 1}}, b={"row": {"x": 2}, "then": "fail"})
    planned.project.run()
    assert planned.lines() == [("index", "x"), ("0", "1")]
    planned.write(a={"row": {"x": 1}}, b={"row": {"x": 3}})
    planned.project.run()
    assert planned.lines() == [("index", "x"), ("0", "1"), ("1", "3")]
