from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from config_builders.forecasting import build_ar_configs
from configmill import load_results
from experiments.forecasting import run_experiment
from tests.conftest import REPOSITORY, Project, project_within
from tests.user_land import by_hand, images, texts, with_our_user_land

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))
FORECASTING = "notebooks/forecasting.ipynb"
COMPARE = "notebooks/compare_forecasts.ipynb"
#: Every model on both series: sunspots at even indices, CO2 at odd ones.
BUILDER = "config_builders.forecasting.build_ar_configs(max_lag=1, horizons=[6])"
CO2_INDICES = (1, 3, 5)
ERRORS = ["mae", "rmse", "mase", "num_folds", "num_forecasts", "num_observations"]


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A user's own copy of experiments, builders and notebooks, which nothing has run yet."""
    with project_within(tmp_path_factory.mktemp("users")) as made:
        yield with_our_user_land(made)


@pytest.fixture(scope="module")
def campaign(users: Project) -> Path:
    """Where a campaign of the function lies: there, by hand, the comparison looks for one."""
    experiment, dst_dir = "experiments.forecasting.run_experiment", users.root / "out/forecast"
    assert not dst_dir.exists()
    done = users.run("--num_threads", "2", experiment=experiment, builder=BUILDER, dst=dst_dir)
    assert done.code == 0, done
    return dst_dir


@pytest.fixture(scope="module")
def notebook_campaign(users: Project) -> Path:
    """Where a campaign of the notebook lies, of the three configs on CO2 alone."""
    done = users.run_notebook(
        "--indices", "1,3,5", "--num_threads", "2", "--publish_notebook", notebook=FORECASTING, builder=BUILDER
    )
    assert done.code == 0, done
    return users.out


def test_both_notebooks_are_there() -> None:
    """The tests below, one for each notebook, do not pass for want of notebooks."""
    assert {"forecasting.ipynb", "compare_forecasts.ipynb"} <= {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_what_is_kept_of_a_notebook_is_what_was_written_by_hand(path: Path) -> None:
    """No outputs, counts or times, nothing of a machine or an editor, and the file as nbformat writes it."""
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert nbformat.writes(notebook) == path.read_text().rstrip("\n")
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert notebook.metadata == {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}, cell.id
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None), cell.id


@pytest.mark.parametrize("arguments", [["check"], ["format", "--check"]], ids=["lint", "format"])
def test_the_code_in_notebooks_is_held_to_the_same_rules(arguments: list[str]) -> None:
    """Ruff reads the cells as it reads modules, and has nothing to say of them."""
    argv = [sys.executable, "-m", "ruff", *arguments, "--no-cache", *map(str, NOTEBOOKS)]
    done = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "No Python files" not in done.stderr


def test_by_hand_the_forecast_is_that_of_the_experiment(users: Project) -> None:
    """Opened in its folder it finds the project beside it, makes a config of the demo's, and gets the same errors."""
    ask = '{"config": config.to_dict(), "metrics": metrics, "home": diagnostics.__file__}'
    notebook, said = by_hand(users, FORECASTING, ask=ask)
    assert Path(said["home"]).is_relative_to(users.root)
    [config] = [config for config in build_ar_configs() if config.to_dict() == said["config"]]
    assert {name: said["metrics"][name] for name in ERRORS} == run_experiment(config)
    plots = images(notebook)
    assert len(plots) == 4  # forecast, series, errors, residuals
    assert all(plot.width > 1400 for plot in plots)
    assert plots[0].height > 800  # the first one is the thumbnail: forecasts above, errors below
    assert len(nbformat.writes(notebook)) < 1_500_000
    assert [output for cell in notebook.cells for output in cell.get("outputs", []) if "text" in output] == []


def test_its_cells_can_be_compared_by_tag() -> None:
    """One code cell for each of the tags that `configmill compare --cell` is used with."""
    cells = nbformat.read(REPOSITORY / FORECASTING, as_version=4).cells
    tags = [tag for cell in cells for tag in cell.metadata.get("tags", []) if cell.cell_type == "code"]
    assert tags == ["config", "forecast", "series", "errors", "residuals", "metrics"]


def test_under_the_manager_each_model_gives_the_numbers_of_the_experiment(
    users: Project, campaign: Path, notebook_campaign: Path
) -> None:
    """Results under the same names, to the last bit; the same metrics by fold; every key read; pages beside them."""
    results, expected = (load_results(path).set_index("index") for path in (notebook_campaign, campaign))
    for index in CO2_INDICES:
        assert results.loc[index, ERRORS].tolist() == expected.loc[index, ERRORS].tolist()
        assert by_fold(notebook_campaign, index) == by_fold(campaign, index)
        assert users.json(index, "attempts/1.json")["unread_keys"] == []
        executed = nbformat.read(users.result_dir(index) / "forecasting.ipynb", as_version=4)
        assert len(images(executed)) == 4
        assert (users.result_dir(index) / "forecasting.html").exists()
    for tag in ("forecast", "residuals"):
        done = users.configmill("compare", str(notebook_campaign), "--cell", tag)
        assert done.code == 0, done


def by_fold(dst_dir: Path, index: int) -> list[tuple[int, float]]:
    """What was logged with a step: the fold and its MASE."""
    lines = map(json.loads, (dst_dir / f"result_{index}" / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["mase"]) for line in lines if line["step"] is not None]


def test_without_a_campaign_the_comparison_says_what_to_run(tmp_path: Path) -> None:
    """The error names the directory that it looked in and the command that makes one."""
    with project_within(tmp_path) as empty, pytest.raises(CellExecutionError) as failed:
        by_hand(with_our_user_land(empty), COMPARE)
    assert failed.value.ename == "UsageError"
    assert re.search(r"no campaign in .*out/forecast.*make demo.*results_dir", failed.value.evalue), failed.value.evalue


def test_by_hand_the_comparison_looks_at_the_demo(users: Project, campaign: Path) -> None:
    """The campaign in out/forecast beside it: its best config, a verdict from its numbers, and the plots."""
    notebook, metrics = by_hand(users, COMPARE, ask="metrics")
    results = load_results(campaign)
    assert metrics["best_mase"] == results["mase"].min()
    assert (metrics["num_results"], metrics["num_cases"]) == (6, 2)
    assert metrics["num_cases_won_by_ar"] == sum(won(results, series) for series in ("co2", "sunspots"))
    assert len(images(notebook)) == 4  # heat map, by horizon, by order, by fold
    assert f"in {metrics['num_cases_won_by_ar']} of 2 cases" in texts(notebook)


def won(results: Any, series: str) -> bool:
    """Whether AR(1) has a lower MASE than the seasonal naive method."""
    of_series = results[results["series.name"] == series].set_index("model.name")["mase"]
    return bool(of_series["ar"] < of_series["seasonal_naive"])


def test_the_comparison_takes_a_campaign_of_the_notebook_that_is_half_done(
    users: Project, notebook_campaign: Path
) -> None:
    """Under the manager, with a relative directory: half of the configs pending, one series, one horizon."""
    relative = notebook_campaign.relative_to(users.root)
    builder = f"config_builders.forecasting.build_comparison(results_dir={str(relative)!r})"
    done = users.run_notebook(notebook=COMPARE, builder=builder, dst=users.root / "out/comparison")
    assert done.code == 0, done
    left = users.root / "out/comparison/result_0"
    result = json.loads((left / "result.json").read_text())
    results = load_results(notebook_campaign)
    assert (result["num_results"], result["num_cases"]) == (3, 1)
    assert result["best_mase"] == results["mase"].min()
    shown = texts(nbformat.read(left / "compare_forecasts.ipynb", as_version=4))
    assert re.search(r"pending +3", shown), shown
