"""The models that a config can name in `model.name`; the config's other `model.*` keys are the class's fields."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from statsmodels.tsa.ar_model import AutoReg, AutoRegResults
from statsmodels.tsa.deterministic import DeterministicProcess
from statsmodels.tsa.holtwinters import ExponentialSmoothing as HoltWinters
from statsmodels.tsa.holtwinters import HoltWintersResults

from experiments.forecasting.accuracy import FloatArray

Predictor = Callable[[int], FloatArray]
"""A fitted model: horizon (steps) -> forecasts of shape (horizon,), in the series' unit."""


@dataclass(frozen=True)
class Features:
    """What a model is fitted on, made of one fold's training values only.

    `history` has shape (n,), no gaps and a regular index. `deterministic` are the terms that the calendar alone
    decides (intercept, trend, season), one row a training value; None where the model has none.
    """

    history: pd.Series
    deterministic: DeterministicProcess | None = None


class Forecaster(ABC):
    """A model with its settings, not yet fitted. A base class, because Hamilton checks inputs by `isinstance`."""

    @property
    @abstractmethod
    def label(self) -> str:
        """Its name for a reader."""

    @abstractmethod
    def features(self, train: pd.Series) -> Features:
        """Make the features of the training values, shape (n,)."""

    @abstractmethod
    def fit(self, features: Features) -> Predictor:
        """Estimate the model."""

    @abstractmethod
    def residuals(self, train: pd.Series) -> pd.Series:
        """Fit the training values, shape (n,), and return each less what the values before it let the model predict.

        Shorter than (n,) by the first values, where the model needs some to begin with.
        """

    @property
    def ar_order(self) -> int:
        """How many autoregressive coefficients are estimated: a test of the residuals loses as many degrees of freedom.

        Source: Ljung & Box (1978), "On a measure of lack of fit in time series models", Biometrika 65(2), 297-303.
        """
        return 0


@dataclass(frozen=True)
class Autoregression(Forecaster):
    """AR(p) by conditional least squares on `lags` own past values, and on a trend and seasonal dummies if asked for.

    `trend` is "c" (intercept) or "ct" (intercept and slope).
    Source: Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 9.3.
    """

    season_length: int
    lags: int
    trend: Literal["c", "ct"]
    seasonal: bool

    @property
    def label(self) -> str:
        """Its name for a reader."""
        return f"AR({self.lags})"

    def features(self, train: pd.Series) -> Features:
        """Pair the training values, shape (n,), with the terms of their calendar."""
        terms = DeterministicProcess(
            train.index,
            constant=True,
            order=1 if self.trend == "ct" else 0,
            seasonal=self.seasonal,
            period=self.season_length if self.seasonal else None,
        )
        return Features(train, terms)

    def fit(self, features: Features) -> Predictor:
        """Regress each value on its `lags` predecessors and the calendar's terms."""
        results = self._estimate(features)
        return lambda horizon: np.asarray(results.forecast(horizon), dtype=float)

    def residuals(self, train: pd.Series) -> pd.Series:
        """All but the first `lags` values have one: shape (n - lags,)."""
        residuals: pd.Series = self._estimate(self.features(train)).resid
        return residuals

    @property
    def ar_order(self) -> int:
        """One coefficient a lag."""
        return self.lags

    def _estimate(self, features: Features) -> AutoRegResults:
        return AutoReg(features.history, lags=self.lags, trend="n", deterministic=features.deterministic).fit()


@dataclass(frozen=True)
class SeasonalNaive(Forecaster):
    """Repeat the last season.

    Source: Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 5.2.
    """

    season_length: int

    @property
    def label(self) -> str:
        """Its name for a reader."""
        return "seasonal naive"

    def features(self, train: pd.Series) -> Features:
        """Keep the last season, shape (season_length,)."""
        return Features(train.iloc[-self.season_length :])

    def fit(self, features: Features) -> Predictor:
        """Nothing to estimate."""
        last_season = features.history.to_numpy(float)
        return lambda horizon: np.resize(last_season, horizon)

    def residuals(self, train: pd.Series) -> pd.Series:
        """The first season has none: shape (n - season_length,)."""
        return train.diff(self.season_length).iloc[self.season_length :]


@dataclass(frozen=True)
class ExponentialSmoothing(Forecaster):
    """Holt-Winters: level, `trend` ("add" or None) and `seasonal` ("add" or None), initial states estimated as well.

    Source: Hyndman & Athanasopoulos, "Forecasting: Principles and Practice", 3rd ed., section 8.3.
    """

    season_length: int
    trend: Literal["add"] | None
    seasonal: Literal["add"] | None

    @property
    def label(self) -> str:
        """Its name for a reader."""
        return "exponential smoothing"

    def features(self, train: pd.Series) -> Features:
        """Take the training values, shape (n,), as they are."""
        return Features(train)

    def fit(self, features: Features) -> Predictor:
        """Estimate smoothing weights and initial states by least squares."""
        results = self._estimate(features)
        return lambda horizon: np.asarray(results.forecast(horizon), dtype=float)

    def residuals(self, train: pd.Series) -> pd.Series:
        """Every value has one, the initial states being estimated as well: shape (n,)."""
        residuals: pd.Series = self._estimate(self.features(train)).resid
        return residuals

    def _estimate(self, features: Features) -> HoltWintersResults:
        return HoltWinters(
            features.history,
            trend=self.trend,
            seasonal=self.seasonal,
            seasonal_periods=self.season_length if self.seasonal else None,
            initialization_method="estimated",
        ).fit()


MODELS: dict[str, Callable[..., Forecaster]] = {
    "ar": Autoregression,
    "seasonal_naive": SeasonalNaive,
    "exponential_smoothing": ExponentialSmoothing,
}
