"""A model timed by hand: `python transformers_generate.py MODEL_DIR PROMPTS_FILE NEW_TOKENS SECONDS`.

All lines of the file are one batch. What `model.generate` takes is timed as one does without a tool: after a warm-up,
call after call, until so many seconds are over. Prints JSON.
"""

import json
import sys
import time
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

WARM_UPS = 3


def main(model_dir: str, prompts_file: str, new_tokens: int, seconds: float) -> None:
    """Load, warm up, time, print."""
    tokenizer = AutoTokenizer.from_pretrained(model_dir, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.float32).eval()
    prompts = Path(prompts_file).read_text().splitlines()
    inputs = tokenizer(prompts, return_tensors="pt", padding=True)
    options = {"do_sample": False, "min_new_tokens": new_tokens, "max_new_tokens": new_tokens}
    for _ in range(WARM_UPS):
        model.generate(**inputs, **options)
    iterations, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        outputs = model.generate(**inputs, **options)
        iterations += 1
    made = outputs.shape[1] - inputs["input_ids"].shape[1]
    found = {
        "output_tokens_per_second": iterations * len(prompts) * made / elapsed,
        "input_tokens": int(inputs["attention_mask"].sum()),
        "output_tokens": len(prompts) * made,
        "iterations": iterations,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
