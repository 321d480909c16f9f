"""What a run was: its setup, its workload, and how its figures were measured, of its config and its result.

describe(config, result)["label"]  ->  "batch 8, bf16, top-p 0.9"

Texts, so that what is alike is equal. `analysis` says what they are for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from experiments.llm_inference.effects import Backend, idle_keys
from experiments.llm_inference.settings import Settings


@dataclass(frozen=True)
class Metric:
    """A column of `load_runs`, what to call it, and which way is better."""

    name: str
    label: str
    lower_is_better: bool = False
    of_energy: bool = False


RATE = Metric("output_tokens_per_second", "output throughput (tokens/s)")
ENERGY = Metric("energy_per_token_joules", "gross energy per output token (J)", lower_is_better=True, of_energy=True)

#: Keys of which repeats of one setup may have different values.
KEPT_OUT = frozenset({
    "cycle_id", "suite", "config_name", "seed", "strict", "gpu_list", "save_outputs", "decode_token_to_text",
    "measurement.min_seconds", "measurement.min_iterations", "measurement.latency_pass", "measurement.idle_seconds",
    "latency_bounds.ttft_s", "latency_bounds.tpot_s", "latency_bounds.e2e_s",
})  # fmt: skip
_BATCH_SIZE = "batching_options.batch_size___fixed_batching"
#: In which order setups stand where nothing ranks them.
ORDER = ("model", "batch_size", "label")
SHORT_PRECISIONS = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16"}


def describe(config: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of `load_runs` without its index and digest: of a config, and of what the experiment returned."""
    settings = Settings.from_config(config)
    facts = {
        "setup": _setup(settings, result),
        "model": settings.model.name.rstrip("/").rpartition("/")[2],
        "label": _label(settings, result),
        "batch_size": settings.batching.max_batch_size if settings.batching.adaptive else _batch_size(settings, result),
        "precision": _precision(settings),
        "workload": _workload(settings, result),
        "way": _way(settings, result),
        "energy_way": _energy_way(settings, result),
        "energy_reason": result.get("energy_reason"),
    }
    return facts | {name: value for name, value in result.items() if name not in facts}


def told_apart(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with whatever else differs added to the labels that two setups of one model would share."""
    labels = {}
    for _, alike in runs.drop_duplicates("setup").groupby(["model", "label"]):
        values = [json.loads(setup) for setup in alike["setup"]]
        every_key = dict.fromkeys(key for one in values for key in one)
        differing = [key for key in every_key if len({json.dumps(one.get(key)) for one in values}) > 1]
        for row, one in zip(alike.to_dict("records"), values, strict=True):
            labels[row["setup"]] = ", ".join(
                [row["label"], *(_said(key, one[key]) for key in differing if one.get(key) is not None)]
            )
    return runs.assign(label=runs["setup"].map(labels))


def _said(key: str, value: Any) -> str:
    return f"{key.rpartition('.')[2]} {value}"


def _batch_size(settings: Settings, result: Mapping[str, Any]) -> int:
    """The size of a full batch: as it was, where all requests were there from the beginning, and else as asked for."""
    effective = result.get("effective_batch_size")
    if settings.arrivals.process != "offline" or not isinstance(effective, int):
        return settings.batching.batch_size
    return min(settings.batching.batch_size, effective)


def _setup(settings: Settings, result: Mapping[str, Any]) -> str:
    """What was run: a key that nothing read makes no other setup, and neither does a batch that could not be filled."""
    left_out = KEPT_OUT | idle_keys(settings, Backend(world_size=settings.num_processes))
    values = {name: value for name, value in settings.values.items() if name not in left_out}
    if _BATCH_SIZE in values:
        values[_BATCH_SIZE] = _batch_size(settings, result)
    return json.dumps(values, sort_keys=True)


def _label(settings: Settings, result: Mapping[str, Any]) -> str:
    """What is said of a setup beside its model: the batch and the precision always, the rest where it is no default."""
    batching, decoder, arrivals = settings.batching, settings.decoder, settings.arrivals
    sharding = settings.sharding.strategy
    return ", ".join(
        part
        for part in (
            f"adaptive batch ≤ {batching.max_batch_size}"
            if batching.adaptive
            else f"batch {_batch_size(settings, result)}",
            _precision(settings),
            "" if decoder.mode == "greedy" else _sampling(settings),
            "" if settings.num_processes == 1 else f"{settings.num_processes} processes",
            "" if sharding == "none" else sharding,
            "" if settings.model.use_cache else "no cache",
            "" if arrivals.process == "offline" else f"{arrivals.process} arrivals",
        )
        if part
    )


def _precision(settings: Settings) -> str:
    short = SHORT_PRECISIONS[settings.model.precision]
    return short if settings.quantization_bits is None else f"{settings.quantization_bits}-bit ({short})"


def _sampling(settings: Settings) -> str:
    decoder = settings.decoder
    value = {"top_k": decoder.top_k, "top_p": decoder.top_p, "temperature": decoder.temperature}[decoder.mode]
    return f"{decoder.mode.replace('_', '-')} {1 if value is None else value:g}"


def _workload(settings: Settings, result: Mapping[str, Any]) -> str:
    length = "" if settings.fixed_output_length else "at most "
    arrivals = "" if settings.arrivals.process == "offline" else f", {_arrivals(settings)}"
    return (
        f"{settings.task_type}: {settings.num_input_prompts} prompts ({str(result.get('prompts_sha256'))[:8]}), up to "
        f"{settings.max_input_tokens} tokens in, {length}{settings.max_output_tokens} out{arrivals}"
    )


def _arrivals(settings: Settings) -> str:
    asked = settings.arrivals
    return {
        "poisson": f"Poisson arrivals of {asked.query_rate}/s",
        "bursts": f"bursts of {asked.burst_size} every {asked.burst_interval:g} s",
    }.get(asked.process, f"arrivals {asked.delay_min:g} to {asked.delay_max:g} s apart")


def _way(settings: Settings, result: Mapping[str, Any]) -> str:
    """How the time was taken: on which device, and in a window of which length."""
    wanted = f"{settings.measurement.min_seconds:g} s"
    window = f"short of a window of {wanted}" if result.get("short_window") else f"window of {wanted} or more"
    return f"{result.get('device_name')}, {window}{_contended(result)}"


def _energy_way(settings: Settings, result: Mapping[str, Any]) -> str | None:
    """How the energy was measured: in the same window, so that all of the time's way is part of it."""
    if result.get(ENERGY.name) is None:
        return None
    return f"{_way(settings, result)}; energy {result.get('energy_method')}, {result.get('energy_scope')}"


def _contended(result: Mapping[str, Any]) -> str:
    return ", contended" if result.get("contended") else ""
