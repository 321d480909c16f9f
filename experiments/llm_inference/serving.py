"""Requests that arrive over time, served in batches of those that are there: simulated, on an absolute schedule.

serve(generator, work, settings.batching, done, generate)

A batch begins with whatever has arrived when the one before it is done, first come first served. How long a request
waited for that is its queue time, apart from its service; seconds in which nobody was there are counted as waited.
"""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from experiments.llm_inference.batching import make_batches
from experiments.llm_inference.settings import BatchingSettings

if TYPE_CHECKING:
    from experiments.llm_inference.generation import Generator, Pass, Work


def serve(
    generator: "Generator",
    work: "Work",
    batching: BatchingSettings,
    done: "Pass",
    generate: Callable[..., Any],
) -> None:
    """Serve every request of `work` once; `work.arrivals` ascend. What was done is added to `done` by `generate`."""
    begun = time.monotonic()
    served = 0
    while served < len(work.inputs):
        now = time.monotonic() - begun
        early = work.arrivals[served] - now
        if early > 0:
            time.sleep(early)
            done.waited_s += time.monotonic() - begun - now
            continue
        waiting = [index for index in range(served, len(work.inputs)) if work.arrivals[index] <= now]
        chosen = _next_batch(work, batching, waiting)
        padded = generator.pad([work.inputs[index] for index in chosen])
        now = time.monotonic() - begun
        generate(done, chosen, padded, [now - work.arrivals[index] for index in chosen])
        served += len(chosen)


def _next_batch(work: "Work", batching: BatchingSettings, waiting: list[int]) -> list[int]:
    """The longest run of those who came first that the batching puts into one batch."""
    if not batching.adaptive:
        return waiting[: batching.batch_size]
    size = 1
    while size < len(waiting):
        lengths = [len(work.inputs[index]) for index in waiting[: size + 1]]
        if len(make_batches(lengths, batching)) > 1:
            break
        size += 1
    return waiting[:size]
