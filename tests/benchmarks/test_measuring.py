"""What is written down of a measurement: what ran, what failed and what was missing, each as what it is."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import suites
from benchmarks.document import Section, Verdict, compose
from benchmarks.ratio_tables import ratio_table
from benchmarks.settings import Settings
from benchmarks.timing import CommandFailedError, time_command
from benchmarks.tools import Timings, Tool, expect_files, measure
from tests.conftest import Project, wait_until

TOUCH = 'for i in $(seq "$0"); do echo plot > "$1/$i.txt"; done'


def shell(script: str) -> Callable[[int, Path], list[str]]:
    """A tool's command: a shell script, which is given the number of items and the directory."""
    return lambda count, directory: ["sh", "-c", script, str(count), str(directory)]


def test_ratio_is_of_each_rounds_own_floor() -> None:
    """A round on a machine that is three times as slow has the same ratio; one more item costs no start-up."""
    timings = Timings(count=10, wholes=[100.0, 300.0], floors=[5.0, 15.0], alones=[28.0])
    assert timings.ratios() == [2.0, 2.0]
    assert timings.further() == [8.0, (300.0 - 28.0) / 9]


def test_each_tool_says_what_became_of_it(tmp_path: Path) -> None:
    """A tool that fails, lacks results, or isn't there has that in bold in its line, and the others are measured."""
    has_plot = expect_files("*.txt", b"plot")
    tools = [
        Tool("works", 3, shell(TOUCH), has_plot, target=1e9),
        Tool("fails", 3, shell("echo 'no | disk' >&2; exit 7"), has_plot, target=0.5),
        Tool("lacks", 3, shell('touch "$1/1.txt"'), has_plot),
        Tool("gap", 3, shell(TOUCH), has_plot, program="there-is-no-such-program"),
    ]
    timings = measure(tools, 2, tmp_path)
    _, _, works, fails, lacks, gap = ratio_table(tools, timings).splitlines()
    assert len(timings["works"].wholes) == 2 and works.startswith("| works | 3 |") and "≤ 1e+09, met" in works
    assert r"**failed: exit code 7: no \| disk**" in fails and "≤ 0.5, **not measured**" in fails
    assert "**failed: 1 of 1 results have no plot" in lacks
    assert "**missing: there-is-no-such-program is not on the PATH**" in gap
    assert {line.replace(r"\|", "").count("|") for line in (works, fails, lacks, gap)} == {11}


def test_tool_that_failed_once_says_so_beside_its_figures(tmp_path: Path) -> None:
    """A failure in one round is no reason to drop the others, nor to hide it."""
    again = f'if [ -e "$1/../stumbled" ] || [ "$0" = 1 ]; then {TOUCH}; else touch "$1/../stumbled"; exit 3; fi'
    tool = Tool("stumbles", 2, shell(again), expect_files("*.txt"))
    timings = measure([tool], 2, tmp_path)
    line = ratio_table([tool], timings).splitlines()[2]
    assert len(timings["stumbles"].wholes) == 1
    assert "stumbles (1 of 2 runs **failed: exit code 3: it printed nothing**) | 2 |" in line


def test_command_that_hangs_is_ended_with_all_below_it(project: Project) -> None:
    """A tool that hangs costs its time limit; nothing of it then disturbs what is measured next."""
    pids = project.root / "pids"
    script = f'sleep 100 & echo $! $$ > "{pids.name}"; wait'
    with pytest.raises(CommandFailedError, match="not done after 1 s"):
        time_command(["sh", "-c", f'cd "$1"; {script}', "sh", str(project.root)], limit=1.0)
    left = pids.read_text().split()
    assert len(left) == 2
    wait_until(lambda: not any(is_running(int(pid)) for pid in left))


def is_running(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_manager_is_measured_without_its_experiments(project: Project) -> None:
    """The manager's memory and CPU time have nothing of an experiment that takes plenty of both."""
    project.write("builder.py", "def build():\n    return [{'x': 1}]\n")
    project.write(
        "experiment.py",
        """
        import time

        def run(config):
            hoard = bytearray(500_000_000)
            while time.process_time() < 3:
                hoard[::4096] = hoard[::4096]
        """,
    )
    usage_file = project.root / "usage.json"
    done = project.call([sys.executable, "-m", "benchmarks.manager_usage", str(usage_file), *project.command()[2:]])
    assert done.code == 0, done
    record = project.json(0, "attempts/1.json")
    usage = json.loads(usage_file.read_text())
    assert record["peak_rss_bytes"] > 500e6 and record["cpu_seconds"] > 2.5
    assert 10e6 < usage["peak_rss_bytes"] < 300e6
    assert 0 < usage["cpu_seconds"] < 2.5


def test_only_a_whole_run_replaces_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A quick look, one suite or few rounds are printed; all suites in enough rounds are written, with notes."""
    results, notes = tmp_path / "RESULTS.md", tmp_path / "NOTES.md"
    notes.write_text("<!-- how to\nwrite -->\n## Remarks\n\nThe disk was busy.\n")
    monkeypatch.setattr(command, "RESULTS", results)
    monkeypatch.setattr(command, "NOTES", notes)
    for name in suites.SUITES:
        monkeypatch.setitem(suites.SUITES, name, section_called(name))
    for arguments in (["--quick"], ["--suite", "noop"], ["--rounds", "2"]):
        command.main(arguments)
        assert "found by noop" in capsys.readouterr().out
        assert not results.exists()
    command.main([])
    text = results.read_text()
    assert all(f"found by {name}" in text for name in suites.SUITES)
    assert (
        text.index("| rounds | 5, in 0 minutes |") < text.index("| what | target |") < text.index("The disk was busy.")
    )
    assert "how to" not in text


def section_called(name: str) -> Callable[[Settings], Section]:
    """A suite that measures nothing and misses its target."""
    return lambda settings: Section(name, name, f"found by {name}", [Verdict(name, 1.0, 2.0)])


def test_verdicts_are_the_documents() -> None:
    """A target that was met, missed or not measured is each called that; no text breaks the table."""
    verdicts = [Verdict("a", 2, 2.0), Verdict("b", 2, 2.01, "MB"), Verdict("c", 0, None)]
    text = compose([Section("s", "S", "t", verdicts)], {"cores": "2 |\n of them"})
    assert r"| cores | 2 \| of them |" in text
    assert (
        "| a | ≤ 2 | 2.00 | met |  |\n| b | ≤ 2 MB | 2.01 | **missed** |  |\n| c | ≤ 0 |  | **not measured** |  |\n"
        in text
    )
