"""From what was counted and timed to the figures that are compared: latencies, throughput, padding, energy, MFU.

    counts = sum((Counts.of_batch(batch) for batch in batches), start=Counts())
    throughput(counts, wall_s=12.5)["output_tokens_per_s"]
    latencies(batches)["ttft_s"]["p95"]

Everything here is arithmetic on plain numbers; who counted and timed is `generation`. A figure that can't be known is
None, with its reason in `<name>_reason`, and never 0. Times are seconds, energies joules, emissions grams.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np

from experiments.llm_inference.settings import LatencyBounds

_PERCENTILES = (50, 90, 95, 99)


@dataclass(frozen=True)
class Batch:
    """One call of `generate`: each request's tokens, and when each step's tokens were there.

    Lengths are tokens without padding, outputs without what follows the end-of-sequence token (which counts itself).
    `step_times_s` are seconds since the call began, one a step; empty where steps were not timed. `queue_s` is how long
    each request waited before the call; empty where none did.
    """

    input_lengths: tuple[int, ...]
    output_lengths: tuple[int, ...]
    step_times_s: tuple[float, ...] = ()
    queue_s: tuple[float, ...] = ()
    num_steps: int | None = None  # where steps were not timed; None: the longest output's

    def __post_init__(self) -> None:
        sizes = {len(self.input_lengths), len(self.output_lengths), len(self.queue_s) or len(self.input_lengths)}
        if len(sizes) > 1:
            raise ValueError(f"A batch needs as many inputs as outputs and queue times, not {sizes}.")
        if self.step_times_s and max(self.output_lengths, default=0) > len(self.step_times_s):
            raise ValueError(f"{max(self.output_lengths)} tokens can't come from {len(self.step_times_s)} steps.")

    @property
    def steps(self) -> int:
        """How many tokens were made for each request, those after its end included."""
        if self.step_times_s:
            return len(self.step_times_s)
        return max(self.output_lengths, default=0) if self.num_steps is None else self.num_steps

    @property
    def prefill_s(self) -> float:
        """Seconds to the first token of all requests."""
        return self.step_times_s[0]

    @property
    def decode_s(self) -> float:
        """Seconds from the first to the last token."""
        return self.step_times_s[-1] - self.step_times_s[0]

    def requests(self) -> Iterator["Request"]:
        """Each request with its own part of the steps, which must have been timed; one without output is left out."""
        for index, num_tokens in enumerate(self.output_lengths):
            if num_tokens:
                yield Request(self.step_times_s[:num_tokens], self.queue_s[index] if self.queue_s else 0.0)


@dataclass(frozen=True)
class Request:
    """When each of a request's tokens was there, in seconds since its service began; and how long it had waited."""

    token_times_s: tuple[float, ...]
    queue_s: float = 0.0

    @property
    def ttft_s(self) -> float:
        """Time to first token."""
        return self.token_times_s[0]

    @property
    def itl_s(self) -> list[float]:
        """Inter-token latencies: one less than there are tokens."""
        return [later - earlier for earlier, later in zip(self.token_times_s, self.token_times_s[1:], strict=False)]

    @property
    def e2e_s(self) -> float:
        """End to end: to the last token."""
        return self.token_times_s[-1]

    @property
    def tpot_s(self) -> float | None:
        """Time per output token after the first one; None where there is no second one."""
        num_tokens = len(self.token_times_s)
        return (self.e2e_s - self.ttft_s) / (num_tokens - 1) if num_tokens > 1 else None

    def meets(self, bounds: LatencyBounds) -> bool:
        """Whether it was quick enough for who waits: first and last token count from its arrival, queue included."""
        taken = (
            (self.queue_s + self.ttft_s, bounds.ttft_s),
            (self.tpot_s, bounds.tpot_s),
            (self.queue_s + self.e2e_s, bounds.e2e_s),
        )
        return all(value is None or bound is None or value <= bound for value, bound in taken)


@dataclass(frozen=True)
class Counts:
    """What was done. They add up over batches, iterations and ranks. Tokens are without padding unless they say so."""

    num_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    padded_input_tokens: int = 0
    padded_output_tokens: int = 0

    @classmethod
    def of_batch(cls, batch: Batch) -> "Counts":
        """What one call of `generate` did: inputs are padded to the longest one, outputs to the number of steps."""
        size = len(batch.input_lengths)
        return cls(
            num_requests=size,
            input_tokens=sum(batch.input_lengths),
            output_tokens=sum(batch.output_lengths),
            padded_input_tokens=size * max(batch.input_lengths, default=0),
            padded_output_tokens=size * batch.steps,
        )

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(one + another for one, another in zip(astuple(self), astuple(other), strict=True)))

    @property
    def total_tokens(self) -> int:
        """Inputs and outputs."""
        return self.input_tokens + self.output_tokens


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Return numerator / denominator; None where either is unknown, or the denominator is 0."""
    if numerator is None or not denominator:
        return None
    return numerator / denominator


def summary(values: Iterable[float]) -> dict[str, float | int | None]:
    """Return n, mean, std (of a sample, n - 1), p50, p90, p95, p99, min and max; None for what n is too small for.

    Percentiles interpolate linearly between the two nearest values, as numpy does.
    """
    data = np.fromiter(values, dtype=float)
    if not data.size:
        return {"n": 0, **dict.fromkeys(("mean", "std", *(f"p{p}" for p in _PERCENTILES), "min", "max"))}
    return {
        "n": int(data.size),
        "mean": float(data.mean()),
        "std": float(data.std(ddof=1)) if data.size > 1 else None,
        **{f"p{p}": float(np.percentile(data, p)) for p in _PERCENTILES},
        "min": float(data.min()),
        "max": float(data.max()),
    }


def latencies(batches: Iterable[Batch]) -> dict[str, Any]:
    """Return summaries over all requests of the timed batches (of all ranks), and the rates of both phases.

    ttft_s, itl_s, tpot_s and e2e_s are of the service alone; queue_s is what came before it, response_s both. prefill
    and decode rates: input tokens over the seconds of prefill; outputs after the first over the seconds of decoding.
    """
    batches = [batch for batch in batches if batch.step_times_s]
    requests = [request for batch in batches for request in batch.requests()]
    waited = [request for request in requests if any(batch.queue_s for batch in batches)]
    decoded = sum(num_tokens - 1 for batch in batches for num_tokens in batch.output_lengths if num_tokens)
    return {
        "ttft_s": summary(request.ttft_s for request in requests),
        "itl_s": summary(gap for request in requests for gap in request.itl_s),
        "tpot_s": summary(request.tpot_s for request in requests if request.tpot_s is not None),
        "e2e_s": summary(request.e2e_s for request in requests),
        "queue_s": summary(request.queue_s for request in waited),  # none where all were there from the beginning
        "response_s": summary(request.queue_s + request.e2e_s for request in requests),
        "prefill_tokens_per_s": ratio(
            sum(sum(batch.input_lengths) for batch in batches), sum(batch.prefill_s for batch in batches)
        ),
        "decode_tokens_per_s": ratio(decoded, sum(batch.decode_s for batch in batches)) if decoded else None,
    }


def goodput(batches: Iterable[Batch], bounds: LatencyBounds, wall_s: float) -> dict[str, Any]:
    """Return the requests/s of timed batches that met their latency bounds, over the seconds that the pass took.

    It belongs to the pass in which latencies were timed, not to the window. None where no bound is given.
    """
    if not bounds.given:
        reason = "no latency_bounds are given"
        return {"goodput_requests_per_s": None, "goodput_fraction": None, "goodput_requests_per_s_reason": reason}
    met = [request.meets(bounds) for batch in batches for request in batch.requests()]
    return {"goodput_requests_per_s": ratio(sum(met), wall_s), "goodput_fraction": ratio(sum(met), len(met))}


def wall_seconds(windows: Sequence[tuple[float, float]]) -> float:
    """Return the last end minus the first start of the ranks' (start, end), which are on one clock."""
    return max(end for _, end in windows) - min(start for start, _ in windows)


def throughput(counts: Counts, wall_s: float) -> dict[str, Any]:
    """Return the counts of all ranks and what they come to per second of the window."""
    padded = counts.padded_input_tokens + counts.padded_output_tokens
    return {
        "num_requests": counts.num_requests,
        "input_tokens": counts.input_tokens,
        "output_tokens": counts.output_tokens,
        "total_tokens": counts.total_tokens,
        "wall_s": wall_s,
        "output_tokens_per_s": ratio(counts.output_tokens, wall_s),
        "total_tokens_per_s": ratio(counts.total_tokens, wall_s),
        "requests_per_s": ratio(counts.num_requests, wall_s),
        "padding_overhead": _overhead(counts.total_tokens, padded),
        "input_padding_overhead": _overhead(counts.input_tokens, counts.padded_input_tokens),
    }


def short_window(wall_s: float, num_iterations: int, min_seconds: float, min_iterations: int) -> bool:
    """Whether the window held fewer seconds or iterations than it must for its figures to be trusted."""
    return wall_s < min_seconds or num_iterations < min_iterations


def per_process(totals: Mapping[str, float | None], world_size: int) -> dict[str, float | None]:
    """Return each total over the number of processes, as `per_process_<name>`.

    An average, since energy is read once for each device and host and belongs to no process.
    """
    return {f"per_process_{name}": ratio(total, world_size) for name, total in totals.items()}


def over_ranks(name: str, values: Sequence[float | None]) -> dict[str, float | None]:
    """Return the largest and the sum of the ranks' values, `max_<name>` and `sum_<name>`; None where one is unknown."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return {f"max_{name}": None, f"sum_{name}": None}
    return {f"max_{name}": max(known), f"sum_{name}": sum(known)}


def _overhead(real: int, padded: int) -> float | None:
    share = ratio(real, padded)
    return None if share is None else 1 - share
