"""configmill results, status, failures: what a campaign has come to, for the eye."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.listing import listing
from tests.conftest import HOSTILE_NAME, Done, Project

EXPERIMENT = """
    def run(config):
        if config.x == 3:
            raise ValueError("three is [red]a crowd[/red]")
        scores = {0: 0.5, 1: 10.0, 2: float("nan"), 4: -2.0}
        return {"mase": scores[config.x], "kind": "even" if config.x % 2 == 0 else "odd"}
    """
BUILDER = """
    def build(n=6):
        return [{"x": x, "name": f"[b]model[/b] {x}", "model": {"fixed": 1}} for x in range(n)]
    """


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Six configs: 0, 1, 2 and 4 succeeded, 3 failed, 5 never ran."""
    root = tmp_path_factory.mktemp("umbrella") / HOSTILE_NAME
    root.mkdir()
    project = Project(root)
    project.write("builder.py", BUILDER)
    project.write("experiment.py", EXPERIMENT)
    assert project.run("--indices", "0-4", "--num_threads", "2").code == 1
    yield project
    assert not project.processes()


@pytest.mark.parametrize(
    ("options", "first", "rest"),
    [
        ([], [0, 1, 2, 3, 4, 5], []),
        (["--sort", "mase"], [4, 0, 1], [2, 3, 5]),
        (["--sort", "mase", "--descending"], [1, 0, 4], [2, 3, 5]),
        (["--sort=mase", "--top=2"], [4, 0], []),
        (["--top", "3"], [0, 1, 2], []),
        (["--top", "99", "--sort", "index", "--descending"], [5, 4, 3, 2, 1, 0], []),
        (["--sort", "kind"], [0, 2, 4, 1], [3, 5]),
    ],
    ids=lambda value: " ".join(map(str, value)),
)
def test_sort_and_top(campaign: Project, options: list[str], first: list[int], rest: list[int]) -> None:
    """--sort orders by a column, smallest first; what has no value or nan there comes last either way; --top cuts."""
    done = campaign.configmill("results", str(campaign.out), "--json", *options)
    assert done.code == 0, done
    found = [row["index"] for row in done.summary["results"]]
    assert found[: len(first)] == first
    assert sorted(found[len(first) :]) == rest


@pytest.mark.parametrize(
    ("options", "quoted", "advice"),
    [
        (["results", "--sort", "msae"], "'msae'", '"mase"'),
        (["results", "--sort", "model.fixed"], "'model.fixed'", '"'),
        (["results", "--top", "few"], "'few'", "--top 3"),
        (["results", "--top", "-1"], "'-1'", "--top 3"),
        (["status", "--sort", "mase"], "--sort", "results"),
        (["failures", "--top", "2"], "--top", "results"),
        (["results", "--descending"], "--descending", "--sort"),
        (["results", "--srot", "mase"], "'--srot'", "--sort"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input(campaign: Project, options: list[str], quoted: str, advice: str) -> None:
    """An unknown column names the nearest; options that mean nothing here are refused, not ignored."""
    what, *rest = options
    done = campaign.configmill(what, str(campaign.out), *rest)
    assert (done.code, done.out) == (2, ""), done
    assert quoted in done.err and advice in done.err
    assert "Traceback" not in done.err and "\n" not in done.err.rstrip("\n")


def shown(campaign: Project, *arguments: str) -> Done:
    """What a subcommand prints for the eye, in a pipe."""
    what, *rest = arguments
    done = campaign.configmill(what, str(campaign.out), *rest)
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out, "a pipe gets no escape codes"
    return done


def test_results_table(campaign: Project) -> None:
    """A row per config with what varies and what came out; not what is the same in all; uncut in a pipe."""
    out = shown(campaign, "results").out
    header, *rows = out.splitlines()
    assert header.split() == ["index", "status", "seconds", "x", "name", "mase", "kind"]
    assert [row.split()[0] for row in rows[:6]] == list("012345")
    assert "[b]model[/b] 4" in rows[4] and "-2" in rows[4] and "even" in rows[4]
    assert "pending" in rows[5]
    assert str(campaign.out / "results.csv") in out


def test_status(campaign: Project) -> None:
    """How many configs are in which state."""
    out = shown(campaign, "status").out
    assert str(campaign.out) in out and "6 configs" in out
    counts = {word: int(count) for count, word in re.findall(r"^\s+(\d+) (\w+)$", out, re.M)}
    assert counts == {"pending": 1, "succeeded": 4, "failed": 1}


def test_failures(campaign: Project) -> None:
    """Each failure with class, message, last frame in user code, and the log to open."""
    out = shown(campaign, "failures").out
    assert "result_3" in out and "code_error" in out
    assert "ValueError: three is [red]a crowd[/red]" in out
    assert f"{campaign.root / 'experiment.py'}:4 in run" in out
    log = re.search(r"log\s+(.+?/attempts/\d+\.log)", out)
    assert log is not None
    assert "a crowd" in Path(log.group(1)).read_text()
    assert "result_0" not in out and "result_5" not in out


def test_no_failures(squares: Project) -> None:
    """Where nothing failed it says so."""
    assert squares.run("--index", "0").code == 0
    assert "No experiment failed" in shown(squares, "failures").out


def test_looking_touches_nothing(campaign: Project) -> None:
    """None of them changes a byte or a time stamp."""
    before = listing(campaign.out, times=True)
    for what in ("results", "status", "failures"):
        shown(campaign, what)
    assert listing(campaign.out, times=True) == before


def test_it_needs_no_project(campaign: Project, tmp_path: Path) -> None:
    """Results can be read without the builder and the experiment, from anywhere."""
    (tmp_path / "elsewhere").mkdir()
    elsewhere = Project(tmp_path / "elsewhere")
    done = elsewhere.configmill("results", str(campaign.out), "--json", "--sort", "mase", "--top", "1")
    assert [row["x"] for row in done.summary["results"]] == [4]


def test_results_follow_the_last_list(squares: Project) -> None:
    """Rows are those of the last command's list, in its order; what an earlier list had besides isn't among them."""
    assert squares.run("--num_threads", "2", builder="builder.build(3)").code == 0
    squares.write("other.py", "import builder\n\ndef build():\n    return list(builder.build(2))[::-1]\n")
    assert squares.run(builder="other.build()").code == 0
    rows = squares.configmill("results", str(squares.out), "--json").summary["results"]
    assert [(row["index"], row["x"], row["y"]) for row in rows] == [(0, 1, 1), (1, 0, 0)]


def test_columns_that_would_collide(squares: Project) -> None:
    """A key or a metric by the name of another column gets a prefix, and can be sorted by."""
    squares.write("builder.py", "def build():\n    return [{'status': s, 'x': -s} for s in (1, 2)]\n")
    squares.write("experiment.py", "def run(config):\n    return {'x': config.x * 10, 'index': config.status}\n")
    squares.run()
    done = squares.configmill("results", str(squares.out), "--json", "--sort", "result.x")
    rows = done.summary["results"]
    assert [(row["index"], row["config.status"], row["x"], row["result.x"], row["result.index"]) for row in rows] == [
        (1, 2, -2, -20, 2),
        (0, 1, -1, -10, 1),
    ]
