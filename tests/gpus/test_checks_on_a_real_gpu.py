"""The checks on a real GPU, where there is none: kept apart, importable, and loud."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.conftest import REPOSITORY


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module of Python's in the repository, with no device visible."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    argv = [sys.executable, "-m", *arguments]
    return subprocess.run(argv, cwd=REPOSITORY, env=env, capture_output=True, text=True, timeout=100)


def test_only_when_they_are_named() -> None:
    """pytest finds the checks when it is given their folder, without torch or a device, and never by itself."""
    named = call("pytest", "--collect-only", "-q", "tests/real_gpu")
    assert named.returncode == 0 and "real_gpu/test_masking.py::" in named.stdout, named
    # Of the other folders only those whose names begin with g or r: all take long.
    by_itself = call("pytest", "--collect-only", "-q", "--ignore-glob", f"{REPOSITORY}/tests/[!gr]*")
    assert by_itself.returncode == 0 and "tests/gpus/test_pool.py::" in by_itself.stdout, by_itself
    assert "tests/real_gpu/" not in by_itself.stdout


def test_without_a_device_they_fail() -> None:
    """Where no device is visible, the first look and the checks themselves end with 1 and say why; none is skipped."""
    looked, checked = call("tests.real_gpu"), call("pytest", "-q", "tests/real_gpu")
    for done, said in ((looked, looked.stderr), (checked, checked.stdout + checked.stderr)):
        assert done.returncode == 1, done
        assert "need an idle NVIDIA GPU, and there is none: " in said and "Nothing was checked" in said
        assert "skipped" not in said and "Traceback" not in said
