"""What a campaign's results are said to be worth: repeats, rankings of what is alike, and no more than that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import configmill
from configmill import UsageError
from experiments.llm_inference import analysis
from experiments.llm_inference.intervals import interval_of
from experiments.llm_inference.setups import ENERGY, RATE, Metric
from tests.llm.results_of_runs import config_of, result_of, runs_of, suite


def repeats(rates: list[float], **config: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """A setup that was run once for each rate."""
    return [(config_of(cycle=cycle, **config), result_of(rate, 100 / rate)) for cycle, rate in enumerate(rates)]


def test_the_interval_is_that_of_students_t() -> None:
    """Mean 10, standard deviation 1, n = 4: 3.182 / 2 on either side; beyond the table as exact; too few: none."""
    interval = interval_of([10 - math.sqrt(1.5), 10.0, 10.0, 10 + math.sqrt(1.5)])
    assert (interval.mean, interval.count) == (pytest.approx(10), 4)
    assert interval.half_width == pytest.approx(3.182 / 2, rel=1e-3)
    many = interval_of([-1.0, 1.0] * 20)  # 39 degrees of freedom: t is 2.0227
    assert many.half_width == pytest.approx(2.0227 * math.sqrt(40 / 39) / math.sqrt(40), rel=1e-4)
    assert interval_of([1.0, 2.0]).half_width is None
    assert interval_of([1.0, 2.0]).overlaps(interval) is None


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_there_is_no_mean_of_nothing(values: list[float]) -> None:
    """What isn't a number must not become a mean."""
    with pytest.raises(ValueError, match="Give at least one number"):
        interval_of(values)


def test_intervals_decide_what_is_said() -> None:
    """Overlapping intervals are not distinguishable; apart is worse; two repeats bear no claim, wherever they rank."""
    runs = runs_of([
        *repeats([100.0, 101.0, 99.0], batch=8),
        *repeats([98.0, 101.0, 100.0], batch=16),
        *repeats([50.0, 51.0, 49.0], batch=4),
        *repeats([200.0, 201.0], batch=32),
    ])  # fmt: skip
    ranked = analysis.ranking(runs, RATE)
    assert ranked["batch_size"].tolist() == [32, 8, 16, 4]
    assert ranked["rank"].tolist() == [1, 2, 3, 4]
    assert ranked["claim"].tolist() == [
        "too few repeats for a claim",
        "best of those with 3 repeats or more",
        "not distinguishable from the best",
        "worse",
    ]
    assert analysis.ranking(runs[runs["batch_size"] < 32], RATE)["claim"].iloc[0] == "best"


def test_less_is_better_of_what_is_paid() -> None:
    """The ranking of energy has the lowest first."""
    runs = runs_of(repeats([100.0] * 3, batch=8) + repeats([50.0] * 3, batch=4))
    assert analysis.ranking(runs, ENERGY)["batch_size"].tolist() == [8, 4]


@pytest.mark.parametrize(
    "unlike",
    [
        {"energy_method": "nvml_counter", "energy_scope": "gpu"},
        {"energy_scope": "cpu package"},
        {"contended": True},
        {"short_window": True},
        {"device_name": "another CPU"},
        {"prompts_sha256": "ffffffffff"},
    ],
    ids=lambda unlike: next(iter(unlike)),
)
def test_what_was_measured_differently_is_never_in_one_ranking(unlike: dict[str, Any]) -> None:
    """Each ranking of energies and each front has one way and one workload, and a first row of its own."""
    alike = suite()
    runs = runs_of([
        *((config_of(batch, cycle=cycle), result_of(10.0 * batch)) for batch in (1, 2) for cycle in range(3)),
        *((config_of(batch, cycle=cycle), result_of(1.0 * batch, **unlike)) for batch in (1, 2) for cycle in range(3)),
    ])  # fmt: skip
    assert len(set(analysis.ranking(alike, ENERGY)["way"])) == 1
    ranked = analysis.ranking(runs, ENERGY)
    assert ranked["rank"].tolist() == [1, 2, 1, 2]
    assert ranked["repeats"].tolist() == [3] * 4
    for _, part in ranked.groupby("rank"):
        assert len(set(zip(part["way"], part["workload"], strict=True))) == 2
    assert (analysis.pareto(runs)["standing"] == "front").sum() == 2
    concluded = analysis.conclusions(runs)
    assert concluded[f"ranked_by_{ENERGY.name}"] == "; ".join(ranked[["workload", "way"]].iloc[0])


@pytest.mark.parametrize(
    "other",
    [
        {"max_output_tokens": 64},
        {"max_input_tokens": 64},
        {"num_input_prompts": 8},
        {"fixed_output_length": False},
        {"latency_simulation": {"simulate": True}, "query_rate": 2.0},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_workload_is_another_ranking(other: dict[str, Any]) -> None:
    """Setups that were asked for other lengths, prompts or arrivals are not compared."""
    runs = runs_of(repeats([100.0], batch=8) + repeats([90.0], batch=8, **other))
    assert analysis.ranking(runs, RATE)["rank"].tolist() == [1, 1]


def test_repeats_differ_in_what_changes_nothing() -> None:
    """Cycles, names and seeds are repeats; two setups never share a label, whatever they differ in."""
    top_k = {"decoding_mode": "top_k", "decoder_top_k": 5}
    runs = runs_of([
        (config_of(cycle=0, config_name="batch_8", seed=1), result_of(10)),
        (config_of(cycle=1, config_name="fp32", suite="s", seed=2), result_of(11)),
        (config_of("auto"), result_of(12)),
        (config_of(64), result_of(13)),
        (config_of(decoder_config=top_k), result_of(14)),
        (config_of(decoder_config=top_k | {"decoder_temperature": 0.5}), result_of(15)),
    ])  # fmt: skip
    summary = analysis.summarise(runs, RATE)
    assert summary["label"].is_unique
    assert dict(zip(summary["label"], summary["repeats"], strict=True)) == {
        "batch 8, fp32": 2,
        "batch 64, fp32": 2,
        "batch 8, fp32, top-k 5": 1,
        "batch 8, fp32, top-k 5, decoder_temperature 0.5": 1,
    }


def test_a_setup_is_what_was_run() -> None:
    """Keys that nothing reads make no other setup, and neither does a batch that the prompts could not fill."""
    runs = runs_of([
        (config_of(8), result_of(10, effective_batch_size=8)),
        (config_of(8, query_rate=5.0), result_of(11, effective_batch_size=8)),
        (config_of(8, quantization_config={"load_in_8bit": True}), result_of(12, effective_batch_size=8)),
        (config_of(32), result_of(13, effective_batch_size=32)),
        (config_of(1000), result_of(14, effective_batch_size=32)),
        (config_of("auto"), result_of(15, effective_batch_size=32)),
    ])  # fmt: skip
    summary = analysis.summarise(runs, RATE)
    assert dict(zip(summary["label"], summary["repeats"], strict=True)) == {"batch 8, fp32": 3, "batch 32, fp32": 3}
    assert summary["batch_size"].tolist() == [8, 32]


def test_one_that_has_nobody_beside_it_is_not_the_best() -> None:
    """A claim needs two setups that were repeated often enough, in one ranking."""
    alone = analysis.ranking(runs_of(repeats([10.0, 11.0, 12.0])), RATE)
    assert alone["claim"].tolist() == ["nothing to compare it with"]
    beside = runs_of([*repeats([10.0, 11.0, 12.0], batch=8), *repeats([9.0], batch=4), *repeats([30.0], batch=2)])
    assert set(analysis.ranking(beside, RATE)["claim"]) == {"too few repeats for a claim"}


def test_windows_of_unlike_lengths_are_not_compared() -> None:
    """A window that was asked to be shorter is another way to measure, though it was as long as was asked for."""
    runs = runs_of(repeats([100.0]) + repeats([90.0], measurement={"min_seconds": 1}))
    assert analysis.ranking(runs, RATE)["rank"].tolist() == [1, 1]


def test_no_figure_is_no_row() -> None:
    """Runs without an energy are counted with their reason, and rank nowhere; an unknown metric ranks nothing."""
    runs = runs_of([
        (config_of(1), result_of(10.0, None, energy_reason="the device was shared")),
        (config_of(2), result_of(20.0, None)),
        (config_of(4), result_of(30.0)),
    ])  # fmt: skip
    assert analysis.without_energy(runs)["runs"].to_dict() == {"the device was shared": 1, "no reason was recorded": 1}
    assert analysis.ranking(runs, ENERGY)["batch_size"].tolist() == [4]
    assert len(analysis.ranking(runs, RATE)) == 3
    assert analysis.pareto(runs)["batch_size"].tolist() == [4]
    assert analysis.ranking(runs, Metric("no_such", "")).empty
    assert analysis.how_measured(runs)["runs"].tolist() == [2, 1]


def test_the_front_is_what_nobody_beats_in_both() -> None:
    """Fast and costly, slow and cheap are both on it; beaten in both is beaten; within the noise is said to be so."""
    points = {1: (100.0, 5.0), 2: (50.0, 1.0), 4: (40.0, 6.0), 8: (99.9, 5.0)}
    runs = runs_of(
        (config_of(batch, cycle=cycle), result_of(rate + noise, joules + noise / 100))
        for batch, (rate, joules) in points.items()
        for cycle, noise in enumerate((-0.5, 0.0, 0.5))
    )
    standing = analysis.pareto(runs).set_index("batch_size")["standing"].to_dict()
    assert standing == {1: "front", 2: "front", 4: "beaten", 8: "not distinguishable from the front"}
    assert set(analysis.pareto(runs[runs["index"] % 3 == 0])["standing"]) == {
        "front", "behind, too few repeats for a claim"
    }  # fmt: skip


def test_only_what_succeeded_is_read(tmp_path: Path) -> None:
    """From a campaign's files: a run with a success, in the order of the list; and errors that say what to do."""
    with pytest.raises(UsageError, match=r"no campaign in .*make demo-llm"):
        analysis.load_runs(tmp_path / "none")
    configs = [config_of(4), config_of(2), config_of(1)]
    configmill.run(configs, pretend_to_measure, tmp_path / "out", num_threads=1)
    runs = analysis.load_runs(tmp_path / "out")
    assert runs["batch_size"].tolist() == [4, 1]
    assert runs[RATE.name].tolist() == [40.0, 10.0]
    assert json.loads(runs["setup"].iloc[0])["model_name"] == configs[0]["model_name"]
    configmill.run([{"x": 1}], return_something_else, tmp_path / "other", num_threads=1)
    with pytest.raises(UsageError, match="no result of this experiment"):
        analysis.load_runs(tmp_path / "other")


def pretend_to_measure(config: Any) -> dict[str, Any]:
    """What an experiment returns, in no time; one of them fails."""
    batch = config["batching_options.batch_size___fixed_batching"]
    if batch == 2:
        raise RuntimeError("out of luck")
    return result_of(10.0 * batch)


def return_something_else(config: Any) -> dict[str, Any]:
    """The result of another experiment."""
    return {"loss": config.x}
