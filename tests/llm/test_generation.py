from __future__ import annotations

from typing import Any

import pytest
import torch

from experiments.llm_inference.distributed import Ranks, setup_distributed, teardown
from experiments.llm_inference.generation import (
    Generator,
    Work,
    run_gen_inference,
    run_latency_pass,
    run_window,
    tokenise_prompts,
    warm_up,
)
from experiments.llm_inference.loading import load_model_tokenizer
from experiments.llm_inference.settings import Settings
from tests.llm.tiny import TEXTS, config_of


class Bench:
    """A model, ready to generate from the test prompts as this process's only rank."""

    def __init__(self, models: dict[str, str], kind: str = "llama", **more: Any) -> None:
        self.settings = Settings.from_config(config_of(models[kind], models["prompts"], **more))
        self.ranks = Ranks(setup_distributed(self.settings))
        self.model, self.tokenizer = load_model_tokenizer(self.settings)
        self.generator = Generator(self.model, self.tokenizer, self.settings)
        inputs = tokenise_prompts(self.tokenizer, TEXTS)
        self.work = Work(inputs, list(range(len(inputs))), [0.0] * len(inputs))

    def window(self, **meters: Any) -> Any:
        return run_window(self.generator, self.work, self.settings, self.ranks, **meters)

    def tokens(self) -> list[list[int]]:
        """The new tokens of each prompt, in the order of the prompts."""
        return [output.tokens for output in sorted(self.window().outputs, key=lambda output: output.index)]


@pytest.fixture(autouse=True)
def _no_accelerator_left() -> Any:
    yield
    teardown(None, failed=False)


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
def test_counts_are_of_tokens_without_padding(models: dict[str, str], kind: str) -> None:
    """Inputs of unlike lengths in one batch count as they are, outputs are as long as they were asked to be."""
    bench = Bench(models, kind)
    counts = bench.window().counts
    assert counts.input_tokens == sum(len(tokens) for tokens in bench.work.inputs)
    assert counts.output_tokens == 7 * 5
    assert counts.padded_input_tokens > counts.input_tokens
    assert counts.num_requests == 7


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_what_follows_the_end_of_a_sequence_does_not_count(models: dict[str, str], kind: str) -> None:
    """With a token that ends sequences, each output is cut behind it, and is otherwise what it would have been."""
    free = Bench(models, kind, max_output_tokens=8).tokens()
    ending = free[0][2]
    bench = Bench(models, kind, max_output_tokens=8, fixed_output_length=False)
    bench.model.generation_config.eos_token_id = ending
    bench.generator = Generator(bench.model, bench.tokenizer, bench.settings)
    cut = bench.tokens()
    expected = [row[: row.index(ending) + 1] if ending in row else row for row in free]
    assert cut == expected
    assert len(cut[0]) < 8
    assert bench.window().counts.output_tokens == sum(map(len, expected))


@pytest.mark.parametrize("kind", ["llama", "gpt2", "t5"])
@pytest.mark.parametrize(
    "batching",
    [
        {"batch_size___fixed_batching": 7},
        {"adaptive_batching": True, "adaptive_max_tokens": 80, "max_batch_size___adaptive_batching": 4},
    ],
)
def test_greedy_text_does_not_depend_on_batches(models: dict[str, str], kind: str, batching: dict[str, Any]) -> None:
    """One prompt at a time, all in one batch, or sorted into adaptive ones: the same tokens for the same prompt."""
    alone = Bench(models, kind, batching_options={"batch_size___fixed_batching": 1}).tokens()
    assert Bench(models, kind, batching_options=batching).tokens() == alone


def test_greedy_is_the_likeliest_token_at_every_step(models: dict[str, str]) -> None:
    """The output is what one gets by asking the model for its logits and taking the largest, again and again."""
    bench = Bench(models)
    expected = list(bench.work.inputs[0])
    for _ in range(5):
        with torch.no_grad():
            expected.append(int(bench.model(torch.tensor([expected])).logits[0, -1].argmax()))
    assert bench.tokens()[0] == expected[-5:]


def test_ways_of_decoding_do_what_they_are_called(models: dict[str, str]) -> None:
    """The best of 1 is greedy; sampling is another text, the same one for the same seed, another for another."""

    def tokens(seed: int = 0, **decoder: Any) -> list[list[int]]:
        return Bench(models, decoder_config=decoder, seed=seed, max_output_tokens=12).tokens()

    greedy = tokens(decoding_mode="greedy")
    assert tokens(decoding_mode="top_k", decoder_top_k=1) == greedy
    assert tokens(decoding_mode="top_p", decoder_top_p=1e-9) == greedy
    assert tokens(decoding_mode="temperature", decoder_temperature=1e-6) == greedy
    hot = tokens(decoding_mode="temperature", decoder_temperature=5.0)
    assert hot != greedy
    assert tokens(decoding_mode="temperature", decoder_temperature=5.0) == hot
    assert tokens(decoding_mode="temperature", decoder_temperature=5.0, seed=1) != hot


def test_the_window_holds_the_iterations_and_seconds_that_are_asked_for(models: dict[str, str]) -> None:
    """It goes on until both are there; warm-up counts nowhere, and outputs are kept of one iteration."""
    bench = Bench(models, measurement={"min_seconds": 0.2, "min_iterations": 2})
    warm_up(bench.generator, bench.work, bench.settings, 2, bench.ranks)
    done = bench.window()
    assert done.ended - done.started >= 0.2
    assert done.num_iterations >= 2
    assert done.counts.num_requests == 7 * done.num_iterations
    assert len(done.outputs) == 7


def test_meters_are_read_at_the_ends_of_the_window(models: dict[str, str]) -> None:
    """Once each: before the first batch, and when the last one is done; not around the pass for latencies."""
    bench = Bench(models)
    calls: list[str] = []
    generate = bench.generator.model.generate
    bench.generator.model.generate = lambda **arguments: (calls.append("generate"), generate(**arguments))[1]
    passes = run_gen_inference(
        bench.generator,
        bench.work,
        bench.settings,
        bench.ranks,
        lambda: calls.append("start"),
        lambda: calls.append("end"),
    )
    batches = ["generate"] * 3
    assert calls == ["start", *batches, "end", *batches]
    assert passes["latency"] is not None


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_the_latency_pass_times_every_step(models: dict[str, str], kind: str) -> None:
    """As many ascending times as tokens for each batch, within the pass; the same tokens as in the window."""
    bench = Bench(models, kind)
    window, timed = (
        run(bench.generator, bench.work, bench.settings, bench.ranks) for run in (run_window, run_latency_pass)
    )
    for batch in timed.batches:
        assert len(batch.step_times_s) == 5
        assert list(batch.step_times_s) == sorted(batch.step_times_s)
        assert batch.step_times_s[0] > 0
        assert batch.step_times_s[-1] <= timed.ended - timed.started
    assert timed.counts == window.counts
    assert not any(batch.step_times_s for batch in window.batches)


def test_requests_are_served_when_they_arrive(models: dict[str, str]) -> None:
    """Nobody is served early; who arrives during a batch waits for it; idle time in the window is said."""
    simulated = {"simulate": True, "simulate_burst": True, "burst_interval": 0.15, "burst_size": 4}
    bench = Bench(models, latency_simulation=simulated, batching_options={"batch_size___fixed_batching": 2})
    bench.work.arrivals = [0.0] * 4 + [0.15] * 3
    warm_up(bench.generator, bench.work, bench.settings, 1, bench.ranks)
    done = bench.window()
    assert [len(batch.input_lengths) for batch in done.batches] == [2, 2, 2, 1]
    assert [output.index for output in done.outputs] == list(range(7))
    assert 0 < done.waited_s < 0.15
    assert done.ended - done.started > 0.15
    queue = [seconds for batch in done.batches for seconds in batch.queue_s]
    assert all(seconds >= 0 for seconds in queue)
    assert min(queue[2:4]) > max(queue[:2])  # the second batch waited for the first


def test_simulated_requests_fill_adaptive_batches(models: dict[str, str]) -> None:
    """Those that are waiting are put together as the token budget allows, first come first served."""
    batching = {"adaptive_batching": True, "adaptive_max_tokens": 80, "max_batch_size___adaptive_batching": 4}
    simulated = {"simulate": True, "delay_min": 0.001, "delay_max": 0.001}
    bench = Bench(models, latency_simulation=simulated, batching_options=batching)
    done = bench.window()
    assert [output.index for output in done.outputs] == list(range(7))
    for batch in done.batches:
        size = len(batch.input_lengths)
        assert size == 1 or (size <= 4 and size * max(batch.input_lengths) <= 80)
