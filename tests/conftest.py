"""What the tests share: a user's project in a folder with a hostile name, and the commands as processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["tests.browser"]

REPOSITORY = Path(__file__).resolve().parent.parent
#: Every process that a test starts carries this variable, however deep and in whatever session.
MARK = "CONFIGMILL_TEST_MARK"
HOSTILE_NAME = "a 'quoted\" dir; echo $HOME"


def pytest_configure() -> None:
    """A shell ignores SIGINT for what it starts in the background, and so would all that the tests start."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["CONFIGMILL_LEASE_DIR"] = os.path.join(tempfile.gettempdir(), f"configmill-test-leases-{os.getpid()}")


def pytest_unconfigure() -> None:
    """Nothing of the tests' own leases stays."""
    shutil.rmtree(os.environ["CONFIGMILL_LEASE_DIR"], ignore_errors=True)


class Project:
    """A user's own project: modules in a folder, and Configmill's commands run from there."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = uuid.uuid4().hex
        self.out = root / "out dir"
        #: Where its managers lease devices: never the host's own directory.
        self.lease_dir = root.parent / "leases"
        #: What run_experiment.py is told where a test doesn't say it; None for its default.
        self.start_method: str | None = None

    def write(self, name: str, text: str) -> Path:
        """Write a module (or any file), dedented, with the packages above it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def environment(self, **more: str) -> dict[str, str]:
        """The environment for a process of this project."""
        # PYTHONUNBUFFERED would make every test of what is left in a buffer pass.
        unwanted = ("CONFIGMILL_", "PYTHONUNBUFFERED")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}
        ours = {"PYTHONPATH": str(REPOSITORY), MARK: self.mark, "CONFIGMILL_LEASE_DIR": str(self.lease_dir)}
        return {**clean, **ours, **more}

    def command(
        self,
        *options: str,
        experiment: str = "experiment.run",
        builder: str = "builder.build()",
        dst: Path | None = None,
    ) -> list[str]:
        """The argv of run_experiment.py."""
        method = [] if self.start_method is None or "--start_method" in options else [self.start_method]
        return [
            sys.executable, str(REPOSITORY / "run_experiment.py"),
            "--experiment_builder", experiment, "--config_builder", builder, "--dst_dir", str(dst or self.out),
            *options, *(f"--start_method={name}" for name in method),
        ]  # fmt: skip

    def run(self, *options: str, stdin: str | None = None, env: dict[str, str] | None = None, **what: Any) -> Done:
        """Run run_experiment.py to its end; nothing of it may be left afterwards."""
        return self.call(self.command(*options, **what), stdin=stdin, env=env)

    def notebook_command(
        self, *options: str, notebook: str = "nb.ipynb", builder: str = "builder.build()", dst: Path | None = None
    ) -> list[str]:
        """The argv of run_notebook.py."""
        return [
            sys.executable, str(REPOSITORY / "run_notebook.py"),
            "--notebook", notebook, "--config_builder", builder, "--dst_dir", str(dst or self.out),
            *options,
        ]  # fmt: skip

    def run_notebook(self, *options: str, **what: Any) -> Done:
        """Run run_notebook.py to its end; nothing of it may be left afterwards."""
        return self.call(self.notebook_command(*options, **what))

    def call(self, argv: list[str], *, stdin: str | None = None, env: dict[str, str] | None = None) -> Done:
        """Run any command to its end in the project's folder."""
        done = subprocess.run(
            argv, cwd=self.root, env=env or self.environment(), input=stdin, capture_output=True, text=True, timeout=100
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def script(self, name: str, *arguments: str) -> Done:
        """Run one of the repository's scripts, such as run_experiment_stub.py."""
        return self.call([sys.executable, str(REPOSITORY / name), *arguments])

    def configmill(self, *arguments: str) -> Done:
        """Run the umbrella command."""
        return self.call([sys.executable, "-m", "configmill", *arguments])

    def start(self, *options: str, **what: Any) -> subprocess.Popen[str]:
        """Start run_experiment.py and return at once."""
        return self._start(self.command(*options, **what))

    def start_notebook(self, *options: str, **what: Any) -> subprocess.Popen[str]:
        """Start run_notebook.py and return at once."""
        return self._start(self.notebook_command(*options, **what))

    def _start(self, argv: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            argv,
            cwd=self.root, env=self.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def result_dir(self, index: int, dst: Path | None = None) -> Path:
        """The experiment's directory behind `result_<index>`."""
        return (dst or self.out) / f"result_{index}"

    def json(self, index: int, name: str, dst: Path | None = None) -> Any:
        """A JSON file of an experiment."""
        return json.loads((self.result_dir(index, dst) / name).read_text())

    def log(self, index: int, attempt: int = 1) -> str:
        """The log of an attempt."""
        return (self.result_dir(index) / "attempts" / f"{attempt}.log").read_text()

    def processes(self) -> list[int]:
        """The pids of this project's processes that still run, zombies left out."""
        wanted = f"{MARK}={self.mark}".encode()
        return [pid for pid in _pids() if wanted in _read(pid, "environ").split(b"\0")]


class Done:
    """A command that ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code = code
        self.out = out
        self.err = err

    def __repr__(self) -> str:
        return f"exit code {self.code}\n--- stdout\n{self.out}\n--- stderr\n{self.err}"

    @property
    def summary(self) -> dict[str, Any]:
        """What --json printed on the last line."""
        parsed: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return parsed


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return b""


def wait_until(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Wait for a condition of another process, and return what it gives; fail the test where it doesn't come."""
    deadline = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"after {seconds:g} s it still doesn't hold: {holds}")
        time.sleep(0.01)


@contextmanager
def project_within(folder: Path) -> Iterator[Project]:
    """An empty project in a folder with quotes, spaces and a semicolon in its name; no process of it may be left."""
    root = folder / HOSTILE_NAME
    root.mkdir()
    made = Project(root)
    yield made
    left = made.processes()
    for pid in left:
        os.kill(pid, 9)
    assert not left, f"processes were left behind: {left}"


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """An empty project of a hostile name; nothing of it outlives the test."""
    with project_within(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def shared_project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """An empty project for a whole module, so that one command runs what all of its tests look at."""
    with project_within(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture
def squares(project: Project) -> Project:
    """A project whose experiment squares `x`, and whose builder makes `n` configs."""
    project.write(
        "builder.py",
        """
        import configmill

        def build(n=4):
            return configmill.grid({"x": 0, "name": "square"}, {"x": list(range(n))})
        """,
    )
    project.write(
        "experiment.py",
        """
        def run(config):
            print(f"squaring {config.x} for {config.name}")
            return {"y": config.x ** 2}
        """,
    )
    return project
