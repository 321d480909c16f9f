"""What is shown of a campaign: a page for each notebook, and report/index.html over all of it.

    pages = NotebookPages(directory, target, varying=["model.lags"], hide_input=False)
    pages.make(index, digest)                     # one page, as soon as its attempt has ended
    warnings = write_report(directory, pages)     # what is missing or out of date, then the index

Everything is made of the campaign's files, so that it can be made again at any time. What can't be shown is a warning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from configmill.child.notebook.executed import KEY
from configmill.errors import PageError
from configmill.files import read_json_of_experiment, write_atomic
from configmill.protocol.layout import CampaignDir, ExperimentDir, notebook_name
from configmill.report.index.page import PLOTLY_NAME, Page, copy_plotly, write_index
from configmill.report.notebooks.thumbnails import write_thumbnail
from configmill.store.tables import Row, latest_rows

#: As much of a page as has to be read to know how it was made.
_HEAD_BYTES = 1024
#: A page takes a good part of a second.
_MANY_PAGES = 5


class NotebookPages:
    """Makes the pages of a campaign's notebooks."""

    def __init__(self, directory: CampaignDir, target: str, *, varying: Sequence[str], hide_input: bool) -> None:
        self._directory = directory
        self._target = target
        self._varying = varying
        self._hide_input = hide_input
        self._runs: dict[str, dict[str, Any]] = {}
        self._problems: dict[int, str] = {}

    @property
    def warnings(self) -> list[str]:
        """A sentence or two for each page that could not be made."""
        return [self._problems[index] for index in sorted(self._problems)]

    def make(self, index: int, digest: str) -> None:
        """Make the page of the experiment's last attempt, if it has ended and left a notebook."""
        experiment = self._directory.experiment(digest)
        notebook = experiment.notebook(self._target)
        record = self._record_of(experiment, notebook)
        if record is None:
            return
        try:
            self._write(index, experiment, notebook, record)
        except Exception as error:  # whatever nbconvert stumbles over in what a notebook put out
            if not os.path.exists(notebook):
                return  # its next attempt has begun, and moved it
            why = str(error) if isinstance(error, PageError) else repr(error)
            self._problems[index] = f"the page of result_{index} can't be made: {why} The notebook is {notebook!r}."
            return
        with suppress(OSError):  # `links` tries again, where it can be said
            write_thumbnail(self._directory, digest, notebook)

    def missing(self, rows: Sequence[Row]) -> list[Row]:
        """Those whose page is missing, older than its notebook, or made with the code where it is to be left out."""
        return [row for row in rows if self._is_out_of_date(row.dir)]

    def links(self, rows: Sequence[Row]) -> dict[str, Page]:
        """The pages that there are, by digest, as the index links to them."""
        found = {}
        for row in rows:
            page = row.dir.page(self._target)
            if os.path.exists(page):
                thumbnail = write_thumbnail(self._directory, row.digest, row.dir.notebook(self._target))
                found[row.digest] = Page(os.path.relpath(page, self._directory.report), thumbnail)
        return found

    def _is_out_of_date(self, experiment: ExperimentDir) -> bool:
        try:
            made_of = os.stat(experiment.notebook(self._target)).st_mtime_ns
        except OSError:
            return False
        page = experiment.page(self._target)
        try:
            return os.stat(page).st_mtime_ns < made_of or _hides_input(page) != self._hide_input
        except OSError:
            return True

    def _record_of(self, experiment: ExperimentDir, notebook: str) -> dict[str, Any] | None:
        """The record of the attempt that left the notebook, None while it has not ended."""
        left = ((read_json_of_experiment(notebook) or {}).get("metadata") or {}).get(KEY) or {}
        number = left.get("attempt")
        return read_json_of_experiment(experiment.record(number)) if isinstance(number, int) else None

    def _write(self, index: int, experiment: ExperimentDir, notebook: str, record: dict[str, Any]) -> None:
        from configmill.report.notebooks.page import PageHead, render_page

        run = self._run(record["run"])
        git = run.get("git") or {}
        os.makedirs(self._directory.report, exist_ok=True)
        has_plotly = copy_plotly(self._directory.report)
        report = os.path.relpath(self._directory.report, experiment.path)
        head = PageHead(
            title=f"result_{index} of {notebook_name(self._target)}",
            status=record["status"],
            failure_class=record["failure_class"],
            error=record["error"],
            where=record["where"],
            cell_errors=record.get("cell_errors") or (),
            started=record["started"],
            seconds=record["seconds"],
            attempt=record["attempt"],
            host=record["host"],
            commit=git.get("commit"),
            dirty=bool(git.get("dirty")),
            config=read_json_of_experiment(experiment.config_json) or {},
            varying=self._varying,
            index_href=os.path.join(report, os.path.basename(self._directory.index_html)),
            log_href=record["log"],
            plotly_src=os.path.join(report, PLOTLY_NAME) if has_plotly else None,
        )
        folder = os.path.dirname(os.path.join((run.get("request") or {}).get("project_dir") or "", self._target))
        page = render_page(notebook, head, hide_input=self._hide_input, notebook_dir=folder)
        write_atomic(experiment.page(self._target), page)

    def _run(self, name: str) -> dict[str, Any]:
        """The record of the command that ran it."""
        if name not in self._runs:
            self._runs[name] = read_json_of_experiment(self._directory.run_file(name, ".json")) or {}
        return self._runs[name]


def write_report(
    directory: CampaignDir,
    pages: NotebookPages | None,
    *,
    make_missing: bool = True,
    say: Callable[[str], None] = lambda text: None,
    hurry: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Make the pages that are missing and the index; returns a sentence for each thing that could not be made.

    `pages` is None for a campaign whose target is a function. `say` is told what takes long; `hurry` asks to leave the
    other pages.
    """
    warnings = []
    rows = latest_rows(directory)
    links = {}
    try:
        os.makedirs(directory.report, exist_ok=True)
        if pages is not None:
            missing = pages.missing(rows) if make_missing else []
            if len(missing) > _MANY_PAGES:
                say(f"making {len(missing)} pages of notebooks that have none yet")
            for row in missing:
                if not hurry():
                    pages.make(row.index, row.digest)
            links = pages.links(rows)
        write_index(directory, rows, links)
    except OSError as error:
        warnings.append(f"the report can't be written: {error}.")
    return [*(pages.warnings if pages is not None else ()), *warnings]


def _hides_input(page: str) -> bool:
    """Whether the page was made without the code, which its template (assets/page.html.j2) notes."""
    with open(page, "rb") as file:
        return b'<meta name="configmill-input" content="hidden">' in file.read(_HEAD_BYTES)
