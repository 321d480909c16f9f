"""Configmill's commands, as a user types them, and what they must have left.

experiment_command("warm", "benchmarks.noop", 200, Path("/tmp/dst"))
"""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.timing import CommandFailedError
from benchmarks.tools import expect_files

TWO_AT_A_TIME = ("--num_threads", "2")


def experiment_command(start_method: str, package: str, count: int, dst_dir: Path, **arguments: object) -> list[str]:
    """Return the command for `count` experiments of a package that has an experiment and a builder of its configs."""
    call = ", ".join(f"{name}={value!r}" for name, value in {"count": count, **arguments}.items())
    return [
        *(sys.executable, "run_experiment.py"),
        *("--experiment_builder", f"{package}.experiment.run"),
        *("--config_builder", f"{package}.builder.build_configs({call})"),
        *("--dst_dir", str(dst_dir), *TWO_AT_A_TIME),
        *("--start_method", start_method),
    ]


def notebook_command(start_method: str, notebook: Path, count: int, dst_dir: Path, *options: str) -> list[str]:
    """Return the command that runs a notebook over `count` configs."""
    return [
        *(sys.executable, "run_notebook.py", "--notebook", str(notebook)),
        *("--config_builder", f"benchmarks.noop.builder.build_configs(count={count})"),
        *("--dst_dir", str(dst_dir), *TWO_AT_A_TIME),
        *("--start_method", start_method, *options),
    ]


def read_records(dst_dir: Path) -> Iterator[dict[str, Any]]:
    """Yield the record of every attempt of a campaign."""
    for path in dst_dir.glob("experiments/*/attempts/*.json"):
        yield json.loads(path.read_text())


def expect_campaign(start_method: str, pattern: str, holding: bytes = b"") -> Callable[[Path, int], None]:
    """Return a check that every experiment was really started so, and that it left a file of this name."""
    has_files = expect_files(f"experiments/*/{pattern}", holding)

    def check(dst_dir: Path, count: int) -> None:
        has_files(dst_dir, count)
        others = sum(1 for record in read_records(dst_dir) if record["start_method"] != start_method)
        if others:
            raise CommandFailedError(f"{others} of {count} were not started {start_method}")

    return check
