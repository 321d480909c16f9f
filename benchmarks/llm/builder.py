"""The config of one language model in one fixed batch."""

from collections.abc import Mapping
from typing import Any

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
#: All shorter than MAX_INPUT_TOKENS, or they would be left out; of unlike lengths, so that there is padding.
PROMPTS = (
    "The capital of France is",
    "Write one sentence about the sea at night, and mention a lighthouse that nobody has kept for years.",
    "Count from one to ten:",
    "Why is the sky blue? Answer as you would to a child of five who has never seen a prism.",
    "A short poem about iron",
    "List three uses of a paper clip other than holding sheets of paper together.",
    "The opposite of cold is",
    "Explain in two sentences how a bicycle stays upright while it moves.",
)
MAX_INPUT_TOKENS = 64


def build_config(prompts_file: str, new_tokens: int, seconds: float) -> list[Mapping[str, Any]]:
    """Return one config: all lines of the file as one batch, so many new tokens each, a window of so many seconds."""
    config = {
        "model_name": MODEL,
        "num_input_prompts": len(PROMPTS),
        "max_input_tokens": MAX_INPUT_TOKENS,
        "max_output_tokens": new_tokens,
        "fixed_output_length": True,
        "fp_precision": "float32",
        "batching_options": {"batch_size___fixed_batching": len(PROMPTS)},
        "prompts": {"source": prompts_file},
        "measurement": {"min_seconds": seconds, "latency_pass": False},
        "resources": {"exclusive_host": True},
    }
    return [config]
