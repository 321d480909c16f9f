"""`run_notebook.py`: run a notebook over a list of configs."""

from __future__ import annotations

from collections.abc import Sequence

from configmill.cli.campaign import run_campaign
from configmill.cli.exits import exit_with
from configmill.cli.options import add_notebook, notebook_request

DESCRIPTION = """\
Run a notebook once for every config of a list: each in a kernel, a process and a directory of its own, several at a
time, with its outputs, log and metrics kept. The same command again runs only what has not succeeded yet.

In the notebook, configmill.get_config_from_env() gives its config (None where it is opened by hand).

  run_notebook.py --notebook notebooks/forecasting.ipynb \\
      --config_builder "config_builders.forecasting.build_ar_configs()" \\
      --dst_dir out/nb --num_threads 2 --publish_notebook
"""


def main() -> None:
    """The command."""
    exit_with(command)


def command(arguments: Sequence[str]) -> int:
    """Parse, run, report; returns the exit code."""
    return run_campaign("run_notebook.py", DESCRIPTION, arguments, add_target=add_notebook, request_of=notebook_request)
