"""What the tests run: each model on each series, once a horizon however many tests look at it."""

from __future__ import annotations

from functools import cache
from typing import Any

from config_builders.forecasting import build_ar_configs
from configmill import Config
from experiments.forecasting.dag import DagBuilder, DagRunner, Results


def configs_by_name(horizon: int) -> dict[str, Config]:
    """Every model on every series at one horizon, by "series-model"; the AR is an AR(9)."""
    configs = build_ar_configs(max_lag=9, horizons=[horizon])
    return {
        f"{config['series.name']}-{config['model.name']}": config
        for config in configs
        if config["model"].get("lags", 9) == 9
    }


NAMES = sorted(configs_by_name(1))


@cache
def run(name: str, horizon: int) -> tuple[Results, list[dict[str, Any]]]:
    """The results, and what was given to `log_metrics`, call by call."""
    logged: list[dict[str, Any]] = []
    runner = DagRunner(DagBuilder(configs_by_name(horizon)[name]).build(), lambda **values: logged.append(values))
    return runner.run(), logged
