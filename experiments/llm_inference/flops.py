"""How many FLOPs a model needs to continue a text, from the sizes of its weights and the lengths alone.

    shape = ModelShape.from_config(AutoConfig.from_pretrained(path))
    sequence_flops(shape, num_input_tokens=128, num_output_tokens=32)

It counts what matrix multiplications need, a multiplication and an addition each: of the weights, and of attention with
the positions that a token may see. It is the same for quantised weights, which are multiplied as what they stand for,
and for tied ones. Norms, activations, biases and position angles are left out, as usual: some tenths of a per cent.
"""

import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AutoModelForCausalLM, AutoModelForSeq2SeqLM
from transformers.pytorch_utils import Conv1D

#: Stored beside the figure: what it is of.
METHOD = "analytic: matrix multiplications that unpadded tokens need"
METHOD_WITHOUT_CACHE = f"{METHOD}, all of them anew at each step (no KV cache)"

#: Of a config: more than one of any of these is a mixture of experts.
_EXPERTS = ("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts")
#: How configs name kinds of attention: over all positions before a token, or over a window of them.
_FULL, _WINDOWED = ("full_attention", "global"), ("sliding_attention", "local")
#: How models name the weights that make keys and values of the encoder's output, once a sequence.
_CROSS_ATTENTION = ("EncDecAttention", "encoder_attn", "crossattention", "cross_attn")
_KEYS_AND_VALUES = ("k", "v", "k_proj", "v_proj", "key", "value")


class UnknownShapeError(ValueError):
    """How this model computes isn't known here, so that its FLOPs aren't either."""


@dataclass(frozen=True)
class Stack:
    """The layers of an encoder or a decoder."""

    weights: int  # in matrices that each of its tokens is multiplied with
    width: int  # of attention: heads times the size of a head
    windows: tuple[int | None, ...]  # a layer: how many positions back it sees, itself included; None: all


@dataclass(frozen=True)
class ModelShape:
    """What FLOPs and memory depend on. `encoder` is None for a decoder-only model."""

    decoder: Stack
    head_weights: int  # of the matrix that makes logits
    vocabulary: int  # logits for each token
    num_parameters: int  # tied ones once
    cache_values_per_token: int  # keys and values that the decoder keeps of each of its own tokens
    encoder: Stack | None = None
    cross_weights: int = 0  # make keys and values of the encoder's output

    @classmethod
    def from_config(cls, config: Any) -> "ModelShape":
        """Return the shape of the model that a transformers config describes, made without memory for its weights.

        Raises UnknownShapeError for mixtures of experts, and whatever else has weights or layers that the formula
        doesn't know.
        """
        _refuse_unknown(config)
        model = _without_memory(config)
        head = model.get_output_embeddings()
        if not isinstance(head, nn.Linear):
            raise UnknownShapeError(f"A model of type {config.model_type!r} has no matrix that makes its logits.")
        matrices = {name: _size(module) for name, module in model.named_modules() if _is_matrix(module, head)}
        _check_all_counted(model)
        common = {
            "head_weights": _size(head),
            "vocabulary": head.out_features,
            "num_parameters": sum(weight.numel() for weight in model.parameters()),
        }
        if config.is_encoder_decoder:
            return cls(**_of_encoder_decoder(config, matrices), **common)
        return cls(**_of_decoder(config, matrices), **common)


def sequence_flops(shape: ModelShape, num_input_tokens: int, num_output_tokens: int, use_cache: bool = True) -> int:
    """Return the FLOPs that one sequence of P input and G output tokens needs; 0 for no output.

    With a cache, and T = P + G - 1: 2 N_body (P + G - 1) + 2 N_head G + 2 L d_attn T (T + 1), the formula of Kaplan et
    al. (2020), "Scaling Laws for Neural Language Models", table 1, with causal attention summed over all tokens. The
    last token is made and never read. An encoder reads all inputs at once, and the decoder begins with one token.
    """
    if num_output_tokens == 0:
        return 0
    head = 2 * shape.head_weights * num_output_tokens
    if shape.encoder is not None:
        return head + _encoder_decoder_flops(shape, shape.encoder, num_input_tokens, num_output_tokens, use_cache)
    read = num_input_tokens + num_output_tokens - 1
    if use_cache:
        return head + _causal(shape.decoder, read)
    return head + sum(_causal(shape.decoder, length) for length in range(num_input_tokens, read + 1))


def total_flops(shape: ModelShape, lengths: Iterable[tuple[int, int]], use_cache: bool = True) -> int:
    """Return the FLOPs of sequences, given as (input tokens, output tokens), both without padding."""
    return sum(sequence_flops(shape, inputs, outputs, use_cache) for inputs, outputs in lengths)


def _causal(stack: Stack, num_tokens: int) -> int:
    """The FLOPs of so many tokens, each of which sees itself and those before it."""
    return 2 * stack.weights * num_tokens + _attention(stack, num_tokens)


def _attention(stack: Stack, num_tokens: int) -> int:
    """Scores and weighted values: 4 * width for each pair of a token and a position that it sees.

    Without a window there are T (T + 1) / 2 pairs; within one of w positions the first w tokens have w (w + 1) / 2, and
    each later one w.
    """
    pairs = 0
    for window in stack.windows:
        inside = num_tokens if window is None else min(num_tokens, window)
        pairs += inside * (inside + 1) // 2 + (num_tokens - inside) * inside
    return 4 * stack.width * pairs


def _encoder_decoder_flops(
    shape: ModelShape, encoder: Stack, num_inputs: int, num_outputs: int, use_cache: bool
) -> int:
    """All but the head's. Each input sees all inputs; each output sees those before it, and all inputs."""
    encoding = 2 * encoder.weights * num_inputs + 4 * encoder.width * len(encoder.windows) * num_inputs**2
    cross = 2 * shape.cross_weights * num_inputs
    seen_inputs = 4 * shape.decoder.width * len(shape.decoder.windows) * num_inputs
    if use_cache:
        return encoding + cross + _causal(shape.decoder, num_outputs) + seen_inputs * num_outputs
    steps = range(1, num_outputs + 1)
    return encoding + sum(cross + _causal(shape.decoder, length) + seen_inputs * length for length in steps)


def _refuse_unknown(config: Any) -> None:
    """Raise UnknownShapeError for what the formula would count wrongly."""
    name = f"A model of type {config.model_type!r}"
    if any((getattr(config, key, None) or 0) > 1 for key in _EXPERTS):
        raise UnknownShapeError(f"{name} is a mixture of experts, of which each token reads a part.")
    if getattr(config, "kv_lora_rank", None):
        raise UnknownShapeError(f"{name} has latent attention, whose keys and values differ in size.")
    unknown = set(_layer_types(config)) - {*_FULL, *_WINDOWED}
    if unknown:
        raise UnknownShapeError(f"{name} has layers of the type {min(unknown)!r}.")


def _layer_types(config: Any) -> list[str]:
    given = getattr(config, "layer_types", None) or getattr(config, "attention_layers", None)
    if given:
        return list(given)
    return [_WINDOWED[0] if _window(config) else _FULL[0]] * config.num_hidden_layers


def _window(config: Any) -> int | None:
    return getattr(config, "sliding_window", None) or getattr(config, "window_size", None)


def _without_memory(config: Any) -> nn.Module:
    """The model on torch's meta device: modules and shapes, and no values. Raises UnknownShapeError."""
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    config = copy.deepcopy(config)  # making a model leaves its way of attention there
    config.quantization_config = None  # sizes are those of the weights that quantised ones stand for
    try:
        with torch.device("meta"):
            model: nn.Module = kind.from_config(config, attn_implementation="eager")
    except ValueError as error:
        raise UnknownShapeError(f"transformers can't make a model of type {config.model_type!r}: {error}") from error
    return model


def _is_matrix(module: nn.Module, head: nn.Module) -> bool:
    return isinstance(module, (nn.Linear, Conv1D)) and module is not head


def _size(module: nn.Module) -> int:
    return int(module.weight.numel())


def _check_all_counted(model: nn.Module) -> None:
    """Raise UnknownShapeError for weights outside linear layers and embeddings: how often they are read is unknown."""
    for name, module in model.named_modules():
        if isinstance(module, (nn.Linear, Conv1D, nn.Embedding)):
            continue
        for own, weight in module.named_parameters(recurse=False):
            if weight.dim() > 1:
                raise UnknownShapeError(f"What {name}.{own} is multiplied with isn't known.")


def _of_decoder(config: Any, matrices: dict[str, int]) -> dict[str, Any]:
    windows = tuple(_window(config) if kind in _WINDOWED else None for kind in _layer_types(config))
    heads, size = config.num_attention_heads, _head_size(config)
    one_for_all = getattr(config, "multi_query", False) and not getattr(config, "new_decoder_architecture", False)
    key_heads = 1 if one_for_all else getattr(config, "num_key_value_heads", None) or heads
    return {
        "decoder": Stack(sum(matrices.values()), heads * size, windows),
        "cache_values_per_token": 2 * len(windows) * key_heads * size,
    }


def _of_encoder_decoder(config: Any, matrices: dict[str, int]) -> dict[str, Any]:
    encoder = {name for name in matrices if "encoder" in name.split(".")}
    cross = set(_cross(matrices))
    if not cross or not encoder:
        raise UnknownShapeError(f"Where a model of type {config.model_type!r} reads its encoder's output isn't known.")
    num_layers = getattr(config, "decoder_layers", None) or config.num_decoder_layers
    head_size = getattr(config, "d_kv", None)  # T5's; in others all heads together are as wide as the model
    width = config.num_attention_heads * head_size if head_size else config.hidden_size
    decoder_weights = sum(size for name, size in matrices.items() if name not in encoder | cross)
    encoder_weights = sum(matrices[name] for name in encoder)
    return {
        "decoder": Stack(decoder_weights, width, (None,) * num_layers),
        "encoder": Stack(encoder_weights, width, (None,) * config.num_hidden_layers),
        "cross_weights": sum(matrices[name] for name in cross),
        "cache_values_per_token": 2 * num_layers * width,
    }


def _cross(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        parts = name.split(".")
        if parts[-1] in _KEYS_AND_VALUES and any(part in _CROSS_ATTENTION for part in parts):
            yield name


def _head_size(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)
