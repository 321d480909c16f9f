"""Notebooks of three cells with a plot, light and with heavy imports, with and without their pages.

measure(settings)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peer_commands
from benchmarks.configmill_commands import expect_campaign, notebook_command
from benchmarks.document import Section
from benchmarks.notebooks import PLOT_TYPE, write_notebook
from benchmarks.ratio_tables import floor_line, ratio_table, verdicts
from benchmarks.settings import Settings
from benchmarks.timing import count_lines, new_dir
from benchmarks.tools import Tool, expect_files, figures_of
from benchmarks.tools import measure as measure_tools


@dataclass(frozen=True)
class Case:
    """A kind of notebook, how many of them are measured, and the targets."""

    work: str  # light or heavy
    html: bool
    warm_target: float
    cold_target: float | None = None

    @property
    def title(self) -> str:
        """Return what the case is called."""
        return f"{self.work} notebook" + (" with its HTML" if self.html else "")


CASES = (
    Case("light", html=False, warm_target=24, cold_target=75),
    Case("light", html=True, warm_target=25),
    Case("heavy", html=False, warm_target=26),
    Case("heavy", html=True, warm_target=30),
)
WARM_COUNTS = {"light": 100, "heavy": 100}  # enough for the server's start to be a part and not the whole
COUNTS = {"light": 20, "heavy": 4}  # of the light ones as many as processes in the floor


def measure(settings: Settings) -> Section:
    """Measure all cases, one after the other."""
    parts, found, figures = [], [], {}
    for case in CASES:
        tools = make_tools(case, settings)
        timings = measure_tools(tools, settings.rounds, settings.folder, case.title)
        parts.append(
            f"### {case.title[0].upper() + case.title[1:]}\n\n{floor_line(timings)}\n\n{ratio_table(tools, timings)}"
        )
        found += verdicts(tools, timings, case.title)
        figures[case.title] = figures_of(timings)
    text = (
        "Three cells, the last of which draws a plot with matplotlib; heavy ones import torch, transformers' AutoConfig"
        " and pandas besides. What each tool leaves is checked to hold the plot.\n\n" + "\n".join(parts)
    )
    return Section("notebooks", "Notebooks", text, found, figures)


def make_tools(case: Case, settings: Settings) -> Sequence[Tool]:
    """Return all that is compared for one kind of notebook."""
    folder = new_dir(settings.folder)
    mine = write_notebook(folder / "report.ipynb", case.work, asks_configmill=True)
    theirs = write_notebook(folder / "plain.ipynb", case.work, asks_configmill=False)
    count = settings.items(COUNTS[case.work])
    configmill = (
        make_configmill(case, "warm", settings.items(WARM_COUNTS[case.work]), mine, case.warm_target),
        make_configmill(case, "cold", count, mine, case.cold_target),
    )
    form, suffix = ("html", "html") if case.html else ("notebook", "ipynb")
    has_plot = expect_files(f"*.{suffix}", PLOT_TYPE)
    nbconvert = Tool(
        f"`jupyter nbconvert --execute --to {form}`",
        count,
        peer_commands.nbconvert_execute(theirs, form),
        has_plot,
        stdin=count_lines,
    )
    if case.html:
        return (*configmill, nbconvert)
    return (
        *configmill,
        Tool("papermill command", count, peer_commands.papermill_command(theirs), has_plot, stdin=count_lines),
        Tool("papermill in loky workers", count, peer_commands.papermill_loky(theirs), has_plot),
        nbconvert,
    )


def make_configmill(case: Case, method: str, count: int, notebook: Path, target: float | None) -> Tool:
    """Return Configmill with one of its start methods."""
    options = ["--publish_notebook"] if case.html else []
    pattern = f"{notebook.stem}.html" if case.html else notebook.name
    return Tool(
        f"Configmill, {method}",
        count,
        lambda number, dst_dir: notebook_command(method, notebook, number, dst_dir, *options),
        expect_campaign(method, pattern, PLOT_TYPE),
        is_peer=False,
        target=target,
    )
