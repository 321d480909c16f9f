from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.llm_inference.batching import adaptive_batches, fixed_batches, make_batches, split_over_ranks
from experiments.llm_inference.keys import SettingsError
from experiments.llm_inference.settings import Settings

LENGTHS = st.lists(st.integers(1, 60), max_size=40)


def test_fixed_batches_keep_the_order_and_the_rest() -> None:
    """Seven prompts by three are three batches, the last of one."""
    assert fixed_batches(7, 3) == [(0, 1, 2), (3, 4, 5), (6,)]
    assert fixed_batches(0, 3) == []


@given(LENGTHS, st.integers(1, 150), st.integers(1, 9))
def test_adaptive_batches_hold_every_prompt_once_within_budget_and_size(
    lengths: list[int], max_tokens: int, max_batch_size: int
) -> None:
    """What a batch is padded to is within the budget, unless it is a single prompt; the longest batch comes first."""
    batches = adaptive_batches(lengths, max_tokens, max_batch_size)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    longest = [max(lengths[index] for index in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)
    for batch, length in zip(batches, longest, strict=True):
        assert 1 <= len(batch) <= max_batch_size
        assert len(batch) * length <= max_tokens or len(batch) == 1


@given(LENGTHS, st.integers(1, 150), st.integers(1, 9))
def test_an_adaptive_batch_is_as_large_as_it_may_be(lengths: list[int], max_tokens: int, max_batch_size: int) -> None:
    """No prompt of the next batch would have fitted: into the size, or into the budget beside the batch's longest."""
    batches = adaptive_batches(lengths, max_tokens, max_batch_size)
    for batch in batches[:-1]:
        longest = max(lengths[index] for index in batch)
        assert len(batch) == max_batch_size or (len(batch) + 1) * longest > max_tokens


def test_the_config_says_which_batches() -> None:
    """Fixed ones unless `adaptive_batching`; equal lengths keep their order."""
    options = {"batch_size___fixed_batching": 2, "adaptive_max_tokens": 20, "max_batch_size___adaptive_batching": 3}
    fixed = Settings.from_config({"model_name": "x", "batching_options": options}).batching
    adaptive = Settings.from_config({"model_name": "x", "batching_options": {**options, "adaptive_batching": True}})
    lengths = [5, 9, 4, 4, 4, 30]
    assert make_batches(lengths, fixed) == [(0, 1), (2, 3), (4, 5)]
    assert make_batches(lengths, adaptive.batching) == [(5,), (1, 0), (2, 3, 4)]


@given(st.integers(1, 8), st.integers(0, 50))
def test_ranks_share_all_prompts_evenly(world_size: int, more: int) -> None:
    """The ranks' indices are disjoint, together all, and differ in number by one at most."""
    num_prompts = world_size + more
    shares = [split_over_ranks(num_prompts, world_size, rank) for rank in range(world_size)]
    assert sorted(index for share in shares for index in share) == list(range(num_prompts))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_rank_without_a_prompt_is_refused() -> None:
    """Fewer prompts than processes is an error that says both numbers."""
    with pytest.raises(SettingsError, match="2 prompts for 3 processes"):
        split_over_ranks(2, 3, 0)
