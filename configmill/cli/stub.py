"""`run_experiment_stub.py`: one experiment in the foreground, in this very process, so that a debugger works in it.

It counts as an attempt and takes the dst_dir's lock, but never forks: the terminal stays the experiment's, and its
output is on the screen, not in the attempt's log. An exception is recorded and then raised, so that
`python -m pdb -c continue run_experiment_stub.py ...` stops where it came from.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from configmill.child.stub import Report, configure_logging, perform
from configmill.cli.exits import exit_with
from configmill.cli.options import EXIT_CODES, add_what, foreground_request, log_level, whole_number
from configmill.cli.parser import Parser
from configmill.config.overrides import overrides_to_json
from configmill.errors import ConfigmillError, Terminated, UsageError
from configmill.plan.plan import make_plan
from configmill.protocol import status
from configmill.protocol.attempt import Attempt, is_inside_experiment
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import RunRequest, Selection
from configmill.store.campaign import open_campaign
from configmill.store.experiments import begin_attempt, finish_attempt

DESCRIPTION = """\
Run one experiment of a list in the foreground, in this process: breakpoint() and pdb work in it, and what it prints is
on the terminal. It counts as an attempt.

  run_experiment_stub.py --experiment_builder experiments.forecasting.run_experiment \\
      --config_builder "config_builders.forecasting.build_ar_configs()" --config_idx 2 --dst_dir out/forecast
"""


def main() -> None:
    """The command."""
    exit_with(command)
