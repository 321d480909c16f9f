"""Which prompts are generated together: batches of indices, from the prompts' lengths alone.

make_batches([5, 9, 4], settings.batching)  ->  [(0, 1), (2,)]    # fixed, batch_size 2
split_over_ranks(5, world_size=2, rank=1)   ->  range(1, 5, 2)
"""

from collections.abc import Iterator, Sequence

from experiments.llm_inference.keys import SettingsError
from experiments.llm_inference.settings import BatchingSettings

Batch = tuple[int, ...]
"""Indices into the sequence of lengths that was batched."""


def make_batches(lengths: Sequence[int], batching: BatchingSettings) -> list[Batch]:
    """Return batches that hold every index once; `lengths` are the prompts' lengths in tokens."""
    if batching.adaptive:
        return adaptive_batches(lengths, batching.max_tokens, batching.max_batch_size)
    return fixed_batches(len(lengths), batching.batch_size)


def fixed_batches(num_prompts: int, batch_size: int) -> list[Batch]:
    """Return the indices in their order, `batch_size` at a time; the last batch may be smaller."""
    order = range(num_prompts)
    return [tuple(order[start : start + batch_size]) for start in range(0, num_prompts, batch_size)]


def adaptive_batches(lengths: Sequence[int], max_tokens: int, max_batch_size: int) -> list[Batch]:
    """Return batches of similar lengths, the longest first, each as large as budget and maximal size allow.

    The budget holds for what a batch is padded to: its size times the length of its longest prompt. A prompt that alone
    exceeds it gets a batch of its own. The longest come first, so that a batch that doesn't fit into memory is known at
    once; equal lengths keep their order.
    """
    return list(_filled(lengths, max_tokens, max_batch_size))


def _filled(lengths: Sequence[int], max_tokens: int, max_batch_size: int) -> Iterator[Batch]:
    batch: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
        longest = lengths[batch[0]] if batch else lengths[index]
        if batch and (len(batch) == max_batch_size or (len(batch) + 1) * longest > max_tokens):
            yield tuple(batch)
            batch = []
        batch.append(index)
    if batch:
        yield tuple(batch)


def split_over_ranks(num_prompts: int, world_size: int, rank: int) -> range:
    """Return the indices of the prompts that a rank takes: every `world_size`-th one, from its own number on.

    The ranks' indices are disjoint and together all; their numbers differ by one at most, and each rank has its part of
    requests that arrive over time. Raises SettingsError where there are fewer prompts than ranks: a rank without work
    would be measured as if it had taken part.
    """
    if num_prompts < world_size:
        raise SettingsError(
            f"There are {num_prompts} prompts for {world_size} processes, and each needs one. Give more prompts, or a "
            "lower num_processes."
        )
    return range(rank, num_prompts, world_size)
