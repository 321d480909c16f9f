"""A campaign's results side by side: what is best, and whether the autoregressions beat the benchmark.

table = load_table("out/forecast")
best(table, 3)
print(verdict(duels(table, load_fold_errors("out/forecast", table))))

A *case* is one series at one horizon. Only the keys of `build_ar_configs` are read, so that campaigns of the function
and of the notebook look alike.
"""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd

import configmill

AR, NAIVE = "ar", "seasonal_naive"
CASE = ["series", "horizon"]
#: The table's columns, and the config's keys that they hold.
KEYS = {"series": "series.name", "horizon": "horizon", "model.name": "model.name", "lags": "model.lags"}


def load_results(results_dir: Path) -> pd.DataFrame:
    """Return `configmill.load_results`, a row per config. Raises UsageError, saying what to run, where it has none."""
    try:
        return configmill.load_results(results_dir)
    except configmill.UsageError:
        raise configmill.UsageError(
            f"There is no campaign in {str(results_dir)!r}. Run one first (`make demo` makes out/forecast), or give "
            "the --dst_dir of another one as `results_dir`."
        ) from None


def load_table(results_dir: Path) -> pd.DataFrame:
    """Return a row per config that has a result: index, digest, series, horizon, model (its label), lags, errors.

    `model.name` is the model's name in the config, and `lags` is missing where the model has none. Raises UsageError
    where no config has a result yet.
    """
    results = load_results(results_dir)
    if "mase" not in results or results["mase"].isna().all():
        raise configmill.UsageError(
            f"The campaign in {str(results_dir)!r} has no forecasting result. Give the --dst_dir of a campaign of "
            "experiments.forecasting.run_experiment or notebooks/forecasting.ipynb in which a config has succeeded."
        )
    table = results[results["mase"].notna()]
    constant = _constants(results_dir, table["digest"].iloc[0])
    columns = {name: table[key] if key in table else constant.get(key) for name, key in KEYS.items()}
    table = table[["index", "digest", "mae", "rmse", "mase"]].assign(**columns).astype({"lags": float})
    table["model"] = [_label(name, lags) for name, lags in zip(table["model.name"], table["lags"], strict=True)]
    return table.sort_values([*CASE, "mase"], ignore_index=True)


def load_fold_errors(results_dir: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per config and fold: the config's index, series, horizon, model, and the fold's number and MASE."""
    rows = []
    for row in table.to_dict("records"):
        metrics = results_dir / "experiments" / row["digest"] / "metrics.jsonl"
        logged = [json.loads(line) for line in metrics.read_text().splitlines()] if metrics.exists() else []
        case = {name: row[name] for name in ("index", *CASE, "model")}
        rows += [
            {**case, "fold": line["step"], "mase": line["mase"]}
            for line in logged
            if line["step"] is not None and "mase" in line
        ]
    return pd.DataFrame(rows, columns=["index", *CASE, "model", "fold", "mase"])


def best(table: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the `count` rows of each case with the lowest MASE, best first."""
    ranked = table.sort_values([*CASE, "mase"]).groupby(CASE).head(count)
    return ranked.set_index(CASE)[["model", "mase", "mae", "rmse", "index"]]


def duels(table: pd.DataFrame, fold_errors: pd.DataFrame) -> pd.DataFrame:
    """Return, for each case that has both, the best autoregression beside the seasonal naive method.

    `orders` is the number of autoregressions, `orders_won` how many of them have the lower MASE; `folds` and
    `folds_won` say the same of the best one's folds. `rival` is the best of all other models.
    """
    rows = []
    for (series, horizon), case in table.groupby(CASE):
        ours, naive = case[case["model.name"] == AR], case[case["model.name"] == NAIVE]
        if ours.empty or naive.empty:
            continue
        winner, benchmark = ours.sort_values("mase").iloc[0], naive.iloc[0]
        rival = case[case["model.name"] != AR].sort_values("mase").iloc[0]
        folds = _by_fold(fold_errors, winner["index"]), _by_fold(fold_errors, benchmark["index"])
        rows.append(
            {
                "series": series,
                "horizon": horizon,
                "best AR": winner["model"],
                "mase": winner["mase"],
                "naive_mase": benchmark["mase"],
                "orders": len(ours),
                "orders_won": int((ours["mase"] < benchmark["mase"]).sum()),
                "folds": len(folds[0]),
                "folds_won": int((folds[0] < folds[1]).sum()),
                "rival": rival["model"],
                "rival_mase": rival["mase"],
            }
        )
    return pd.DataFrame(rows)


def num_won(cases: pd.DataFrame) -> int:
    """Return in how many cases of `duels` the best autoregression has a lower MASE than the seasonal naive method."""
    return 0 if cases.empty else int((cases["mase"] < cases["naive_mase"]).sum())


def verdict(cases: pd.DataFrame) -> str:
    """Return in Markdown whether the best autoregression of each case of `duels` beats the seasonal naive method."""
    if cases.empty:
        return "**No verdict:** no series has an autoregression and the seasonal naive method at the same horizon."
    won = num_won(cases)
    opening = {0: "No.", len(cases): "Yes."}.get(won, "Not everywhere.")
    lines = [
        f"**{opening}** The best autoregression has a lower MASE than the seasonal naive method in "
        f"{won} of {len(cases)} cases.",
        "",
        *(_duel_in_words(case) for case in cases.to_dict("records")),
    ]
    beaten = cases[cases["rival_mase"] < cases["mase"]]
    if len(beaten):
        lines += ["", f"Another model is better still in {len(beaten)} of {len(cases)}: {_rivals_in_words(beaten)}."]
    return "\n".join(lines)


def _duel_in_words(case: dict[Hashable, Any]) -> str:
    change = case["mase"] / case["naive_mase"] - 1
    folds = f", the lower error in {case['folds_won']} of {case['folds']} folds" if case["folds"] else ""
    return (
        f"- {case['series']}, horizon {case['horizon']}: {case['best AR']} has {case['mase']:.3f} against "
        f"{case['naive_mase']:.3f} ({change:+.0%}){folds}; {case['orders_won']} of {case['orders']} orders beat it."
    )


def _rivals_in_words(beaten: pd.DataFrame) -> str:
    return ", ".join(
        f"{case['rival']} on {case['series']} at horizon {case['horizon']} ({case['rival_mase']:.3f})"
        for case in beaten.to_dict("records")
    )


def _by_fold(fold_errors: pd.DataFrame, index: int) -> pd.Series:
    """Return the MASE of one config's folds, shape (num_folds,), by the fold's number."""
    return fold_errors[fold_errors["index"] == index].set_index("fold")["mase"].sort_index()


def _label(name: str, lags: float | None) -> str:
    return f"AR({lags:.0f})" if name == AR else name.replace("_", " ")


def _constants(results_dir: Path, digest: str) -> dict[str, Any]:
    """Return the config of one experiment by dotted key: `load_results` has no column for a key that doesn't vary."""
    config = json.loads((results_dir / "experiments" / digest / "config.json").read_text())
    return configmill.Config(config).flatten()
