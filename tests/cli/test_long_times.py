"""Durations that outlast any test: a time-out of weeks, a back-off of years."""

from __future__ import annotations

import signal

import pytest

from tests.conftest import Project, wait_until


@pytest.mark.parametrize("seconds", ["2592000", "1e12"], ids=["30 days", "30,000 years"])
def test_a_long_time_out(squares: Project, seconds: str) -> None:
    """A time-out of any length only means that the experiment may run that long."""
    done = squares.run("--index", "2", "--timeout", seconds, "--grace", seconds)
    assert done.code == 0, done
    assert squares.json(2, "result.json") == {"y": 4}
    assert not (squares.result_dir(2) / "attempts/2.json").exists()


def test_a_long_time_out_of_a_config(squares: Project) -> None:
    """`resources.timeout` too."""
    squares.write("builder.py", "def build():\n    return [{'x': 3, 'name': 'n', 'resources': {'timeout': 1e7}}]\n")
    assert squares.run().code == 0
    assert squares.json(0, "result.json") == {"y": 9}


def test_a_long_back_off(squares: Project) -> None:
    """A manager that waits for a retry for ever waits until it is told to end; what else there is runs meanwhile."""
    squares.write(
        "experiment.py",
        """
        def run(config):
            if config.x == 0:
                raise ValueError("again and again")
        """,
    )
    manager = squares.start("--num_retries", "2", "--retry_backoff", "1e12")
    wait_until(lambda: (squares.result_dir(3) / "success.txt").exists())
    assert manager.poll() is None
    manager.send_signal(signal.SIGINT)
    output, _ = manager.communicate(timeout=30)
    assert manager.returncode == 130, output
    assert not (squares.result_dir(0) / "attempts/2.json").exists()
