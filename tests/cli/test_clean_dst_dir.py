"""--clean_dst_dir asks first, empties only what is Configmill's, and hands it to another target."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.listing import listing
from tests.cli.terminal import Terminal
from tests.conftest import Project


@pytest.fixture
def campaign(squares: Project) -> Project:
    """A campaign with results and with files of the user's in it."""
    assert squares.run("--indices", "0,1").code == 0
    (squares.out / "notes of mine.txt").write_text("keep me until I say so")
    (squares.result_dir(0) / "plot.png").write_bytes(b"png")
    return squares


def old_results(project: Project) -> set[Path]:
    """The runs that the directory remembers."""
    return set(project.out.glob("runs/*.json"))


def test_refuses_without_a_terminal(campaign: Project) -> None:
    """Where nobody can be asked, --no_confirm is needed; without it nothing is touched."""
    before = listing(campaign.out, times=True)
    done = campaign.run("--clean_dst_dir", stdin="y\n")
    assert done.code == 2
    assert "--no_confirm" in done.err and "Traceback" not in done.err
    assert listing(campaign.out, times=True) == before


def test_no_confirm_empties_it(campaign: Project) -> None:
    """With --no_confirm everything goes, the user's files too, and the list runs from attempt 1."""
    before = old_results(campaign)
    done = campaign.run("--clean_dst_dir", "--no_confirm", "--json", "--indices", "0,1", stdin="")
    assert done.code == 0, done
    assert (done.summary["succeeded"], done.summary["skipped"]) == (2, 0)
    assert not before & old_results(campaign)
    assert not (campaign.out / "notes of mine.txt").exists()
    assert (campaign.result_dir(0) / "success.txt").read_text() == "1\n"
    assert sorted(p.name for p in campaign.out.glob("result_*")) == ["result_0", "result_1"]


def terminal(project: Project, *options: str, stdout: int | None = None) -> Terminal:
    """The manager in a terminal."""
    return Terminal(project.command(*options), project.root, project.environment(), stdout=stdout)


@pytest.mark.parametrize("answer", ["n", ""])
def test_no_keeps_everything(campaign: Project, answer: str) -> None:
    """In a terminal it asks, naming the directory; any answer but yes keeps everything and exits 2."""
    before = listing(campaign.out, times=True)
    with terminal(campaign, "--clean_dst_dir") as screen:
        asked = screen.wait_for(r"Delete everything in (.+?)\? \[y/N\]")
        assert asked.group(1) == str(campaign.out)
        screen.type(answer)
        assert screen.end() == 2
        assert "Traceback" not in screen.printed
    after = listing(campaign.out, times=True)
    del before[f"{campaign.out}/.lock"], after[f"{campaign.out}/.lock"]
    assert after == before


def test_yes_empties_it(campaign: Project) -> None:
    """Yes empties the directory and runs the list."""
    before = old_results(campaign)
    with terminal(campaign, "--clean_dst_dir", "--index", "0") as screen:
        screen.wait_for(r"\[y/N\]")
        screen.type("y")
        assert screen.end() == 0
    assert not before & old_results(campaign)
    assert not (campaign.out / "notes of mine.txt").exists()
    assert campaign.json(0, "result.json") == {"y": 0}


def test_the_question_stands_alone(campaign: Project) -> None:
    """While it asks, no table is drawn over the question and the answer."""
    with terminal(campaign, "--clean_dst_dir", "--index", "0") as screen:
        screen.wait_for(r"\[y/N\]")
        assert "waiting" not in screen.printed
        assert "\x1b[?25l" not in screen.raw, "the cursor is hidden where the user is to type"
        screen.type("n")
        assert screen.end() == 2


def test_an_empty_or_new_dst_dir_needs_no_question(squares: Project) -> None:
    """Where nothing would be deleted nothing is asked."""
    with terminal(squares, "--clean_dst_dir", "--index", "0") as screen:
        assert screen.end() == 0
        assert "y/N" not in screen.printed
    assert squares.json(0, "result.json") == {"y": 0}


def test_the_question_is_not_part_of_the_json(campaign: Project, tmp_path: Path) -> None:
    """With --json and stdout in a pipe the question goes to the terminal; stdout has the JSON line alone."""
    path = tmp_path / "stdout.txt"
    with path.open("wb") as stdout, terminal(campaign, "--clean_dst_dir", "--json", stdout=stdout.fileno()) as screen:
        screen.wait_for(r"\[y/N\]", seconds=5)
        screen.type("y")
        assert screen.end() == 0
    assert json.loads(path.read_text().splitlines()[-1])["succeeded"] == 4
    assert len(path.read_text().splitlines()) == 1


def test_another_target_may_take_it_over(campaign: Project) -> None:
    """Emptied, the directory belongs to the new target: the old one is now the stranger."""
    campaign.write("cubes.py", "def run(config):\n    return {'y': config.x ** 3}\n")
    assert campaign.run(experiment="cubes.run").code == 2
    assert campaign.run("--clean_dst_dir", "--no_confirm", "--index", "2", experiment="cubes.run").code == 0
    assert campaign.json(2, "result.json") == {"y": 8}
    assert json.loads((campaign.out / "campaign.json").read_text())["target"] == "cubes:run"
    assert campaign.run("--index", "2").code == 2


def test_links_out_of_the_directory_are_not_followed(campaign: Project) -> None:
    """What a link in dst_dir points to outside of it stays."""
    elsewhere = campaign.write("elsewhere/precious.txt", "mine")
    (campaign.out / "data").symlink_to(elsewhere.parent)
    assert campaign.run("--clean_dst_dir", "--no_confirm", "--index", "0").code == 0
    assert elsewhere.read_text() == "mine"
    assert not (campaign.out / "data").is_symlink()


def test_a_bad_list_deletes_nothing(campaign: Project) -> None:
    """The list is built and checked before anything is deleted."""
    before = listing(campaign.out, times=True)
    for options in (["--index", "77"], ["--set", "nme=1"]):
        assert campaign.run("--clean_dst_dir", "--no_confirm", *options).code == 2
    assert campaign.run("--clean_dst_dir", "--no_confirm", builder="builder.build(0)").code == 2
    assert listing(campaign.out, times=True) == before
