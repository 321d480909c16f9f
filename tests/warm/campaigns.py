"""Campaigns of experiments that wait to be let go, and the fork server behind them.

campaign = begin(project, n=4)
wait_until(lambda: len(campaign.started()) == 2)
os.kill(campaign.server(), signal.SIGKILL)
campaign.let_go()
campaign.end()
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from configmill.processes import children_of
from tests.conftest import Done, Project, wait_until

BUILDER = """
    def build(n):
        with open("built.txt", "a") as file:
            file.write("built\\n")
        return [{"x": index} for index in range(n)]
    """
EXPERIMENT = """
    import os, time

    def run(config):
        with open(f"started {config.x}", "a") as file:
            file.write(f"{os.getpid()} {os.getppid()}\\n")
        while not os.path.exists("go") and not os.path.exists(f"go {config.x}"):
            time.sleep(0.005)
        return {"pid": os.getpid()}
    """
#: The command, with other limits for what the fork server may take to answer.
COMMAND = """
import sys
import configmill.launch.warm as warm
from configmill.cli.run_experiment import main
warm.FORK_SECONDS, warm.READY_SECONDS = {seconds}, {ready_seconds}
sys.argv[0] = "run_experiment.py"
main()
"""


class Campaign:
    """A command that runs, with a server to be killed."""

    def __init__(self, project: Project, process: subprocess.Popen[str]) -> None:
        self.project = project
        self.process = process

    def server(self) -> int:
        """The fork server's pid; waits for it."""
        found: int = wait_until(lambda: server_of(self.process.pid))
        return found

    def started(self) -> dict[int, list[tuple[int, int]]]:
        """The (experiment, minder) pids of each start, by index."""
        found = {}
        for path in self.project.root.glob("started *"):
            lines = [line.split() for line in path.read_text().splitlines()]
            found[int(path.name.split()[1])] = [(int(line[0]), int(line[1])) for line in lines if len(line) == 2]
        return {index: starts for index, starts in found.items() if starts}

    def wait_for(self, number: int) -> None:
        """Wait until so many experiments have been started."""
        wait_until(lambda: len(self.started()) >= number)

    def let_go(self, *indices: int) -> None:
        """Have the experiments end: those at `indices`, or all."""
        for name in [f"go {index}" for index in indices] or ["go"]:
            (self.project.root / name).touch()

    def end(self, seconds: float = 40) -> Done:
        """Wait for the command's end."""
        output, _ = self.process.communicate(timeout=seconds)
        return Done(self.process.returncode, output, "")

    def attempts(self, index: int) -> list[dict[str, Any]]:
        """The records of the attempts at an index, first to last."""
        found = [json.loads(path.read_text()) for path in (self.project.result_dir(index) / "attempts").glob("*.json")]
        return sorted(found, key=lambda record: record["attempt"])

    def methods(self, number: int) -> list[str]:
        """How each of the first `number` experiments was started, which took one attempt."""
        attempts = [self.attempts(index) for index in range(number)]
        assert [[record["status"] for record in records] for records in attempts] == [["succeeded"]] * number
        return [records[0]["start_method"] for records in attempts]


def begin(project: Project, *options: str, n: int, seconds: float = 10.0, ready_seconds: float = 600.0) -> Campaign:
    """Start a command over `n` configs, two at a time; writes builder and experiment where there are none."""
    for name, text in (("builder.py", BUILDER), ("experiment.py", EXPERIMENT)):
        if not (project.root / name).exists():
            project.write(name, text)
    _, _, *arguments = project.command("--num_threads", "2", *options, builder=f"builder.build(n={n})")
    argv = [sys.executable, "-c", COMMAND.format(seconds=seconds, ready_seconds=ready_seconds), *arguments]
    return Campaign(
        project,
        subprocess.Popen(
            argv, cwd=project.root, env=project.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        ),
    )  # fmt: skip


def server_of(manager: int) -> int | None:
    """The manager's fork server: its one child that runs the server's program and is no attempt's."""
    for pid in children_of(manager):
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if b"configmill.forkserver.server" in command and b"CONFIGMILL_CONFIG_IDX=" not in environment:
            return pid
    return None


def is_gone(pid: int) -> bool:
    """Whether no such process runs, a zombie left out."""
    return not os.path.exists(f"/proc/{pid}/exe")
