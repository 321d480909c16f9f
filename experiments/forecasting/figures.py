"""The figures of one run that its notebook shows; that of the forecasts themselves is in `plot`.

    draw_series(results, source.unit, season_length)
    draw_errors(results, run_benchmark(config), source)
    draw_residuals(residuals_of(dag, results), source.unit, num_lags=24)

Each returns a matplotlib Figure of 1500 pixels' width.
"""

from statistics import NormalDist

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from statsmodels.tsa.stattools import acf

from experiments.forecasting.accuracy import FloatArray
from experiments.forecasting.dag import Results
from experiments.forecasting.diagnostics import errors_by_step
from experiments.forecasting.plot import FOLDS
from experiments.forecasting.series import Source
from experiments.style import TRUTH, new_figure, tidy

OURS, OTHER = FOLDS[1], FOLDS[0]
BAND = "#dcebf1"
NUM_SEASONS_OF_LAGS = 3


def draw_series(results: Results, unit: str, season_length: int) -> Figure:
    """Draw the whole series with the part that is forecast marked, and its autocorrelation beside it."""
    figure = new_figure(3.6)
    left, right = figure.subplots(1, 2, width_ratios=[2.2, 1])
    series = results.series
    left.plot(series.index, series, color=TRUTH, linewidth=1)
    first = series.index[results.folds[0].fold.origin - 1]
    left.axvspan(first, series.index[-1], color=BAND, zorder=0, label="forecast by the folds")
    left.legend(loc="upper left", frameon=False)
    _title(left, "The series", unit)
    filled = series.interpolate()
    _draw_acf(right, filled, NUM_SEASONS_OF_LAGS * season_length, bounds=False)
    right.set_xticks(range(0, NUM_SEASONS_OF_LAGS * season_length + 1, season_length))
    _title(right, "Its autocorrelation", "correlation")
    right.set_xlabel("lag (steps)")
    return figure


def draw_errors(results: Results, benchmark: Results, source: Source) -> Figure:
    """Draw the mean absolute error by fold and, for more than one step, by step ahead, beside the benchmark's."""
    figure = new_figure(3.6)
    steps = errors_by_step(results)
    left, *rest = figure.subplots(1, 2 if len(steps) > 1 else 1, squeeze=False)[0]
    _draw_fold_errors(left, results, benchmark)
    _title(left, "Mean absolute error by fold", source.unit)
    for right in rest:
        ahead = np.arange(1, len(steps) + 1)
        right.plot(ahead, errors_by_step(benchmark), color=OTHER, marker="_", markersize=9, linewidth=1)
        right.plot(ahead, steps, color=OURS, marker="o", markersize=4, linewidth=2)
        right.set_ylim(bottom=0)
        right.set_xlabel(f"{source.step}s ahead")
        _title(right, "Mean absolute error by step ahead", source.unit)
    return figure


def draw_residuals(residuals: pd.Series, unit: str, num_lags: int) -> Figure:
    """Draw residuals, shape (n,), over time, their autocorrelation, their histogram and their normal quantiles."""
    figure = new_figure(5.6)
    axes = figure.subplot_mosaic([["time"] * 3, ["acf", "histogram", "quantiles"]], height_ratios=[1, 1.15])
    values = residuals.to_numpy(float)
    axes["time"].plot(residuals.index, values, color=TRUTH, linewidth=0.9)
    axes["time"].axhline(0, color=OTHER, linewidth=1)
    _title(axes["time"], "One-step residuals over time", unit)
    _draw_acf(axes["acf"], residuals, num_lags, bounds=True)
    _title(axes["acf"], "Autocorrelation", "correlation")
    axes["acf"].set_xlabel("lag (steps)")
    _draw_histogram(axes["histogram"], values)
    _title(axes["histogram"], "Histogram and normal density", "density")
    axes["histogram"].set_xlabel(unit)
    _draw_quantiles(axes["quantiles"], values)
    _title(axes["quantiles"], "Normal quantile plot", unit)
    axes["quantiles"].set_xlabel("quantile of the standard normal")
    return figure


def _draw_fold_errors(axes: Axes, results: Results, benchmark: Results) -> None:
    """Bars for the model; a line across each for the benchmark."""
    numbers = [result.fold.number for result in results.folds]
    axes.bar(numbers, [result.accuracy.mae for result in results.folds], color=OURS, width=0.7, label="this model")
    naive = [result.accuracy.mae for result in benchmark.folds]
    starts, ends = np.subtract(numbers, 0.42), np.add(numbers, 0.42)
    axes.hlines(naive, starts, ends, color=OTHER, linewidth=2, label="seasonal naive")
    axes.set_xticks(numbers)
    axes.set_xlabel("fold")
    axes.set_ylim(0, 1.25 * max(*naive, *(result.accuracy.mae for result in results.folds)))
    axes.legend(loc="upper left", frameon=False, ncols=2)


def _draw_acf(axes: Axes, series: pd.Series, num_lags: int, *, bounds: bool) -> None:
    """Lag 0, always 1, is left out; 95 % of white noise's autocorrelations lie within the bounds."""
    correlations = acf(series, nlags=num_lags, fft=True)[1:]
    lags = np.arange(1, len(correlations) + 1)
    axes.vlines(lags, 0, correlations, color=OURS, linewidth=2)
    axes.axhline(0, color=TRUTH, linewidth=0.8)
    if bounds:
        bound = NormalDist().inv_cdf(0.975) / float(np.sqrt(len(series)))
        axes.axhspan(-bound, bound, color=BAND, zorder=0)
        limit = 1.15 * max(bound, float(np.abs(correlations).max()))
        axes.set_ylim(-limit, limit)


def _draw_histogram(axes: Axes, values: FloatArray) -> None:
    axes.hist(values, bins="auto", density=True, color=OURS, edgecolor="white", linewidth=0.5)
    normal, grid = NormalDist(values.mean(), values.std()), np.linspace(values.min(), values.max(), 200)
    axes.plot(grid, [normal.pdf(value) for value in grid], color=OTHER, linewidth=1.5)


def _draw_quantiles(axes: Axes, values: FloatArray) -> None:
    """The i-th smallest of n against the normal quantile of (i - 1/2) / n; the line is where a normal one would lie."""
    shares = (np.arange(len(values)) + 0.5) / len(values)
    quantiles = np.array([NormalDist().inv_cdf(share) for share in shares])
    axes.plot(quantiles, np.sort(values), color=OURS, marker="o", markersize=2.5, linestyle="none")
    axes.plot(quantiles, values.mean() + values.std() * quantiles, color=OTHER, linewidth=1)


def _title(axes: Axes, title: str, label: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes.set_ylabel(label)
    tidy(axes)
