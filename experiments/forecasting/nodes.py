"""The nodes of the graph as plain functions: a parameter's name is the node that it comes from (Hamilton's rule).

    series_name -> series -> folds                                            once
    series, fold -> train -> features -> predictor -> forecast -> accuracy    once a fold; truth enters only at the end
    train -> residuals                                                        where asked for, as a check of the model
    fold_accuracies -> overall_accuracy                                       once

Hamilton reads every public function here as a node, so helpers live in the modules that this one imports.
"""

import pandas as pd

from experiments.forecasting.accuracy import Accuracy, measure_accuracy, pool
from experiments.forecasting.folds import Fold, roll_origin
from experiments.forecasting.models import Features, Forecaster, Predictor
from experiments.forecasting.series import SERIES


def series(series_name: str) -> pd.Series:
    """Load the series, shape (n,), oldest first; months without a measurement are NaN."""
    return SERIES[series_name].load()


def folds(series: pd.Series, horizon: int, num_folds: int) -> list[Fold]:
    """Place the origins."""
    return roll_origin(len(series), horizon, num_folds)


def train(series: pd.Series, fold: Fold) -> pd.Series:
    """Cut the values before the origin, shape (origin,), gaps interpolated from values before the origin only."""
    return series.iloc[: fold.origin].interpolate()


def truth(series: pd.Series, fold: Fold) -> pd.Series:
    """Cut the values to forecast, shape (horizon,). Raises ValueError where one is missing."""
    window = series.iloc[fold.origin : fold.origin + fold.horizon]
    if window.isna().any():
        missing = ", ".join(str(when.date()) for when in window.index[window.isna()])
        raise ValueError(f"Fold {fold.number} has no truth for {missing}. Use fewer folds or a shorter horizon.")
    return window


def features(train: pd.Series, forecaster: Forecaster) -> Features:
    """Make what the model is fitted on."""
    return forecaster.features(train)


def predictor(features: Features, forecaster: Forecaster) -> Predictor:
    """Fit the model."""
    return forecaster.fit(features)


def residuals(train: pd.Series, forecaster: Forecaster) -> pd.Series:
    """Fit the model, and compare what it predicts one step ahead with the training values themselves."""
    return forecaster.residuals(train)


def forecast(predictor: Predictor, train: pd.Series, horizon: int) -> pd.Series:
    """Forecast the steps after the origin, shape (horizon,)."""
    dates = pd.DatetimeIndex(train.index)
    ahead = pd.date_range(dates[-1], periods=horizon + 1, freq=dates.freq)[1:]
    return pd.Series(predictor(horizon), index=ahead, name="forecast")


def accuracy(truth: pd.Series, forecast: pd.Series, train: pd.Series, season_length: int) -> Accuracy:
    """Score one fold."""
    return measure_accuracy(truth.to_numpy(float), forecast.to_numpy(float), train.to_numpy(float), season_length)


def overall_accuracy(fold_accuracies: list[Accuracy]) -> Accuracy:
    """Score all folds together."""
    return pool(fold_accuracies)
