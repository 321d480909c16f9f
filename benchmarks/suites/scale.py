"""From 10 to 10,000 experiments: whether the cost of one depends on how many there are, and what the manager takes.

measure(settings)
"""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.configmill_commands import expect_campaign, experiment_command
from benchmarks.document import Section, Verdict, cell, figure, markdown_table
from benchmarks.settings import Settings
from benchmarks.timing import CommandFailedError, new_dir, time_command, time_floor
from benchmarks.tools import say

COUNTS = {"warm": (10, 100, 1_000, 10_000), "cold": (10, 100, 1_000)}
MEMORY_TARGET = 200.0  # MB, at the largest count
CPU_TARGET = 3.0  # ms an experiment, at the largest count


@dataclass
class Measured:
    """The rounds of a start method and a count: milliseconds an experiment, the floor's, and what the manager used."""

    method: str
    count: int
    milliseconds: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    cpu_milliseconds: list[float] = field(default_factory=list)  # an experiment
    peak_megabytes: list[float] = field(default_factory=list)
    problem: str = ""

    def ratios(self) -> list[float]:
        """Return each round's time per experiment over its own floor."""
        return [taken / floor for taken, floor in zip(self.milliseconds, self.floors, strict=True)]


def measure(settings: Settings) -> Section:
    """Measure every count in every round, in an order that turns."""
    cells = [
        Measured(method, count)
        for method, counts in COUNTS.items()
        for count in counts
        if not settings.quick or count <= 100
    ]
    for number in range(settings.rounds):
        first = number % len(cells)
        for measured in (*cells[first:], *cells[:first]):
            if not measured.problem:
                say(f"scale: round {number + 1} of {settings.rounds}, {measured.count:,} {measured.method}")
                measure_once(measured, settings.folder)
    headers = [
        "start",
        "experiments",
        "ms each",
        "ratio",
        "min-max",
        "manager's CPU ms each",
        "its peak RSS MB",
        "target",
    ]
    text = (
        "Experiments that do nothing, two at a time. CPU time and memory are those of the manager's process alone,"
        " start and imports included: neither the fork server nor any experiment is counted.\n\n"
        + markdown_table(headers, [make_row(measured) for measured in cells])
    )
    found = [verdict for measured in cells for verdict in make_verdicts(measured)]
    return Section("scale", "From 10 to 10,000", text, found, {"rounds": [dict(vars(measured)) for measured in cells]})


def measure_once(measured: Measured, folder: Path) -> None:
    """Run one campaign right after the floor."""
    directory = new_dir(folder)
    dst_dir, usage_file = directory / "dst", directory / "usage.json"
    command = experiment_command(measured.method, "benchmarks.noop", measured.count, dst_dir)
    wrapped = [sys.executable, "-m", "benchmarks.manager_usage", str(usage_file), *command[2:]]
    try:
        floor = time_floor()
        elapsed = time_command(wrapped)
        expect_campaign(measured.method, "result.json")(dst_dir, measured.count)
    except CommandFailedError as error:
        measured.problem = str(error)
        return
    usage = json.loads(usage_file.read_text())
    measured.floors.append(floor)
    measured.milliseconds.append(elapsed / measured.count)
    measured.cpu_milliseconds.append(usage["cpu_seconds"] * 1e3 / measured.count)
    measured.peak_megabytes.append(usage["peak_rss_bytes"] / 1e6)


def make_row(measured: Measured) -> list[str]:
    """Return a line of the table."""
    if measured.problem:
        return [f"**{measured.method}**", f"{measured.count:,}", f"**failed: {cell(measured.problem)}**", *[""] * 5]
    ratios = measured.ratios()
    return [
        measured.method,
        f"{measured.count:,}",
        figure(statistics.median(measured.milliseconds)),
        figure(statistics.median(ratios)),
        f"{figure(min(ratios))}-{figure(max(ratios))}",
        figure(statistics.median(measured.cpu_milliseconds)),
        f"{statistics.median(measured.peak_megabytes):.0f}",
        "; ".join(f"{verdict.unit} ≤ {verdict.target:g}, {verdict.word}" for verdict in make_verdicts(measured)),
    ]


def make_verdicts(measured: Measured) -> Sequence[Verdict]:
    """Return what came of the targets, which are set for the largest count alone."""
    if measured.method != "warm" or measured.count != max(COUNTS["warm"]):
        return ()
    known = not measured.problem
    what = f"{measured.count:,} no-op experiments, the manager's"
    return (
        Verdict(f"{what} CPU time", CPU_TARGET, statistics.median(measured.cpu_milliseconds) if known else None, "ms"),
        Verdict(f"{what} peak RSS", MEMORY_TARGET, max(measured.peak_megabytes) if known else None, "MB"),
    )
