"""What a tool adds to experiments that do nothing: Configmill beside its peers, in one run.

    python -m benchmarks.overhead --rounds 5 --json overhead.json

Seconds say little on a machine that others use as well, so every timed run comes right after the floor, twenty
times `python -c pass` two at a time, and what counts is the ratio: time per experiment over time per floor process.
Nothing is asserted, and the exit code is 0 whatever was measured. Read benchmarks/README.md for what is and is not
compared.
"""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bookkeeping import time_bookkeeping

PROJECT_DIR = Path(__file__).parents[1]
PEERS_DIR = Path(__file__).parent / "peers"
MEMORY_DIR = "/dev/shm"
FLOOR_PROCESSES = 20

# Some containers forbid Python to keep what it compiled, and every start then compiles its imports again.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Peer:
    """One way to run `count` experiments, two at a time, that each leave a `result.json` below a directory."""

    name: str
    isolated: bool  # a process for each experiment
    command: Callable[[int, Path], list[str]]
    results: str  # where the result files are: a glob below the directory
    stdin: Callable[[int], str] = lambda count: ""
    package: str = ""  # which has to be installed for it


@dataclass
class Timings:
    """A peer's rounds: milliseconds per experiment, the floor's milliseconds per process just before, and one alone."""

    milliseconds: list[float] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)  # milliseconds of a run with a single experiment
    problem: str = ""

    def ratios(self) -> list[float]:
        """Return each round's time per experiment over its own floor."""
        return [run / floor for run, floor in zip(self.milliseconds, self.floors, strict=True)]

    def further(self, count: int) -> list[float]:
        """Return each round's milliseconds for one more experiment, its fixed start-up taken off."""
        return [(run * count - alone) / (count - 1) for run, alone in zip(self.milliseconds, self.alone, strict=True)]


def run_configmill(count: int, dst_dir: Path) -> list[str]:
    """Return the command that a user of Configmill would type."""
    return [
        *(sys.executable, "run_experiment.py"),
        *("--experiment_builder", "benchmarks.noop.experiment.run"),
        *("--config_builder", f"benchmarks.noop.builder.build_configs(count={count})"),
        *("--dst_dir", str(dst_dir)),
        *("--num_threads", "2"),
        *("--start_method", "cold"),
    ]


def run_xargs(count: int, dst_dir: Path) -> list[str]:
    """Return the command that starts a script for each line of its input."""
    return ["xargs", "-P2", "-I{}", sys.executable, str(PEERS_DIR / "noop.py"), "{}", str(dst_dir)]


def run_joblib_threads(count: int, dst_dir: Path) -> list[str]:
    """Return the command that waits for the same scripts in joblib's threads."""
    return [sys.executable, str(PEERS_DIR / "joblib_threads.py"), str(count), str(dst_dir)]


def run_hydra_joblib(count: int, dst_dir: Path) -> list[str]:
    """Return the command that sweeps over the index with Hydra's joblib launcher."""
    quoted_dst_dir = str(dst_dir).replace("\\", "\\\\").replace("'", "\\'")
    return [
        *(sys.executable, str(PEERS_DIR / "hydra_joblib.py"), "--multirun"),
        f"index=range(0,{count})",
        f"hydra.sweep.dir='{quoted_dst_dir}'",
    ]


def count_lines(count: int) -> str:
    """Return what `seq 0 COUNT-1` prints."""
    return "".join(f"{index}\n" for index in range(count))


PEERS = (
    Peer("Configmill, cold", True, run_configmill, "experiments/*/result.json", package="configmill"),
    Peer("xargs -P2 python", True, run_xargs, "*/result.json", stdin=count_lines),
    Peer("joblib threads + subprocess", True, run_joblib_threads, "*/result.json", package="joblib"),
    Peer("Hydra joblib launcher", False, run_hydra_joblib, "*/result.json", package="hydra-joblib-launcher"),
)


class PeerFailedError(Exception):
    """A peer's command failed, or left another number of results than it was asked for."""


def time_command(command: Sequence[str], stdin: str = "") -> float:
    """Return the milliseconds that a command takes.

    Raises:
        PeerFailedError: it ended with another exit code than 0; the message has the last line it printed.
    """
    started = time.perf_counter()
    done = subprocess.run(
        command,
        cwd=PROJECT_DIR,
        env=ENVIRONMENT,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        last_line = (done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        raise PeerFailedError(f"exit code {done.returncode}: {last_line}")
    return elapsed * 1e3


def time_floor() -> float:
    """Return the milliseconds per process of the least that a process for each experiment can cost here."""
    command = ["xargs", "-P2", "-n1", sys.executable, "-c", "pass"]
    return time_command(command, stdin=count_lines(FLOOR_PROCESSES)) / FLOOR_PROCESSES


def time_peer(peer: Peer, count: int, folder: Path) -> float:
    """Return the milliseconds that a peer takes for `count` experiments in a new directory within `folder`.

    Raises:
        PeerFailedError: the command failed, or there are not `count` results afterwards.
    """
    dst_dir = new_dst_dir(folder)
    elapsed = time_command(peer.command(count, dst_dir), peer.stdin(count))
    found = sum(1 for _ in dst_dir.glob(peer.results))
    if found != count:
        raise PeerFailedError(f"{found} results instead of {count}")
    return elapsed


def new_dst_dir(folder: Path) -> Path:
    """Return a directory that is not there yet; it stays until the end, since ext4 creates slowly after it deleted."""
    return Path(tempfile.mkdtemp(dir=folder), "dst")


def is_installed(package: str) -> bool:
    """Return whether a distribution is installed beside this Python; so is none at all."""
    if not package:
        return True
    try:
        importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def not_installed(peer: Peer) -> Timings:
    """Return what stands in the table for a peer that could not be run."""
    return Timings(problem=f"{peer.package} is not installed (make bench installs it)")


def measure_peers(peers: Sequence[Peer], count: int, rounds: int, folder: Path) -> dict[str, Timings]:
    """Time every peer in every round, in an order that turns by one each round, after a round that warms caches."""
    timings = {peer.name: Timings() for peer in peers}
    for round_number in range(-1, rounds):
        first = max(round_number, 0) % len(peers)
        for peer in (*peers[first:], *peers[:first]):
            mine = timings[peer.name]
            if mine.problem:
                continue
            try:
                alone = time_peer(peer, 1, folder)
                floor = time_floor()
                elapsed = time_peer(peer, count, folder)
            except PeerFailedError as error:
                mine.problem = str(error)
                continue
            if round_number >= 0:
                mine.alone.append(alone)
                mine.floors.append(floor)
                mine.milliseconds.append(elapsed / count)
    return timings


def measure_bookkeeping(count: int, rounds: int) -> dict[str, list[float]]:
    """Return each round's milliseconds per experiment, by place: a file system's state can outweigh the code."""
    places = {"on disk": tempfile.gettempdir(), "in memory": MEMORY_DIR}
    measured = {}
    for place, parent in places.items():
        if os.access(parent, os.W_OK):
            with tempfile.TemporaryDirectory(prefix="overhead-", dir=parent) as folder:
                measured[place] = [time_bookkeeping(count, new_dst_dir(Path(folder))) for _ in range(rounds)]
    return measured


def summarize(peer: Peer, timings: Timings, count: int) -> dict[str, object]:
    """Return what is known of a peer, for the table and for JSON: medians, and the rounds themselves."""
    summary: dict[str, object] = {"peer": peer.name, "isolated": peer.isolated}
    if timings.problem:
        return summary | {"problem": timings.problem}
    ratios = timings.ratios()
    return summary | {
        "ms_per_item": statistics.median(timings.milliseconds),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "ms_alone": statistics.median(timings.alone),
        "ms_further_item": statistics.median(timings.further(count)),
        "rounds": {"ms_per_item": timings.milliseconds, "floor_ms": timings.floors, "ms_alone": timings.alone},
    }


def format_table(summaries: Sequence[dict[str, object]]) -> str:
    """Return the summaries as a table for the terminal."""
    lines = [
        f"{'peer':<28} {'ms/item':>8} {'ratio':>6} {'min-max':>13} {'N=1 ms':>8} {'ms/further':>10}  isolated",
        "-" * 90,
    ]
    for summary in summaries:
        if "problem" in summary:
            lines.append(f"{summary['peer']:<28} {summary['problem']}")
            continue
        spread = f"{summary['ratio_min']:.2f}-{summary['ratio_max']:.2f}"
        lines.append(
            f"{summary['peer']:<28} {summary['ms_per_item']:>8.1f} {summary['ratio']:>6.2f} {spread:>13} "
            f"{summary['ms_alone']:>8.0f} {summary['ms_further_item']:>10.1f}  {'yes' if summary['isolated'] else 'no'}"
        )
    return "\n".join(lines)


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="how often each peer is timed (default 5)")
    parser.add_argument("--count", type=int, default=50, help="experiments in a run, two or more (default 50)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures here")
    options = parser.parse_args(arguments)
    if options.rounds < 1 or options.count < 2:
        parser.error("--rounds must be 1 or more, and --count 2 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print the table."""
    options = parse_arguments(arguments)
    count, rounds = options.count, options.rounds
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        timings = measure_peers([peer for peer in PEERS if is_installed(peer.package)], count, rounds, Path(folder))
    bookkeeping = measure_bookkeeping(count, rounds)
    summaries = [summarize(peer, timings.get(peer.name, not_installed(peer)), count) for peer in PEERS]
    machine = {"python": platform.python_version(), "cores": os.cpu_count()}
    floor = statistics.median([floor for mine in timings.values() for floor in mine.floors] or [math.nan])
    print(f"{count} experiments, two at a time, rounds: {rounds}; ", end="")
    print(f"Python {machine['python']}, {machine['cores']} cores, floor {floor:.1f} ms a process\n")
    print(format_table(summaries))
    places = ", ".join(f"{statistics.median(mine):.2f} ms {place}" for place, mine in bookkeeping.items())
    print(f"\nConfigmill's bookkeeping for an experiment, without any process: {places}")
    if options.json:
        report = {"count": count, **machine, "peers": summaries, "bookkeeping_ms": bookkeeping}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
