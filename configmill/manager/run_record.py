"""What is kept of a command: `runs/<run>.json` (request, versions, commit, host, outcome) and the manager's log."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self

from configmill.config.encoding import encode
from configmill.config.overrides import overrides_to_json
from configmill.files import write_atomic, write_json
from configmill.measure.provenance import git_state, installed_versions
from configmill.plan.plan import Plan
from configmill.protocol import FORMAT_VERSION, status
from configmill.protocol.layout import NOTEBOOK_SUFFIX, CampaignDir
from configmill.protocol.orders import NotebookOrders
from configmill.protocol.request import RunRequest
from configmill.protocol.summary import Summary
from configmill.protocol.timestamps import timestamp, timestamp_for_name
from configmill.store.tables import result_rows, write_tables


class RunRecord:
    """The record of one command; while it is open, `log` writes to its file."""

    def __init__(self, directory: CampaignDir, request: RunRequest, digests: Sequence[str]) -> None:
        self._started = time.time()
        self.run = _free_name(directory, timestamp_for_name(self._started))
        self._directory = directory
        self._request = request
        # Of its own, not getLogger's: several runs in one process must not write into each other's files.
        self.log = logging.Logger("configmill.manager", logging.INFO)
        self._content: dict[str, Any] = {
            "version": FORMAT_VERSION,
            "run": self.run,
            "started": timestamp(self._started),
            "ended": None,
            "command": list(request.command),
            "host": os.uname().nodename,
            "pid": os.getpid(),
            "outcome": None,
            "request": {**asdict(request), "overrides": overrides_to_json(request.overrides)},
            "python": sys.version,
            "git": git_state(request.project_dir),
            "packages": installed_versions(),
            "experiments": list(digests),
        }

    def __enter__(self) -> Self:
        self._write()
        self.notebook = self._keep_notebook()
        self._handler = logging.FileHandler(
            self._directory.run_file(self.run, ".log"), encoding="utf-8", errors="backslashreplace"
        )
        self._handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self.log.addHandler(self._handler)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if error is not None:
            self.log.error("the run ended with an error: %r", error)
        self._handler.close()

    def _keep_notebook(self) -> NotebookOrders | None:
        """Copy the notebook that is about to run, and return what its runner is to be told; None for a function.

        All experiments of the command run the copy: an edit on the way must not leak in.
        """
        wanted = self._request.notebook
        if wanted is None:
            return None
        source = self._directory.run_file(self.run, NOTEBOOK_SUFFIX)
        with open(os.path.join(self._request.project_dir, self._request.target), "rb") as original:
            write_atomic(source, original.read())
        return NotebookOrders(
            source=source,
            kernel_name=wanted.kernel_name,
            allow_errors=wanted.allow_errors,
            cell_timeout=wanted.cell_timeout,
            forks_kernel=wanted.cold_kernel is None,
        )

    def derive_tables(self, plan: Plan) -> None:
        """Write the campaign's tables from its files, and remember the configs that no directory holds yet."""
        rows = result_rows(self._directory, plan.digests, lambda index: encode(plan.config(index)))
        write_tables(self._directory, rows)
        self._content["pending"] = {row.index: row.config for row in rows if row.status == status.PENDING}
        self._write()  # what is shown of the campaign is made of it

    def close(self, summary: Summary) -> None:
        """Add what came of it."""
        self._content["outcome"] = summary.to_dict()
        self._content["ended"] = timestamp(time.time())
        self._write()

    def _write(self) -> None:
        write_json(self._directory.run_file(self.run, ".json"), self._content)


def _free_name(directory: CampaignDir, name: str) -> str:
    """`name`, or where two commands began in one millisecond `name-2` and so on; under the campaign's lock."""
    number = 1
    candidate = name
    while os.path.lexists(directory.run_file(candidate, ".json")):
        number += 1
        candidate = f"{name}-{number}"
    return candidate
