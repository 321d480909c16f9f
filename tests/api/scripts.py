"""Users' scripts that call configmill.run, as processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any

from tests.conftest import Done, Project

#: Before every script: what most of them use.
HEAD = """\
import json, os, sys
import configmill
from configmill import UsageError

def tell(**what):
    print(json.dumps(what, default=str), flush=True)

def train(config):
    return {"y": config.x * 10}

CONFIGS = [{"x": 1}, {"x": 2}]

"""


def write_script(project: Project, body: str, name: str = "go.py", *, head: str = HEAD) -> None:
    """Write a script: the head, then `body`, dedented."""
    project.write(name, "")
    (project.root / name).write_text(head + textwrap.dedent(body))


def run_script(project: Project, body: str, name: str = "go.py", *, head: str = HEAD) -> Done:
    """Write a script and run it, in the project's directory, to its end."""
    write_script(project, body, name, head=head)
    return project.call([sys.executable, name])


def start_script(project: Project, body: str) -> subprocess.Popen[str]:
    """Write a script and start it."""
    write_script(project, body)
    return subprocess.Popen(
        [sys.executable, "go.py"], cwd=project.root, env=project.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def told(done: Done) -> dict[str, Any]:
    """What the script told last."""
    assert done.out.strip(), done
    parsed: dict[str, Any] = json.loads(done.out.splitlines()[-1])
    return parsed
