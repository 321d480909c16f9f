"""One attempt at one notebook, from beginning to end, inside the experiment's process.

    report = perform_notebook(attempt, orders, how, kernel_fork)       # never raises: what went wrong is in the Report

What is left of the notebook is in the experiment's directory; how the attempt ended is added to it by whoever minds it,
who knows better (a time-out looks like any SIGTERM from here).
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from configmill.child import current
from configmill.child.failures import describe, failure_class_of
from configmill.child.notebook import namesakes
from configmill.child.notebook.cell_failures import CellFailed, KernelDied
from configmill.child.notebook.client import Client
from configmill.child.notebook.ending import GentleTermination
from configmill.child.notebook.keeper import Keeper
from configmill.child.notebook.kernel import code_of_notebook
from configmill.child.notebook.kernel_fork import KernelFork
from configmill.child.notebook.source import load_source
from configmill.child.stub import MANAGERS_KEY
from configmill.config.encoding import leaves
from configmill.errors import ConfigmillError
from configmill.files import read_json_of_experiment, write_json
from configmill.measure.memory import oom_kills
from configmill.measure.provenance import code_hash
from configmill.protocol import status
from configmill.protocol.attempt import Attempt
from configmill.protocol.orders import NotebookOrders, Orders
from configmill.protocol.report import Report


def perform_notebook(attempt: Attempt, orders: Orders, how: NotebookOrders, kernel_fork: KernelFork | None) -> Report:
    """Run the notebook, save it and its result. Every exception becomes a Report."""
    _leave_project(orders)
    ending = GentleTermination(orders.grace)
    oom_kills_before = oom_kills()
    current.attempt = attempt
    notebook = os.path.join(attempt.project_dir, attempt.target)
    client = None
    try:
        ending.listen()
        client = _make_client(attempt, how, ending, kernel_fork)
        client.execute(
            cwd=os.path.dirname(notebook),
            orders={
                "project_dir": attempt.project_dir,
                "dst_dir": attempt.dst_dir,
                "search_path": orders.search_path,
                "log_level": orders.log_level,
                "notebook": notebook,
                "source": how.source,
            },
        )
        ending.close()
        ending.check()
        _save_result(attempt)
        report = _success(client)
    except BaseException as error:
        ending.close()
        report = _failure(error, client, oom_kills() > oom_kills_before)
    _add_parting(report, client, attempt)
    if not report.code:  # the kernel is dead, or of another language
        report.code = code_of_notebook(attempt.project_dir, attempt.dst_dir, notebook, how.source).tokens
    report.code_hash = code_hash(report.code)
    return report


def _leave_project(orders: Orders) -> None:
    """Have this process find what it imports itself before the project's modules; the fork server looks there first."""
    if current.inherited is not None:
        pristine = current.inherited.pristine_path
        sys.path[:] = pristine + [entry for entry in orders.search_path if entry not in pristine]
        namesakes.take_back()


def _make_client(
    attempt: Attempt, how: NotebookOrders, ending: GentleTermination, kernel_fork: KernelFork | None
) -> Client:
    notebook = load_source(how.source)
    keeper = Keeper(notebook, attempt, os.getpid())
    keeper.notebook_start()
    return Client(
        keeper,
        ending,
        kernel_name=how.kernel_name,
        kernel_fork=kernel_fork,
        allow_errors=how.allow_errors,
        cell_timeout=how.cell_timeout,
        socket_dir=how.socket_dir,
        log=attempt.dir.log(attempt.number),
    )


def _success(client: Client) -> Report:
    if not client.failures:
        return Report(status.SUCCEEDED)
    errors = [{"cell": failure.cell, "error": failure.message} for failure in client.failures]
    named = "; ".join(f"cell {failure.cell}: {failure.message}" for failure in client.failures)
    where = client.failures[0].where
    return Report(status.SUCCEEDED_WITH_ERRORS, message=named, where=where, cell_errors=errors)


def _failure(error: BaseException, client: Client | None, out_of_memory: bool) -> Report:
    if isinstance(error, CellFailed):
        assert client is not None
        errors = [{"cell": failure.cell, "error": failure.message} for failure in client.failures]
        last = error.failure
        return Report(
            status.FAILED, failure_class=last.failure_class, message=last.message, where=last.where, cell_errors=errors
        )
    where = None if client is None else client.interrupted_at
    if isinstance(error, KernelDied):
        failure_class = status.OOM_HOST if out_of_memory else status.KERNEL_DIED
        return Report(status.FAILED, failure_class=failure_class, message=str(error), where=where)
    if isinstance(error, KeyboardInterrupt):  # Terminated is one
        return Report(status.INTERRUPTED, message=describe(error), where=where)
    if client is not None and not client.answered and not isinstance(error, ConfigmillError):
        message = f"the kernel did not start: {_last_line(client.log_path) or describe(error)}"
        return Report(status.FAILED, failure_class=status.KERNEL_DIED, message=message, error=error)
    failure_class = failure_class_of(error)
    return Report(status.FAILED, failure_class=failure_class, message=describe(error), where=where, error=error)


def _last_line(log: str) -> str:
    """The last line of an attempt's log: what a kernel said that did not start."""
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 4096))
        lines = file.read().decode("utf-8", "replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _add_parting(report: Report, client: Client | None, attempt: Attempt) -> None:
    """Add what only the kernel could tell."""
    parting = {} if client is None else client.parting
    report.resumed_from = parting.get("resumed_from")
    report.code = parting.get("code")
    if "unread_keys" in parting:
        unread = parting["unread_keys"]
        if unread is None:  # it never asked for its config
            unread = [key for key, _ in leaves(read_json_of_experiment(attempt.dir.config_json) or {})]
        report.unread_keys = [key for key in unread if key.partition(".")[0] != MANAGERS_KEY]


def _save_result(attempt: Attempt) -> None:
    """Save as the result what the notebook logged: the last value of every metric."""
    result: dict[str, Any] = {}
    try:
        with open(attempt.dir.metrics, encoding="utf-8") as lines:
            for line in lines:
                result |= json.loads(line)
    except FileNotFoundError:
        result = {}
    for name in ("time", "step"):
        result.pop(name, None)
    write_json(attempt.dir.result, result)
