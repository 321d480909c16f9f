"""Wall times of commands, and the floor that each is compared with.

    floor = time_floor()                                    # milliseconds per process
    elapsed = time_command([sys.executable, "-c", "pass"])  # milliseconds

Seconds say little on a machine that others use as well. The floor, `seq 20 | xargs -P2 -n1 python -c pass`, is the
least that a process for each item can cost at that moment; what is compared is the ratio to it.
"""

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PROJECT_DIR = Path(__file__).parents[1]
FLOOR_PROCESSES = 20
FLOOR_SAMPLES = 3
LIMIT_SECONDS = 900.0  # a tool that hangs must not hang the whole run

# Some containers forbid Python to keep what it compiled, and every start then compiles its imports again.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} | {
    "RAY_USAGE_STATS_ENABLED": "0",  # it would ask, and look for a network
}


class CommandFailedError(Exception):
    """A command ended with another exit code than 0, took too long, or left other results than it was asked for."""


def time_command(command: Sequence[str], stdin: str = "", limit: float = LIMIT_SECONDS) -> float:
    """Return the milliseconds that a command takes; everything that it printed is dropped.

    Raises:
        CommandFailedError: it failed; the message has the last line it printed.
    """
    started = time.perf_counter()
    run_command(command, stdin, limit)
    return (time.perf_counter() - started) * 1e3


def run_command(command: Sequence[str], stdin: str = "", limit: float = LIMIT_SECONDS) -> str:
    """Run a command in the project's directory, and return what it printed, stderr included.

    Raises:
        CommandFailedError: it failed; the message has the last line it printed.
    """
    process = subprocess.Popen(
        command,
        cwd=PROJECT_DIR,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        process_group=0,
    )
    try:
        printed, _ = process.communicate(stdin, timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        raise CommandFailedError(f"not done after {limit:.0f} s") from None
    except BaseException:  # a Ctrl-C does not reach a group of its own
        _end(process)
        raise
    if process.returncode:
        raise CommandFailedError(f"exit code {process.returncode}: {_last_line(printed)}")
    return printed


def time_floor() -> float:
    """Return the milliseconds per process of an empty Python, two at a time: the median of a few samples.

    A sample takes a tenth of a second, in which a busy machine may do anything.
    """
    command = ["xargs", "-P2", "-n1", sys.executable, "-c", "pass"]
    samples = [time_command(command, stdin=count_lines(FLOOR_PROCESSES)) for _ in range(FLOOR_SAMPLES)]
    return statistics.median(samples) / FLOOR_PROCESSES


def count_lines(count: int) -> str:
    """Return what `seq 0 COUNT-1` prints."""
    return "".join(f"{index}\n" for index in range(count))


def new_dir(folder: Path) -> Path:
    """Return a new, empty directory; it stays until the end, since ext4 creates slowly for a while after it deleted."""
    return Path(tempfile.mkdtemp(dir=folder))


def _end(process: subprocess.Popen[str]) -> None:
    os.killpg(process.pid, signal.SIGKILL)  # not reaped yet: the group is still this one
    process.wait()


def _last_line(printed: str) -> str:
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
