"""Configs for `experiments.forecasting`: two series x models x horizons.

config_builders.forecasting.build_ar_configs()              44 configs
config_builders.forecasting.build_ar_configs(max_lag=4)     24 configs
"""

from collections.abc import Sequence

from configmill import ConfigList, grid

NUM_FOLDS = 8

# The sunspots' cycle lasts 9 to 14 years, so that a season of 11 is an approximation, and dummies for it would not help
# an autoregression. CO2 has a trend and a season that does not move.
SUNSPOTS = {"name": "sunspots", "season_length": 11}
CO2 = {"name": "co2", "season_length": 12}


def build_ar_configs(max_lag: int = 9, horizons: Sequence[int] = (1, 12), num_folds: int = NUM_FOLDS) -> ConfigList:
    """Return AR(1) to AR(max_lag) on both series at every horizon, and the two benchmarks to beat.

    Horizons are steps of the series: years for the sunspots, months for CO2.
    """
    lags = list(range(1, max_lag + 1))
    axes = {"horizon": list(horizons)}
    sunspots = {"series": SUNSPOTS, "num_folds": num_folds}
    co2 = {"series": CO2, "num_folds": num_folds}
    return (
        grid(sunspots | _ar(trend="c", seasonal=False), {"model.lags": lags} | axes)
        + grid(co2 | _ar(trend="ct", seasonal=True), {"model.lags": lags} | axes)
        + grid(sunspots | _seasonal_naive(), axes)
        + grid(co2 | _seasonal_naive(), axes)
        + grid(sunspots | _exponential_smoothing(trend=None), axes)
        + grid(co2 | _exponential_smoothing(trend="add"), axes)
    )


def _ar(trend: str, seasonal: bool) -> dict[str, object]:
    return {"model": {"name": "ar", "trend": trend, "seasonal": seasonal}}


def _seasonal_naive() -> dict[str, object]:
    return {"model": {"name": "seasonal_naive"}}


def _exponential_smoothing(trend: str | None) -> dict[str, object]:
    return {"model": {"name": "exponential_smoothing", "trend": trend, "seasonal": "add"}}
