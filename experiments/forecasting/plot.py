"""The picture of a run: forecasts against truth above, each fold's error below."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.forecasting.dag import FoldResult, Results
from experiments.style import GRID, TRUTH, new_figure, tidy

# Neighbouring folds differ in shade, so that one can tell where the next forecast begins.
FOLDS = ("#d1495b", "#2a7f9e")
CONTEXT_STEPS = 36


def save_forecast_plot(results: Results, title: str, unit: str, path: Path) -> None:
    """Draw all folds' forecasts over the end of the series into a PNG of 1500 x 900 pixels.

    `unit` is that of the series' values.
    """
    figure = draw_forecasts(results, title, unit)
    FigureCanvasAgg(figure)
    figure.savefig(path)


def draw_forecasts(results: Results, title: str, unit: str) -> Figure:
    """Draw what `save_forecast_plot` saves; a notebook shows the figure as it is."""
    figure = new_figure(6)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[4, 1])
    _draw_folds(above, results)
    _draw_errors(below, results)
    errors = results.accuracy
    above.set_title(title, loc="left", fontsize=13, fontweight="bold", pad=22)
    above.text(
        0,
        1.02,
        f"{len(results.folds)} rolling origins: MAE {errors.mae:.3g}, RMSE {errors.rmse:.3g}, MASE {errors.mase:.3g}",
        transform=above.transAxes,
        fontsize=10,
        color=TRUTH,
    )
    above.set_ylabel(unit)
    below.set_ylabel("MAE")
    for axes in (above, below):
        tidy(axes)
    return figure


def _draw_folds(axes: Axes, results: Results) -> None:
    first_origin = results.folds[0].fold.origin
    shown = results.series.iloc[max(0, first_origin - CONTEXT_STEPS) :]
    axes.plot(shown.index, shown, color=TRUTH, linewidth=1.4, marker="o", markersize=2.5, label="truth")
    for result, color in _colored(results.folds):
        dates = result.forecast.index
        axes.plot(dates, result.forecast, color=color, linewidth=2, marker="o", markersize=4, label=_legend(result))
    origins = _last_training_dates(results)
    axes.vlines(origins, 0, 1, transform=axes.get_xaxis_transform(), color=GRID, linewidth=1, zorder=0)
    axes.legend(loc="upper left", frameon=False, ncols=2)


def _draw_errors(axes: Axes, results: Results) -> None:
    """One bar a fold, as wide as its test window."""
    starts = _last_training_dates(results)
    ends = np.array([result.forecast.index[-1] for result in results.folds], dtype=starts.dtype)
    errors = [result.accuracy.mae for result in results.folds]
    colors = [color for _, color in _colored(results.folds)]
    axes.bar(starts, errors, width=ends - starts, align="edge", color=colors, edgecolor="white")


def _last_training_dates(results: Results) -> NDArray[np.datetime64]:
    """Return shape (num_folds,)."""
    dates = results.series.index.to_numpy("datetime64[D]")
    return np.array([dates[result.fold.origin - 1] for result in results.folds])


def _legend(result: FoldResult) -> str | None:
    return "forecast, fold by fold" if result.fold.number == 0 else None


def _colored(folds: list[FoldResult]) -> list[tuple[FoldResult, str]]:
    return list(zip(folds, np.resize(FOLDS, len(folds)).tolist(), strict=True))
