"""The same command again, when all is done: what it takes beyond imports and building the list.

measure(settings)
"""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import peer_commands
from benchmarks.configmill_commands import expect_campaign, experiment_command
from benchmarks.document import Section, Verdict, cell, markdown_table
from benchmarks.noop.builder import build_configs
from benchmarks.settings import Settings
from benchmarks.timing import CommandFailedError, new_dir, run_command, time_command, time_floor
from benchmarks.tools import expect_files, is_installed, say

BEYOND_TARGET = 0.4  # seconds
WHOLE_TARGET = 2.0
START_METHOD = "warm"


@dataclass(frozen=True)
class Case:
    """A command over `count` finished items."""

    name: str
    count: int
    fill: peer_commands.Command
    again: peer_commands.Command
    check: Callable[[Path, int], None]  # holds after it was filled, and still after it was run again
    build: Callable[[int], object] = lambda count: None  # the list that the command builds
    distribution: str = "configmill"
    has_targets: bool = False


@dataclass
class Rounds:
    """What was measured of a case, in seconds: the command, the same over one finished item, the list alone."""

    wholes: list[float] = field(default_factory=list)
    singles: list[float] = field(default_factory=list)
    builds: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    problem: str = ""

    def beyond(self) -> list[float]:
        """Return each round's seconds beyond start-up and building the list."""
        return [
            whole - single - build for whole, single, build in zip(self.wholes, self.singles, self.builds, strict=True)
        ]


def measure(settings: Settings) -> Section:
    """Fill a directory for each case, then run the same command again."""
    cases = make_cases(settings)
    measured = {case.name: measure_case(case, settings) for case in cases}
    headers = ["finished", "whole s", "with one item s", "list alone s", "beyond s", "min-max", "target"]
    text = (
        "The same command again, with nothing left to do. Beyond: the whole less the same command over one finished"
        " item, and less the time that the builder takes alone.\n\n"
        + markdown_table(headers, [make_row(case, measured[case.name]) for case in cases])
    )
    found = [verdict for case in cases for verdict in make_verdicts(case, measured[case.name])]
    figures = {name: dict(vars(rounds)) for name, rounds in measured.items()}
    return Section("resume", "Resuming what is done", text, found, figures)


def make_cases(settings: Settings) -> Sequence[Case]:
    """Return what is compared: Configmill over small and larger configs, and Snakemake's dry run over fewer."""
    count = settings.items(10_000)
    return (
        make_configmill(count, keys=1),
        make_configmill(count, keys=20),
        Case(
            "Snakemake -n",
            settings.items(1_000),
            peer_commands.snakemake("noop"),
            peer_commands.snakemake("noop", "-n"),
            expect_files("*/result.json"),
            distribution="snakemake",
        ),
    )


def make_configmill(count: int, keys: int) -> Case:
    """Return Configmill over configs of so many keys."""

    def command(number: int, dst_dir: Path) -> list[str]:
        return experiment_command(START_METHOD, "benchmarks.noop", number, dst_dir, keys=keys)

    return Case(
        f"Configmill, configs of {keys} key{'s' if keys > 1 else ''}",
        count,
        fill=command,
        again=command,
        # An attempt more than there are experiments would be one that ran again.
        check=expect_campaign(START_METHOD, "attempts/*.json"),
        build=lambda number: build_configs(number, keys),
        has_targets=True,
    )


def measure_case(case: Case, settings: Settings) -> Rounds:
    """Return all rounds of a case, or what went wrong."""
    rounds = Rounds()
    if not is_installed(case.distribution):
        rounds.problem = f"{case.distribution} is not installed"
        return rounds
    full, single = new_dir(settings.folder), new_dir(settings.folder)
    try:
        say(f"resume: {case.count:,} items with {case.name}")
        run_command(case.fill(case.count, full))
        run_command(case.fill(1, single))
        time_round(case, full, single, Rounds())  # warms the caches, and isn't counted
        for number in range(settings.rounds):
            say(f"resume: round {number + 1} of {settings.rounds}, {case.name}")
            time_round(case, full, single, rounds)
        case.check(full, case.count)
    except CommandFailedError as error:
        rounds.problem = str(error)
    return rounds


def time_round(case: Case, full: Path, single: Path, rounds: Rounds) -> None:
    """Add a round: the floor, the command over all that is done, over a single item, and the builder alone."""
    rounds.floors.append(time_floor())
    rounds.wholes.append(time_command(case.again(case.count, full)) / 1e3)
    rounds.singles.append(time_command(case.again(1, single)) / 1e3)
    rounds.builds.append(time_build(case))


def time_build(case: Case) -> float:
    """Return the seconds that the builder takes alone, in this process."""
    started = time.perf_counter()
    case.build(case.count)
    return time.perf_counter() - started


def make_row(case: Case, rounds: Rounds) -> list[str]:
    """Return a case's line of the table."""
    name = f"{case.count:,}: {case.name}"
    if rounds.problem:
        return [f"**{name}**", f"**failed: {cell(rounds.problem)}**", "", "", "", "", ""]
    beyond = rounds.beyond()
    return [
        name,
        f"{statistics.median(rounds.wholes):.2f}",
        f"{statistics.median(rounds.singles):.2f}",
        f"{statistics.median(rounds.builds):.3f}",
        f"{statistics.median(beyond):.2f}",
        f"{min(beyond):.2f}-{max(beyond):.2f}",
        "; ".join(f"{verdict.unit} ≤ {verdict.target:g}, {verdict.word}" for verdict in make_verdicts(case, rounds)),
    ]


def make_verdicts(case: Case, rounds: Rounds) -> list[Verdict]:
    """Return what came of the targets: for the part beyond, and for the whole."""
    if not case.has_targets:
        return []
    what = f"resume of {case.count:,}, {case.name}"
    beyond, whole = (
        (None, None) if rounds.problem else (statistics.median(rounds.beyond()), statistics.median(rounds.wholes))
    )
    return [Verdict(what, BEYOND_TARGET, beyond, "s beyond"), Verdict(what, WHOLE_TARGET, whole, "s in all")]
