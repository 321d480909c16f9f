"""The options of a run, and the RunRequest that they make."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from configmill.cli.device_options import device_fields
from configmill.cli.energy_options import energy_asked
from configmill.cli.parser import Parser, number, whole_number
from configmill.config.builder import parse_call
from configmill.config.overrides import parse_overrides
from configmill.errors import UsageError
from configmill.plan.selection import parse_indices
from configmill.plan.targets import resolve_target
from configmill.protocol.request import (
    DEFAULT_GRACE,
    DEFAULT_RETRY_BACKOFF,
    FOREGROUND,
    LOG_LEVELS,
    NotebookRequest,
    RunRequest,
    Selection,
    width_of,
)
from configmill.protocol.start_method import AUTO, START_METHODS

EXIT_CODES = """\
exit codes:
  0    every experiment succeeded, now or before
  1    some experiments failed (each is named, with its log)
  2    the command can't be carried out as given; nothing was created
  3    a bug in Configmill
  130  interrupted by Ctrl-C (143: by SIGTERM); the same command goes on where it stopped
"""


def add_function(parser: Parser) -> None:
    """The option that names the experiment's function."""
    parser.add_argument_group("the experiment").add_argument(
        "--experiment_builder", metavar="NAME", required=True,
        help="dotted name of the experiment's function, f(config) -> dict, without a call: experiments.mine.run",
    )  # fmt: skip


def add_notebook(parser: Parser) -> None:
    """The options that name the notebook, and say how it runs and is shown."""
    group = parser.add_argument_group("the notebook")
    group.add_argument(
        "--notebook", metavar="PATH", required=True,
        help="the notebook, left as it is; its copy with the outputs goes to each experiment's directory",
    )  # fmt: skip
    group.add_argument(
        "--publish_notebook", action="store_true", help="also make a page of each, beside it and in report/index.html"
    )
    group.add_argument("--hide_input", action="store_true", help="leave the code out of the pages")
    group.add_argument(
        "--allow_errors", action="store_true", help="go on after a cell that raises: 'succeeded with errors'"
    )
    group.add_argument("--cell_timeout", metavar="SECONDS", help="end a notebook of which one cell runs longer")
    group.add_argument("--kernel_name", metavar="NAME", help="the kernel to run it in (default: the notebook's own)")


def add_what(parser: Parser) -> None:
    """The options that say which configs to run it over, and where to."""
    group = parser.add_argument_group("what to run it over")
    group.add_argument(
        "--config_builder", metavar="CALL", required=True,
        help='call that makes the list of configs: "config_builders.mine.build(max_lag=8)"',
    )  # fmt: skip
    group.add_argument(
        "--dst_dir", metavar="DIR", required=True, help="where everything is kept: new, empty, or of an earlier run"
    )
    group.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[],
        help="set a key of every config: --set model.lags=3 (a Python literal, else text); may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--strict", action="store_true",
        help="a key that has no effect here is an error of its experiment, where the experiment can tell",
    )  # fmt: skip


def add_selection(parser: Parser) -> None:
    """The options that pick configs out of the list."""
    group = parser.add_argument_group("which of them")
    group.add_argument("--index", metavar="I", help="only the config at this index (from 0)")
    group.add_argument("--indices", metavar="LIST", help="only these: 0,3,5-9")
    group.add_argument("--start_from_index", metavar="I", help="this one and those after it")
    group.add_argument("--incremental", action="store_true", help="skip what succeeded before (the default)")
    group.add_argument("--no_incremental", action="store_true", help="run again what succeeded before")
    group.add_argument(
        "--rerun_on_code_change", action="store_true",
        help="run again what succeeded before with another version of the code; comments don't count",
    )  # fmt: skip


def add_running(parser: Parser) -> None:
    """The options that say how to run."""
    group = parser.add_argument_group("how to run them")
    group.add_argument(
        "--num_threads", metavar="N", default="1",
        help="how many at a time: a number, 'serial' for one, 'auto' for what devices, cores and memory make worth it, "
        "-1 for as many as there are cores (default: 1)",
    )  # fmt: skip
    group.add_argument("--timeout", metavar="SECONDS", help="end an experiment that runs longer than this")
    group.add_argument("--num_retries", metavar="N", default="0", help="try a failed one N more times (default: 0)")
    group.add_argument(
        "--retry_backoff", metavar="B", default=str(DEFAULT_RETRY_BACKOFF),
        help="before the k-th retry wait B**k seconds (default: 2, which is 2, 4, 8, ...)",
    )  # fmt: skip
    group.add_argument("--abort_on_error", action="store_true", help="at the first failure end all others")
    group.add_argument("--skip_on_error", action="store_true", help="go on with the others (the default)")
    group.add_argument(
        "--grace", metavar="SECONDS", default=str(DEFAULT_GRACE),
        help="time that an experiment has to clean up between SIGTERM and SIGKILL (default: 3)",
    )  # fmt: skip
    group.add_argument(
        "--start_method", choices=START_METHODS, default=AUTO,
        help="a fork of a process that has imported everything (warm), a new Python each (cold), or warm where that is "
        "safe, else cold, saying why (auto, the default)",
    )  # fmt: skip
    group.add_argument(
        "--preload", metavar="MODULE", action="append", default=[],
        help="a module to import ahead as well, for warm starts; may be repeated, or have several with commas",
    )  # fmt: skip


def add_safety_and_output(parser: Parser) -> None:
    """The options that empty, pretend and print."""
    group = parser.add_argument_group("safety and output")
    group.add_argument("--dry_run", action="store_true", help="say what would run and why, and touch nothing")
    group.add_argument("--clean_dst_dir", action="store_true", help="delete what is in dst_dir first (asks)")
    group.add_argument("--no_confirm", action="store_true", help="don't ask before deleting")
    group.add_argument("--log_level", metavar="LEVEL", default="INFO", help=f"one of {', '.join(LOG_LEVELS)}")
    group.add_argument("--json", action="store_true", help="print the summary as JSON, on the last line of stdout")


def function_request(given: argparse.Namespace) -> RunRequest:
    """The request to run a function. Raises UsageError."""
    project_dir = search_from_here()
    return _request(given, project_dir, target=resolve_target(given.experiment_builder))


def notebook_request(given: argparse.Namespace) -> RunRequest:
    """The request to run a notebook. Raises UsageError."""
    from configmill.plan.notebooks import resolve_notebook

    if given.hide_input and not given.publish_notebook:
        raise UsageError("--hide_input is about the pages, and none are made. Add --publish_notebook, or leave it out.")
    # Before the project is searched first: its modules may have the names of what these packages import.
    notebook = resolve_notebook(given.notebook, os.getcwd(), given.kernel_name)
    if given.publish_notebook:
        importlib.import_module("configmill.report.notebooks.exporter")
        importlib.import_module("configmill.report.notebooks.page")
    project_dir = search_from_here()
    asked = NotebookRequest(
        kernel_name=notebook.kernel_name,
        cold_kernel=notebook.cold_kernel,
        allow_errors=given.allow_errors,
        cell_timeout=None if given.cell_timeout is None else number("--cell_timeout", given.cell_timeout),
        publish=given.publish_notebook,
        hide_input=given.hide_input,
    )
    return _request(given, project_dir, target=notebook.target, notebook=asked)


def _request(
    given: argparse.Namespace, project_dir: str, *, target: str, notebook: NotebookRequest | None = None
) -> RunRequest:
    _refuse_contradictions(given)
    parse_call(given.config_builder)
    return RunRequest(
        config_builder=given.config_builder,
        target=target,
        notebook=notebook,
        dst_dir=absolute_dst_dir(given.dst_dir),
        project_dir=project_dir,
        num_threads=width_of(given.num_threads),
        selection=_selection(given),
        incremental=not given.no_incremental,
        rerun_on_code_change=given.rerun_on_code_change,
        num_retries=whole_number("--num_retries", given.num_retries),
        retry_backoff=number("--retry_backoff", given.retry_backoff),
        timeout=None if given.timeout is None else number("--timeout", given.timeout),
        abort_on_error=given.abort_on_error,
        overrides=parse_overrides(given.set),
        clean_dst_dir=given.clean_dst_dir,
        confirmed=given.no_confirm,
        dry_run=given.dry_run,
        grace=number("--grace", given.grace),
        start_method=given.start_method,
        preload=tuple(name.strip() for names in given.preload for name in names.split(",")),
        **device_fields(given),
        strict=given.strict,
        energy=energy_asked(given),
        log_level=_level(given.log_level),
        command=tuple(sys.argv),
    )


def foreground_request(given: argparse.Namespace) -> RunRequest:
    """The request of one experiment in the foreground. Raises UsageError."""
    project_dir = search_from_here()
    parse_call(given.config_builder)
    index = whole_number("--config_idx", given.config_idx)
    return RunRequest(
        config_builder=given.config_builder,
        target=resolve_target(given.experiment_builder),
        dst_dir=absolute_dst_dir(given.dst_dir),
        project_dir=project_dir,
        selection=Selection(ranges=((index, index),), text=f"--config_idx {given.config_idx}"),
        overrides=parse_overrides(given.set),
        strict=given.strict,
        energy=energy_asked(given),
        start_method=FOREGROUND,
        log_level=_level(given.log_level),
        command=tuple(sys.argv),
    )


def search_from_here() -> str:
    """Have modules found from the current directory first, as experiments will; returns it.

    Python puts the script's own directory first, where experiments must not find anything.
    """
    project_dir = os.getcwd()
    if sys.path and sys.path[0] == os.path.dirname(os.path.realpath(sys.argv[0])):
        del sys.path[0]
    sys.path[:] = [project_dir, *(entry for entry in sys.path if entry not in ("", project_dir))]
    return project_dir


def absolute_dst_dir(given: str) -> str:
    """The destination as an absolute path without links, so that one directory has one name."""
    if not given:
        raise UsageError("--dst_dir '' is empty. Give a directory, such as out/first.")
    return os.path.realpath(given)


def _refuse_contradictions(given: argparse.Namespace) -> None:
    contradictions: Sequence[Sequence[str]] = (
        ("incremental", "no_incremental"),
        ("abort_on_error", "skip_on_error"),
        ("index", "indices", "start_from_index"),
    )
    for names in contradictions:
        both = [f"--{name}" for name in names if getattr(given, name) not in (None, False)]
        if len(both) > 1:
            raise UsageError(f"{both[0]} and {both[1]} contradict each other. Give one of them.")


def _level(given: str) -> str:
    return given.upper() if given.upper() in LOG_LEVELS else given


def _selection(given: argparse.Namespace) -> Selection:
    if given.index is not None:
        index = whole_number("--index", given.index)
        return Selection(ranges=((index, index),), text=f"--index {given.index}")
    if given.indices is not None:
        return Selection(ranges=parse_indices(given.indices), text=f"--indices {given.indices}")
    if given.start_from_index is not None:
        start = whole_number("--start_from_index", given.start_from_index)
        return Selection(start=start, text=f"--start_from_index {given.start_from_index}")
    return Selection()
