"""Rows as `analysis.load_runs` gives them, from configs and results that are written down, not measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from experiments.llm_inference.setups import describe, told_apart

MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"


def config_of(batch: int = 8, precision: str = "float32", cycle: int = 0, **more: Any) -> dict[str, Any]:
    """A config of the controlled suite."""
    return {
        "model_name": MODEL, "fp_precision": precision, "cycle_id": cycle,
        "batching_options": {"batch_size___fixed_batching": batch},
    } | more  # fmt: skip


def result_of(rate: float, joules: float | None = 1.0, **more: Any) -> dict[str, Any]:
    """What an experiment returns: tokens/s, J per output token, and latencies that follow from the rate."""
    latencies = {
        f"{kind}_s_{percentile}": scale * factor / rate
        for kind, scale in {"ttft": 2.0, "tpot": 1.0, "e2e": 32.0}.items()
        for percentile, factor in {"p50": 1.0, "p90": 1.2, "p95": 1.3, "p99": 1.6}.items()
    }
    energy = {"energy_method": "modelled", "energy_scope": "machine (cpu, ram) modelled", "energy_reason": None}
    known = {"device_name": "a CPU", "short_window": False, "contended": False, "prompts_sha256": "ab12cd34ef"}
    return {"output_tokens_per_second": rate, "energy_per_token_joules": joules} | latencies | energy | known | more


def runs_of(rows: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> pd.DataFrame:
    """The table of configs and their results."""
    described = [{"index": index, "digest": str(index)} | describe(*row) for index, row in enumerate(rows)]
    return told_apart(pd.DataFrame(described))


def suite(**more: Any) -> pd.DataFrame:
    """Four batch sizes and two precisions of one model, three repeats of each, a few per cent apart."""
    draw = np.random.default_rng(0)
    return runs_of(
        (
            config_of(batch, precision, cycle),
            result_of(rate := base * batch**0.7 * draw.normal(1, 0.02), 60 / rate, **more),
        )
        for cycle in range(3)
        for precision, base in (("float32", 20.0), ("bfloat16", 26.0))
        for batch in (1, 2, 4, 8)
    )
