"""What came of timing several tools: a table of ratios, a sentence about the floor, verdicts on the targets.

ratio_table(tools, measure(tools, rounds, folder))  ->  "| tool | items | ..."
"""

import statistics
from collections.abc import Sequence

from benchmarks.document import Verdict, cell, figure, markdown_table
from benchmarks.tools import Timings, Tool

#: With fewer items, what a further one costs is a difference of two large and noisy numbers.
ENOUGH_ITEMS = 10


def ratio_table(tools: Sequence[Tool], timings: dict[str, Timings]) -> str:
    """Return the timings as a table: medians, and the extremes of the ratio."""
    headers = [
        "tool",
        "items",
        "ms/item",
        "ratio",
        "min-max",
        "N=1 ms",
        "further ms",
        "its ratio",
        "isolated",
        "target",
    ]
    return markdown_table(headers, [_row(tool, timings[tool.name]) for tool in tools])


def _row(tool: Tool, timings: Timings) -> list[str]:
    isolated = "yes" if tool.isolated else "no"
    if timings.missing:
        return [f"**{tool.name}**", f"**missing: {cell(timings.missing)}**", *[""] * 6, isolated, ""]
    failures = f"**failed: {cell('; '.join(dict.fromkeys(timings.problems)))}**"
    if not timings.wholes:
        return [f"**{tool.name}**", failures, *[""] * 6, isolated, target_cell(tool.target, None)]
    ratios = timings.ratios()
    name = f"{tool.name} ({len(timings.problems)} of {len(timings.problems) + len(ratios)} runs {failures})"
    return [
        name if timings.problems else tool.name,
        f"{tool.count:,}",
        figure(statistics.median(timings.per_item())),
        figure(statistics.median(ratios)),
        f"{figure(min(ratios))}-{figure(max(ratios))}",
        figure(statistics.median(timings.alones)),
        *_further_cells(timings),
        isolated,
        target_cell(tool.target, statistics.median(ratios)),
    ]


def _further_cells(timings: Timings) -> tuple[str, str]:
    if timings.count < ENOUGH_ITEMS:
        return "", ""
    further = timings.further()
    ratios = [item / floor for item, floor in zip(further, timings.floors, strict=True)]
    return figure(statistics.median(further)), figure(statistics.median(ratios))


def floor_line(timings: dict[str, Timings]) -> str:
    """Return a sentence about the floor in all rounds."""
    floors = [floor for taken in timings.values() for floor in taken.floors]
    if not floors:
        return "The floor was not measured: nothing ran."
    return f"Floor: {statistics.median(floors):.1f} ms a process ({min(floors):.1f}-{max(floors):.1f})."


def target_cell(target: float | None, measured: float | None) -> str:
    """Return what the table's last column says of an upper bound."""
    if target is None:
        return ""
    return f"≤ {target:g}, {Verdict('', target, measured).word}"


def verdicts(tools: Sequence[Tool], timings: dict[str, Timings], work: str) -> list[Verdict]:
    """Return what came of those tools that have a target; `work` says what they did."""
    medians = {tool.name: statistics.median(timings[tool.name].ratios()) for tool in tools if timings[tool.name].wholes}
    peers = [tool.name for tool in tools if tool.is_peer and tool.isolated and tool.name in medians]
    nearest = min(peers, key=medians.__getitem__, default=None)
    beside = f"{nearest} {figure(medians[nearest])}" if nearest else "**none was measured**"
    return [
        Verdict(f"{work}: {tool.name}", tool.target, medians.get(tool.name), "times the floor", beside)
        for tool in tools
        if tool.target is not None
    ]
