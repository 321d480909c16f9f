"""Many kernels, one after another: how many did not come up, and how many had to be started cold.

measure(settings)      # as many as settings.kernels: `python -m benchmarks --suite kernels --count 1000`
"""

import statistics
from collections import Counter
from pathlib import Path

from benchmarks.configmill_commands import notebook_command, read_records
from benchmarks.document import Section, Verdict, cell, markdown_table
from benchmarks.notebooks import write_trivial_notebook
from benchmarks.settings import Settings
from benchmarks.timing import CommandFailedError, new_dir, time_command, time_floor
from benchmarks.tools import say

TIMEOUT_SECONDS = 60  # of one notebook: a kernel that is stuck is counted, and doesn't hold up the others


def measure(settings: Settings) -> Section:
    """Run a notebook that does nothing so many times, and look at every record."""
    count = settings.items(settings.kernels)
    say(f"kernels: {count:,}")
    folder = new_dir(settings.folder)
    notebook = write_trivial_notebook(folder / "nothing.ipynb")
    command = notebook_command("auto", notebook, count, folder / "dst", "--timeout", str(TIMEOUT_SECONDS))
    floor = time_floor()
    said = ""
    try:
        elapsed = time_command(command, limit=max(900.0, 5.0 * count))
    except CommandFailedError as error:
        said, elapsed = str(error), 0.0
    return describe(count, folder / "dst", elapsed, floor, said)


def describe(count: int, dst_dir: Path, elapsed: float, floor: float, said: str) -> Section:
    """Return what the records say; `elapsed` is milliseconds, and `said` the error where the command had one."""
    records = list(read_records(dst_dir))
    failures = Counter(
        record["failure_class"] or record["status"] for record in records if record["status"] != "succeeded"
    )
    cold = sum(1 for record in records if record["start_method"] != "warm")
    stuck = count - sum(1 for record in records if record["status"] == "succeeded")
    kinds = ", ".join(f"{number} {kind}" for kind, number in failures.items()) or "none"
    seconds = sorted(record["seconds"] for record in records) or [0.0]
    rows = [
        ["notebooks", f"{count:,}"],
        ["did not succeed", f"{stuck} (by class: {kinds})"],
        ["started cold", str(cold)],
        ["ms each", f"{elapsed / count:.0f}" if elapsed else f"**failed: {cell(said)}**"],
        ["ratio", f"{elapsed / count / floor:.1f}" if elapsed else ""],
        ["seconds of an attempt", f"median {statistics.median(seconds):.2f}, longest {seconds[-1]:.2f}"],
    ]
    text = (
        f"A notebook of one cell, two at a time, started as `--start_method auto` chooses; one that takes more than"
        f" {TIMEOUT_SECONDS} s is ended and counted.\n\n" + markdown_table(["", ""], rows)
    )
    verdict = Verdict(f"kernels stuck or started cold, of {count:,}", 0, float(stuck + cold))
    figures = {
        "count": count,
        "failures": dict(failures),
        "cold": cold,
        "ms": elapsed,
        "floor_ms": floor,
        "error": said,
    }
    return Section("kernels", "Kernels that get stuck", text, [verdict], figures)
