"""All ranks' raw figures as one set of results, and the few of them that stand in tables.

results = results_of(settings, gathered, shape)     # keyed like the eight files
flat_metrics(results)["output_tokens_per_second"]

Tokens add up over ranks, latencies are put together, and energy was read once for each host: it is never summed over
ranks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from experiments.llm_inference.energy import global_reading, local_reading
from experiments.llm_inference.energy_metrics import energy_metrics
from experiments.llm_inference.flops import METHOD, METHOD_WITHOUT_CACHE, ModelShape, total_flops
from experiments.llm_inference.generation import Pass
from experiments.llm_inference.metrics import (
    Counts,
    goodput,
    latencies,
    over_ranks,
    per_process,
    ratio,
    short_window,
    throughput,
    wall_seconds,
)
from experiments.llm_inference.peaks import mfu
from experiments.llm_inference.settings import Settings

#: What of a summary of latencies stands in tables.
_SHOWN = ("n", "mean", "std", "p50", "p90", "p95", "p99", "min", "max")
_LATENCIES = ("ttft_s", "itl_s", "tpot_s", "e2e_s", "queue_s", "response_s")


@dataclass
class RankRun:
    """What one rank found out, as it sends it to the others."""

    machine: Mapping[str, Any]
    device_ids: Sequence[str]
    passes: Mapping[str, Pass | None]
    usage: Mapping[str, Any]
    reading: Mapping[str, Any] | None  # of its host, from the host's first rank alone
    placement: Mapping[str, Any] = field(default_factory=dict)


def inference_metrics(settings: Settings, runs: Sequence[RankRun]) -> dict[str, Any]:
    """Return throughput over the window, and latencies over the pass that was made for them, of all ranks."""
    windows = [_window(run) for run in runs]
    counts = counts_of(runs)
    batch_sizes = sorted({len(batch.input_lengths) for window in windows for batch in window.batches})
    wall_s = wall_seconds([(window.started, window.ended) for window in windows])
    num_iterations = min(window.num_iterations for window in windows)
    measurement = settings.measurement
    totals = {"requests": counts.num_requests, "output_tokens": counts.output_tokens}
    return {
        "num_prompts": settings.num_input_prompts,
        "num_ranks": len(runs),
        "num_iterations": num_iterations,
        "short_window": short_window(wall_s, num_iterations, measurement.min_seconds, measurement.min_iterations),
        **throughput(counts, wall_s),
        **per_process({**totals, "output_tokens_per_s": ratio(counts.output_tokens, wall_s)}, len(runs)),
        "arrivals": settings.arrivals.process,
        "waited_for_arrivals_s": max(window.waited_s for window in windows),
        "batch_sizes": batch_sizes,
        "effective_batch_size": batch_sizes[-1],
        "latencies": _latency_metrics(settings, runs),
    }


def _latency_metrics(settings: Settings, runs: Sequence[RankRun]) -> dict[str, Any] | None:
    passes = [done for run in runs if (done := run.passes["latency"]) is not None]
    if not passes:
        return None
    batches = [batch for done in passes for batch in done.batches]
    wall_s = wall_seconds([(done.started, done.ended) for done in passes])
    return {
        **latencies(batches),
        **goodput(batches, settings.latency_bounds, wall_s),
        "wall_s": wall_s,
    }


def compute_metrics(settings: Settings, runs: Sequence[RankRun], shape: ModelShape | None, why: str) -> dict[str, Any]:
    """Return FLOPs and the share of the devices' peak, memory and utilisation; `why` there is no shape."""
    windows = [_window(run) for run in runs]
    wall_s = wall_seconds([(window.started, window.ended) for window in windows])
    use_cache = settings.model.use_cache
    flops = None if shape is None else total_flops(shape, _lengths(windows), use_cache)
    machine = runs[0].machine
    on_gpus = bool(runs[0].device_ids)
    num_devices = len({device for run in runs for device in run.device_ids}) if on_gpus else 1
    usages = [run.usage for run in runs]
    return {
        "flops": flops,
        "flops_per_s": ratio(flops, wall_s),
        "flops_method": (METHOD if use_cache else METHOD_WITHOUT_CACHE) if shape is not None else None,
        "flops_reason": None if shape is not None else why,
        **{"mfu_reason": None, **mfu(flops, wall_s, machine["device_name"], settings.model.precision, num_devices)},
        "num_devices": num_devices,
        **over_ranks("peak_memory_bytes", [usage["peak_memory_bytes"] for usage in usages]),
        "peak_memory_method": usages[0]["peak_memory_method"],
        # Ranks of one host share its cores, and each has its own device.
        "cpu_utilisation_mean": _sum([usage["cpu_utilisation_mean"] for usage in usages]),
        "cpu_utilisation_max": _sum([usage["cpu_utilisation_max"] for usage in usages]),
        "gpu_utilisation_mean": _mean([usage["gpu_utilisation_mean"] for usage in usages]),
        "gpu_utilisation_max": _max([usage["gpu_utilisation_max"] for usage in usages]),
        "utilisation_method": usages[0]["utilisation_method"],
        "gpu_utilisation_reason": usages[0]["gpu_utilisation_reason"],
        "ranks": [dict(usage) for usage in usages],
    }


def energy_results(runs: Sequence[RankRun], flops: float | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the ranks' own readings by rank, and what the hosts' comes to per token and request."""
    by_host = {run.machine["host"]: run.reading for run in runs if run.reading is not None}
    ranks = enumerate(runs)
    local = {str(rank): local_reading(by_host.get(run.machine["host"]), run.device_ids) for rank, run in ranks}
    reading = global_reading(list(by_host.values()))
    whole = energy_metrics(reading, counts_of(runs), flops=flops, world_size=len(runs))
    return local, {**whole, "reading": reading}


def counts_of(runs: Sequence[RankRun]) -> Counts:
    """Return what all ranks did in the window."""
    return sum((_window(run).counts for run in runs), start=Counts())


def outputs_of(runs: Sequence[RankRun]) -> list[dict[str, Any]]:
    """Return the new tokens of every prompt, in the order of the prompts, as the window's first iteration made them."""
    outputs = [output for run in runs for output in _window(run).outputs]
    return [{"prompt": output.index, "tokens": output.tokens} for output in sorted(outputs, key=lambda one: one.index)]


def flat_metrics(results: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an experiment returns: one level of names, the same ones whatever was measured, fit for a table."""
    setup, metrics = results["experiment_setup"], results["inference_metrics"]
    compute, energy = results["compute_metrics"], results["global_energy_results"]
    timed = metrics["latencies"] or {}
    flat = {
        "experiment_id": setup["experiment_id"],
        "device_name": setup["device_name"],
        "weights_source": setup["weights_source"],
        "prompts_sha256": setup["prompts"]["sha256"],
        "effective_precision": results["experiment_variables"]["effective"]["precision"],
        "contended": energy["energy_contended"],
        "num_parameters": results["model_architecture"]["num_parameters"],
        **_plain(metrics),
        **{name: value for latency in _LATENCIES for name, value in _columns(latency, timed.get(latency) or {})},
        **{name: timed.get(name) for name in ("prefill_tokens_per_s", "decode_tokens_per_s")},
        **{name: timed.get(name) for name in ("goodput_requests_per_s", "goodput_fraction")},
        **_plain(compute),
        **_plain(energy),
        "num_keys_without_effect": len(results["experiment_variables"]["without_effect"]),
    }
    return {_spelled_out(name): value for name, value in flat.items()}


def _spelled_out(name: str) -> str:
    return f"{name.removesuffix('_per_s')}_per_second" if name.endswith("_per_s") else name


def _columns(latency: str, summary: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for statistic in _SHOWN:
        yield f"{latency}_{statistic}", summary.get(statistic)


def _plain(section: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in section.items() if not isinstance(value, dict | list)}


def _window(run: RankRun) -> Pass:
    window = run.passes["window"]
    assert window is not None
    return window


def _lengths(windows: Sequence[Pass]) -> Iterator[tuple[int, int]]:
    for window in windows:
        for batch in window.batches:
            yield from zip(batch.input_lengths, batch.output_lengths, strict=True)


def _sum(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None


def _max(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float | None]) -> float | None:
    return ratio(_sum(values), len(values))
