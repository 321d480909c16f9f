"""A dry run says what would run and why, and touches nothing at all."""

from __future__ import annotations

import re

import pytest

from tests.cli.listing import listing
from tests.conftest import Project

CLEAN = ["--clean_dst_dir", "--no_confirm"]


@pytest.fixture
def mixed(squares: Project) -> Project:
    """A campaign in which 0 succeeded, 1 failed and 2 and 3 never ran."""
    squares.write(
        "experiment.py",
        """
        def run(config):
            if config.x == 1:
                raise ValueError("one is the loneliest number")
            return {"y": config.x ** 2}
        """,
    )
    assert squares.run("--indices", "0,1").code == 1
    return squares


def decisions(out: str) -> dict[int, str]:
    """What the dry run says of each config."""
    return {int(index): why for index, why in re.findall(r"^result_(\d+)\s+[0-9a-f]{16}\s+(.+)$", out, re.M)}


@pytest.mark.parametrize("options", [[], CLEAN], ids=["plain", "clean"])
def test_of_a_new_dst_dir(squares: Project, options: list[str]) -> None:
    """Where dst_dir isn't there yet every config would run, and nothing is created."""
    before = listing(squares.root.parent)
    done = squares.run("--dry_run", *options)
    assert done.code == 0, done
    assert sorted(decisions(done.out)) == [0, 1, 2, 3]
    assert all(why.startswith("runs") for why in decisions(done.out).values())
    assert "4 would run, 0 would be skipped" in done.out
    assert listing(squares.root.parent) == before


def test_says_why(mixed: Project) -> None:
    """For each config it says whether it would run, and why: succeeded before, failed how, never ran."""
    done = mixed.run("--dry_run")
    assert done.code == 0
    found = decisions(done.out)
    assert "skipped" in found[0] and "succeeded before" in found[0]
    assert "runs" in found[1] and "failed" in found[1] and "code_error" in found[1]
    assert all("never ran" in found[index] for index in (2, 3))
    assert "3 would run, 1 would be skipped" in done.out


@pytest.mark.parametrize(
    "options",
    [[], ["--no_incremental"], CLEAN, ["--clean_dst_dir"], ["--index", "1", "--json"]],
    ids=lambda options: " ".join(options) or "plain",
)
def test_touches_nothing(mixed: Project, options: list[str]) -> None:
    """Every file, link and directory of the campaign stays as it is, byte for byte, time stamps included."""
    before = listing(mixed.out, times=True)
    done = mixed.run("--dry_run", *options, stdin="")
    assert done.code == 0, done
    assert listing(mixed.out, times=True) == before
    if "--no_incremental" in options:
        assert "--no_incremental" in decisions(done.out)[0]
    if "--clean_dst_dir" in options:
        assert len(decisions(done.out)) == 4
        assert "skipped:" not in done.out
        assert "deleted" in done.out, "it says what --clean_dst_dir would do"


def test_of_a_reordered_list(squares: Project) -> None:
    """The links of a list in another order aren't touched by a dry run."""
    assert squares.run().code == 0
    squares.write("other.py", "import builder\n\ndef build():\n    return list(builder.build(6))[::-1]\n")
    before = listing(squares.out, times=True)
    done = squares.run("--dry_run", builder="other.build()")
    assert [why.split(":")[0] for why in decisions(done.out).values()] == ["runs"] * 2 + ["skipped"] * 4
    assert listing(squares.out, times=True) == before


def test_as_json(mixed: Project) -> None:
    """--json gives the counts on the last line and leaves stdout to it; the exit code is 0, whatever failed before."""
    done = mixed.run("--dry_run", "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) == 1
    summary = done.summary
    assert summary["dry_run"] is True
    assert (summary["total"], summary["skipped"], summary["not_started"]) == (4, 1, 3)
    assert summary["exit_code"] == 0
    assert decisions(done.err), "what would run is told on stderr"


def test_says_what_it_would_refuse(squares: Project) -> None:
    """A dry run of a command that can't be carried out is refused as the command would be."""
    squares.write("foreign/keep.txt", "mine")
    before = listing(squares.root.parent)
    for options in (["--set", "nme=1"], ["--index", "9"], ["--dst_dir", "foreign"]):
        done = squares.run("--dry_run", *options)
        assert (done.code, done.out) == (2, ""), options
    assert listing(squares.root.parent) == before
