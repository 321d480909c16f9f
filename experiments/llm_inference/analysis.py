"""A campaign's results side by side: repeats put together, ranked, and only what was measured alike.

runs = load_runs("out/llm_inference")               # a row per config that succeeded
ranking(runs, RATE)                                 # best first, with intervals and what they bear out
pareto(runs)                                        # tokens/s against J/token: who is beaten in both

A *setup* is what a config says of the model and how it is run; configs that differ only in what KEPT_OUT has are its
repeats. A *workload* is what was asked for. A *way* is how a figure was measured. No ranking, and no panel of a figure,
has more than one workload and one way: a modelled figure is never beside a measured one.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import configmill
from experiments.llm_inference.intervals import LEAST_REPEATS, Interval, interval_of
from experiments.llm_inference.setups import ENERGY, ORDER, RATE, Metric, describe, told_apart

TOO_FEW = "too few repeats for a claim"
ALONE = "nothing to compare it with"
NO_CAMPAIGN = (
    "There is no campaign in {0!r}. Run one first (`make demo-llm` makes out/llm_inference), or give the --dst_dir of "
    "another one as `results_dir`."
)
NO_RESULT = (
    "The campaign in {0!r} has no result of this experiment. Give the --dst_dir of a campaign of "
    "experiments.llm_inference.run_experiment in which a config has succeeded."
)


def load_results(results_dir: Path) -> pd.DataFrame:
    """Return `configmill.load_results`, a row per config. Raises UsageError, saying what to run, where it has none."""
    try:
        return configmill.load_results(results_dir)
    except configmill.UsageError:
        raise configmill.UsageError(NO_CAMPAIGN.format(str(results_dir))) from None


def load_runs(results_dir: str | os.PathLike[str]) -> pd.DataFrame:
    """Return a row per config that has succeeded: its setup, how it was measured, and its metrics under their names.

    Columns: index, digest, setup (the same text for repeats), model, label, batch_size, precision, workload, way,
    energy_way (None where there is no figure of energy) and energy_reason, then what the experiment returned. Raises
    UsageError where no config has a result of this experiment.
    """
    directory = Path(results_dir)
    rows = []
    for row in load_results(directory).to_dict("records"):
        experiment = directory / "experiments" / row["digest"]
        if not (experiment / "success.txt").exists():
            continue
        config, result = (json.loads((experiment / name).read_text()) for name in ("config.json", "result.json"))
        if RATE.name in result:
            rows.append({"index": row["index"], "digest": row["digest"]} | describe(config, result))
    if not rows:
        raise configmill.UsageError(NO_RESULT.format(str(results_dir)))
    return told_apart(pd.DataFrame(rows))


def summarise(runs: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return a row per setup, workload and way: the mean of `metric` over the repeats and its interval.

    Columns: model, label, batch_size, precision, setup, workload, way (of the energy, for a metric of energy), mean,
    half_width (of the 95 % interval; missing below LEAST_REPEATS repeats), repeats. Runs without a figure are left out.
    """
    way = "energy_way" if metric.of_energy else "way"
    columns = ["model", "label", "batch_size", "precision", "setup", "workload", "way", "mean", "half_width", "repeats"]
    if metric.name not in runs:
        return pd.DataFrame(columns=columns)
    known = runs[runs[metric.name].notna() & runs[way].notna()].sort_values(list(ORDER), kind="stable")
    rows = []
    for (setup, workload, how), repeats in known.groupby(["setup", "workload", way], sort=False):
        interval = interval_of(repeats[metric.name].astype(float).tolist())
        first = repeats.iloc[0]
        rows.append(
            {name: first[name] for name in ("model", "label", "batch_size", "precision")}
            | {"setup": setup, "workload": workload, "way": how, "mean": interval.mean}
            | {"half_width": interval.half_width, "repeats": interval.count}
        )
    return pd.DataFrame(rows, columns=columns).astype({"mean": float, "half_width": float})


def ranking(runs: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Return the rows of `summarise`, each workload and way a ranking of its own, best first.

    `rank` counts from 1 within the ranking, and `claim` says what the intervals bear out against its best row that has
    repeats enough for one.
    """
    table = summarise(runs, metric)
    parts = []
    for _, part in table.groupby(["workload", "way"], sort=False):
        ordered = part.sort_values("mean", ascending=metric.lower_is_better)
        claims = _claims([_interval(row) for _, row in ordered.iterrows()])
        parts.append(ordered.assign(rank=range(1, len(ordered) + 1), claim=claims))
    if not parts:
        return table.assign(rank=[], claim=[])
    return pd.concat(parts, ignore_index=True)


def best(ranked: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the first `count` rows of each ranking in `ranked`, for the eye."""
    first = ranked[ranked["rank"] <= count]
    columns = ["model", "label", "mean", "half_width", "repeats", "claim"]
    return first.set_index(["workload", "way", "rank"])[columns]


def pareto(runs: pd.DataFrame) -> pd.DataFrame:
    """Return a row per setup that has a throughput and an energy: both with intervals, and where it stands.

    `standing` is within one workload and one way of both: "front" (no other setup has both more tokens/s and fewer
    J/token), "not distinguishable from the front" (each that has, has an interval that overlaps, in both), "beaten", or
    "behind, too few repeats for a claim".
    """
    measured = runs[runs["energy_way"].notna()]
    keys = ["setup", "workload", "way"]
    rates = summarise(measured.assign(way=measured["energy_way"]), RATE)
    energies = summarise(measured, ENERGY)[[*keys, "mean", "half_width", "repeats"]]
    table = rates.merge(energies, on=keys, suffixes=("_rate", "_energy"))
    standing: dict[Any, str] = {}
    for _, part in table.groupby(["workload", "way"]):
        points = [(_interval(row, "_rate"), _interval(row, "_energy")) for _, row in part.iterrows()]
        standing |= zip(part.index, [_standing(point, points) for point in points], strict=True)
    return table.assign(standing=pd.Series(standing, dtype=object))


def conclusions(runs: pd.DataFrame) -> dict[str, Any]:
    """Return what stands in a table of results: how much there is, and the best of the ranking that has most setups.

    `ranked_by_...` says which one that is; None where there is no figure.
    """
    found: dict[str, Any] = {"num_runs": len(runs), "num_setups": int(runs["setup"].nunique())}
    for metric in (RATE, ENERGY):
        rankings = [part for _, part in ranking(runs, metric).groupby(["workload", "way"], sort=False)]
        winner = max(rankings, key=len).iloc[0] if rankings else None
        found |= {
            f"best_{metric.name}": None if winner is None else float(winner["mean"]),
            f"best_setup_by_{metric.name}": None if winner is None else f"{winner['model']}, {winner['label']}",
            f"ranked_by_{metric.name}": None if winner is None else f"{winner['workload']}; {winner['way']}",
            f"claim_by_{metric.name}": None if winner is None else winner["claim"],
        }
    return found | {"num_on_front": int((pareto(runs)["standing"] == "front").sum())}


def how_measured(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs were measured in which way, of the time and of the energy, and how sure the energy is.

    `uncertainty` is the mean of what the energy's method says of itself, as a fraction; missing where it says nothing.
    """
    ways = runs.assign(measured=runs["energy_way"].fillna(runs["way"] + "; no energy"))
    uncertainty = pd.to_numeric(runs["energy_uncertainty"]) if "energy_uncertainty" in runs else float("nan")
    grouped = ways.assign(uncertainty=uncertainty).groupby("measured", sort=False)
    return grouped.agg(runs=("index", "size"), uncertainty=("uncertainty", "mean"))


def without_energy(runs: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs have no figure of energy, by the reason that was recorded."""
    missing = runs[runs["energy_way"].isna()]
    return missing["energy_reason"].fillna("no reason was recorded").value_counts().to_frame("runs")


def _standing(point: tuple[Interval, Interval], points: Sequence[tuple[Interval, Interval]]) -> str:
    rate, energy = point
    ahead = [
        other
        for other in points
        if other[0].mean >= rate.mean
        and other[1].mean <= energy.mean
        and (other[0].mean, other[1].mean) != (rate.mean, energy.mean)
    ]
    if not ahead:
        return "front"
    told_apart = [(rate.overlaps(other[0]), energy.overlaps(other[1])) for other in ahead]
    if any(False in overlap for overlap in told_apart):
        return "beaten"
    unknown = any(None in overlap for overlap in told_apart)
    return f"behind, {TOO_FEW}" if unknown else "not distinguishable from the front"


def _claims(ordered: Sequence[Interval]) -> list[str]:
    """What can be said of each, best first: against the first that has an interval."""
    if len(ordered) == 1:
        return [ALONE]
    known = [interval for interval in ordered if interval.half_width is not None]
    if len(known) < 2:  # nobody to compare with
        return [TOO_FEW] * len(ordered)
    best = known[0]
    leader = "best" if best is ordered[0] else f"best of those with {LEAST_REPEATS} repeats or more"
    words = {None: TOO_FEW, True: "not distinguishable from the best", False: "worse"}
    return [leader if interval is best else words[interval.overlaps(best)] for interval in ordered]


def _interval(row: "pd.Series[Any]", suffix: str = "") -> Interval:
    half_width = row[f"half_width{suffix}"]
    return Interval(row[f"mean{suffix}"], None if pd.isna(half_width) else half_width, row[f"repeats{suffix}"])
