"""A closer look at one run: its errors by fold and by step, a benchmark on the same folds, and what is left over.

results = DagRunner(dag).run()
fold_table(results)
test = ljung_box(residuals_of(dag, results), config.series.season_length, dag.forecaster.ar_order)
print(test.in_words())
"""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from statsmodels.stats.diagnostic import acorr_ljungbox

import configmill
from experiments.forecasting.accuracy import FloatArray
from experiments.forecasting.dag import Dag, DagBuilder, DagRunner, Results

SIGNIFICANCE = 0.05


def fold_table(results: Results) -> pd.DataFrame:
    """Return a row per fold and one for all: when it was trained until, what it forecast, and its errors.

    `bias` is the mean of truth minus forecast, in the series' unit: above zero where the forecasts are too low.
    """
    steps = pd.DatetimeIndex(results.series.index).to_period()  # a year is written as 1912, a month as 1993-12
    rows = [
        {
            "trained until": str(steps[result.fold.origin - 1]),
            "forecast until": str(steps[result.fold.origin + result.fold.horizon - 1]),
            "MAE": result.accuracy.mae,
            "RMSE": result.accuracy.rmse,
            "MASE": result.accuracy.mase,
            "bias": float((result.truth - result.forecast).mean()),
        }
        for result in results.folds
    ]
    names: list[int | str] = [result.fold.number for result in results.folds]
    overall = results.accuracy
    bias = float(np.mean([row["bias"] for row in rows]))
    total = {"trained until": "", "forecast until": "", "MAE": overall.mae, "RMSE": overall.rmse, "MASE": overall.mase}
    return pd.DataFrame([*rows, {**total, "bias": bias}], index=pd.Index([*names, "all"], name="fold"))


def errors_by_step(results: Results) -> FloatArray:
    """Return the mean absolute error of each step ahead, over all folds: shape (horizon,), in the series' unit."""
    errors = [(result.truth - result.forecast).abs().to_numpy(float) for result in results.folds]
    averages: FloatArray = np.mean(errors, axis=0)
    return averages


def run_benchmark(config: configmill.Config) -> Results:
    """Run the seasonal naive method on the very folds of `config`, without its errors among the config's metrics."""
    naive = configmill.Config({**config.to_dict(), "model": {"name": "seasonal_naive"}})
    return DagRunner(DagBuilder(naive).build(), log_metrics=lambda **_: None, log_level=logging.DEBUG).run()


def compare_with_benchmark(results: Results, benchmark: Results) -> str:
    """Return a sentence that says by how much the MAE is below the benchmark's, and in how many folds."""
    ours, theirs = results.accuracy.mae, benchmark.accuracy.mae
    won = sum(a.accuracy.mae < b.accuracy.mae for a, b in zip(results.folds, benchmark.folds, strict=True))
    if ours == theirs:
        return f"The MAE of {ours:.3g} is that of the seasonal naive method on the same folds."
    better = "below" if ours < theirs else "above"
    return (
        f"The MAE of {ours:.3g} is **{abs(1 - ours / theirs):.0%} {better}** the seasonal naive method's {theirs:.3g} "
        f"on the same folds; it is the lower one in {won} of {len(results.folds)} folds."
    )


def residuals_of(dag: Dag, results: Results) -> pd.Series:
    """Return the one-step errors of the last fold's model on the values that it was fitted on: shape (n - first,)."""
    last = results.folds[-1].fold
    residuals: pd.Series = dag.compute("residuals", known={"series": results.series}, fold=last)["residuals"]
    return residuals


@dataclass(frozen=True)
class LjungBox:
    """A Ljung-Box test: `statistic` is chi-squared with `degrees` degrees of freedom if no autocorrelation is left."""

    lags: int
    degrees: int
    statistic: float
    p_value: float

    def in_words(self) -> str:
        """Return what the test says, and what it doesn't, in Markdown."""
        p = f"= {self.p_value:.2g}" if self.p_value >= 0.001 else "below 0.001"
        found = f"**Ljung-Box over {self.lags} lags: Q = {self.statistic:.1f} on {self.degrees} degrees of freedom, "
        if self.p_value < SIGNIFICANCE:
            return (
                f"{found}p {p}.** Were the residuals white noise, Q would be this large less than once in "
                f"{1 / SIGNIFICANCE:.0f} times: a sign of autocorrelation that the model has left unused."
            )
        return (
            f"{found}p {p}.** White noise gives a Q this large often enough: the test finds no autocorrelation that "
            "the model has left unused. That is no proof that there is none."
        )


def ljung_box(residuals: pd.Series, season_length: int, ar_order: int) -> LjungBox:
    """Test residuals, shape (n,), for autocorrelation up to two seasons, or n / 5 lags where that is fewer.

    `ar_order` is the number of autoregressive coefficients that were estimated on the same values.
    Source: Ljung & Box (1978), Biometrika 65(2), 297-303; the number of lags is that of Hyndman & Athanasopoulos,
    "Forecasting: Principles and Practice", 3rd ed., section 5.4.
    """
    lags = max(min(2 * season_length, len(residuals) // 5), ar_order + 1)
    row = acorr_ljungbox(residuals, lags=[lags], model_df=ar_order).iloc[0]
    return LjungBox(lags, lags - ar_order, float(row["lb_stat"]), float(row["lb_pvalue"]))
