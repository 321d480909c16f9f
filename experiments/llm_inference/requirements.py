"""How much device memory an experiment needs: weights, KV cache, and what comes and goes beside them.

    requirements_of(config, [{"id": "GPU-5e1f...", "total_memory": 85899345920, ...}])
        ->  {"num_gpus": 1, "gpu_memory_gb": 3.4}

It only says how many devices to wait for. What can't be known, or is wrong with the config, is left to the experiment,
which fails for itself and not with all others.
"""

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

from transformers import AutoConfig

from experiments.llm_inference.flops import ModelShape, UnknownShapeError
from experiments.llm_inference.keys import SettingsError
from experiments.llm_inference.prompts import PromptsUnavailableError, load_prompts
from experiments.llm_inference.settings import Settings
from experiments.llm_inference.sources import ModelUnavailableError, fetch_once

log = logging.getLogger(__name__)

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
#: Of CUDA and its libraries in each process.
_CONTEXT_BYTES = 1_000_000_000
#: Beside weights and cache: activations, and what the allocator can't use for being in pieces.
_MARGIN = 1.2
#: The part of a device that a model laid over several of them is given; as in `sharding.memory_budget`.
_SHARE_FOR_WEIGHTS = 0.8
_GB = 1e9


def requirements_of(config: Mapping[str, Any], devices: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return `num_gpus` and `gpu_memory_gb`; None where the experiment itself is to say what is wrong.

    More memory than the largest device has is never asked for: the experiment then runs out of it, and goes on with
    half the batch, where its `on_oom` says so.
    """
    try:
        settings = Settings.from_config(config)
        path = fetch_once(settings).path
        if settings.prompts.source.startswith("hub:"):
            load_prompts(settings.prompts)
        shape = ModelShape.from_config(AutoConfig.from_pretrained(path))
    except UnknownShapeError as error:
        log.warning("how much memory the model needs is unknown: %s", error)
        return {"num_gpus": settings.num_processes}
    except (SettingsError, ModelUnavailableError, PromptsUnavailableError) as error:
        log.warning("the experiment will fail: %s", error)
        return None
    memory = sorted((int(device["total_memory"]) for device in devices), reverse=True)
    if settings.sharding.strategy == "device_map":
        num_gpus = num_devices_for(weight_bytes(settings, shape) + working_bytes(settings, shape), memory)
        return {"num_gpus": num_gpus}
    needed = device_bytes(settings, shape)
    usable = [size for size in memory if size >= needed]
    asked = needed if len(usable) >= settings.num_processes else memory[min(settings.num_processes, len(memory)) - 1]
    return {"num_gpus": settings.num_processes, "gpu_memory_gb": asked / _GB}


def device_bytes(settings: Settings, shape: ModelShape) -> int:
    """Return the bytes that each rank needs on its device: all weights, or its share of them under fsdp."""
    weights = weight_bytes(settings, shape)
    if settings.sharding.strategy == "fsdp":
        one_layer = weights // max(1, len(shape.decoder.windows))
        kept = 0 if settings.sharding.cpu_offload else weights // settings.num_processes
        weights = kept + 2 * one_layer  # the one that computes, and the next, which is being gathered
    return weights + working_bytes(settings, shape)


def weight_bytes(settings: Settings, shape: ModelShape) -> int:
    """Return the bytes of all weights in the config's precision, or as they are quantised."""
    bits = settings.quantization_bits
    return shape.num_parameters * _BYTES[settings.model.precision] if bits is None else shape.num_parameters * bits // 8


def working_bytes(settings: Settings, shape: ModelShape) -> int:
    """Return the bytes beside the weights: the cache of the largest batch, its logits, and the context.

    The cache holds `cache_values_per_token` for each token of each sequence; grouped queries are counted in that.
    """
    batching = settings.batching
    batch_size = batching.max_batch_size if batching.adaptive else batching.batch_size
    batch_size = min(batch_size, math.ceil(settings.num_input_prompts / settings.num_processes))
    num_tokens = batch_size * (settings.max_input_tokens + settings.max_output_tokens)
    cache = num_tokens * shape.cache_values_per_token * _BYTES[settings.model.precision]
    logits = 2 * 4 * batch_size * shape.vocabulary  # as the model makes them, and in float32
    return int(_MARGIN * (cache + logits)) + _CONTEXT_BYTES


def num_devices_for(needed: int, memory: Sequence[int]) -> int:
    """Return how many of the devices, the largest first, hold so many bytes; all of them where even they don't."""
    held = 0.0
    for number, size in enumerate(memory, start=1):
        held += size * _SHARE_FOR_WEIGHTS
        if held >= needed:
            return number
    return len(memory)
