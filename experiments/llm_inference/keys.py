"""The keys that a config of this experiment may have: what each takes, and what holds where it isn't given.

    values = read({"model_name": "gpt2", "batching_options": {"batch_size___fixed_batching": 4}})
    values["batching_options.batch_size___fixed_batching"] == 4 and values["fp_precision"] == "float32"

It knows single values only; what they mean together is `settings`' affair.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

from configmill import ConfigRefusedError


class SettingsError(ConfigRefusedError):
    """The config can't be carried out as it stands: one sentence quotes what was given, one says what to do."""


@dataclass(frozen=True)
class Key:
    """What one key takes. `check` returns the value to use, or raises ValueError whose text says what to give."""

    check: Callable[[Any], Any]
    default: Any = None
    required: bool = False


def _whole(least: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
            raise ValueError(f"Give a whole number from {least}.")
        return int(value)

    return check


def _number(least: float = 0.0, most: float = math.inf) -> Callable[[Any], float]:
    def check(value: Any) -> float:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
        if not least <= number <= most or math.isinf(number):
            raise ValueError(f"Give a number from {least:g}" + (f" to {most:g}." if most < math.inf else "."))
        return number

    return check


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("Give True or False.")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("Give a text that isn't empty.")
    return value


def _file_name(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[\w-]+", value):
        raise ValueError("Give a text of letters, digits, _ and -: it names the table of results.")
    return value


def _label(value: Any) -> int | str:
    return _text(value) if isinstance(value, str) else _whole(0)(value)


def _one_of(names: Mapping[str, str]) -> Callable[[Any], str]:
    """Takes any of the names, in upper or lower case, and returns what the name stands for."""

    def check(value: Any) -> str:
        chosen = names.get(value.lower()) if isinstance(value, str) else None
        if chosen is None:
            raise ValueError(f"Give one of {', '.join(names)}.")
        return chosen

    return check


def _batch_size(value: Any) -> int | str:
    if isinstance(value, str) and value == "auto":
        return value
    try:
        return _whole(1)(value)
    except ValueError:
        raise ValueError('Give a whole number from 1, or "auto".') from None


def _devices(value: Any) -> tuple[int | str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise ValueError("Give a list of device numbers or UUIDs: [0, 1].")
    try:
        return tuple(_label(device) for device in value)
    except ValueError:
        raise ValueError("Give a list of device numbers or UUIDs: [0, 1].") from None


def _seed(value: Any) -> int:
    """A seed of torch's: the ranks take it and those after it."""
    seed = _whole(0)(value)
    if seed >= 2**63:
        raise ValueError("Give a whole number from 0, below 2**63.")
    return seed


#: As configs write them -> what torch calls them.
PRECISIONS = {
    "float32": "float32",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "fp32": "float32",
    "fp16": "float16",
    "bf16": "bfloat16",
}
DECODING_MODES = {name: name for name in ("greedy", "temperature", "top_k", "top_p")}
#: As configs write them -> how the model is placed.
SHARDING = {
    "none": "none",
    "no_shard": "none",
    "fsdp": "full_shard",
    "full_shard": "full_shard",
    "shard_grad_op": "shard_grad_op",
    "hybrid_shard": "hybrid_shard",
    "device_map": "device_map",
}

#: By dotted name. None, where a config gives it, stands for the default.
KEYS: dict[str, Key] = {
    "model_name": Key(_text, required=True),
    "is_encoder_decoder": Key(_boolean),
    "task_type": Key(_file_name, "text_generation"),
    "inference_type": Key(_one_of({"pure_generative": "pure_generative"}), "pure_generative"),
    "backend": Key(_one_of({"pytorch": "pytorch"}), "pytorch"),
    "suite": Key(_text),
    "config_name": Key(_text),
    "cycle_id": Key(_label),
    "num_processes": Key(_whole(1), 1),
    "gpu_list": Key(_devices),
    "num_input_prompts": Key(_whole(1), 32),
    "max_input_tokens": Key(_whole(1), 128),
    "max_output_tokens": Key(_whole(1), 32),
    "fixed_output_length": Key(_boolean, True),
    "num_warmup_iterations": Key(_whole(0)),
    "fp_precision": Key(_one_of(PRECISIONS), "float32"),
    "seed": Key(_seed, 0),
    "strict": Key(_boolean, False),
    "save_outputs": Key(_boolean, False),
    "decode_token_to_text": Key(_boolean, False),
    "query_rate": Key(_number()),
    "batching_options.batch_size___fixed_batching": Key(_batch_size, 8),
    "batching_options.adaptive_batching": Key(_boolean, False),
    "batching_options.adaptive_max_tokens": Key(_whole(1), 2048),
    "batching_options.max_batch_size___adaptive_batching": Key(_whole(1), 64),
    "decoder_config.decoding_mode": Key(_one_of(DECODING_MODES), "greedy"),
    "decoder_config.decoder_temperature": Key(_number()),
    "decoder_config.decoder_top_k": Key(_whole(0)),
    "decoder_config.decoder_top_p": Key(_number(0, 1)),
    "quantization_config.quantization": Key(_boolean, False),
    "quantization_config.load_in_8bit": Key(_boolean, False),
    "quantization_config.load_in_4bit": Key(_boolean, False),
    "latency_simulation.simulate": Key(_boolean, False),
    "latency_simulation.delay_min": Key(_number(), 0.0),
    "latency_simulation.delay_max": Key(_number(), 0.0),
    "latency_simulation.simulate_burst": Key(_boolean, False),
    "latency_simulation.burst_interval": Key(_number(), 0.0),
    "latency_simulation.burst_size": Key(_whole(0), 0),
    "sharding_config.sharding_strategy": Key(_one_of(SHARDING), "none"),
    "sharding_config.fsdp_config.cpu_offload": Key(_boolean, False),
    "sharding_config.fsdp_config.use_orig_params": Key(_boolean, False),
    "model_config.use_cache": Key(_boolean, True),
    "model_config.gradient_checkpointing": Key(_boolean, False),
    "prompts.source": Key(_text, "default"),
    "prompts.field": Key(_text),
    "prompts.split": Key(_text),
    "measurement.min_seconds": Key(_number(), 10.0),
    "measurement.min_iterations": Key(_whole(1), 1),
    "measurement.latency_pass": Key(_boolean, True),
    "measurement.idle_seconds": Key(_number(), 2.0),
    "latency_bounds.ttft_s": Key(_number()),
    "latency_bounds.tpot_s": Key(_number()),
    "latency_bounds.e2e_s": Key(_number()),
}
#: The experiment manager's own part of a config.
_FOREIGN = ("resources",)
_SECTIONS = frozenset(key[: position.start()] for key in KEYS for position in re.finditer(r"\.", key))


def read(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the checked value of every key of KEYS, by dotted name.

    Raises SettingsError for a key that there isn't, with the nearest one, for a value that a key doesn't take, and
    where a required key is missing.
    """
    if not isinstance(config, Mapping):
        raise SettingsError(f"The config is {_shown(config)}, which is no mapping. Give one with a 'model_name'.")
    given = flat(config)
    return {name: _value(name, key, given.get(name)) for name, key in KEYS.items()}


def flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a config gives, by dotted name, None left out. Raises SettingsError as `read` does."""
    return {name: value for name, value in _leaves(config, "") if value is not None}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by dotted name as the nested mapping that a config has them in."""
    root: dict[str, Any] = {}
    for name, value in values.items():
        *sections, last = name.split(".")
        place = root
        for section in sections:
            place = place.setdefault(section, {})
        place[last] = value
    return root


def keys_spelled(name: str) -> list[str]:
    """Return the keys that a name may mean, dotted or as the last part; "batch_size" will do for the fixed one."""
    return [key for key in KEYS if name in _spellings(key)]


def nearest_sentence(name: str) -> str:
    """Name the nearest key, by its last part first: a key in the wrong section is the commonest mistake."""
    called = {spelling: key for key in reversed(KEYS) for spelling in _spellings(key)}
    for wanted in (name.rpartition(".")[2], name):
        close = difflib.get_close_matches(wanted, called, n=1)
        if close:
            return f'Did you mean "{called[close[0]]}"?'
    return "Leave it out."


def _spellings(key: str) -> tuple[str, str, str]:
    last = key.rpartition(".")[2]
    return key, last, last.partition("___")[0]


def _leaves(section: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        name = f"{prefix}{key}"
        if name in _FOREIGN:
            continue
        if name in _SECTIONS:
            yield from _leaves(_mapping(name, value), f"{name}.")
        elif name in KEYS:
            yield name, value
        else:
            raise SettingsError(
                f"The config has the key {name!r}, which this experiment doesn't know. {nearest_sentence(name)}"
            )


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        inside = next(key for key in KEYS if key.startswith(f"{name}."))
        raise SettingsError(f"{name} is {_shown(value)}, which is no mapping. Give one: it has {inside!r}, for one.")
    return value


def _value(name: str, key: Key, given: Any) -> Any:
    if given is None:
        if key.required:
            raise SettingsError(f"The config has no {name!r}. Give it.")
        return key.default
    try:
        return key.check(given)
    except ValueError as error:
        raise SettingsError(f"{name} is {_shown(given)}, which can't be used. {error}") from None


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
