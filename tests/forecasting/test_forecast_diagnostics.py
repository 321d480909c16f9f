from __future__ import annotations

import logging
import math
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from experiments.forecasting import figures
from experiments.forecasting.dag import DagBuilder
from experiments.forecasting.diagnostics import (
    LjungBox,
    compare_with_benchmark,
    errors_by_step,
    fold_table,
    ljung_box,
    residuals_of,
    run_benchmark,
)
from experiments.forecasting.plot import FOLDS
from experiments.forecasting.series import SERIES
from tests.forecasting.runs import NAMES, configs_by_name, run


def residuals(name: str) -> pd.Series:
    """Those of the last fold's model."""
    results, _ = run(name, 12)
    return residuals_of(DagBuilder(configs_by_name(12)[name]).build(), results)


def colors_of(figure: Figure) -> tuple[tuple[int, int], set[tuple[int, ...]]]:
    """A drawn figure's size in pixels, and the colours in it."""
    drawn = BytesIO()
    figure.savefig(drawn)
    with Image.open(drawn) as image:
        return image.size, {color for _, color in image.convert("RGB").getcolors(1 << 24) or []}


def test_an_autoregression_leaves_what_least_squares_leaves() -> None:
    """AR(9) on the sunspots, by hand: each value regressed on the nine before it and a constant."""
    results, _ = run("sunspots-ar", 12)
    values = results.series.iloc[: results.folds[-1].fold.origin].to_numpy(float)
    past = [values[9 - lag : -lag] for lag in range(1, 10)]
    design = np.column_stack([np.ones(len(values) - 9), *past])
    coefficients, *_ = np.linalg.lstsq(design, values[9:], rcond=None)
    np.testing.assert_allclose(residuals("sunspots-ar"), values[9:] - design @ coefficients, atol=1e-6)


def test_the_seasonal_naive_method_leaves_the_change_since_the_last_season() -> None:
    """The first season has no residual; after it each is the value less that of eleven years before."""
    results, _ = run("sunspots-seasonal_naive", 12)
    values = results.series.iloc[: results.folds[-1].fold.origin].to_numpy(float)
    np.testing.assert_array_equal(residuals("sunspots-seasonal_naive"), values[11:] - values[:-11])


@pytest.mark.parametrize("name", NAMES)
def test_residuals_lie_before_the_last_origin_and_have_no_gap(name: str) -> None:
    """They end with the training values, so that nothing of them is a forecast's error."""
    results, _ = run(name, 12)
    left = residuals(name)
    assert left.index[-1] == results.series.index[results.folds[-1].fold.origin - 1]
    assert np.isfinite(left).all()


def test_exponential_smoothing_leaves_less_than_repeating_the_last_season() -> None:
    """On CO2, trend and season followed, the residuals spread less than half as much."""
    assert residuals("co2-exponential_smoothing").std() < residuals("co2-seasonal_naive").std() / 2


def test_ljung_box_is_its_formula() -> None:
    """By hand: Q = n (n + 2) sum of r_k^2 / (n - k); with two degrees of freedom the p-value is exp(-Q / 2)."""
    values = np.random.default_rng(5).normal(size=60)
    centred = values - values.mean()
    r = [float(centred[k:] @ centred[:-k] / (centred @ centred)) for k in (1, 2)]
    q = 60 * 62 * (r[0] ** 2 / 59 + r[1] ** 2 / 58)
    test = ljung_box(pd.Series(values), season_length=1, ar_order=0)
    assert (test.lags, test.degrees) == (2, 2)
    assert (test.statistic, test.p_value) == pytest.approx((q, math.exp(-q / 2)))


def test_estimated_coefficients_cost_degrees_of_freedom() -> None:
    """Two seasons of lags, or a fifth of the values where that is fewer; less the order, and never none left."""
    noise = pd.Series(np.random.default_rng(5).normal(size=100))
    tested = [ljung_box(noise, *settings) for settings in ((8, 0), (8, 3), (12, 0), (1, 9))]
    assert [(test.lags, test.degrees) for test in tested] == [(16, 16), (16, 13), (20, 20), (10, 1)]


def test_the_test_tells_noise_from_a_cycle() -> None:
    """White noise passes; what the seasonal naive method leaves of the sunspots does not."""
    noise = pd.Series(np.random.default_rng(5).normal(size=300))
    assert ljung_box(noise, 11, 0).p_value > 0.1
    assert ljung_box(residuals("sunspots-seasonal_naive"), 11, 0).p_value < 1e-6


@pytest.mark.parametrize(
    ("p_value", "says"),
    [(0.2, "p = 0.2.** White noise"), (0.03, "p = 0.03.** Were"), (1e-9, "p below 0.001.** Were")],
)
def test_the_words_follow_the_p_value(p_value: float, says: str) -> None:
    """At 0.05 the sentence turns, and a tiny p-value is not written as zero."""
    words = LjungBox(lags=24, degrees=15, statistic=26.4, p_value=p_value).in_words()
    assert says in words
    assert ("left unused. That is no proof" in words) == (p_value > 0.05)


@pytest.mark.parametrize("name", NAMES)
def test_the_table_of_folds_ends_with_the_result(name: str) -> None:
    """The last row is the accuracy over all folds; bias is truth less forecast, and no larger than the MAE."""
    results, _ = run(name, 12)
    table = fold_table(results)
    total = results.accuracy
    assert table.loc["all", ["MAE", "RMSE", "MASE"]].tolist() == [total.mae, total.rmse, total.mase]
    first = results.folds[0]
    assert table.loc[0, "bias"] == pytest.approx(first.truth.mean() - first.forecast.mean())
    assert (table["bias"].abs() <= table["MAE"] + 1e-12).all()
    assert errors_by_step(results).mean() == pytest.approx(total.mae)


def test_a_year_is_written_as_a_year_and_a_month_as_a_month() -> None:
    """The folds' dates are as fine as the series."""
    tables = {name: fold_table(run(f"{name}-ar", 12)[0]) for name in ("sunspots", "co2")}
    assert tables["sunspots"].loc[7, ["trained until", "forecast until"]].tolist() == ["1996", "2008"]
    assert tables["co2"].loc[7, ["trained until", "forecast until"]].tolist() == ["2000-12", "2001-12"]


def test_the_benchmark_is_the_seasonal_naive_method_on_the_same_folds(caplog: pytest.LogCaptureFixture) -> None:
    """What it gives is what that config gives; it is not in the way of the config's own metrics and log."""
    caplog.set_level(logging.INFO)
    config = configs_by_name(12)["sunspots-ar"]
    benchmark = run_benchmark(config.freeze())
    expected, _ = run("sunspots-seasonal_naive", 12)
    assert [result.fold for result in benchmark.folds] == [result.fold for result in run("sunspots-ar", 12)[0].folds]
    assert benchmark.accuracy == expected.accuracy
    assert caplog.records == []


def test_the_benchmark_is_compared_in_the_right_direction() -> None:
    """Lower, higher and equal are told apart, and the folds that were won are counted."""
    ar, naive = (run(f"sunspots-{model}", 12)[0] for model in ("ar", "seasonal_naive"))
    assert "**14% below**" in compare_with_benchmark(ar, naive)
    assert "in 5 of 8 folds" in compare_with_benchmark(ar, naive)
    assert "**16% above**" in compare_with_benchmark(naive, ar)
    assert "is that of the seasonal naive method" in compare_with_benchmark(naive, naive)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("horizon", [1, 12])
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_of_every_model_shows_something(name: str, horizon: int) -> None:
    """Full width, both colours, and not a warning: one step ahead and twelve."""
    results, _ = run(name, horizon)
    config, source = configs_by_name(horizon)[name], SERIES[name.partition("-")[0]]
    season_length, dag = config["series.season_length"], DagBuilder(config).build()
    ours, other = ((int(color[1:3], 16), int(color[3:5], 16), int(color[5:], 16)) for color in FOLDS[::-1])
    drawn = {
        "series": figures.draw_series(results, source.unit, season_length),
        "errors": figures.draw_errors(results, run_benchmark(config), source),
        "residuals": figures.draw_residuals(residuals_of(dag, results), source.unit, 2 * season_length),
    }
    for what, figure in drawn.items():
        size, colors = colors_of(figure)
        assert size[0] == 1500, what
        assert {ours} <= colors, what
        assert other in colors or what == "series", what
