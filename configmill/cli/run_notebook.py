"""`run_notebook.py`: run a notebook over a list of configs."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from configmill.cli.campaign import run_campaign
from configmill.cli.exits import exit_with
from configmill.cli.options import add_notebook, notebook_request
from configmill.launch.ahead import ServerAhead
from configmill.protocol.layout import CampaignDir, is_notebook
from configmill.protocol.start_method import COLD

#: For the longest of what there is room for beside what is given: the index, the devices, paths with their links gone.
_ROOM = 16384

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
    return run_campaign(
        "run_notebook.py",
        DESCRIPTION,
        arguments,
        add_target=add_notebook,
        request_of=notebook_request,
        start_ahead=_start_ahead,
    )


def _start_ahead(given: argparse.Namespace) -> AbstractContextManager[ServerAhead | None]:
    """Have the fork server import what any notebook needs while this one is read and checked; where one will be needed.

    In a campaign that there was before there may be nothing to run.
    """
    is_new = given.clean_dst_dir or not os.path.exists(CampaignDir(given.dst_dir).campaign)
    is_there = is_notebook(given.notebook) and os.path.isfile(given.notebook)
    if not (is_new and is_there) or given.dry_run or given.start_method == COLD or given.kernel_name is not None:
        return nullcontext()
    said = sum(len(os.fsencode(argument)) for argument in (*sys.argv, os.getcwd()))
    try:
        return ServerAhead(os.getcwd(), room=_ROOM + 2 * said)
    except OSError:  # it is tried again, where that can be said
        return nullcontext()
