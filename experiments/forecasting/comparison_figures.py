"""The figures of a campaign: every argument `table` is that of `comparison.load_table`.

draw_heat_map(table)
draw_by_horizon(table)

Each returns a matplotlib Figure of 1500 pixels' width.
"""

from dataclasses import dataclass
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.forecasting.comparison import AR, CASE
from experiments.forecasting.plot import FOLDS
from experiments.style import TRUTH, new_figure, tidy

#: What isn't an autoregression: a colour and a marker for each, in alphabetical order.
OTHERS = (("#e0a030", "D"), (FOLDS[0], "s"), ("#7a5ba6", "^"))
HORIZONS = (FOLDS[1], "#7a5ba6", "#4a8f5c", TRUTH)
SHADES = "YlGnBu"
DIVERGING = "RdBu_r"
HALF_RANGE_AT_LEAST = 2.0


@dataclass(frozen=True)
class Look:
    """How a model's line and points look."""

    color: str
    marker: str
    width: float


def draw_heat_map(table: pd.DataFrame) -> Figure:
    """Draw the MASE of each model (row) in each case (column); white is 1, blue is below."""
    grid = table.pivot_table(index="model", columns=CASE, values="mase", aggfunc="min").loc[_models(table)]
    figure = new_figure(1.4 + 0.34 * len(grid))
    axes = figure.subplots()
    values = grid.to_numpy(float)
    limit = max(HALF_RANGE_AT_LEAST, float(np.nanmax(np.exp(np.abs(np.log(values))))))
    image = axes.imshow(values, cmap=DIVERGING, norm=LogNorm(1 / limit, limit), aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = abs(np.log(value)) > 0.6 * np.log(limit)
            is_best = value == np.nanmin(values[:, column])
            axes.text(
                column, row, f"{value:.3f}", ha="center", va="center", color="white" if dark else TRUTH,
                fontweight="bold" if is_best else "normal",
            )  # fmt: skip
    axes.set_xticks(range(len(grid.columns)), [f"{case[0]}, horizon {case[1]}" for case in grid.columns])
    axes.set_yticks(range(len(grid)), list(grid.index))
    axes.tick_params(length=0)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label="MASE (log scale)", ticks=[1 / limit, 1, limit], format="%.2g")
    bar.minorticks_off()
    return figure


def draw_by_horizon(table: pd.DataFrame) -> Figure:
    """Draw a panel per series: the MASE over the horizon, a line per model, autoregressions darker with more lags."""
    figure, panels = _panels(table)
    looks, horizons = _looks(table), sorted(table["horizon"].unique())
    positions = {horizon: position for position, horizon in enumerate(horizons)}
    for (_, part), axes in zip(table.groupby("series"), panels, strict=True):
        for model in _models(part):
            line, look = part[part["model"] == model].sort_values("horizon"), looks[model]
            axes.plot(
                line["horizon"].map(positions), line["mase"], label=model,
                color=look.color, linewidth=look.width, marker=look.marker, markersize=2.8 * look.width,
            )  # fmt: skip
        _mark_one(axes)
        axes.set_ylim(bottom=0)
        axes.set_xticks(range(len(horizons)), horizons)
        axes.set_xlim(-0.3, len(horizons) - 0.7)
        axes.set_xlabel("horizon (steps)")
    _explain(figure, panels, _models(table))
    return figure


def draw_by_order(table: pd.DataFrame) -> Figure:
    """Draw a panel per series: the MASE over the autoregression's order, a line per horizon, other models dashed."""
    figure, panels = _panels(table)
    horizons = sorted(table["horizon"].unique())
    colors = dict(zip(horizons, cycle(HORIZONS), strict=False))
    for (_, part), axes in zip(table.groupby("series"), panels, strict=True):
        for horizon, case in part.groupby("horizon"):
            line = case[case["model.name"] == AR].sort_values("lags")
            color = colors[horizon]
            axes.plot(line["lags"], line["mase"], color=color, marker="o", linewidth=2, label=f"horizon {horizon}")
            for mase in case[case["model"] == "seasonal naive"]["mase"]:
                axes.axhline(mase, color=color, linewidth=1.2, linestyle="--", label=f"seasonal naive, {horizon}")
        axes.set_ylim(bottom=0)
        axes.set_xlabel("order of the autoregression (lags)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    labels = [text.format(horizon) for text in ("horizon {}", "seasonal naive, {}") for horizon in horizons]
    _explain(figure, panels, labels)
    return figure


def draw_fold_spread(table: pd.DataFrame, fold_errors: pd.DataFrame) -> Figure:
    """Draw a panel per case, series by horizon: each fold's MASE, and their mean, of the best models of each kind."""
    names, horizons = sorted(table["series"].unique()), sorted(table["horizon"].unique())
    figure = new_figure(0.3 + 2.9 * len(names))
    grid = figure.subplots(len(names), len(horizons), squeeze=False, sharey="row")
    for (row, column), axes in np.ndenumerate(grid):
        part = table[(table["series"] == names[row]) & (table["horizon"] == horizons[column])]
        best = part.sort_values("mase").drop_duplicates("model.name").sort_values("model")
        _draw_spread(axes, best, fold_errors, _looks(table))
        axes.set_title(f"{names[row]}, horizon {horizons[column]}", loc="left", fontsize=10, fontweight="bold")
        axes.tick_params(axis="x", labelsize=min(9, 28 / len(horizons)))
        tidy(axes)
    for axes in grid[:, 0]:
        axes.set_ylim(bottom=0)  # of the whole row, now that all of it is drawn
        axes.set_ylabel("MASE of a fold")
    return figure


def _draw_spread(axes: Axes, best: pd.DataFrame, fold_errors: pd.DataFrame, looks: dict[str, Look]) -> None:
    """A column of points per row of `best`, in the order of the folds; the line is their mean."""
    for position, row in enumerate(best.to_dict("records")):
        folds = fold_errors[fold_errors["index"] == row["index"]]["mase"]
        color = FOLDS[1] if row["model.name"] == AR else looks[row["model"]].color
        places = position + np.linspace(-0.2, 0.2, len(folds))
        axes.plot(places, folds, color=color, marker="o", markersize=5, linestyle="none", clip_on=False)
        axes.hlines(row["mase"], position - 0.3, position + 0.3, color=color, linewidth=2)
    _mark_one(axes)
    axes.set_xlim(-0.6, len(best) - 0.4)
    axes.set_xticks(range(len(best)), [str(model).replace(" ", "\n") for model in best["model"]])


def _panels(table: pd.DataFrame) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel per series, in alphabetical order, titled."""
    names = sorted(table["series"].unique())
    figure = new_figure(3.8)
    panels = list(figure.subplots(1, len(names), squeeze=False)[0])
    for name, axes in zip(names, panels, strict=True):
        axes.set_title(name, loc="left", fontsize=10, fontweight="bold")
        tidy(axes)
    panels[0].set_ylabel("MASE")
    return figure, panels


def _explain(figure: Figure, panels: list[Axes], labels: list[str]) -> None:
    """One legend for all panels, beside them: of the labels, those that some panel has."""
    handles = {text: line for axes in panels for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    shown = [label for label in labels if label in handles]
    figure.legend([handles[label] for label in shown], shown, loc="outside right center", frameon=False)


def _models(table: pd.DataFrame) -> list[str]:
    """Return the models' labels: autoregressions by order, then the others by name."""
    ordered = table.sort_values(["lags", "model"], na_position="last")
    return list(dict.fromkeys(ordered["model"]))


def _looks(table: pd.DataFrame) -> dict[str, Look]:
    """Return each model's look, the same in every figure of one table: autoregressions darker with more lags."""
    is_ar = table["model.name"] == AR
    autoregressions, others = _models(table[is_ar]), sorted(set(table[~is_ar]["model"]))
    shades = colormaps[SHADES](np.linspace(0.95, 0.3, len(autoregressions))[::-1])
    looks = {model: Look(to_hex(shade), "o", 1.3) for model, shade in zip(autoregressions, shades, strict=True)}
    return looks | {model: Look(*other, 2.2) for model, other in zip(others, cycle(OTHERS), strict=False)}


def _mark_one(axes: Axes) -> None:
    """The error that the seasonal naive method makes, on average, in the values that were trained on."""
    axes.axhline(1, color=TRUTH, linewidth=0.8, linestyle=":")
