"""Configs for `experiments.llm_inference`: one thing varied at a time, suites with repeats, scenarios, and grids.

config_builders.llm_inference.build_controlled()                            the controlled list, once
config_builders.llm_inference.build_suite(cycles=5)                         models x controlled x cycles
config_builders.llm_inference.build_scenarios()                             four uses, as they come
config_builders.llm_inference.build_grid(batch_size=[1, 8], fp_precision=["float32", "bfloat16"])
config_builders.llm_inference.build_demo()                                  ten quick ones, on a laptop's CPU
config_builders.llm_inference.build_notebook()                              one: the campaign that the notebook shows

What a config doesn't say about devices is asked of the experiment's own estimator when it is to run: a list is the same
on every host.
"""

import copy
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from configmill import ConfigList, UsageError, grid
from experiments.llm_inference.keys import KEYS, keys_spelled, nearest_sentence
from experiments.llm_inference.settings import AUTO_BATCH_SIZE, Settings, SettingsError

SMALL_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
_BATCH_SIZE = "batching_options.batch_size___fixed_batching"
#: Of batching_options: what is halved where memory runs out.
_FIXED = ("batch_size___fixed_batching",)
_ADAPTIVE = ("adaptive_max_tokens", "max_batch_size___adaptive_batching")
#: Seconds that one experiment may run; a config's own resources may say otherwise.
_TIMEOUT = 3600

#: Every key there is. None stands for the default, or for nothing.
base_config: dict[str, Any] = {
    "config_name": "base",
    "suite": None,
    "cycle_id": None,
    "model_name": SMALL_MODEL,
    "is_encoder_decoder": None,
    "task_type": "text_generation",
    "inference_type": "pure_generative",
    "backend": "pytorch",
    "num_processes": 1,
    "gpu_list": None,
    "prompts": {"source": "default", "field": None, "split": None},
    "num_input_prompts": 32,
    "max_input_tokens": 128,
    "max_output_tokens": 32,
    "fixed_output_length": True,
    "num_warmup_iterations": None,
    "fp_precision": "float32",
    "seed": 0,
    "strict": False,
    "save_outputs": False,
    "decode_token_to_text": False,
    "batching_options": {
        "batch_size___fixed_batching": 8,
        "adaptive_batching": False,
        "adaptive_max_tokens": None,
        "max_batch_size___adaptive_batching": None,
    },
    "decoder_config": {
        "decoding_mode": "greedy",
        "decoder_temperature": None,
        "decoder_top_k": None,
        "decoder_top_p": None,
    },
    "quantization_config": {"quantization": False, "load_in_8bit": False, "load_in_4bit": False},
    "latency_simulation": {
        "simulate": False,
        "delay_min": 0,
        "delay_max": 0,
        "simulate_burst": False,
        "burst_interval": 0,
        "burst_size": 0,
    },
    "query_rate": None,
    "sharding_config": {
        "sharding_strategy": "none",
        "fsdp_config": {"cpu_offload": False, "use_orig_params": False},
    },
    "model_config": {"use_cache": True, "gradient_checkpointing": False},
    "measurement": {"min_seconds": 10, "min_iterations": 1, "latency_pass": True, "idle_seconds": 2},
    "latency_bounds": {"ttft_s": None, "tpot_s": None, "e2e_s": None},
}

#: By name, what is changed of the base config: one thing at a time.
_CONTROLLED: dict[str, dict[str, Any]] = {
    "base": {},
    **{f"batch_size_{size}": {_BATCH_SIZE: size} for size in (1, 2, 4, 16, 32)},
    **{f"precision_{name}": {"fp_precision": name} for name in ("bfloat16", "float16")},
    "decoder_temperature_0.7": {
        "decoder_config.decoding_mode": "temperature",
        "decoder_config.decoder_temperature": 0.7,
    },
    "decoder_top_k_50": {"decoder_config.decoding_mode": "top_k", "decoder_config.decoder_top_k": 50},
    "decoder_top_p_0.9": {"decoder_config.decoding_mode": "top_p", "decoder_config.decoder_top_p": 0.9},
    "processes_2": {"num_processes": 2},
    "latency_constant": {
        "latency_simulation.simulate": True,
        "latency_simulation.delay_min": 0.1,
        "latency_simulation.delay_max": 0.1,
    },
    "latency_poisson": {"latency_simulation.simulate": True, "query_rate": 10},
    "latency_bursts": {
        "latency_simulation.simulate": True,
        "latency_simulation.simulate_burst": True,
        "latency_simulation.burst_interval": 1,
        "latency_simulation.burst_size": 8,
    },
}


def _adaptive(max_tokens: int, max_batch_size: int) -> dict[str, Any]:
    return {
        _BATCH_SIZE: None,  # has no effect then
        "batching_options.adaptive_batching": True,
        "batching_options.adaptive_max_tokens": max_tokens,
        "batching_options.max_batch_size___adaptive_batching": max_batch_size,
    }


#: By name: uses of a model as they come, several things at a time.
_SCENARIOS: dict[str, dict[str, Any]] = {
    "chat": {
        "latency_simulation.simulate": True,
        "query_rate": 2,
        _BATCH_SIZE: 1,
        "decoder_config.decoding_mode": "top_p",
        "decoder_config.decoder_top_p": 0.9,
        "max_output_tokens": 64,
        "latency_bounds.ttft_s": 1,
        "latency_bounds.tpot_s": 0.2,
    },
    "code_completion": {
        "latency_simulation.simulate": True,
        "latency_simulation.simulate_burst": True,
        "latency_simulation.burst_interval": 2,
        "latency_simulation.burst_size": 4,
        _BATCH_SIZE: 4,
        "decoder_config.decoding_mode": "temperature",
        "decoder_config.decoder_temperature": 0.2,
        "max_output_tokens": 16,
        "latency_bounds.e2e_s": 2,
    },
    "summaries_overnight": {
        **_adaptive(max_tokens=2048, max_batch_size=AUTO_BATCH_SIZE),
        "fp_precision": "bfloat16",
        "num_input_prompts": 64,
        "max_output_tokens": 32,
    },
    "long_reports": {_BATCH_SIZE: 16, "num_input_prompts": 16, "max_output_tokens": 256},
}


class _OfAnyModel(dict[str, Any]):
    """A config without a model of its own, which says all the same what it runs with where nobody gives it one."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__((key, value) for key, value in config.items() if key != "model_name")

    def __missing__(self, key: str) -> Any:
        if key == "model_name":
            return base_config["model_name"]
        raise KeyError(key)


def get_model_configs(models: Sequence[str] = (SMALL_MODEL,)) -> list[dict[str, Any]]:
    """Return what each model changes of a config: {"model_name": ...}."""
    return [{"model_name": model} for model in models]


def get_controlled_configs() -> list[dict[str, Any]]:
    """Return the configs of the suite "controlled": the base config, then one thing varied at a time.

    Batch size, precision, decoder, processes, arrivals; `config_name` says which. They have every key but the model's,
    so that in `{**model_config, **controlled_config}` it is the model config's.
    """
    return [_OfAnyModel(config) for config in _named("controlled", _CONTROLLED)]


def build_controlled(models: Sequence[str] | None = None) -> ConfigList:
    """Return the controlled configs of each model, once each."""
    return build_suite(models, cycles=1)


def build_suite(models: Sequence[str] | None = None, cycles: int = 5, seed: int = 0) -> ConfigList:
    """Return models x controlled configs x cycles; in each cycle every config once, in an order of its own.

    The orders are drawn from `seed`: were they the same in every cycle, what drifts over it, like temperature, would be
    taken for an effect of what is varied. `model_name::suite::config_name::cycle_id` tells the configs apart.
    """
    return _repeated(get_controlled_configs(), _models(models), cycles, seed)


def build_scenarios(models: Sequence[str] | None = None, cycles: int = 1, seed: int = 0) -> ConfigList:
    """Return each scenario (chat, code_completion, summaries_overnight, long_reports) with each model."""
    return _repeated(list(_named("scenarios", _SCENARIOS)), _models(models), cycles, seed)


def build_grid(axes: Mapping[str, Iterable[Any]] | None = None, **more: Iterable[Any]) -> ConfigList:
    """Return the product of all axes over the base config, the last axis fastest.

    An axis is a key of the base config, dotted or by its last part ("batch_size" will do), with its values. Raises
    UsageError for a key that there isn't, and for values that can't be used, alone or together.
    """
    named = {_key(name): values for name, values in {**(axes or {}), **more}.items()}
    base = {**copy.deepcopy(base_config), "suite": "grid"}
    return ConfigList([_with_name(config.to_dict(), named) for config in grid(base, named)])


def build_demo(cycles: int = 1, seed: int = 0) -> ConfigList:
    """Return ten configs of the small model that a laptop's CPU runs in some minutes."""
    small = {"num_input_prompts": 16, "max_output_tokens": 16}
    varied = {
        **{f"batch_size_{size}": {_BATCH_SIZE: size} for size in (1, 2, 4, 8, 16)},
        "batch_adaptive": _adaptive(max_tokens=256, max_batch_size=16),
        **{name: _CONTROLLED[name] for name in ("precision_bfloat16", "decoder_top_p_0.9", "processes_2")},
        "latency_poisson": {**_CONTROLLED["latency_poisson"], "latency_bounds.e2e_s": 5},
    }
    configs = _named("demo", {name: {**small, **changes} for name, changes in varied.items()})
    return _repeated(list(configs), get_model_configs(), cycles, seed)


def with_resources(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config with what the experiment manager must know to run it; what its own `resources` say holds.

    Alone on the host, since it measures; under accelerate where it has several processes; within its `gpu_list`. Out of
    device memory it goes on with half the batch, down to 1: "auto" begins with the largest that its prompts can fill.
    """
    complete = copy.deepcopy(dict(config))
    batching = dict(complete.get("batching_options") or {})
    halved = _ADAPTIVE if batching.get("adaptive_batching") else _FIXED
    for key in halved:
        if batching.get(key) == "auto":
            batching[key] = _largest_batch(complete)
        elif batching.get(key) is None:
            batching[key] = KEYS[f"batching_options.{key}"].default  # what isn't there can't be halved
    complete["batching_options"] = batching
    remedy = {"batching_options": dict.fromkeys(halved, "halve")}
    derived: dict[str, Any] = {"exclusive_host": True, "timeout": _TIMEOUT, "on_oom": remedy}
    if (complete.get("num_processes") or 1) > 1:
        derived["launcher"] = "accelerate"
    if complete.get("gpu_list"):
        derived["gpu_list"] = list(complete["gpu_list"])
    complete["resources"] = {**derived, **(complete.get("resources") or {})}
    return complete


def _named(suite: str, changes_of: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """The base config with the changes of each name, by dotted keys."""
    for name, changes in changes_of.items():
        config = {**copy.deepcopy(base_config), "suite": suite, "config_name": name}
        for key, value in changes.items():
            *sections, last = key.split(".")
            place = config
            for section in sections:
                place = place[section]
            place[last] = value
        yield config


def _models(models: Sequence[str] | None) -> list[dict[str, Any]]:
    if isinstance(models, str):
        raise UsageError(f"models is {models!r}, a single text. Give a list of names: [{models!r}].")
    return get_model_configs() if models is None else get_model_configs(models)


def _repeated(
    configs: Sequence[Mapping[str, Any]], models: Sequence[Mapping[str, Any]], cycles: int, seed: int
) -> ConfigList:
    """Every config of every model once a cycle, shuffled within it; cycles are numbered from 1."""
    if not isinstance(cycles, int) or cycles < 1:
        raise UsageError(f"cycles is {cycles!r}. Give a whole number from 1.")
    each = [{**config, **model} for model in models for config in configs]
    listed = []
    for cycle in range(1, cycles + 1):
        drawn = random.Random(f"{seed}:{cycle}")
        # Sorted by random numbers, and not shuffled: of Random only random() is the same in every version of Python.
        order = sorted(each, key=lambda config, drawn=drawn: drawn.random())  # type: ignore[misc]
        listed += [with_resources({**config, "cycle_id": cycle}) for config in order]
    return ConfigList(listed)


def _key(name: str) -> str:
    """The dotted key that an axis means. Raises UsageError."""
    meant = keys_spelled(name)
    if len(meant) != 1:
        raise UsageError(f"build_grid has the axis {name!r}, which is no key of a config. {nearest_sentence(name)}")
    return meant[0]


def _with_name(config: dict[str, Any], axes: Mapping[str, Any]) -> dict[str, Any]:
    """The config, called after its place on the axes. Raises UsageError for one that can't be carried out."""
    try:
        Settings.from_config(config)
    except SettingsError as error:
        raise UsageError(f"build_grid: {error}") from error
    parts = []
    for key in axes:
        value: Any = config
        for part in key.split("."):
            value = value[part]
        parts.append(f"{key.rpartition('.')[2].partition('___')[0]}_{value}")
    return with_resources({**config, "config_name": "-".join(parts) or "base"})


def build_notebook(dst_dir: str = "out/llm_inference") -> ConfigList:
    """Return one config, for notebooks/llm_inference.ipynb: which campaign it looks at.

    `dst_dir` is that campaign's --dst_dir, absolute or relative to the project's directory. The config stays the same
    when the campaign goes on, so that a new look at it needs --no_incremental.
    """
    return ConfigList([{"results_dir": dst_dir}])


def _largest_batch(config: Mapping[str, Any]) -> int:
    """What "auto" begins with: no more than the prompts of a process."""
    num_prompts, num_processes = (
        config.get(key) or KEYS[key].default for key in ("num_input_prompts", "num_processes")
    )
    if not (isinstance(num_prompts, int) and isinstance(num_processes, int)):  # the experiment says what is wrong
        return AUTO_BATCH_SIZE
    return min(AUTO_BATCH_SIZE, math.ceil(num_prompts / num_processes))
