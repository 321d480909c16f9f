"""`run_experiment.py`: run an experiment function over a list of configs."""

from __future__ import annotations

from collections.abc import Sequence

from configmill.cli.campaign import run_campaign
from configmill.cli.exits import exit_with
from configmill.cli.options import add_function, function_request

DESCRIPTION = """\
Run an experiment once for every config of a list: each in a process and a directory of its own, several at a time,
with its config, log, result and metrics kept. The same command again runs only what has not succeeded yet.

  run_experiment.py --experiment_builder experiments.forecasting.run_experiment \\
      --config_builder "config_builders.forecasting.build_ar_configs()" --dst_dir out/forecast --num_threads 2
"""


def main() -> None:
    """The command."""
    exit_with(command)


def command(arguments: Sequence[str]) -> int:
    """Parse, run, report; returns the exit code."""
    return run_campaign(
        "run_experiment.py", DESCRIPTION, arguments, add_target=add_function, request_of=function_request
    )
