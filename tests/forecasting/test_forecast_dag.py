from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from experiments.forecasting.dag import Dag, DagBuilder
from experiments.forecasting.folds import Fold
from tests.forecasting.runs import NAMES, configs_by_name, run


def forecast(dag: Dag, series: pd.Series, fold: Fold) -> pd.Series:
    """The fold's forecast, were the series another."""
    computed: pd.Series = dag.compute("forecast", known={"series": series}, fold=fold)["forecast"]
    return computed


@pytest.mark.parametrize("name", NAMES)
def test_no_value_behind_an_origin_changes_a_forecast_from_it(name: str) -> None:
    """The forecast from the third origin is the same, bit for bit, whatever follows: other values, gaps or nothing."""
    dag = DagBuilder(configs_by_name(6)[name]).build()
    loaded = dag.compute("series", "folds")
    series, fold = loaded["series"], loaded["folds"][2]
    expected = forecast(dag, series, fold)
    others, gaps = series.copy(), series.copy()
    others.iloc[fold.origin :] = 1e6
    gaps.iloc[fold.origin :] = np.nan
    for changed in (others, gaps, series.iloc[: fold.origin]):
        pd.testing.assert_series_equal(forecast(dag, changed, fold), expected, check_exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_last_value_before_an_origin_does_change_the_forecast(name: str) -> None:
    """The test above could not pass for a forecast that ignores its data."""
    dag = DagBuilder(configs_by_name(12)[name]).build()
    loaded = dag.compute("series", "folds")
    series, fold = loaded["series"], loaded["folds"][2]
    changed = series.copy()
    changed.iloc[fold.origin - 1] += 10
    assert not np.allclose(forecast(dag, changed, fold), forecast(dag, series, fold))


def test_a_gap_before_an_origin_is_not_filled_from_behind_it() -> None:
    """Interpolation stops at the origin: the months before it repeat the last one measured."""
    dag = DagBuilder(configs_by_name(12)["co2-ar"]).build()
    loaded = dag.compute("series", "folds")
    series, fold = loaded["series"].copy(), loaded["folds"][0]
    series.iloc[fold.origin - 3 : fold.origin] = np.nan
    train = dag.compute("train", known={"series": series}, fold=fold)["train"]
    assert (train.iloc[-3:] == series.iloc[fold.origin - 4]).all()


def test_a_missing_truth_is_an_error_that_names_the_month() -> None:
    """A fold without truth can't be scored, and no error is invented for it."""
    dag = DagBuilder(configs_by_name(12)["co2-seasonal_naive"]).build()
    loaded = dag.compute("series", "folds")
    series, fold = loaded["series"].copy(), loaded["folds"][1]
    series.iloc[fold.origin + 2] = np.nan
    with pytest.raises(ValueError, match="Fold 1 has no truth for 1995-03-01"):
        dag.compute("accuracy", known={"series": series}, fold=fold)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("horizon", [1, 12])
def test_every_model_forecasts_every_series_at_the_dates_of_the_truth(name: str, horizon: int) -> None:
    """Finite forecasts, dated like the truth; RMSE is never below MAE; better than wild (a MASE below 3)."""
    results, _ = run(name, horizon)
    assert len(results.folds) >= 5
    for result in results.folds:
        assert result.forecast.index.equals(result.truth.index)
        assert np.isfinite(result.forecast).all()
        assert result.accuracy.rmse >= result.accuracy.mae * (1 - 1e-12)
    assert results.accuracy.rmse >= results.accuracy.mae
    assert 0 < results.accuracy.mase < 3


def test_one_metric_a_fold_goes_out_in_order() -> None:
    """The step is the fold's number, and the values are that fold's errors."""
    results, logged = run("sunspots-ar", 12)
    assert [values["step"] for values in logged] == [result.fold.number for result in results.folds]
    assert [values["mae"] for values in logged] == [result.accuracy.mae for result in results.folds]


def test_the_seasonal_naive_method_repeats_the_last_season() -> None:
    """A forecast of twelve years is the last eleven of the training fold, and the first of these again."""
    results, _ = run("sunspots-seasonal_naive", 12)
    for result in results.folds:
        last_season = results.series.iloc[result.fold.origin - 11 : result.fold.origin].tolist()
        assert result.forecast.tolist() == [*last_season, last_season[0]]


def test_an_autoregression_beats_the_mean_of_the_past() -> None:
    """AR(9) a year ahead on the sunspots has less than half the error of the training fold's mean."""
    results, _ = run("sunspots-ar", 1)
    means = [results.series.iloc[: result.fold.origin].mean() for result in results.folds]
    of_means = np.mean([abs(mean - result.truth.iloc[0]) for mean, result in zip(means, results.folds, strict=True)])
    assert results.accuracy.mae < of_means / 2


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("series.name", "sunspot", "series.name is 'sunspot'.*Choose one of: sunspots, co2"),
        ("model.name", "arima", "model.name is 'arima'.*Choose one of: ar, seasonal_naive"),
        ("model.order", 3, "Model 'ar'.*order"),
    ],
)
def test_what_does_not_exist_is_refused_by_name(key: str, value: object, message: str) -> None:
    """An unknown series, model or model's key is an error before anything is loaded."""
    config = configs_by_name(1)["sunspots-ar"]
    config[key] = value
    with pytest.raises(ValueError, match=message):
        DagBuilder(config).build()
