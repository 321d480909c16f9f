"""The configs that the tests run: each model on each series."""

from __future__ import annotations

from config_builders.forecasting import build_ar_configs
from configmill import Config


def configs_by_name(horizon: int) -> dict[str, Config]:
    """Every model on every series at one horizon, by "series-model"; the AR is an AR(9)."""
    configs = build_ar_configs(max_lag=9, horizons=[horizon])
    return {
        f"{config['series.name']}-{config['model.name']}": config
        for config in configs
        if config["model"].get("lags", 9) == 9
    }


NAMES = sorted(configs_by_name(1))
