from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.forecasting import comparison_figures as figures
from experiments.forecasting.comparison import best, duels, num_won, verdict

#: The MASE by model, of AR(1), AR(2), the seasonal naive method and exponential smoothing.
MODELS = (("AR(1)", "ar", 1.0), ("AR(2)", "ar", 2.0), ("seasonal naive", "seasonal_naive", np.nan))
SMOOTHING = ("exponential smoothing", "exponential_smoothing", np.nan)


def table_of(cases: dict[tuple[str, int], tuple[float, ...]]) -> pd.DataFrame:
    """A table as `load_table` returns it, of each case's MASEs in the order of the models."""
    rows: list[dict[str, Any]] = [
        {"series": series, "horizon": horizon, "mase": mase, "model": label, "model.name": name, "lags": lags}
        for (series, horizon), errors in cases.items()
        for mase, (label, name, lags) in zip(errors, [*MODELS, SMOOTHING], strict=False)
    ]
    table = pd.DataFrame(rows).assign(mae=1.0, rmse=1.0, digest="")
    return table.assign(index=range(len(table)))


def folds_of(table: pd.DataFrame, spread: float = 0.1, count: int = 4) -> pd.DataFrame:
    """Errors by fold whose mean is the table's MASE, half of them above it."""
    rows = [
        {**row, "fold": fold, "mase": row["mase"] + (spread if fold % 2 else -spread)}
        for row in table[["index", "series", "horizon", "model", "mase"]].to_dict("records")
        for fold in range(count)
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("naive", "opening", "count"),
    [((0.9, 0.9), "**Yes.**", 2), ((0.1, 0.1), "**No.**", 0), ((0.9, 0.1), "**Not everywhere.**", 1)],
)
def test_the_verdict_follows_the_numbers(naive: tuple[float, float], opening: str, count: int) -> None:
    """The best autoregression (0.5 and 0.4) against the benchmark, in two cases."""
    table = table_of({("a", 1): (0.5, 0.6, naive[0]), ("b", 1): (0.7, 0.4, naive[1])})
    cases = duels(table, folds_of(table))
    assert verdict(cases).startswith(opening)
    assert f"in {count} of 2 cases" in verdict(cases)
    assert num_won(cases) == count


def test_a_duel_counts_orders_and_folds() -> None:
    """One of two orders wins; by fold, errors of 0.8 and 1.0 against 0.5 and 1.3 win every other one."""
    table = table_of({("a", 1): (1.2, 0.9, 0.9 + 1e-9)})
    narrow, wide = folds_of(table, 0.1), folds_of(table, 0.4)
    mixed = pd.concat([narrow[narrow["index"] == 1], wide[wide["index"] == 2]])
    [duel] = duels(table, mixed).to_dict("records")
    assert (duel["best AR"], duel["orders"], duel["orders_won"]) == ("AR(2)", 2, 1)
    assert (duel["folds"], duel["folds_won"]) == (4, 2)


def test_a_better_third_model_is_named() -> None:
    """An autoregression that wins its duel is not called the best where another model is."""
    better = table_of({("a", 1): (0.5, 0.6, 0.9, 0.3), ("b", 1): (0.5, 0.6, 0.9, 0.7)})
    text = verdict(duels(better, folds_of(better)))
    assert "better still in 1 of 2: exponential smoothing on a at horizon 1 (0.300)" in text
    worse = table_of({("a", 1): (0.5, 0.6, 0.9, 0.7)})
    assert "better still" not in verdict(duels(worse, folds_of(worse)))


def test_without_a_benchmark_there_is_no_verdict() -> None:
    """A campaign of autoregressions alone says so, and wins nothing."""
    table = table_of({("a", 1): (0.5, 0.6)})
    cases = duels(table, folds_of(table))
    assert verdict(cases).startswith("**No verdict:**")
    assert num_won(cases) == 0


def test_the_best_are_the_lowest_of_each_case() -> None:
    """Two of each case, the lowest first."""
    table = table_of({("a", 1): (0.5, 0.6, 0.4), ("a", 12): (0.9, 0.7, 0.8)})
    assert best(table, 2)["model"].tolist() == ["seasonal naive", "AR(1)", "AR(2)", "seasonal naive"]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "cases",
    [
        {("a", 1): (0.5, 0.6, 0.9, 0.3), ("a", 12): (1.5, 1.6, 0.9, 3.0), ("b", 1): (0.5, 0.6, 0.9, 0.3)},
        {("a", 1): (0.5,)},
        {("a", 1): (0.5, 0.6)},
        {(name, horizon): (0.2, 4.0, 1.0, 0.3) for name in "abc" for horizon in (1, 3, 6, 12, 24)},
    ],
    ids=["one case missing", "one result", "one model", "many cases"],
)
def test_the_figures_take_whatever_campaign_there_is(cases: dict[tuple[str, int], tuple[float, ...]]) -> None:
    """Whole and partial campaigns alike are drawn, at full width and without a warning."""
    table = table_of(cases)
    drawn = [
        figures.draw_heat_map(table),
        figures.draw_by_horizon(table),
        figures.draw_by_order(table),
        figures.draw_fold_spread(table, folds_of(table)),
    ]
    for figure in drawn:
        figure.canvas.draw()
        assert figure.get_size_inches()[0] * figure.dpi == 1500


def test_no_point_lies_outside_of_its_axes() -> None:
    """Panels of a row share their axis, which has room for the largest error of any of them."""
    table = table_of({("a", 1): (0.5, 0.6, 0.9), ("a", 12): (5.0, 6.0, 0.9)})
    for figure in (figures.draw_fold_spread(table, folds_of(table, 0.5)), figures.draw_by_order(table)):
        assert lowest_and_highest_fit(figure)


def lowest_and_highest_fit(figure: Figure) -> bool:
    """Whether every line of every panel lies within the panel's limits."""
    return all(
        axes.get_ylim()[0] <= min(line.get_ydata()) and max(line.get_ydata()) <= axes.get_ylim()[1]
        for axes in figure.axes
        for line in axes.lines
    )
