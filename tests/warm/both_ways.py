"""One campaign run warm and run cold, in one project, to compare what is left of them.

warm, cold = run_both(project, names, "--num_threads", "2")
warm.record("sleeps")["seconds"], cold.record("sleeps")["seconds"]
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tests.conftest import Project
from tests.processes.cases import Cases
from tests.processes.conftest import METHODS

_ADDRESS = re.compile("0x[0-9a-f]+")
#: Fields of a record that differ between any two attempts.
_OF_ONE_ATTEMPT = {"run", "started", "ended", "seconds", "queued_seconds", "pid", "cpu_seconds"}
_OF_ONE_ATTEMPT |= {"peak_rss_bytes", "baseline_rss_bytes"}


@dataclass(frozen=True)
class BothWays:
    """What the same command left when it started its experiments warm, and cold."""

    warm: Cases
    cold: Cases

    def results(self, case: str) -> tuple[Any, Any]:
        """What a case returned, warm and cold."""
        return self.warm.result(case), self.cold.result(case)


def run_both(project: Project, names: list[str], *options: str, env: dict[str, str] | None = None) -> BothWays:
    """Run the project's experiment over its list warm, then cold, each to a directory of its own."""
    ran = []
    for method in METHODS:
        dst = project.root / f"out {method}"
        done = project.run("--json", "--start_method", method, *options, dst=dst, env=env)
        ran.append(Cases(project, names, done, dst))
    return BothWays(*ran)


def comparable_record(cases: Cases, case: str, attempt: int) -> dict[str, Any]:
    """A record without what differs between any two attempts, and how it was started."""
    record: dict[str, Any] = comparable(cases.attempts(case)[attempt], cases)
    return {name: value for name, value in record.items() if name not in _OF_ONE_ATTEMPT and name != "start_method"}


def comparable(value: Any, cases: Cases) -> Any:
    """A value of a JSON file with one name for all dst_dirs and all addresses."""
    text = json.dumps(value).replace(json.dumps(str(cases.dst))[1:-1], "<dst>")
    return json.loads(_ADDRESS.sub("<address>", text))


def comparable_log(text: str, cases: Cases) -> list[str]:
    """A log's lines without times and addresses, and without what tells how many frames of Configmill's there are.

    Of the trace that a crash in native code leaves, those are the lines below the project's own files.
    """
    text = _ADDRESS.sub("<address>", text.replace(str(cases.dst), "<dst>"))
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}", "<time>", text)
    text = re.sub(r"repeated \d+ more times", "repeated <many> more times", text)
    lines = text.replace("half a line of it", "half a line of it\n").splitlines()
    crash = next((number for number, line in enumerate(lines) if line.startswith("Fatal Python error")), len(lines))
    own = str(cases.project.root)
    return lines[: crash + 1] + [line for line in lines[crash + 1 :] if own in line]
