"""configmill.load_results: a row per config, typed columns."""

from __future__ import annotations

import math

import pandas as pd
import pytest

import configmill
from tests.conftest import Project

FIXED = ["index", "digest", "status", "attempts", "seconds"]


@pytest.fixture(scope="module")
def frame(shared_project: Project) -> pd.DataFrame:
    """Four experiments: two succeeded, one failed twice, one was not selected."""
    shared_project.write(
        "builder.py",
        """
        import datetime
        def build():
            return [{"model": {"name": name, "lags": lags}, "constant": 7, "day": datetime.date(2026, 1, 1 + lags)}
                    for name, lags in (("ar", 1), ("ar", 2), ("naive", 0), ("naive", 3))]
        """,
    )
    shared_project.write(
        "experiment.py",
        """
        def run(config):
            if config.model.lags == 2:
                raise ValueError
            mase = float("nan") if config.model.name == "naive" else 0.5
            return {"mase": mase, "folds": 5, "best": {"lag": 1.5}, "name": config.model.name, "scores": [1, 2]}
        """,
    )
    done = shared_project.run("--indices", "0-2", "--num_retries", "1", "--retry_backoff", "0")
    assert done.code == 1, done
    return configmill.load_results(shared_project.out)


def test_a_row_per_config_of_the_list(frame: pd.DataFrame) -> None:
    """There is a row for every config, in the list's order, also for what failed or has not run."""
    assert frame["index"].tolist() == [0, 1, 2, 3]
    assert frame["status"].tolist() == ["succeeded", "failed", "succeeded", "pending"]
    assert frame["attempts"].tolist() == [1, 2, 1, 0]


def test_the_columns(frame: pd.DataFrame) -> None:
    """First the fixed columns, then what varies between configs, then what experiments returned, dotted."""
    assert list(frame.columns) == [
        *FIXED, "model.name", "model.lags", "day", "mase", "folds", "best.lag", "name", "scores",
    ]  # fmt: skip


def test_the_types_of_the_fixed_columns(frame: pd.DataFrame) -> None:
    """index and attempts are integers, seconds floats, digest and status text."""
    assert [frame[name].dtype.kind for name in ("index", "attempts", "seconds")] == ["i", "i", "f"]
    assert all(pd.api.types.is_string_dtype(frame[name]) for name in ("digest", "status"))
    assert frame["digest"].is_unique


def test_the_types_of_varying_keys_and_metrics(frame: pd.DataFrame) -> None:
    """Numbers are numeric columns, missing or not; text is text."""
    assert pd.api.types.is_numeric_dtype(frame["model.lags"])
    assert pd.api.types.is_string_dtype(frame["model.name"])
    assert all(pd.api.types.is_float_dtype(frame[name]) for name in ("mase", "folds", "best.lag"))


def test_what_has_not_run_has_its_keys_too(frame: pd.DataFrame) -> None:
    """A config that was never started shows what varies, as it does in results.csv; an integer stays one."""
    assert frame["model.name"].tolist()[3] == "naive"
    assert frame["model.lags"].tolist() == [1, 2, 0, 3]
    assert pd.api.types.is_integer_dtype(frame["model.lags"])


def test_values(frame: pd.DataFrame) -> None:
    """Metrics are what was returned; what has no result has missing values; nan stays nan."""
    assert frame["mase"].isna().tolist() == [False, True, True, True]
    assert math.isnan(frame["mase"][2])
    assert frame["best.lag"].tolist()[0] == 1.5
    assert frame["scores"][0] == [1, 2]
    assert frame["seconds"].isna().tolist() == [False, False, False, True]


def test_a_campaign_in_which_nothing_has_succeeded(squares: Project) -> None:
    """Where nothing has a result yet the frame has its rows and the same types."""
    squares.write("experiment.py", "def run(config):\n    raise ValueError\n")
    squares.run("--index", "0")
    squares.write("builder.py", "def build(n):\n    return [{'x': 10 + i} for i in range(n)]\n")
    squares.run("--index", "1", builder="builder.build(3)")
    found = configmill.load_results(str(squares.out))
    assert found["status"].tolist() == ["pending", "failed", "pending"]
    assert found["seconds"].dtype.kind == "f"


def test_nothing_of_configmills_is_refused(project: Project) -> None:
    """A directory that isn't Configmill's, or isn't there, is a usage error."""
    for path in (project.root, project.root / "nowhere"):
        with pytest.raises(configmill.UsageError, match="no directory of Configmill's"):
            configmill.load_results(path)


def test_load_configs_gives_what_ran(frame: pd.DataFrame, shared_project: Project) -> None:
    """The configs of the list, in its order and with their own types, also of what has not run."""
    configs = configmill.load_configs(shared_project.out)
    assert [config.model.lags for config in configs] == [1, 2, 0, 3]
    assert configs[3].day.year == 2026 and configs[3].constant == 7
    assert len(configs) == len(frame)


def test_load_configs_has_the_overrides(project: Project) -> None:
    """What `--set` changed is changed in them, and only the last command's list is given."""
    project.write("builder.py", "def build(n=2):\n    return [{'x': x, 'y': 0} for x in range(n)]\n")
    project.write("experiment.py", "def run(config):\n    return {'z': config.x + config.y}\n")
    assert project.run(builder="builder.build(n=3)").code == 0
    assert project.run("--set", "y=5", builder="builder.build()").code == 0
    assert [config.to_dict() for config in configmill.load_configs(project.out)] == [{"x": 0, "y": 5}, {"x": 1, "y": 5}]
    with pytest.raises(configmill.UsageError):
        configmill.load_configs(project.root)
