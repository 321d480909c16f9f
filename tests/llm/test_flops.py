"""The formula against the shapes of the matrix multiplications that models really do, with eager attention."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
import transformers as hf
from torch.utils._python_dispatch import TorchDispatchMode

from experiments.llm_inference.flops import ModelShape, UnknownShapeError, sequence_flops, total_flops

NUM_INPUTS, NUM_OUTPUTS = 7, 5
SIZES = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}

DECODERS: dict[str, Callable[[], Any]] = {
    # grouped queries, a gated MLP, a head of its own
    "llama": lambda: hf.LlamaConfig(**SIZES, intermediate_size=56, num_key_value_heads=2, tie_word_embeddings=False),
    # one matrix for queries, keys and values; a plain MLP; a head that is tied to the embeddings
    "gpt2": lambda: hf.GPT2Config(vocab_size=50, n_embd=32, n_layer=3, n_head=4, n_positions=64),
    # heads that together are wider than the model; tied
    "qwen3": lambda: hf.Qwen3Config(**SIZES, intermediate_size=40, num_key_value_heads=1, head_dim=16),
    # one key for all heads, attention beside the MLP
    "falcon": lambda: hf.FalconConfig(**SIZES, new_decoder_architecture=False, multi_query=True),
    # embeddings that are narrower than the model
    "opt": lambda: hf.OPTConfig(**SIZES, ffn_dim=48, word_embed_proj_dim=16, max_position_embeddings=64),
}
ENCODER_DECODERS: dict[str, Callable[[], Any]] = {
    "t5": lambda: hf.T5Config(
        vocab_size=50, d_model=32, d_kv=16, d_ff=48, num_layers=3, num_decoder_layers=2, num_heads=4,
        decoder_start_token_id=0,
    ),
    # gated, as T5 1.1 is, with a head of its own
    "t5 1.1": lambda: hf.T5Config(
        vocab_size=50, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, feed_forward_proj="gated-gelu",
        tie_word_embeddings=False, decoder_start_token_id=0,
    ),
    "bart": lambda: hf.BartConfig(
        vocab_size=50, d_model=32, encoder_layers=2, decoder_layers=1, encoder_attention_heads=4,
        decoder_attention_heads=2, encoder_ffn_dim=40, decoder_ffn_dim=56, max_position_embeddings=64,
    ),
}  # fmt: skip


class MatmulCounter(TorchDispatchMode):
    """Adds up 2 * rows * inner * columns of every matrix multiplication that torch does."""

    #: Where an operation's two matrices are among its arguments.
    PLACES: ClassVar = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0
        self.paused = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__.strip("_")
        if name in self.PLACES:
            left, right = args[self.PLACES[name] :][:2]
            self.flops += 0 if self.paused else 2 * math.prod(left.shape) * right.shape[-1]
        else:
            assert not any(part in name for part in ("mm", "matmul", "linear", "attention", "conv", "mv", "dot")), name
        return func(*args, **(kwargs or {}))

    def without_position_angles(self, model: Any) -> None:
        """Rotary embeddings multiply positions by frequencies, as matrices; that is no work of weights."""
        for module in model.modules():
            if type(module).__name__.endswith("RotaryEmbedding"):
                module.register_forward_pre_hook(lambda *_: setattr(self, "paused", True))
                module.register_forward_hook(lambda *_: setattr(self, "paused", False))


def make(config: Any) -> Any:
    """A model with random weights."""
    torch.manual_seed(0)
    kind = hf.AutoModelForSeq2SeqLM if config.is_encoder_decoder else hf.AutoModelForCausalLM
    return kind.from_config(config, attn_implementation="eager").eval()


def inputs(rows: int = 1) -> torch.Tensor:
    """Token ids, of which none is special."""
    return torch.randint(5, 50, (rows, NUM_INPUTS), generator=torch.Generator().manual_seed(1))


def generate(model: Any, ids: torch.Tensor, **options: Any) -> None:
    """Let the model make NUM_OUTPUTS tokens."""
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, num_beams=1, min_new_tokens=NUM_OUTPUTS,
        max_new_tokens=NUM_OUTPUTS, pad_token_id=0, **options,
    )  # fmt: skip
    expected = 1 + NUM_OUTPUTS if model.config.is_encoder_decoder else NUM_INPUTS + NUM_OUTPUTS
    assert out.shape[1] == expected


def masked(shape: ModelShape, length: int) -> int:
    """What eager attention does beyond what is needed, when it reads so many tokens at once."""
    return 4 * shape.decoder.width * len(shape.decoder.windows) * (length * (length - 1) // 2)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoders_flops_are_those_of_the_matrix_multiplications_seen(name: str) -> None:
    """Read token by token, so that nothing is masked, a model multiplies exactly what the formula says."""
    config = DECODERS[name]()
    model, ids, counter = make(config), inputs(), MatmulCounter()
    counter.without_position_angles(model)
    with torch.no_grad(), counter:
        cache = hf.DynamicCache()
        for position in range(NUM_INPUTS - 1):
            model.base_model(ids[:, position : position + 1], past_key_values=cache, use_cache=True)
        generate(model, ids, past_key_values=cache)
    assert counter.flops == sequence_flops(ModelShape.from_config(config), NUM_INPUTS, NUM_OUTPUTS)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_generate_does_beyond_the_formula_only_what_is_masked_out(name: str, use_cache: bool) -> None:
    """`generate` on a batch multiplies what the formula says of each sequence, and the masked half of attention."""
    config = DECODERS[name]()
    model, counter, shape = make(config), MatmulCounter(), ModelShape.from_config(config)
    counter.without_position_angles(model)
    with torch.no_grad(), counter:
        generate(model, inputs(rows=3), use_cache=use_cache)
    lengths = [NUM_INPUTS] if use_cache else range(NUM_INPUTS, NUM_INPUTS + NUM_OUTPUTS)
    needed = total_flops(shape, [(NUM_INPUTS, NUM_OUTPUTS)] * 3, use_cache)
    assert counter.flops == needed + 3 * sum(masked(shape, length) for length in lengths)


@pytest.mark.parametrize("name", ENCODER_DECODERS)
@pytest.mark.parametrize("use_cache", [True, False])
def test_an_encoder_decoders_flops_are_those_of_the_matrix_multiplications_seen(name: str, use_cache: bool) -> None:
    """`generate` multiplies what the formula says.

    Without a cache also what is masked in the decoder's attention, and logits of tokens that are there already.
    """
    config = ENCODER_DECODERS[name]()
    model, counter, shape = make(config), MatmulCounter(), ModelShape.from_config(config)
    with torch.no_grad(), counter:
        generate(model, inputs(rows=2), use_cache=use_cache)
    steps = range(0) if use_cache else range(1, NUM_OUTPUTS + 1)
    extra = sum(masked(shape, length) + 2 * shape.head_weights * (length - 1) for length in steps)
    assert counter.flops == 2 * (sequence_flops(shape, NUM_INPUTS, NUM_OUTPUTS, use_cache) + extra)


def test_a_window_of_attention_limits_what_a_token_sees() -> None:
    """With a window of three positions, read token by token, the pairs seen are those that the formula counts."""
    config = hf.MistralConfig(**SIZES, intermediate_size=48, num_key_value_heads=2, sliding_window=3)
    model, ids, counter = make(config), inputs(), MatmulCounter()
    counter.without_position_angles(model)
    with torch.no_grad(), counter:
        cache = hf.DynamicCache(config=config)
        for position in range(NUM_INPUTS - 1):
            model.base_model(ids[:, position : position + 1], past_key_values=cache, use_cache=True)
        generate(model, ids, past_key_values=cache)
    assert counter.flops == sequence_flops(ModelShape.from_config(config), NUM_INPUTS, NUM_OUTPUTS)


@pytest.mark.parametrize("name", [*DECODERS, *ENCODER_DECODERS])
def test_a_shape_has_the_models_parameters(name: str) -> None:
    """Parameters are counted once, tied or not, as the model itself counts them."""
    config = {**DECODERS, **ENCODER_DECODERS}[name]()
    assert ModelShape.from_config(config).num_parameters == make(config).num_parameters()


@pytest.mark.parametrize("name", DECODERS)
def test_the_cache_has_as_many_values_a_token_as_the_shape_says(name: str) -> None:
    """What a real cache holds after a few tokens is the shape's values times their number."""
    config = DECODERS[name]()
    cache = hf.DynamicCache()
    with torch.no_grad():
        make(config).base_model(inputs(), past_key_values=cache, use_cache=True)
    held = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    assert held == NUM_INPUTS * ModelShape.from_config(config).cache_values_per_token


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (hf.MixtralConfig(**SIZES, num_key_value_heads=2, intermediate_size=48, num_local_experts=4), "mixture"),
        (hf.MambaConfig(vocab_size=50, hidden_size=32, num_hidden_layers=1), "linear_attention"),
    ],
)
def test_what_the_formula_does_not_know_is_refused(config: Any, reason: str) -> None:
    """Experts of which a token reads a part, and layers without attention, have no FLOPs rather than wrong ones."""
    with pytest.raises(UnknownShapeError, match=reason):
        ModelShape.from_config(config)


def test_no_output_needs_no_flops() -> None:
    """A sequence that ends before it begins has none, and sequences add up."""
    shape = ModelShape.from_config(DECODERS["llama"]())
    assert sequence_flops(shape, 9, 0) == 0
    assert total_flops(shape, [(7, 5), (3, 1), (4, 0)]) == sequence_flops(shape, 7, 5) + sequence_flops(shape, 3, 1)
