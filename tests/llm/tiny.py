"""Real models that are small enough for tests: random weights, two layers, and a tokenizer trained on a few lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "A watched pot never boils, they say, and it is true of compilers too.",
    "Rain.",
    "Write a short letter to a neighbour about the music that plays at night.",
    "List the steps to change a flat tyre.",
    "Why is the sky blue during the day and red in the evening, when the sun is low?",
    "One, two, three, four.",
]
VOCABULARY = 320
PAD, BOS, EOS = "<pad>", "<s>", "</s>"


def llama(folder: Path) -> str:
    """A decoder-only model with grouped queries and a gated MLP; returns the folder as text."""
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=True,
    )
    return _saved(LlamaForCausalLM, config, folder, pad=True)


def gpt2(folder: Path) -> str:
    """A decoder-only model of another family, whose tokenizer has no token to pad with."""
    config = GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=256, bos_token_id=1, eos_token_id=2
    )
    return _saved(GPT2LMHeadModel, config, folder, pad=False)


def t5(folder: Path) -> str:
    """An encoder-decoder model."""
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        pad_token_id=0,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    return _saved(T5ForConditionalGeneration, config, folder, pad=True)


def _saved(kind: Any, config: Any, folder: Path, *, pad: bool) -> str:
    torch.manual_seed(0)
    model = kind(config)
    with torch.no_grad():  # weights as they are drawn for training give the same token again and again
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.5)
    model.save_pretrained(folder)
    trained = ByteLevelBPETokenizer()
    trained.train_from_iterator(TEXTS, vocab_size=VOCABULARY, special_tokens=[PAD, BOS, EOS], show_progress=False)
    special = {"pad_token": PAD} if pad else {}
    PreTrainedTokenizerFast(tokenizer_object=trained, bos_token=BOS, eos_token=EOS, **special).save_pretrained(folder)
    return str(folder)


def prompts_file(folder: Path, texts: list[str] = TEXTS) -> str:
    """The texts as a JSONL file."""
    path = folder / "prompts.jsonl"
    path.write_text("".join(f"{json.dumps({'prompt': text})}\n" for text in texts))
    return str(path)


def config_of(model: str, prompts: str, **more: Any) -> dict[str, Any]:
    """A config that measures for no longer than it must."""
    return {
        "model_name": model,
        "prompts": {"source": prompts},
        "num_input_prompts": 7,
        "max_input_tokens": 64,
        "max_output_tokens": 5,
        "num_warmup_iterations": 1,
        "batching_options": {"batch_size___fixed_batching": 3},
        "measurement": {"min_seconds": 0.0, "idle_seconds": 0.0},
    } | more
