"""Errors of point forecasts. All arguments are one-dimensional arrays in the series' own unit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Accuracy:
    """MAE and RMSE in the series' unit; MASE has none, and below 1 beats the seasonal naive method in-sample."""

    mae: float
    rmse: float
    mase: float


def mean_absolute_error(truth: FloatArray, forecast: FloatArray) -> float:
    """Return mean(|truth - forecast|); both have shape (horizon,)."""
    return float(np.mean(np.abs(truth - forecast)))


def root_mean_squared_error(truth: FloatArray, forecast: FloatArray) -> float:
    """Return sqrt(mean((truth - forecast)^2)); both have shape (horizon,)."""
    return float(np.sqrt(np.mean(np.square(truth - forecast))))


def seasonal_naive_scale(train: FloatArray, season_length: int) -> float:
    """Return the in-sample MAE of the seasonal naive method: mean(|y_t - y_{t-m}|), t = m+1 ... n, m the season length.

    `train` has shape (n,), n > m. ValueError where n <= m, or where every season repeats the last exactly, since no
    scaled error is defined then.

    Source: Hyndman & Koehler (2006), "Another look at measures of forecast accuracy", Int. J. Forecasting 22(4),
    679-688, section 3; its seasonal form is in Hyndman & Athanasopoulos, "Forecasting: Principles and Practice",
    3rd ed., section 5.8.
    """
    if len(train) <= season_length:
        raise ValueError(
            f"{len(train)} training values hold no two values a season of {season_length} apart. "
            "Use fewer folds, a shorter horizon or a shorter season."
        )
    scale = float(np.mean(np.abs(train[season_length:] - train[:-season_length])))
    if scale == 0:
        raise ValueError(f"Every season of {season_length} repeats the one before exactly: MASE is not defined.")
    return scale


def measure_accuracy(truth: FloatArray, forecast: FloatArray, train: FloatArray, season_length: int) -> Accuracy:
    """Return the errors of one fold's forecast; MASE is its MAE over `seasonal_naive_scale` of its training values."""
    mae = mean_absolute_error(truth, forecast)
    return Accuracy(
        mae=mae,
        rmse=root_mean_squared_error(truth, forecast),
        mase=mae / seasonal_naive_scale(train, season_length),
    )


def pool(accuracies: list[Accuracy]) -> Accuracy:
    """Return the accuracy over all folds' forecasts together, the folds being of equal length.

    MAE and MASE are means over the folds; RMSE is the root of the mean squared error of all forecasts, which is not the
    mean of the folds' RMSEs.
    """
    return Accuracy(
        mae=float(np.mean([fold.mae for fold in accuracies])),
        rmse=float(np.sqrt(np.mean([fold.rmse**2 for fold in accuracies]))),
        mase=float(np.mean([fold.mase for fold in accuracies])),
    )
