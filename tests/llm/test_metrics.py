from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from experiments.llm_inference.energy_metrics import energy_metrics
from experiments.llm_inference.metrics import (
    Batch,
    Counts,
    Request,
    goodput,
    latencies,
    over_ranks,
    per_process,
    ratio,
    short_window,
    summary,
    throughput,
    wall_seconds,
)
from experiments.llm_inference.peaks import mfu, peak_flops_per_s
from experiments.llm_inference.settings import LatencyBounds

#: Two requests generated together, of which the second ended after two of four steps; and one by itself.
PAIR = Batch((5, 3), (4, 2), step_times_s=(0.5, 0.6, 0.8, 1.1), queue_s=(0.0, 2.0))
SINGLE = Batch((7,), (1,), step_times_s=(0.25,))
NO_BOUNDS = LatencyBounds(None, None, None)


def test_a_request_has_the_steps_up_to_its_own_end() -> None:
    """First token, gaps, time per token and end are those of its own tokens; the rest of the batch is not its own."""
    whole, short = PAIR.requests()
    assert (whole.ttft_s, whole.e2e_s) == (0.5, 1.1)
    assert whole.itl_s == pytest.approx([0.1, 0.2, 0.3])
    assert whole.tpot_s == pytest.approx((1.1 - 0.5) / 3)
    assert (short.ttft_s, short.e2e_s, short.queue_s) == (0.5, 0.6, 2.0)
    assert short.tpot_s == pytest.approx(0.1)


def test_a_single_token_has_no_time_per_further_token() -> None:
    """tpot is null for one token, not zero; its end is its first token."""
    [request] = SINGLE.requests()
    assert request.tpot_s is None and request.itl_s == []
    assert latencies([SINGLE])["tpot_s"] == {
        "n": 0, "mean": None, "std": None, "p50": None, "p90": None, "p95": None, "p99": None, "min": None, "max": None,
    }  # fmt: skip
    assert latencies([SINGLE])["decode_tokens_per_s"] is None


def test_a_request_without_output_has_no_latency() -> None:
    """One that ended before its first token counts in no summary."""
    assert latencies([Batch((5, 5), (0, 1), step_times_s=(0.5,))])["ttft_s"]["n"] == 1


def test_latencies_are_concatenated_and_rates_are_of_sums() -> None:
    """Each request of each batch counts once; prefill and decode are tokens over the seconds of all batches' phases."""
    figures = latencies([PAIR, SINGLE])
    assert figures["ttft_s"]["n"] == 3 and figures["ttft_s"]["mean"] == pytest.approx((0.5 + 0.5 + 0.25) / 3)
    assert figures["itl_s"]["n"] == 4 and figures["itl_s"]["max"] == pytest.approx(0.3)
    assert figures["tpot_s"]["n"] == 2
    assert figures["prefill_tokens_per_s"] == pytest.approx((5 + 3 + 7) / (0.5 + 0.25))
    assert figures["decode_tokens_per_s"] == pytest.approx((3 + 1) / 0.6)
    assert figures["queue_s"]["max"] == 2.0
    assert figures["response_s"]["max"] == pytest.approx(2.6) and figures["e2e_s"]["max"] == 1.1


def test_batches_whose_steps_were_not_timed_have_no_latency() -> None:
    """They don't become zeros."""
    figures = latencies([Batch((5,), (4,))])
    assert figures["ttft_s"]["n"] == 0 and figures["ttft_s"]["mean"] is None
    assert figures["prefill_tokens_per_s"] is None


def test_summaries_are_numpys() -> None:
    """Mean, deviation of a sample and percentiles are what numpy says; one value has no deviation."""
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    got = summary(values)
    assert got["n"] == 6 and got["min"] == 1.0 and got["max"] == 9.0
    assert got["mean"] == pytest.approx(sum(values) / 6)
    assert got["std"] == pytest.approx(math.sqrt(sum((value - sum(values) / 6) ** 2 for value in values) / 5))
    assert got["p50"] == pytest.approx(2.8)  # between 2.6 and 3.0
    assert got["p90"] == pytest.approx(6.5)  # the sorted values' place 4.5
    assert [got[f"p{p}"] for p in (95, 99)] == pytest.approx(list(np.percentile(values, [95, 99])))
    assert summary([2.0])["std"] is None and summary([2.0])["p99"] == 2.0


def test_a_batch_that_cannot_be_is_refused() -> None:
    """More tokens than steps, or lists of unlike lengths, are an error."""
    with pytest.raises(ValueError, match="4 tokens can't come from 1 steps"):
        Batch((5,), (4,), step_times_s=(0.5,))
    with pytest.raises(ValueError, match="as many inputs as outputs"):
        Batch((5, 6), (4,))


def test_tokens_are_counted_without_padding_and_after_the_end() -> None:
    """Inputs count their own tokens, outputs those up to the end; padding shows only as overhead."""
    counts = Counts.of_batch(PAIR) + Counts.of_batch(SINGLE)
    assert counts == Counts(
        num_requests=3, input_tokens=15, output_tokens=7, padded_input_tokens=2 * 5 + 7, padded_output_tokens=2 * 4 + 1
    )
    figures = throughput(counts, wall_s=2.0)
    assert (figures["output_tokens_per_s"], figures["total_tokens_per_s"], figures["requests_per_s"]) == (3.5, 11, 1.5)
    assert figures["padding_overhead"] == pytest.approx(1 - 22 / 26)
    assert figures["input_padding_overhead"] == pytest.approx(1 - 15 / 17)
    assert Counts.of_batch(Batch((5, 5), (2, 1), num_steps=8)).padded_output_tokens == 16


def test_nothing_done_is_no_rate() -> None:
    """Without tokens the overhead is unknown, and a window of no length has no throughput."""
    assert throughput(Counts(), wall_s=1.0)["padding_overhead"] is None
    assert throughput(Counts.of_batch(SINGLE), wall_s=0.0)["output_tokens_per_s"] is None
    assert ratio(1.0, 0) is None and ratio(None, 2.0) is None and ratio(0, 2.0) == 0.0


def test_ranks_add_up_over_the_time_from_first_start_to_last_end() -> None:
    """Two ranks that did the same in overlapping windows: tokens twice, seconds once."""
    assert wall_seconds([(1.0, 3.0), (1.5, 4.0)]) == 3.0
    both = sum((Counts.of_batch(PAIR) for _ in range(2)), start=Counts())
    assert both.output_tokens == 12 and both.total_tokens == 28


def test_goodput_counts_requests_that_met_every_bound() -> None:
    """Queue time counts against the first token and the end; no bound, no goodput."""
    batches = [PAIR, SINGLE]
    assert goodput(batches, LatencyBounds(0.5, None, None), wall_s=2.0)["goodput_requests_per_s"] == 1.0
    assert goodput(batches, LatencyBounds(None, 0.15, None), wall_s=2.0)["goodput_requests_per_s"] == 1.0
    assert goodput(batches, LatencyBounds(None, None, 3.0), wall_s=2.0) == {
        "goodput_requests_per_s": 1.5, "goodput_fraction": 1.0
    }  # fmt: skip
    assert goodput(batches, LatencyBounds(0.1, None, None), wall_s=2.0)["goodput_requests_per_s"] == 0.0
    unknown = goodput(batches, NO_BOUNDS, wall_s=2.0)
    assert unknown["goodput_requests_per_s"] is None and unknown["goodput_requests_per_s_reason"]
    assert Request((0.1,), queue_s=9.0).meets(NO_BOUNDS)


def test_a_short_window_is_known() -> None:
    """Either of too few seconds and too few iterations is enough."""
    assert short_window(9.9, 5, min_seconds=10, min_iterations=1)
    assert short_window(20, 1, min_seconds=10, min_iterations=2)
    assert not short_window(10, 2, min_seconds=10, min_iterations=2)


READING = {
    "method": "nvml_counter", "scope": "gpu", "gross_joules": 7200.0, "net_joules": 3600.0, "seconds": 20.0,
    "samples": 2, "uncertainty": 0.05, "uncertainty_source": "maker", "contended": False, "reason": None,
    "gco2e": 0.8, "g_per_kwh": 400.0, "g_per_kwh_source": "given", "pue": 1.0, "total_joules": None,
    "total_scope": None,
}  # fmt: skip
DONE = Counts(
    num_requests=100, input_tokens=2000, output_tokens=400, padded_input_tokens=2500, padded_output_tokens=400
)


def test_energy_is_said_by_both_names() -> None:
    """Ratios of sums, by the field's names and the customers'; tokens per joule and its inverse agree."""
    figures = energy_metrics(READING, DONE, flops=1.8e12, world_size=4)
    assert figures["energy_per_output_token_j"] == figures["energy_per_token_joules"] == 18.0
    assert figures["energy_per_total_token_j"] == 3.0
    assert figures["energy_per_request_j"] == 72.0
    assert figures["energy_net_per_output_token_j"] == 9.0
    assert figures["energy_per_1000_requests_wh"] == 20.0
    assert figures["tokens_per_joule"] == pytest.approx(1 / 18)
    assert figures["flops_per_joule"] == 2.5e8
    assert figures["energy_kwh"] == pytest.approx(0.002) and figures["queries_per_kwh"] == pytest.approx(50_000)
    assert figures["average_power_w"] == 360.0 and figures["energy_delay_product_js"] == 144_000.0
    assert figures["emissions_gco2e"] == 0.8 and figures["kgCO2e"] == pytest.approx(0.0008)
    assert (figures["energy_method"], figures["energy_scope"], figures["energy_samples"]) == ("nvml_counter", "gpu", 2)


def test_energy_is_not_multiplied_by_ranks() -> None:
    """However many ranks took part, totals are the reading's; a process has its average share."""
    one, four = (energy_metrics(READING, DONE, flops=None, world_size=ranks) for ranks in (1, 4))
    assert one["energy_gross_j"] == four["energy_gross_j"] == 7200.0
    assert one["energy_per_output_token_j"] == four["energy_per_output_token_j"]
    assert (one["per_process_energy_j"], four["per_process_energy_j"]) == (7200.0, 1800.0)


def test_energy_that_was_not_measured_is_null_with_the_reason() -> None:
    """No figure becomes 0, and the reason is kept."""
    unknown = {"method": "none", "reason": "a shared device", "gross_joules": None, "net_joules": None, "seconds": 3.0}
    figures = energy_metrics(unknown, DONE, flops=1e12, world_size=2)
    assert figures["energy_method"] == "none" and figures["energy_reason"] == "a shared device"
    numbers = {name: value for name, value in figures.items() if isinstance(value, (int, float))}
    assert numbers == {}


def test_averages_and_extremes_over_ranks() -> None:
    """The average is total / ranks; one unknown rank makes maximum and sum unknown."""
    assert per_process({"a_j": 6.0, "b_j": None}, 3) == {"per_process_a_j": 2.0, "per_process_b_j": None}
    assert over_ranks("peak_memory_bytes", [3, 5]) == {"max_peak_memory_bytes": 5, "sum_peak_memory_bytes": 8}
    assert over_ranks("peak_memory_bytes", [3, None]) == {"max_peak_memory_bytes": None, "sum_peak_memory_bytes": None}
    assert over_ranks("x", []) == {"max_x": None, "sum_x": None}


@pytest.mark.parametrize(
    ("name", "precision", "peak"),
    [
        ("NVIDIA H100 80GB HBM3", "bfloat16", 989.5e12),
        ("NVIDIA H100 PCIe", "bfloat16", 756.5e12),
        ("NVIDIA H100 NVL", "float16", 835.5e12),
        ("NVIDIA H200", "float32", 67e12),
        ("NVIDIA A100-SXM4-80GB", "float16", 312e12),
        ("NVIDIA A100-PCIE-40GB", "float32", 19.5e12),
        ("Tesla V100-SXM2-16GB", "float16", 125e12),
        ("Tesla V100-SXM2-16GB", "bfloat16", None),
        ("Tesla T4", "float16", 65e12),
        ("NVIDIA L4", "bfloat16", 121e12),
        ("NVIDIA L40S", "bfloat16", 362.05e12),
        ("NVIDIA L40", "bfloat16", 181.05e12),
        ("NVIDIA A10", "bfloat16", 125e12),
        ("NVIDIA A10G", "bfloat16", 70e12),
        ("NVIDIA B200", "bfloat16", 2250e12),
        ("NVIDIA GeForce RTX 4090", "float32", 82.6e12),
        ("NVIDIA GeForce RTX 4090 D", "float32", None),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "float32", None),
        ("NVIDIA GeForce RTX 3090 Ti", "float16", 80e12),
        ("NVIDIA A16", "float16", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "bfloat16", None),
        ("NVIDIA H200 NVL", "bfloat16", 835.5e12),
        ("AMD EPYC 7763 64-Core Processor", "float32", None),
        ("NVIDIA H100 80GB HBM3", "int8", None),
    ],
)
def test_a_peak_is_known_by_the_devices_whole_name(name: str, precision: str, peak: float | None) -> None:
    """Each variant has its own peak; what the table lacks is unknown, and no neighbour's."""
    assert peak_flops_per_s(name, precision) == peak


def test_mfu_is_a_share_of_all_devices_peak_or_null() -> None:
    """flops / (wall * peak * devices); unknown FLOPs and unknown devices give null with the reason."""
    half: dict[str, Any] = mfu(312e12 * 10, 10.0, "NVIDIA A100-SXM4-80GB", "bfloat16", 2)
    assert half == {"mfu": pytest.approx(0.5), "peak_flops_per_s": 312e12}
    cpu = mfu(1e12, 10.0, "some CPU", "float32", 1)
    assert cpu["mfu"] is None and "'some CPU' in float32" in cpu["mfu_reason"]
    assert mfu(None, 10.0, "NVIDIA L4", "float16", 1)["mfu_reason"] == "the FLOPs of this model are unknown"
