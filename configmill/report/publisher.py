"""Publishes a run while it goes on: a page for each notebook as soon as it has ended, the report at the end.

    with Publisher(request, reporter) as publisher:
        summary = run(request, on_event=publisher, prepare=publisher.prepare, conclude=publisher.conclude)

Pages are made in one thread beside the worker loops: rendering takes a good part of a second, and no device should wait
for it. Publishing is not running: what goes wrong here is a warning.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from configmill.protocol.events import Event, Finished, Planned, Started, Stopping
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import RunRequest

# What makes the report takes 80 ms to import, more than starting many an experiment: that is done while the fork server
# imports, or when it is needed.
if TYPE_CHECKING:
    from configmill.report.campaign_report import NotebookPages


class Publisher:
    """Listens to a run in place of its reporter, to which it passes everything on."""

    def __init__(self, request: RunRequest, reporter: Callable[[Event], None]) -> None:
        self._request = request
        self._reporter = reporter
        self._publishes = request.notebook is not None and request.notebook.publish
        self._digests: dict[int, str] = {}
        self._ended: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._hurry = False
        self._pages: NotebookPages | None = None
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        """Take the event in, and pass it on."""
        if isinstance(event, Planned):
            self._begin(event)
        elif isinstance(event, Started):
            self._digests[event.index] = event.digest
        elif isinstance(event, Finished) and self._publishes:
            self._ended.put(event.index)
        elif isinstance(event, Stopping):
            self._hurry = self._hurry or event.again
        self._reporter(event)

    def prepare(self) -> None:
        """Something is to run, and nothing runs yet: import beside whoever waits for that."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._make_pages, name="configmill-pages", daemon=True)
            self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._finish_pages()  # also where the run ended without a conclusion

    def _finish_pages(self) -> None:
        """Wait for the pages under way, and end the thread."""
        if self._thread is not None:
            self._ended.put(None)
            self._thread.join()
            self._thread = None

    def conclude(self, directory: CampaignDir, changed: bool, say: Callable[[str], None]) -> Sequence[str]:
        """Wait for the pages and make the report; returns warnings. `say` is told what takes long."""
        self._finish_pages()
        if self._hurry or not (changed or self._publishes or not os.path.exists(directory.index_html)):
            return ()
        from configmill.report.campaign_report import write_report

        try:
            return write_report(
                directory, self._pages, make_missing=self._publishes, say=say, hurry=lambda: self._hurry
            )
        except Exception as error:  # whatever it is: the experiments have run, and their exit code is not about this
            return [f"the report can't be made: {error!r}. configmill report tries again and shows more."]

    def _begin(self, plan: Planned) -> None:
        notebook = self._request.notebook
        if notebook is None:
            return
        from configmill.report.campaign_report import NotebookPages

        self._pages = NotebookPages(
            CampaignDir(plan.dst_dir), self._request.target, varying=plan.varying, hide_input=notebook.hide_input
        )
        if notebook.publish and plan.to_run:
            self.prepare()

    def _make_pages(self) -> None:
        with suppress(Exception):  # who makes the report, or a page, meets the same and says so
            import configmill.report.campaign_report  # noqa: F401
        while (index := self._ended.get()) is not None:
            if self._pages is not None and index in self._digests and not self._hurry:
                self._pages.make(index, self._digests[index])
