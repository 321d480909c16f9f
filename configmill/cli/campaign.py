"""What run_experiment.py and run_notebook.py have in common: all but what they run.

run_campaign("run_experiment.py", DESCRIPTION, arguments, add_target=add_function, request_of=function_request)
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, redirect_stdout, suppress
from typing import TextIO

from configmill.cli.device_options import add_devices
from configmill.cli.energy_options import add_energy
from configmill.cli.options import EXIT_CODES, add_running, add_safety_and_output, add_selection, add_what
from configmill.cli.parser import Parser
from configmill.errors import UsageError
from configmill.launch.ahead import ServerAhead
from configmill.manager.run import dry_run, run
from configmill.protocol.attempt import is_inside_experiment
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import Summary
from configmill.report.publisher import Publisher
from configmill.report.terminal.reporter import make_reporter, print_dry_run, print_summary


def run_campaign(
    program: str,
    description: str,
    arguments: Sequence[str],
    *,
    add_target: Callable[[Parser], None],
    request_of: Callable[[argparse.Namespace], RunRequest],
    start_ahead: Callable[[argparse.Namespace], AbstractContextManager[ServerAhead | None]] = lambda given: (
        nullcontext()
    ),
) -> int:
    """Parse, run, report; returns the exit code.

    `start_ahead` may begin with what is needed whatever the request will be.
    """
    parser = Parser(program, description, EXIT_CODES)
    for add in (add_target, add_what, add_selection, add_running, add_devices, add_energy, add_safety_and_output):
        add(parser)
    given = parser.parse(arguments)
    if is_inside_experiment():
        raise UsageError(
            f"{program} was called from inside an experiment. An experiment must not start a campaign: "
            "put what it would run into the config builder's list."
        )
    # With --json, stdout is for the one line that a program reads, whatever a builder prints.
    out = sys.stderr if given.json else sys.stdout
    with start_ahead(given) as ahead:
        request = request_of(given)
        with redirect_stdout(out):
            summary = _dry_run(request, out) if request.dry_run else _run(request, ahead, out)
    if given.json:
        print(json.dumps(summary.to_dict()))
    return summary.exit_code


def _run(request: RunRequest, ahead: ServerAhead | None, out: TextIO) -> Summary:
    if request.clean_dst_dir and not request.confirmed and not sys.stdin.isatty():
        raise UsageError(
            f"--clean_dst_dir would delete what is in {request.dst_dir!r}, and there is no terminal to ask at. "
            "Add --no_confirm if you mean it."
        )
    confirm = None if request.confirmed else _ask_before_cleaning
    with make_reporter(out) as reporter, Publisher(request, reporter) as publisher:
        summary = run(
            request,
            on_event=publisher,
            prepare=publisher.prepare,
            conclude=publisher.conclude,
            confirm_clean=confirm,
            owns_process=True,
            ahead=ahead,
        )
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
