"""The benchmark of a language model: that unlike work is never compared, and what its verdicts are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.llm.builder import MAX_INPUT_TOKENS, PROMPTS, build_config
from benchmarks.settings import Settings
from benchmarks.suites import llm
from benchmarks.timing import CommandFailedError
from experiments.llm_inference.settings import Settings as ExperimentSettings

ITERATION = {"input_tokens": 91, "output_tokens": 256}


def result(iterations: int, rate: float = 100.0, **more: Any) -> dict[str, Any]:
    """What the experiment returns after so many iterations."""
    totals = {name: iterations * number for name, number in ITERATION.items()}
    return {"output_tokens_per_second": rate, "num_requests": iterations * len(PROMPTS)} | totals | more


def script(rate: float = 100.0, **more: Any) -> dict[str, Any]:
    """What the script that times by hand prints."""
    return {"output_tokens_per_second": rate} | ITERATION | more


def test_only_the_same_work_is_compared() -> None:
    """However many iterations each had: other lengths, in or out, are a failure that names both numbers."""
    llm.require_same_work(result(7), script())
    for name in ITERATION:
        with pytest.raises(CommandFailedError, match=f"{ITERATION[name]} {name} .* by hand {ITERATION[name] + 1}"):
            llm.require_same_work(result(7), script(**{name: ITERATION[name] + 1}))


def test_the_verdicts_are_of_the_medians_of_pairs() -> None:
    """9 % off is met, 12 % is missed on either side; what failed isn't measured; one wild round changes nothing."""
    rounds = llm.Rounds(experiment=[91.0, 90.0, 300.0], by_hand=[100.0] * 3, costs=[1.0, 1.5, 40.0], cpu_costs=[0.1])
    off, cost = llm.verdicts(rounds)
    assert (off.measured, off.word) == (pytest.approx(9), "met")
    assert (cost.measured, cost.word) == (1.5, "met")
    for rate in (88.0, 112.0):
        rounds.experiment = [rate] * 3
        assert [verdict.word for verdict in llm.verdicts(rounds)] == ["**missed**", "met"]
    rounds.problem = "exit code 1"
    assert {verdict.word for verdict in llm.verdicts(rounds)} == {"**not measured**"}
    assert llm.table(rounds).count("**failed: exit code 1**") == 5


def test_what_is_not_installed_is_a_gap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the model's package nothing is run, and the section says which one is missing."""
    monkeypatch.setattr(llm, "NEEDED", ("torch", "there-is-no-such-package"))
    section = llm.measure(Settings(rounds=1, folder=tmp_path))
    assert "not installed: there-is-no-such-package" in str(section)
    assert {verdict.word for verdict in section.verdicts} == {"**not measured**"}


def test_its_config_is_one_batch_of_all_prompts() -> None:
    """So that both sides pad alike; a window and no second pass."""
    [config] = build_config("prompts.txt", 32, 10.0)
    settings = ExperimentSettings.from_config(config)
    assert settings.batching.batch_size == settings.num_input_prompts == len(PROMPTS)
    assert settings.fixed_output_length and not settings.measurement.latency_pass
    assert all(len(prompt) < 4 * MAX_INPUT_TOKENS for prompt in PROMPTS)
