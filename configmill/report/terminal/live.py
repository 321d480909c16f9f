"""The live table of a run in a terminal, drawn with rich."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from configmill.files import read_json_of_experiment
from configmill.protocol import status
from configmill.protocol.events import Event, Finished, Note, Planned, Started, Stopping
from configmill.protocol.layout import CampaignDir
from configmill.report.durations import duration
from configmill.report.terminal.lines import finished_lines, notice_line, planned_line

MIN_RUNNING_SHOWN = 8
_OTHER_LINES = 10
_STYLES = {
    status.SUCCEEDED: "green",
    status.SUCCEEDED_WITH_ERRORS: "yellow",
    status.FAILED: "bold red",
    status.INTERRUPTED: "yellow",
}


class LiveReporter:
    """Counts, elapsed time, an estimate of the rest and what runs now; failures scroll by above it."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False)
        self._began = time.monotonic()
        self._to_run = self._skipped = self._width = 0
        self._done: dict[str, int] = {}
        self._seconds_of_ended = 0.0
        self._num_ended = 0
        self._running: dict[int, _Running] = {}
        self._directory = CampaignDir("")
        self._live = Live(console=self._console, get_renderable=self._draw, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take the event in; print what should stay on the screen."""
        if isinstance(event, Planned):
            self._to_run, self._skipped, self._width = event.to_run, event.skipped, event.num_threads
            self._directory = CampaignDir(event.dst_dir)
            self._print(planned_line(event))
            # Not earlier: until the plan stands there may be a question to answer, or an error to read.
            self._live.start()
        elif isinstance(event, Started):
            status_file = self._directory.experiment(event.digest).status
            self._running[event.index] = _Running(event.attempt, time.monotonic(), status_file)
        elif isinstance(event, Finished):
            self._finish(event)
        elif isinstance(event, Stopping | Note):
            self._print(notice_line(event), "yellow")

    def _print(self, line: str, style: str = "") -> None:
        # Paths stay in one piece, so that they can be copied and clicked.
        self._console.print(Text(line, style=style), soft_wrap=True)

    def _finish(self, event: Finished) -> None:
        self._running.pop(event.index, None)
        self._seconds_of_ended += event.outcome.seconds
        self._num_ended += 1
        word = event.outcome.status
        if event.retry_in is None:
            self._done[word] = self._done.get(word, 0) + 1
        if word != status.SUCCEEDED:
            for number, line in enumerate(finished_lines(event)):
                self._print(line, _STYLES[word] if number == 0 else "")

    def _draw(self) -> RenderableType:
        over, failed = sum(self._done.values()), self._done.get(status.FAILED, 0)
        waiting = max(0, self._to_run - over - len(self._running))
        table = Table(box=None, pad_edge=False, padding=(0, 2))
        cells = (
            ("done", str(sum(self._done.get(word, 0) for word in status.SUCCESSES)), _STYLES[status.SUCCEEDED]),
            ("running", str(len(self._running)), "cyan"),
            ("failed", str(failed), _STYLES[status.FAILED] if failed else "dim"),
            ("waiting", str(waiting), ""),
            ("skipped", str(self._skipped), "dim"),
            ("elapsed", duration(time.monotonic() - self._began), ""),
            ("left, about", self._estimate(waiting), ""),
        )
        for name, _, style in cells:
            table.add_column(name, style=style, header_style="dim", justify="right", no_wrap=True)
        table.add_row(*(value for _, value, _ in cells))
        bar = Table.grid(padding=(0, 1))
        bar.add_row(_bar(over, self._to_run), f"{over}/{self._to_run}")
        return Group(bar, table, *self._running_lines())

    def _estimate(self, waiting: int) -> str:
        if not self._num_ended:
            return "?"
        mean = self._seconds_of_ended / self._num_ended
        now = time.monotonic()
        rest = sum(max(0.0, mean - (now - running.since)) for running in self._running.values()) + mean * waiting
        return duration(rest / max(1, min(self._width, waiting + len(self._running))))

    def _running_lines(self) -> list[Text]:
        oldest_first = sorted(self._running.items(), key=lambda item: item[1].since)
        # As many as fit below the counts, with some room for what scrolls by above.
        room = max(MIN_RUNNING_SHOWN, self._console.height - _OTHER_LINES)
        lines = [Text(f"  result_{index}  {running}", style="dim") for index, running in oldest_first[:room]]
        more = len(self._running) - room
        return [*lines, Text(f"  ... and {more} more", style="dim")] if more > 0 else lines


@dataclass(frozen=True)
class _Running:
    """An attempt under way, since a moment of the monotonic clock; its status file says how far a notebook is."""

    attempt: int
    since: float
    status_file: str

    def __str__(self) -> str:
        parts = [duration(time.monotonic() - self.since)]
        if self.attempt > 1:
            parts.append(f"attempt {self.attempt}")
        view = read_json_of_experiment(self.status_file) or {}
        if view.get("attempt") == self.attempt and "cell" in view:
            parts.append(f"cell {view['cell']} of {view['cells']}")
        return "  ".join(parts)


def _bar(over: int, total: int) -> ProgressBar:
    # rich's own colour for an unfinished bar is red, which here would read as a failure.
    return ProgressBar(total=max(1, total), completed=over, width=60, complete_style="green")
