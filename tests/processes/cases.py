"""Many small experiments in one command: each function of a text is one, and each test asks what became of its own.

cases = run_cases(project, '''
    def divides_by_zero(config):
        return {"y": 1 / 0}
    ''', "--num_threads", "2")
cases.record("divides_by_zero")["failure_class"] == "code_error"
"""

from __future__ import annotations

import ast
import json
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Done, Project

_DISPATCH = """

def run(config):
    return globals()[config.case](config)
"""


class Cases:
    """What one command left of its cases."""

    def __init__(self, project: Project, names: list[str], done: Done, dst: Path) -> None:
        self.project = project
        self.done = done
        self.dst = dst
        self._names = names

    def dir(self, case: str) -> Path:
        """The case's experiment directory."""
        return self.project.result_dir(self._names.index(case), self.dst)

    def attempts(self, case: str) -> list[dict[str, Any]]:
        """The records of the case's attempts, first to last."""
        found = [json.loads(path.read_text()) for path in (self.dir(case) / "attempts").glob("*.json")]
        return sorted(found, key=lambda record: record["attempt"])

    def record(self, case: str) -> dict[str, Any]:
        """The record of the case's last attempt."""
        return self.attempts(case)[-1]

    def log(self, case: str, attempt: int = 1) -> str:
        """The log of an attempt of the case."""
        return (self.dir(case) / "attempts" / f"{attempt}.log").read_text()

    def result(self, case: str) -> Any:
        """What the case returned."""
        return json.loads((self.dir(case) / "result.json").read_text())

    def index(self, case: str) -> int:
        """The case's index in the list."""
        return self._names.index(case)


def names_of_cases(experiments: str) -> list[str]:
    """The names of the cases in a text, in order: its top-level functions without an underscore in front."""
    functions = [
        node.name for node in ast.parse(textwrap.dedent(experiments)).body if isinstance(node, ast.FunctionDef)
    ]
    return [name for name in functions if not name.startswith("_")]


def write_cases(project: Project, experiments: str, **more: dict[str, Any]) -> list[str]:
    """Write the module of the experiments and its builder; returns the cases' names, in the list's order.

    Every top-level function of `experiments` whose name has no underscore in front is a case; `more` adds keys to the
    configs of those it names.
    """
    text = textwrap.dedent(experiments)
    names = names_of_cases(text)
    configs = [{"case": name, **more.get(name, {})} for name in names]
    project.write("experiment.py", text + _DISPATCH)
    project.write("builder.py", f"CONFIGS = {configs!r}\n\ndef build():\n    return CONFIGS\n")
    return names


def run_within(project: Project, seconds: float, *options: str) -> Done:
    """Run a command that may hang where something is wrong; fail the test where it isn't over in time."""
    manager = project.start(*options)
    try:
        output, _ = manager.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        manager.kill()
        manager.communicate()
        pytest.fail(f"the manager isn't over after {seconds:g} s")
    return Done(manager.returncode, output, "")


def run_cases(
    project: Project, experiments: str, *options: str, env: dict[str, str] | None = None, **more: dict[str, Any]
) -> Cases:
    """Write the cases and run them all with one command, two at a time."""
    names = write_cases(project, experiments, **more)
    done = project.run("--num_threads", "2", "--json", *options, env=env)
    return Cases(project, names, done, project.out)
