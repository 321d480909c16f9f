"""Where there is no browser: the tests of pages don't run, and the end of the session says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

TEST = """
def test_page(browser):
    browser.open(__file__)

def test_other():
    pass
"""


def _pytest(folder: Path, path: str, *options: str) -> tuple[int, list[str]]:
    test = folder / "test_of_a_page.py"
    test.write_text(TEST)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.browser",
        "-p",
        "no:cacheprovider",
        "-q",
        "-c",
        os.devnull,
        *options,
    ]
    done = subprocess.run(
        [*command, "--rootdir", str(folder), str(test)],
        cwd=folder, env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize("options", [(), ("-n", "1")])
def test_no_browser_is_said_at_the_end(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Without a browser the rest passes, and the last thing to read is what was left out and how to get one."""
    code, lines = _pytest(tmp_path, str(tmp_path), *options)
    assert code == 0, lines
    end = lines[-5:]
    assert "THE BROWSER TESTS DID NOT RUN" in end[0]
    assert "left out: 1" in end[1] and "neither Chromium nor Chrome" in end[1]
    assert "apt install chromium chromium-driver" in end[2]
    assert "1 passed, 1 skipped" in end[4]


def test_a_browser_that_does_not_start_is_a_failure(tmp_path: Path) -> None:
    """A browser that is there but broken is no reason to skip."""
    for name in ("chromium", "chromedriver"):
        program = tmp_path / name
        program.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
        program.chmod(0o755)
    code, lines = _pytest(tmp_path, path=f"{tmp_path}:/usr/bin:/bin")
    assert code == 1, lines
    assert "DID NOT RUN" not in "\n".join(lines)
