"""Text generation, measured: warm-up, then the window of throughput and energy, then a separate pass for latencies.

    inputs = tokenise_prompts(tokenizer, texts)
    generator = Generator(model, tokenizer, settings)
    run_gen_inference(generator, inputs, settings, ranks)["window"].counts.output_tokens

Rules: prompts are tokenised and batched before anything is timed; all ranks meet, with idle devices, before both ends
of the window; energy is read at the same two points; steps are timed in a pass of their own, since that disturbs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import torch

from experiments.llm_inference.batching import make_batches
from experiments.llm_inference.distributed import Ranks, synchronize
from experiments.llm_inference.metrics import Batch, Counts
from experiments.llm_inference.serving import serve
from experiments.llm_inference.settings import Settings


def tokenise_prompts(tokenizer: Any, prompts: Sequence[str]) -> list[list[int]]:
    """Return the tokens of each prompt, without padding, special tokens included."""
    ids = tokenizer(list(prompts))["input_ids"]
    return [list(tokens) for tokens in ids]


class Generator:
    """A model with the arguments of `generate` that a config comes to. Calls return what was made, without padding."""

    def __init__(self, model: Any, tokenizer: Any, settings: Settings, *, synced: bool = False) -> None:
        self.model = model
        self.device: torch.device = _input_device(model)
        #: Whether ranks have to call the model equally often, since each has a part of it.
        self.synced = synced
        self._tokenizer = tokenizer
        ends = model.generation_config.eos_token_id
        self._ends = torch.tensor([] if ends is None else ([ends] if isinstance(ends, int) else ends))
        length = settings.max_output_tokens
        #: As `generate` is called, beside the batch; recorded with the results.
        self.arguments: dict[str, Any] = {
            **settings.decoder.generate_arguments(),
            "max_new_tokens": length,
            "min_new_tokens": length if settings.fixed_output_length else None,
            "num_beams": 1,
            "use_cache": settings.model.use_cache,
        }

    def pad(self, inputs: Sequence[Sequence[int]]) -> dict[str, torch.Tensor]:
        """Return prompts as one padded batch on the model's device."""
        batch = self._tokenizer.pad({"input_ids": [list(tokens) for tokens in inputs]}, return_tensors="pt")
        return {name: batch[name].to(self.device) for name in ("input_ids", "attention_mask")}

    def __call__(self, batch: dict[str, torch.Tensor], clock: "StepClock | None" = None) -> torch.Tensor:
        """Generate, and return the new tokens, one row for each prompt; rows that ended early are padded."""
        criteria = {} if clock is None else {"stopping_criteria": [clock]}
        with torch.inference_mode(not self.synced), torch.no_grad():  # fsdp changes parameters in place
            tokens = self.model.generate(**batch, **self.arguments, synced_gpus=self.synced, **criteria)
        # A decoder goes on with the prompt; an encoder-decoder begins with the token that starts a sequence.
        first = 1 if self.model.config.is_encoder_decoder else batch["input_ids"].shape[1]
        return tokens[:, first:]

    def lengths(self, tokens: torch.Tensor) -> list[int]:
        """Return how many tokens of each row count: up to the first that ends the sequence, which counts itself."""
        tokens = tokens.cpu()
        width = tokens.shape[1]
        if not width:
            return [0] * len(tokens)
        ended = torch.isin(tokens, self._ends)
        first = torch.where(ended.any(1), ended.int().argmax(1) + 1, width)
        return [int(length) for length in first]


class StepClock:
    """A stopping criterion that never stops: it notes when each step's tokens were there, in seconds since `begun`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._begun = monotonic()
        self.times: list[float] = []

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Note the time; no row is done because of it."""
        synchronize(self._device)
        self.times.append(monotonic() - self._begun)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@dataclass
class Output:
    """What one prompt came to: its place among all prompts of all ranks, and the new tokens."""

    index: int
    tokens: list[int]


@dataclass
class Pass:
    """What one rank did in the window, or in the pass for latencies. Times are of the host's monotonic clock, s."""

    started: float = 0.0
    ended: float = 0.0
    num_iterations: int = 0
    batches: list[Batch] = field(default_factory=list)
    #: Seconds in which simulated arrivals left nothing to do; they are inside the window, and said.
    waited_s: float = 0.0
    outputs: list[Output] = field(default_factory=list)  # of the first iteration

    @property
    def counts(self) -> Counts:
        """What was done, in all iterations."""
        return sum((Counts.of_batch(batch) for batch in self.batches), start=Counts())


@dataclass
class Work:
    """One rank's prompts: the tokens of each, their places among all prompts, and when each arrives (s)."""

    inputs: list[list[int]]
    indices: list[int]
    arrivals: list[float]


def warm_up(generator: Generator, work: Work, settings: Settings, num_iterations: int, ranks: Ranks) -> None:
    """Generate from the largest batch of the window, so that nothing in it happens for the first time.

    It is the largest one that there will be: memory that doesn't suffice is known here.
    """
    batches = make_batches([len(tokens) for tokens in work.inputs], settings.batching)
    largest = max(batches, key=lambda batch: len(batch) * max(len(work.inputs[index]) for index in batch))
    padded = generator.pad([work.inputs[index] for index in largest])
    for _ in range(num_iterations):
        generator(padded)
    ranks.meet()


def run_window(
    generator: Generator,
    work: Work,
    settings: Settings,
    ranks: Ranks,
    at_start: Callable[[], None] = lambda: None,
    at_end: Callable[[], None] = lambda: None,
) -> Pass:
    """Generate from all prompts, again and again until the window is long enough, and return what was done.

    `at_start` and `at_end` are called where the window begins and ends: energy is read there.
    """
    measurement = settings.measurement
    iterate = _iteration(generator, work, settings, ranks, timed=False)
    done = Pass()
    torch.manual_seed(settings.seed + ranks.rank)
    ranks.meet()
    at_start()
    ranks.meet()  # reading a meter takes time, on one rank alone
    done.started = monotonic()
    unfinished = True
    while unfinished:
        iterate(done)
        done.num_iterations += 1
        short = monotonic() - done.started < measurement.min_seconds or done.num_iterations < measurement.min_iterations
        unfinished = ranks.any(short)
    synchronize(generator.device)
    done.ended = monotonic()
    ranks.meet()
    at_end()
    return done


def run_latency_pass(generator: Generator, work: Work, settings: Settings, ranks: Ranks) -> Pass:
    """Generate from all prompts once more, and time every step."""
    iterate = _iteration(generator, work, settings, ranks, timed=True)
    done = Pass(num_iterations=1)
    torch.manual_seed(settings.seed + ranks.rank)
    ranks.meet()
    done.started = monotonic()
    iterate(done)
    done.ended = monotonic()
    ranks.meet()
    return done


def run_gen_inference(
    generator: Generator,
    work: Work,
    settings: Settings,
    ranks: Ranks,
    at_start: Callable[[], None] = lambda: None,
    at_end: Callable[[], None] = lambda: None,
) -> dict[str, Pass | None]:
    """Return this rank's `window`, and its `latency` pass where the config asks for one."""
    window = run_window(generator, work, settings, ranks, at_start, at_end)
    asked = settings.measurement.latency_pass
    return {"window": window, "latency": run_latency_pass(generator, work, settings, ranks) if asked else None}


def _iteration(
    generator: Generator, work: Work, settings: Settings, ranks: Ranks, *, timed: bool
) -> Callable[[Pass], None]:
    """Return what generates from all prompts once, and adds what it did to a Pass."""

    def generate(done: Pass, chosen: Sequence[int], padded: dict[str, torch.Tensor], queue: Sequence[float]) -> None:
        clock = StepClock(generator.device) if timed else None
        tokens = generator(padded, clock)
        lengths = generator.lengths(tokens)  # it waits for the device
        inputs = tuple(len(work.inputs[index]) for index in chosen)
        times = () if clock is None else tuple(clock.times)
        done.batches.append(Batch(inputs, tuple(lengths), times, tuple(queue), tokens.shape[1]))
        if done.num_iterations == 0:
            for index, row, length in zip(chosen, tokens.tolist(), lengths, strict=True):
                done.outputs.append(Output(work.indices[index], row[:length]))

    if settings.arrivals.process != "offline":
        return lambda done: serve(generator, work, settings.batching, done, generate)
    batches = make_batches([len(tokens) for tokens in work.inputs], settings.batching)
    padded = [generator.pad([work.inputs[index] for index in batch]) for batch in batches]
    num_batches = ranks.most(len(batches)) if generator.synced else len(batches)

    def iterate(done: Pass) -> None:
        for batch, tensors in zip(batches, padded, strict=True):
            generate(done, batch, tensors, ())
        for _ in range(num_batches - len(batches)):  # others have more: take part in their steps, for nothing
            generator(padded[-1])

    return iterate


def _input_device(model: Any) -> torch.device:
    """The device that inputs go to: that of the embeddings, wherever the rest is."""
    modules = getattr(model, "hf_device_map", None)
    if modules is None:
        embedding = model.get_input_embeddings().weight
        local = embedding.to_local() if hasattr(embedding, "to_local") else embedding
        # What fsdp keeps in memory comes to the device for its use.
        return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else local.device
    places = [place for place in modules.values() if place not in ("cpu", "disk")]
    return torch.device(places[0]) if places else torch.device("cpu")
