"""What the fork server looks at before it forks, one by one: variables, devices, a fork that tries things out."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from configmill.forkserver import safety
from configmill.forkserver.environment import Watch
from tests.conftest import REPOSITORY

LOOKS = "mine.py:2 looks at CUDA_VISIBLE_DEVICES as it is imported, which is set for each experiment"
COPIES = "mine.py:2 copies the environment as it is imported, before an experiment's is set"
#: Line 2 of a module, and what is found of it.
LINES = {
    "os.environ.get('CUDA_VISIBLE_DEVICES')": LOOKS,
    "os.environ.get('CUDA_VISIBLE_DEVICES', '0')": LOOKS,
    "os.getenv('CUDA_VISIBLE_DEVICES')": LOOKS,
    "'CUDA_VISIBLE_DEVICES' in os.environ": LOOKS,
    "os.environb.get(b'CUDA_VISIBLE_DEVICES')": LOOKS,
    "os.environ['CUDA_VISIBLE_DEVICES']": LOOKS,
    "os.path.expandvars('$CUDA_VISIBLE_DEVICES')": LOOKS,
    "os.environ['CUDA_VISIBLE_DEVICES'] = '0'": LOOKS.replace("looks at", "sets"),
    "os.environ.setdefault('CUDA_VISIBLE_DEVICES', '0')": LOOKS,
    "del os.environ['CUDA_VISIBLE_DEVICES']": LOOKS.replace("looks at", "removes"),
    "configmill.get_config_from_env()": LOOKS.replace("CUDA_VISIBLE_DEVICES", "CONFIGMILL_CONFIG_BUILDER"),
    "configmill.load_checkpoint()": LOOKS.replace("CUDA_VISIBLE_DEVICES", "CONFIGMILL_CONFIG_BUILDER"),
    "configmill.log_metrics(loss=1)": LOOKS.replace("CUDA_VISIBLE_DEVICES", "CONFIGMILL_CONFIG_BUILDER"),
    "dict(os.environ)": COPIES,
    "os.environ.copy()": COPIES,
    "{k: v for k, v in os.environ.items()}": COPIES,
    "{**os.environ}": COPIES,
    "os.environ | {'MINE': '1'}": COPIES,
    "list(os.environ)": COPIES,
    "os.environ.get('HOME')": None,
    "'HOME' in os.environ": None,
    "os.environ.setdefault('TOKENIZERS_PARALLELISM', 'false')": None,
    "subprocess.run(['true'], check=True)": None,
    "urllib.request.getproxies()": None,
}


def watched(path: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> str | None:
    """What is found of a module at `path` with that line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"import configmill, os, subprocess, urllib.request\n{line}\n")
    monkeypatch.chdir(path.parent)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    for name in list(os.environ):
        if name.startswith("CONFIGMILL_"):
            monkeypatch.delenv(name)
    code = compile(path.read_text(), str(path), "exec")
    with Watch() as watch:
        exec(code, {})
    return watch.finding


@pytest.mark.parametrize("line", LINES)
def test_a_variable_that_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Every way to look at a variable of an attempt, or to copy all, is seen with its place; others are not ours."""
    assert watched(tmp_path / "mine.py", line, monkeypatch) == LINES[line]


@pytest.mark.parametrize("line", LINES)
def test_an_installed_package_may_go_through_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """An installed package that goes through the environment looks for its own settings; it may not look at ours."""
    finding = watched(tmp_path / "site-packages" / "mine.py", line, monkeypatch)
    assert finding == (None if LINES[line] == COPIES else LINES[line])


def test_values_are_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who looks at the environment under the eyes of the watch gets what is there, as text and as bytes."""
    monkeypatch.setenv("MINE", "ö")
    with Watch():
        found = (os.environ["MINE"], os.environb[b"MINE"], os.environ.get("NOT_MINE"), "MINE" in list(os.environ))
        os.environ["MINE"] = "new"
    assert found == ("ö", "ö".encode(), None, True)
    assert os.environ["MINE"] == "new"


def test_a_device_that_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor of a device is named, however it was opened."""
    before = safety.Surroundings()
    opened = {**safety._descriptors(), 99: "/dev/nvidia0"}
    monkeypatch.setattr(safety, "_descriptors", lambda: opened)
    assert before.harm_done() == "/dev/nvidia0 is open"


@pytest.mark.parametrize(
    ("torch", "said"),
    [
        (None, None),
        (type("torch", (), {}), None),
        (type("torch", (), {"cuda": type("cuda", (), {"is_initialized": staticmethod(lambda: False)})}), None),
        (
            type("torch", (), {"cuda": type("cuda", (), {"is_initialized": staticmethod(lambda: True)})}),
            "CUDA is initialised",
        ),
    ],
)
def test_the_state_of_torch(torch: Any, said: str | None) -> None:
    """torch alone is no obstacle; torch that has initialised CUDA is."""
    assert safety.device_of(torch) == said


#: What is true of a process, and what its canary says.
CANARIES = {
    "hangs": (
        "os.register_at_fork(after_in_child=lambda: time.sleep(1000)); canary._SECONDS = 0.3",
        "a fork of it hangs in its start",
    ),
    "is killed": (
        "sys.modules['numpy'] = types.SimpleNamespace(ones=lambda shape: os.abort())",
        "a fork of it ends with SIGABRT in numpy",
    ),
    "raises": (
        "sys.modules['torch'] = types.SimpleNamespace(ones=lambda shape: 1 / 0)",
        "a fork of it ends with exit code 1 in torch",
    ),
    "is fine": ("import numpy", "None"),
}


@pytest.mark.parametrize("case", CANARIES)
def test_the_canary(case: str) -> None:
    """A fork in which a library hangs, crashes or raises tells so, and where; one in which all works tells nothing."""
    text, said = CANARIES[case]
    program = (
        "import os, sys, time, types\nfrom configmill.forkserver import canary\n"
        + text
        + "\nprint(canary.send_canary())"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == said
