"""What the checks on a real GPU share: the devices, a project on one of them, and figures for the end.

Not a part of `make test` (setup.cfg names the folder): `make test-gpu` runs them. Where there is no idle GPU, or no
torch that can use it, the session ends with exit code 1 and says why; nothing is skipped.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from configmill.gpus.devices import Device
from tests.conftest import Done, Project, wait_until
from tests.real_gpu.host import idle_devices, refusal
from tests.real_gpu.nvml import SLACK_BYTES, driver_version, used_bytes

_FIGURES = pytest.StashKey[list[str]]()
_IDLE_BYTES = pytest.StashKey[int]()
_ASK_TORCH = (
    "import torch; torch.ones(1, device='cuda'); print(f'torch {torch.__version__}, CUDA {torch.version.cuda}')"
)
#: `number` configs that differ in `x`, each with its own priority, so that they run in this order.
_BUILDER = """
    def build(notes, number=1, first=0, **resources):
        return [
            {"notes": notes, "x": x, "batch_size": 4, "resources": {"priority": -x, **resources}}
            for x in range(first, first + number)
        ]
    """


@dataclass(frozen=True)
class OnDevice:
    """A project whose commands may use one device: `run` and `start` are given what the builder is called with."""

    project: Project
    device: Device
    #: Its memory in use while nothing runs, in bytes.
    idle_bytes: int
    #: A folder in which the experiments leave word.
    notes: Path

    def experiment(self, text: str) -> None:
        """Write the experiment, `run(config)`."""
        self.project.write("experiment.py", text)

    def run(self, *options: str, dst: Path | None = None, **arguments: object) -> Done:
        """Run its configs to their end."""
        return self.project.run("--gpus", self.device.id, *options, builder=self._builder(arguments), dst=dst)

    def start(self, *options: str, dst: Path | None = None, **arguments: object) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return self.project.start("--gpus", self.device.id, *options, builder=self._builder(arguments), dst=dst)

    def _builder(self, arguments: dict[str, object]) -> str:
        named = {"notes": str(self.notes), "num_gpus": 1, **arguments}
        return f"builder.build({', '.join(f'{name}={value!r}' for name, value in named.items())})"

    def used(self) -> int:
        """The device's memory in use now, in bytes."""
        return used_bytes(self.device.id)

    def is_drained(self) -> bool:
        """Whether no more is in use than while nothing runs."""
        return self.used() <= self.idle_bytes + SLACK_BYTES

    def view(self) -> dict[str, Any]:
        """What `configmill gpus` says of the device."""
        done = self.project.configmill("gpus", "--gpus", self.device.id, "--json")
        assert done.code == 0, done
        view: dict[str, Any] = done.summary["devices"][0]
        return view


@pytest.fixture(scope="session", autouse=True)
def devices(pytestconfig: pytest.Config) -> Iterator[tuple[Device, ...]]:
    """The idle devices, which are leased for as long as the checks run; without any the session ends."""
    figures = pytestconfig.stash.setdefault(_FIGURES, [])
    with idle_devices() as (idle, reason):
        if not idle:
            pytest.exit(refusal(reason), returncode=1)
        pytestconfig.stash[_IDLE_BYTES] = used_bytes(idle[0].id)
        asked = subprocess.run([sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=300)
        if asked.returncode:
            why = (asked.stderr.strip() or "no word").splitlines()[-1]
            pytest.exit(f"torch can't use {idle[0].name}: {why}. Nothing was checked.", returncode=1)
        figures.append(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, driver {driver_version()}, {asked.stdout.strip()}")
        figures += [f"{device.name}, {device.total_memory / 1e9:.1f} GB" for device in idle]
        yield idle


@pytest.fixture
def on_device(project: Project, devices: tuple[Device, ...], tmp_path: Path, pytestconfig: pytest.Config) -> OnDevice:
    """An empty project on the first device, which has come to rest after the check before."""
    project.write("builder.py", _BUILDER)
    notes = tmp_path / "notes"
    notes.mkdir()
    made = OnDevice(project, devices[0], pytestconfig.stash[_IDLE_BYTES], notes)
    wait_until(made.is_drained, 30)
    return made


@pytest.fixture
def figures(pytestconfig: pytest.Config) -> list[str]:
    """Lines for the end of the session: what was measured."""
    return pytestconfig.stash[_FIGURES]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What was measured, and on what."""
    figures = config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.write_line(line)
