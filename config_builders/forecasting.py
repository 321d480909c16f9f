"""Configs for `experiments.forecasting`: two series x models x horizons.

config_builders.forecasting.build_ar_configs()              44 configs
config_builders.forecasting.build_ar_configs(max_lag=4)     24 configs
config_builders.forecasting.build_comparison()              1 config: the campaign whose results are compared
"""

from collections.abc import Sequence
from typing import Any

from configmill import ConfigList, grid

# The sunspots' cycle lasts 9 to 14 years, so that a season of 11 is an approximation, and dummies for it would not help
# an autoregression. CO2 has a trend and a season that does not move.
SUNSPOTS = {"name": "sunspots", "season_length": 11}
CO2 = {"name": "co2", "season_length": 12}


def build_ar_configs(max_lag: int = 9, horizons: Sequence[int] = (1, 12), num_folds: int = 8) -> ConfigList:
    """Return AR(1) to AR(max_lag) on both series at every horizon, then the two benchmarks to beat.

    Horizons are steps of the series: years for the sunspots, months for CO2.
    """
    autoregressions = [
        _base(SUNSPOTS, num_folds, name="ar", trend="c", seasonal=False),
        _base(CO2, num_folds, name="ar", trend="ct", seasonal=True),
    ]
    benchmarks = [
        _base(SUNSPOTS, num_folds, name="seasonal_naive"),
        _base(CO2, num_folds, name="seasonal_naive"),
        _base(SUNSPOTS, num_folds, name="exponential_smoothing", trend=None, seasonal="add"),
        _base(CO2, num_folds, name="exponential_smoothing", trend="add", seasonal="add"),
    ]
    return grid(autoregressions, {"model.lags": range(1, max_lag + 1), "horizon": horizons}) + grid(
        benchmarks, {"horizon": horizons}
    )


def build_comparison(results_dir: str = "out/forecast") -> ConfigList:
    """Return one config, for notebooks/compare_forecasts.ipynb: which campaign it looks at.

    `results_dir` is that campaign's --dst_dir, absolute or relative to the project's directory. The config stays the
    same when the campaign goes on, so that a new comparison of it needs --no_incremental.
    """
    return ConfigList([{"results_dir": results_dir}])


def _base(series: dict[str, Any], num_folds: int, **model: Any) -> dict[str, Any]:
    return {"series": series, "model": model, "num_folds": num_folds}
