"""A model and its tokenizer, loaded as a config asks for it, on the device that there is.

    model, tokenizer = load_model_tokenizer(settings, accelerator)

What this machine can't do, a precision or a quantisation, is an error here, before anything is measured: nothing is
replaced by something similar.
"""

import importlib.util
from typing import Any

import torch
from accelerate import Accelerator
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from configmill import ConfigRefusedError
from experiments.llm_inference import sharding
from experiments.llm_inference.settings import Settings
from experiments.llm_inference.sources import resolve_model


class UnsupportedError(ConfigRefusedError):
    """This machine, or this model, can't do what the config asks for: one sentence says what, one what to do."""


def load_model_tokenizer(settings: Settings, accelerator: Accelerator | None = None) -> tuple[Any, Any]:
    """Return the model, ready to generate, on this process's device or over several, and its tokenizer.

    Without an accelerator the model is loaded for this process alone. Raises ModelUnavailableError, and
    UnsupportedError for a precision, a quantisation, a placement or lengths that can't be had.
    """
    device = default_device() if accelerator is None else accelerator.device
    quantization = quantization_of(settings, device)
    check_precision(settings.model.precision, device)
    path = resolve_model(settings.model.name).path
    config = AutoConfig.from_pretrained(path)
    _check_architecture(settings, config)
    tokenizer = load_tokenizer(path, config)
    transformers_logging.disable_progress_bar()  # thousands of lines in a log
    model = _load(settings, path, config, device, quantization)
    if settings.sharding.strategy == "fsdp":
        sharding.shard(model, settings.sharding, device)
    model.eval()
    _prepare_generation(model, tokenizer)
    return model, tokenizer


def default_device() -> torch.device:
    """The device of a process that is alone: the first GPU, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_tokenizer(path: str, config: Any) -> Any:
    """Return a model's tokenizer, set to pad: at the left, where a model goes on with what it was given."""
    tokenizer = AutoTokenizer.from_pretrained(path)
    tokenizer.padding_side = "right" if config.is_encoder_decoder else "left"
    if tokenizer.pad_token_id is None:
        if tokenizer.eos_token_id is None:
            raise UnsupportedError(
                "The model's tokenizer has neither a padding nor an end-of-sequence token, so that prompts can't be "
                "put into one batch. Name a model that has one of both."
            )
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def quantization_of(settings: Settings, device: torch.device) -> Any:
    """Return what transformers is to quantise with, None where nothing is asked for. Raises UnsupportedError."""
    bits = settings.quantization_bits
    if bits is None:
        return None
    asked = f"quantization_config asks for {bits} bits"
    if device.type != "cuda":
        raise UnsupportedError(f"{asked}, and this machine has no GPU, which that needs. Leave it out, or use a GPU.")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise UnsupportedError(f"{asked}, and bitsandbytes isn't installed. Install it: pip install bitsandbytes.")
    if settings.sharding.strategy == "fsdp":
        raise UnsupportedError(
            f"{asked}, and quantised weights can't be sharded by fsdp. Use sharding_strategy 'device_map' or 'none'."
        )
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=dtype_of(settings.model.precision))


def dtype_of(precision: str) -> torch.dtype:
    """Return torch's type of a precision."""
    dtype = getattr(torch, precision)
    assert isinstance(dtype, torch.dtype)
    return dtype


def check_precision(precision: str, device: torch.device) -> None:
    """Multiply two small matrices in the precision. Raises UnsupportedError where the device can't.

    What a device claims and what its kernels do differs over versions, so it is tried.
    """
    try:
        matrix = torch.ones((8, 8), dtype=dtype_of(precision), device=device)
        torch.nn.functional.layer_norm(matrix @ matrix, (8,)).softmax(-1)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        raise UnsupportedError(
            f"fp_precision is {precision!r}, which the device {str(device)!r} can't do ({error}). Give another one, "
            "such as 'float32'."
        ) from error


def _check_architecture(settings: Settings, config: Any) -> None:
    """Raise UnsupportedError where model and config don't fit together."""
    asked, found = settings.model.is_encoder_decoder, bool(config.is_encoder_decoder)
    if asked is not None and asked != found:
        kinds = {True: "an encoder-decoder", False: "a decoder-only"}
        raise UnsupportedError(
            f"is_encoder_decoder is {asked}, and {settings.model.name!r} is {kinds[found]} model. Set it to {found}, "
            "or leave it out."
        )
    if found and settings.sharding.strategy == "fsdp":
        raise UnsupportedError(
            f"sharding_strategy is fsdp, and {settings.model.name!r} is an encoder-decoder model: generation calls "
            "its encoder by itself, where the weights that both share are not gathered. Use device_map, or none."
        )
    limit = getattr(config, "max_position_embeddings", None)
    wanted = settings.max_input_tokens + (0 if found else settings.max_output_tokens)
    if limit is not None and wanted > limit:
        raise UnsupportedError(
            f"max_input_tokens and max_output_tokens need {wanted} positions, and {settings.model.name!r} has {limit}. "
            "Lower one of both."
        )


def _load(settings: Settings, path: str, config: Any, device: torch.device, quantization: Any) -> Any:
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    arguments: dict[str, Any] = {"dtype": dtype_of(settings.model.precision)}
    if quantization is not None:
        arguments["quantization_config"] = quantization
    if settings.sharding.strategy == "device_map":
        return sharding.load_over_devices(kind, path, device, arguments)
    if quantization is not None:
        return kind.from_pretrained(path, device_map={"": device}, **arguments)
    model = kind.from_pretrained(path, **arguments)
    return model if settings.sharding.strategy == "fsdp" else model.to(device)


def _prepare_generation(model: Any, tokenizer: Any) -> None:
    """Leave of the model's own settings of generation only what says how sequences begin and end.

    What else a model brings along, a temperature or a penalty for repetition, would hold in some experiments and not in
    others without being in any config.
    """
    own = model.generation_config
    kept = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id", "forced_bos_token_id")
    model.generation_config = type(own)(**{name: getattr(own, name, None) for name in kept})
    if model.generation_config.pad_token_id is None:
        model.generation_config.pad_token_id = tokenizer.pad_token_id
