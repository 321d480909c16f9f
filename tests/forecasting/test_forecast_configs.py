from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from config_builders.forecasting import build_ar_configs
from tests.conftest import REPOSITORY


@pytest.mark.parametrize(("arguments", "count"), [({}, 44), ({"max_lag": 4}, 24), ({"max_lag": 1, "horizons": [6]}, 6)])
def test_the_builder_crosses_series_models_and_horizons(arguments: dict[str, Any], count: int) -> None:
    """Two series x (max_lag ARs + two benchmarks) x horizons, no two alike."""
    configs = build_ar_configs(**arguments)
    assert len(configs) == count
    assert len({config.digest() for config in configs}) == count


def test_the_series_models_lags_and_horizons_vary() -> None:
    """What the demo says that it varies is what varies."""
    configs = build_ar_configs(max_lag=8)
    assert {config["series.name"] for config in configs} == {"sunspots", "co2"}
    assert {config["model.name"] for config in configs} == {"ar", "seasonal_naive", "exponential_smoothing"}
    assert {config["model.lags"] for config in configs if config["model.name"] == "ar"} == set(range(1, 9))
    assert {config["horizon"] for config in configs} == {1, 12}


def test_every_config_has_at_least_five_folds() -> None:
    """Errors are means over at least five origins."""
    assert min(config["num_folds"] for config in build_ar_configs()) >= 5


def test_building_configs_needs_no_scientific_package() -> None:
    """The manager and every child build the list: that must cost neither pandas nor statsmodels."""
    code = "import sys; from config_builders import forecasting; forecasting.build_ar_configs()[3]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "statsmodels", "hamilton", "matplotlib"} & set(done.stdout.split())
