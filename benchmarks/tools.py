"""A tool that does a suite's work, and the timing of several beside one another.

timings = measure(tools, rounds=5, folder=Path("/tmp/bench"))

Every timed run comes right after the floor. The order of the tools turns by one each round; before the first round
each has run once with a single item, which warms the caches and is not counted. A single item is timed again in the
first few rounds: what the start-up takes.
"""

import importlib.metadata
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.timing import CommandFailedError, new_dir, time_command, time_floor

ALONE_ROUNDS = 3
#: After so many failed runs a tool is out: the others should not wait for its time-outs.
FAILURES_ALLOWED = 2


@dataclass(frozen=True)
class Tool:
    """One way to do `count` items of work, two at a time, that leave files below a directory."""

    name: str
    count: int
    command: Callable[[int, Path], list[str]]  # of the number of items and the directory, which is new and empty
    check: Callable[[Path, int], None]  # raises CommandFailedError where the directory has not what it should
    isolated: bool = True  # a process for each item
    is_peer: bool = True  # not Configmill
    stdin: Callable[[int], str] = lambda count: ""
    distribution: str = ""  # which has to be installed for it
    program: str = ""  # which has to be on the PATH for it
    target: float | None = None  # of the ratio
    folder: Path | None = None  # where its directories are made, if not where all are

    def missing(self) -> str:
        """Return what the tool lacks on this machine, or nothing."""
        if self.program and shutil.which(self.program) is None:
            return f"{self.program} is not on the PATH"
        if self.distribution and not is_installed(self.distribution):
            return f"{self.distribution} is not installed"
        return ""


@dataclass
class Timings:
    """A tool's rounds, in milliseconds: a whole command, the floor just before it, the command with one item."""

    count: int
    wholes: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    alones: list[float] = field(default_factory=list)
    missing: str = ""
    problems: list[str] = field(default_factory=list)

    def per_item(self) -> list[float]:
        """Return each round's milliseconds per item, start-up included."""
        return [whole / self.count for whole in self.wholes]

    def ratios(self) -> list[float]:
        """Return each round's time per item over its own floor."""
        return [item / floor for item, floor in zip(self.per_item(), self.floors, strict=True)]

    def further(self) -> list[float]:
        """Return each round's milliseconds for one more item: what is left when the start-up is taken off.

        A single item is no more than the start-up: there must be two or more.
        """
        alone = statistics.median(self.alones)
        return [(whole - alone) / (self.count - 1) for whole in self.wholes]


def measure(tools: Sequence[Tool], rounds: int, folder: Path, heading: str = "") -> dict[str, Timings]:
    """Time every tool in every round; one that is missing or fails says so in its timings.

    `heading` is what the progress on stderr begins with.
    """
    timings = {tool.name: Timings(tool.count, missing=tool.missing()) for tool in tools}
    present = [tool for tool in tools if not timings[tool.name].missing]
    for tool in present:
        say(f"{heading}: a first run of {tool.name}")
        _warm_up(tool, timings[tool.name], folder)
    for number in range(rounds):
        first = number % len(present) if present else 0
        for tool in (*present[first:], *present[:first]):
            if len(timings[tool.name].problems) < FAILURES_ALLOWED:
                say(f"{heading}: round {number + 1} of {rounds}, {tool.name}")
                _time_round(tool, timings[tool.name], folder, with_alone=number < ALONE_ROUNDS)
    return timings


def _warm_up(tool: Tool, timings: Timings, folder: Path) -> None:
    try:
        time_tool(tool, 1, folder)
    except CommandFailedError as error:
        timings.problems.append(str(error))


def _time_round(tool: Tool, timings: Timings, folder: Path, *, with_alone: bool) -> None:
    try:
        if with_alone or not timings.alones:
            timings.alones.append(time_tool(tool, 1, folder))
        floor = time_floor()
        whole = time_tool(tool, tool.count, folder)
    except CommandFailedError as error:
        timings.problems.append(str(error))
        return
    timings.floors.append(floor)
    timings.wholes.append(whole)


def time_tool(tool: Tool, count: int, folder: Path) -> float:
    """Return the milliseconds that a tool takes for `count` items in a new directory within `folder`.

    Raises:
        CommandFailedError: the command failed, or what should be there afterwards is not.
    """
    directory = new_dir(tool.folder or folder)
    elapsed = time_command(tool.command(count, directory), tool.stdin(count))
    tool.check(directory, count)
    return elapsed


def figures_of(timings: dict[str, Timings]) -> dict[str, object]:
    """Return every round's figures, JSON-able."""
    return {name: dict(vars(taken)) for name, taken in timings.items()}


def expect_files(pattern: str, holding: bytes = b"") -> Callable[[Path, int], None]:
    """Return a check that there are as many files of this glob as items, and that each holds some bytes."""

    def check(directory: Path, count: int) -> None:
        files = list(directory.glob(pattern))
        if len(files) != count:
            raise CommandFailedError(f"{len(files)} results instead of {count}")
        lacking = sum(1 for file in files if holding not in file.read_bytes()) if holding else 0
        if lacking:
            raise CommandFailedError(f"{lacking} of {count} results have no {holding.decode()}")

    return check


def is_installed(distribution: str) -> bool:
    """Return whether a distribution is installed beside this Python."""
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def say(text: str) -> None:
    """Print how far the run is, where it is in nobody's way."""
    print(text, file=sys.stderr, flush=True)
