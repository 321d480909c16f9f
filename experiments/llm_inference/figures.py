"""The figures of a campaign: every argument `runs` is that of `analysis.load_runs`.

draw_throughput_by_batch(runs)
draw_pareto(runs)

Each returns a matplotlib Figure of 1500 pixels' width. A panel has one workload, measured in one way, which is its
title; a bar or a cross at a point is the 95 % interval over its repeats, and a hollow point has too few for one.
"""

from collections.abc import Callable
from itertools import cycle
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from experiments.llm_inference.analysis import pareto, summarise
from experiments.llm_inference.setups import ENERGY, ORDER, RATE
from experiments.style import GRID, TRUTH, new_figure, tidy

COLORS = ("#2a7f9e", "#d1495b", "#e0a030", "#4a8f5c", "#7a5ba6", "#8c6d46")
MARKERS = ("o", "s", "D", "^", "v", "P", "X")
#: The percentiles that results have, and how dark their bars are.
PERCENTILES = {"p50": 1.0, "p90": 0.7, "p95": 0.45, "p99": 0.25}
LATENCIES = {"ttft": "time to first token (s)", "tpot": "time per output token (s)", "e2e": "whole request (s)"}
MOST_COLUMNS = 2


def draw_throughput_by_batch(runs: pd.DataFrame) -> Figure:
    """Draw output tokens/s over the batch size: a line for setups that differ in nothing else."""
    table = summarise(runs, RATE)
    table = table.assign(line=_without_batch(table))
    colors, markers = _by_value(table["line"], COLORS), _by_value(table["line"], MARKERS)

    def draw(axes: Axes, part: pd.DataFrame) -> None:
        for line, points in part.sort_values("batch_size").groupby("line", sort=False):
            _points(axes, points, "batch_size", colors[line], markers[line], label=str(line), is_line=True)
        _batch_axis(axes, part)
        axes.set_ylim(bottom=0)

    return _panels(table, draw, RATE.label)


def draw_latency_percentiles(runs: pd.DataFrame) -> Figure:
    """Draw p50, p90, p95 and p99 of each latency, a row of bars per setup: the mean of its repeats' percentiles.

    The line on a bar is from the lowest to the highest repeat. Latencies come from a pass of their own, in which each
    token is looked at; with `measurement.latency_pass` False there are none.
    """
    kinds = {name: text for name, text in LATENCIES.items() if _has(runs, f"{name}_s_p50")}
    if not kinds:
        return _empty("No run has measured latencies: their configs have measurement.latency_pass False.")
    ways = list(runs.groupby(["workload", "way"], sort=False))
    heights = [1.2 + 0.4 * max(2, part["setup"].nunique()) for _, part in ways]
    figure = new_figure(sum(heights) + 0.4)
    bands = figure.subfigures(len(ways), 1, squeeze=False, height_ratios=heights)[:, 0]
    for ((workload, way), part), band in zip(ways, bands, strict=True):
        band.suptitle(_title(workload, way, 110), x=0.01, ha="left", fontsize=9, fontweight="bold")
        line = band.subplots(1, len(kinds), squeeze=False, sharey="row")[0]
        for (kind, text), axes in zip(kinds.items(), line, strict=True):
            _draw_percentiles(axes, part, kind)
            axes.set_xlabel(text)
        band.legend(*line[0].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def draw_energy_by_precision(runs: pd.DataFrame) -> Figure:
    """Draw J per output token: a group of bars per batch size, a bar per precision, for setups that are else alike."""
    table = summarise(runs, ENERGY)
    if table.empty:
        return _empty("No run has a figure of energy: the table above says why.")
    table = table.assign(bar=_without_batch(table))
    colors = _by_value(table["bar"], COLORS)

    order = list(colors)

    def draw(axes: Axes, part: pd.DataFrame) -> None:
        sizes = sorted(part["batch_size"].unique())
        width = 0.8 / part.groupby("batch_size").size().max()
        for place, size in enumerate(sizes):
            rows = part[part["batch_size"] == size].sort_values("bar", key=lambda bars: bars.map(order.index))
            at = place + (np.arange(len(rows)) - (len(rows) - 1) / 2) * width
            edges = [colors[bar] for bar in rows["bar"]]
            fills = [edge if known else "white" for edge, known in zip(edges, rows["half_width"].notna(), strict=True)]
            axes.bar(
                at, rows["mean"], width=0.92 * width, color=fills, edgecolor=edges,
                yerr=rows["half_width"], error_kw={"ecolor": TRUTH, "elinewidth": 1, "capsize": 2},
            )  # fmt: skip
        for bar in (bar for bar in order if bar in set(part["bar"])):
            axes.plot([], [], color=colors[bar], marker="s", markersize=7, linestyle="none", label=bar)
        axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
        axes.set_xlim(min(-0.6, len(sizes) / 2 - 1.5), max(len(sizes) - 0.4, len(sizes) / 2 + 0.5))
        axes.set_xlabel("batch size")
        axes.set_ylim(bottom=0)

    return _panels(table, draw, ENERGY.label)


def draw_pareto(runs: pd.DataFrame) -> Figure:
    """Draw tokens/s over J per token, the front as a line: up and to the left is better."""
    table = pareto(runs)
    if table.empty:
        return _empty("No run has both a throughput and a figure of energy.")
    colors, markers = _by_value(table["model"], COLORS), _by_value(table["precision"], MARKERS)

    def draw(axes: Axes, part: pd.DataFrame) -> None:
        front = part[part["standing"] == "front"].sort_values("mean_energy")
        axes.step(front["mean_energy"], front["mean_rate"], where="post", color=GRID, linewidth=3, zorder=0)
        for (model, precision), points in part.groupby(["model", "precision"], sort=False):
            _points(
                axes, points, "mean_energy", colors[model], markers[precision], label=f"{model}, {precision}",
                suffix="_rate", x_error="half_width_energy",
            )  # fmt: skip
        for row in front.to_dict("records"):
            axes.annotate(
                fill(row["label"], 24), (row["mean_energy"], row["mean_rate"]), xytext=(5, 5),
                textcoords="offset points", fontsize=7, color=TRUTH,
            )  # fmt: skip
        axes.set_xlabel(ENERGY.label)
        axes.set_ylim(bottom=0)
        axes.set_xlim(left=0)
        axes.margins(0.15)

    return _panels(table, draw, RATE.label)


def _panels(table: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], label: str) -> Figure:
    """Return a figure with a panel per workload and way, one legend for all of them below."""
    parts = list(table.groupby(["workload", "way"], sort=False))
    columns = min(MOST_COLUMNS, len(parts))
    rows = -(-len(parts) // columns)
    figure = new_figure(0.7 + 4.2 * rows)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for ((workload, way), part), axes in zip(parts, places, strict=False):
        axes.set_title(_title(workload, way, 110 // columns), loc="left", fontsize=9, fontweight="bold")
        axes.set_ylabel(label)
        tidy(axes)
        draw(axes, part)
    for axes in places[len(parts) :]:
        axes.remove()
    handles = {
        text: handle
        for axes in places[: len(parts)]
        for handle, text in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", frameon=False, ncols=2, fontsize=8)
    return figure


def _title(workload: Any, way: Any, width: int) -> str:
    """How a panel was measured, and what was asked for, as lines of so many characters."""
    return f"{fill(way, width)}\n{fill(workload, width)}"


def _points(
    axes: Axes, points: pd.DataFrame, x: str, color: str, marker: str, *, label: str,
    suffix: str = "", x_error: str | None = None, is_line: bool = False,
) -> None:  # fmt: skip
    """Points with their intervals; hollow where there is none."""
    means, halves = points[f"mean{suffix}"], points[f"half_width{suffix}"]
    if is_line:
        axes.plot(points[x], means, color=color, linewidth=1.4)
    axes.errorbar(
        points[x], means, yerr=halves, xerr=None if x_error is None else points[x_error],
        color=color, marker="none", linestyle="none", elinewidth=1, capsize=2,
    )  # fmt: skip
    hollow = halves.isna()
    for part, fill_color in ((points[~hollow], color), (points[hollow], "white")):
        axes.plot(
            part[x], part[f"mean{suffix}"], marker=marker, markersize=6, linestyle="none",
            markeredgecolor=color, markerfacecolor=fill_color, label=label if len(part) else None,
        )  # fmt: skip


def _draw_percentiles(axes: Axes, part: pd.DataFrame, kind: str) -> None:
    tidy(axes)
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=GRID, linewidth=0.8)
    setups = list(part.sort_values(list(ORDER)).groupby(["model", "setup"], sort=False))
    height = 0.8 / len(PERCENTILES)
    for place, (percentile, alpha) in enumerate(PERCENTILES.items()):
        name = f"{kind}_s_{percentile}"
        values = [repeats[name].dropna() if name in repeats else repeats.iloc[:0] for _, repeats in setups]
        at = [row + place * height - 0.4 for row, column in enumerate(values) if len(column)]
        known = [column.astype(float) for column in values if len(column)]
        means = np.array([column.mean() for column in known])
        spans = np.array([[column.min(), column.max()] for column in known]).reshape(-1, 2).T
        axes.barh(
            at, means, height=0.92 * height, align="edge", color=COLORS[0], alpha=alpha, label=percentile,
            xerr=np.maximum(np.abs(spans - means), 0), error_kw={"ecolor": TRUTH, "elinewidth": 1},
        )  # fmt: skip
    axes.set_yticks(range(len(setups)), [fill(_name(repeats), 34) for _, repeats in setups], fontsize=8)
    axes.set_ylim(len(setups) - 0.5, -0.5)


def _name(repeats: pd.DataFrame) -> str:
    first = repeats.iloc[0]
    return f"{first['model']}, {first['label']}"


def _without_batch(table: pd.DataFrame) -> list[str]:
    """What a setup is called when its batch size, the first part of its label, stands on an axis."""
    rest = [label.partition(", ")[2] for label in table["label"]]
    adaptive = ["adaptive, " if label.startswith("adaptive") else "" for label in table["label"]]
    return [f"{model}, {kind}{what}" for model, kind, what in zip(table["model"], adaptive, rest, strict=True)]


def _batch_axis(axes: Axes, part: pd.DataFrame) -> None:
    sizes = sorted(part["batch_size"].unique())
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel("batch size")


def _by_value(values: "pd.Series[Any]", looks: tuple[str, ...]) -> dict[Any, str]:
    """Give each value a look, the same in every panel."""
    return dict(zip(dict.fromkeys(values), cycle(looks), strict=False))


def _has(runs: pd.DataFrame, name: str) -> bool:
    return name in runs and bool(runs[name].notna().any())


def _empty(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = new_figure(1)
    figure.text(0.01, 0.5, text, va="center", color=TRUTH)
    return figure
