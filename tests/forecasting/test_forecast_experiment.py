from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from experiments.forecasting import run_experiment
from experiments.forecasting.plot import save_forecast_plot
from tests.conftest import REPOSITORY, Project
from tests.forecasting.runs import NAMES, configs_by_name, run

# An audit hook sees every socket, of every package, from the first import on.
FORBID_THE_NETWORK = """
import sys
def refuse(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.sendto", "urllib.Request")):
        raise RuntimeError(f"the network was used: {event} {arguments}")
sys.addaudithook(refuse)
from config_builders.forecasting import build_ar_configs
from experiments.forecasting import run_experiment
result = run_experiment(build_ar_configs()[0])
assert result["num_folds"] == 8, result
print(*sys.modules)
"""


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", NAMES)
def test_by_hand_it_returns_plain_numbers_and_leaves_nothing(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a manager the function works, warns of nothing and writes no file."""
    monkeypatch.chdir(tmp_path)
    result = run_experiment(configs_by_name(12)[name])
    assert {key: type(value) for key, value in result.items()} == {
        "mae": float, "rmse": float, "mase": float, "num_folds": int, "num_forecasts": int, "num_observations": int,
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("horizon", [1, 12])
@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_an_image_with_something_in_it(name: str, horizon: int, tmp_path: Path) -> None:
    """A PNG of 1500 x 900 in which every colour of truth and forecasts occurs."""
    results, _ = run(name, horizon)
    save_forecast_plot(results, "title", "unit", tmp_path / "forecast.png")
    with Image.open(tmp_path / "forecast.png") as image:
        assert (image.format, image.size) == ("PNG", (1500, 900))
        colors = {color for _, color in image.convert("RGB").getcolors(1 << 24) or []}
    assert {(0x3B, 0x3F, 0x46), (0xD1, 0x49, 0x5B), (0x2A, 0x7F, 0x9E)} <= colors


def test_no_network_and_no_plugin_of_hamilton() -> None:
    """A whole run opens no socket, and Hamilton imports no package that only happens to be installed (plotly is)."""
    done = subprocess.run(
        [sys.executable, "-c", FORBID_THE_NETWORK], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not {"plotly", "sklearn", "transformers", "matplotlib.pyplot"} & set(done.stdout.split())


def test_under_the_manager_each_model_leaves_result_metrics_and_picture(project: Project) -> None:
    """What the README shows: each config succeeds, reads all its keys, and keeps a metric a fold and a PNG."""
    done = project.run(
        "--num_threads", "2",
        experiment="experiments.forecasting.run_experiment",
        builder="config_builders.forecasting.build_ar_configs(max_lag=1, horizons=[6])",
    )  # fmt: skip
    assert done.code == 0, done
    for index in range(6):
        result, record = project.json(index, "result.json"), project.json(index, "attempts/1.json")
        left = project.result_dir(index)
        metrics = [json.loads(line) for line in (left / "metrics.jsonl").read_text().splitlines()]
        assert [line["step"] for line in metrics] == list(range(result["num_folds"]))
        assert sum(line["mase"] for line in metrics) / len(metrics) == pytest.approx(result["mase"])
        assert record["unread_keys"] == []
        assert (left / "forecast.png").stat().st_size > 20_000
        assert "WARN" not in project.log(index).upper()
