"""`run_experiment.py`: run an experiment function over a list of configs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout, suppress
from typing import TextIO

from configmill.cli.exits import exit_with
from configmill.cli.options import (
    EXIT_CODES,
    add_running,
    add_safety_and_output,
    add_selection,
    add_what,
    to_request,
)
from configmill.cli.parser import Parser
from configmill.errors import UsageError
from configmill.manager.run import dry_run, run
from configmill.protocol.attempt import is_inside_experiment
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import Summary
from configmill.report.terminal import make_reporter, print_dry_run, print_summary

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
    parser = Parser("run_experiment.py", DESCRIPTION, EXIT_CODES)
    for add in (add_what, add_selection, add_running, add_safety_and_output):
        add(parser)
    given = parser.parse(arguments)
    if is_inside_experiment():
        raise UsageError(
            "run_experiment.py was called from inside an experiment. An experiment must not start a campaign: "
            "put what it would run into the config builder's list."
        )
    request = to_request(given)
    # With --json, stdout is for the one line that a program reads, whatever a builder prints.
    out = sys.stderr if given.json else sys.stdout
    with redirect_stdout(out):
        summary = _dry_run(request, out) if request.dry_run else _run(request, out)
    if given.json:
        print(json.dumps(summary.to_dict()))
    return summary.exit_code


def _run(request: RunRequest, out: TextIO) -> Summary:
    if request.clean_dst_dir and not request.confirmed and not sys.stdin.isatty():
        raise UsageError(
            f"--clean_dst_dir would delete what is in {request.dst_dir!r}, and there is no terminal to ask at. "
            "Add --no_confirm if you mean it."
        )
    confirm = None if request.confirmed else _ask_before_cleaning
    with make_reporter(out) as reporter:
        summary = run(request, on_event=reporter, confirm_clean=confirm, owns_process=True)
    with suppress(BrokenPipeError):  # the run is over; its exit code says more than a reader that has left
        print_summary(summary, out)
    return summary


def _dry_run(request: RunRequest, out: TextIO) -> Summary:
    sys.dont_write_bytecode = True  # of the builder's module: a dry run touches nothing at all
    summary, decisions = dry_run(request)
    for warning in summary.warnings:
        print(f"note: {warning}", file=out)
    print_dry_run(request, decisions, out)
    return summary


def _ask_before_cleaning(path: str) -> bool:
    print(f"Delete everything in {path}? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
