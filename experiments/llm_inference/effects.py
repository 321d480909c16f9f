"""Which keys of a config change nothing, since another key or the machine makes them idle; each with the reason.

    ineffective(settings, Backend(device="cpu", world_size=1))
        ->  ["gpu_list has no effect: this runs on the CPU."]

A key counts only where the config gives it, and with a value that asks for something (`False` and 0 ask for nothing).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.llm_inference.settings import Settings

#: Values that are the same as saying nothing, beside None, False, 0 and empty ones.
_NEUTRAL = {"decoder_config.decoder_temperature": 1, "decoder_config.decoder_top_p": 1, "model_config.use_cache": True}


@dataclass(frozen=True)
class Backend:
    """What the experiment runs on, as it turned out."""

    device: str = "cpu"  # cpu or cuda
    world_size: int = 1


def ineffective(settings: Settings, backend: Backend) -> list[str]:
    """Return a sentence for each key that was given and changes nothing, in the order of the rules below."""
    found: dict[str, str] = {}
    for name, reason in _idle(settings, backend):
        if _asks(settings, name):
            found.setdefault(name, f"{name} has no effect: {reason}.")
    return [*found.values(), *_beyond_the_prompts(settings, backend)]


def idle_keys(settings: Settings, backend: Backend) -> set[str]:
    """Return the keys that nothing reads, whether the config gives them or not."""
    return {name for name, _ in _idle(settings, backend)}


def _asks(settings: Settings, name: str) -> bool:
    value: Any = settings.given.get(name)
    if name == "model_config.use_cache":
        return value is False
    return bool(value) and value != _NEUTRAL.get(name)


def _idle(settings: Settings, backend: Backend) -> Iterator[tuple[str, str]]:
    """The keys that nothing reads, asked for or not, with the reason."""
    yield "model_config.gradient_checkpointing", "it saves memory in the backward pass, and inference has none"
    yield from _idle_batching(settings)
    yield from _idle_decoder(settings)
    yield from _idle_arrivals(settings)
    yield from _idle_placement(settings, backend)
    yield from _idle_files(settings)


def _beyond_the_prompts(settings: Settings, backend: Backend) -> Iterator[str]:
    """A batch that can't be filled: `auto` asks for no number."""
    batching = settings.batching
    most = math.ceil(settings.num_input_prompts / backend.world_size)
    if not (batching.adaptive or batching.auto) and batching.batch_size > most:
        yield (
            f"batching_options.batch_size___fixed_batching has no effect above {most}: a process has no more prompts, "
            f"and it is {batching.batch_size}."
        )


def _idle_batching(settings: Settings) -> Iterator[tuple[str, str]]:
    if settings.batching.adaptive:
        yield "batching_options.batch_size___fixed_batching", "adaptive_batching is True"
        return
    for key in ("adaptive_max_tokens", "max_batch_size___adaptive_batching"):
        yield f"batching_options.{key}", "adaptive_batching is False"


def _idle_decoder(settings: Settings) -> Iterator[tuple[str, str]]:
    mode = settings.decoder.mode
    for key in ("temperature", "top_k", "top_p"):
        read = mode != "greedy" and key in (mode, "temperature")
        if not read:
            yield f"decoder_config.decoder_{key}", f"decoding_mode is {mode!r}"


def _idle_arrivals(settings: Settings) -> Iterator[tuple[str, str]]:
    process = settings.arrivals.process
    delays, bursts = ("delay_min", "delay_max"), ("burst_interval", "burst_size")
    if process == "offline":
        for key in (*delays, "simulate_burst", *bursts):
            yield f"latency_simulation.{key}", "simulate is False"
        yield "query_rate", "latency_simulation.simulate is False"
    elif process == "bursts":
        for key in delays:
            yield f"latency_simulation.{key}", "simulate_burst is True"
        yield "query_rate", "the bursts say when requests arrive"
    else:
        for key in bursts:
            yield f"latency_simulation.{key}", "simulate_burst is False"
        if process != "poisson":
            yield "query_rate", "delay_min and delay_max say when requests arrive"


def _idle_placement(settings: Settings, backend: Backend) -> Iterator[tuple[str, str]]:
    if backend.device == "cpu":
        yield "gpu_list", "this runs on the CPU"
    fsdp = settings.sharding.strategy == "fsdp"
    if not fsdp:
        for key in ("cpu_offload", "use_orig_params"):
            yield f"sharding_config.fsdp_config.{key}", "sharding_strategy is none of fsdp's"
    # What shards is FSDP2, which has no flat copies of parameters in place of the model's own.
    yield "sharding_config.fsdp_config.use_orig_params", "fsdp shards each parameter as it is in any case"
    if fsdp and backend.world_size == 1 and not settings.sharding.cpu_offload:
        yield "sharding_config.sharding_strategy", "a single process has nobody to share the model with"
    if settings.quantization_bits is None:
        for bits in (8, 4):
            yield f"quantization_config.load_in_{bits}bit", "quantization is False"


def _idle_files(settings: Settings) -> Iterator[tuple[str, str]]:
    if not settings.save_outputs:
        yield "decode_token_to_text", "save_outputs is False"
    if not settings.measurement.latency_pass:
        for key in ("ttft_s", "tpot_s", "e2e_s"):
            yield f"latency_bounds.{key}", "measurement.latency_pass is False"
    if not settings.prompts.source.startswith("hub:"):
        yield "prompts.split", "prompts.source is no data set of a hub"
    if settings.prompts.source in ("default", "packaged") or settings.prompts.source.endswith(".txt"):
        yield "prompts.field", f"the prompts of {settings.prompts.source!r} have no fields to choose from"
