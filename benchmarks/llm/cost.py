"""What measuring costs: `python -m benchmarks.llm.cost PROMPTS_FILE NEW_TOKENS PAIRS`.

In one process, with one model, in turn: a window of the experiment, with its barriers, its counts and the energy's
reader, and as many bare calls of `model.generate`; every other pair begins with the bare calls. Prints JSON: for each
pair, by how many per cent the window's throughput is lower ("wall"), and its CPU time for each token higher ("cpu").
"""

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.llm.builder import build_config
from experiments.llm_inference.distributed import Ranks, setup_distributed, synchronize
from experiments.llm_inference.energy import prepare_energy_tracking
from experiments.llm_inference.generation import Generator, Work, run_window, tokenise_prompts
from experiments.llm_inference.loading import load_model_tokenizer
from experiments.llm_inference.settings import Settings

ITERATIONS = 2  # in a window


@dataclass(frozen=True)
class Taken:
    """Seconds for a token: by the clock, and of CPU time of the whole process."""

    wall: float
    cpu: float


class CpuClock:
    """CPU time of the whole process between two points, the threads of meters included."""

    def begin(self) -> None:
        """From now on."""
        self.seconds = -time.process_time()

    def end(self) -> None:
        """Until now."""
        self.seconds += time.process_time()


def main(prompts_file: str, new_tokens: int, pairs: int) -> dict[str, list[float]]:
    """Return the costs of each pair, in per cent: below 0 where noise outweighs them."""
    [config] = build_config(prompts_file, new_tokens, seconds=0.0)
    settings = Settings.from_config({**config, "measurement": {"min_seconds": 0, "min_iterations": ITERATIONS}})
    accelerator = setup_distributed(settings)
    model, tokenizer = load_model_tokenizer(settings, accelerator)
    inputs = tokenise_prompts(tokenizer, Path(prompts_file).read_text().splitlines())
    work = Work(inputs, list(range(len(inputs))), [0.0] * len(inputs))
    generator, ranks = Generator(model, tokenizer, settings), Ranks(accelerator)
    padded = generator.pad(inputs)
    num_tokens = ITERATIONS * len(inputs) * new_tokens

    def measured() -> Taken:
        energy, cpu = prepare_energy_tracking(), CpuClock()

        def begin() -> None:
            energy.begin()
            cpu.begin()

        def end() -> None:
            cpu.end()
            energy.end()

        window = run_window(generator, work, settings, ranks, begin, end)
        return Taken((window.ended - window.started) / num_tokens, cpu.seconds / num_tokens)

    def bare() -> Taken:
        cpu, started = CpuClock(), time.monotonic()
        cpu.begin()
        with torch.inference_mode():  # as the experiment has it: it is quicker than the no_grad of `generate`
            for _ in range(ITERATIONS):
                model.generate(**padded, **generator.arguments)
        synchronize(ranks.device)
        ended = time.monotonic()
        cpu.end()
        return Taken((ended - started) / num_tokens, cpu.seconds / num_tokens)

    for way in (bare, measured):  # what happens for the first time
        way()
    costs: dict[str, list[float]] = {"wall": [], "cpu": []}
    for number in range(pairs):
        order = (bare, measured) if number % 2 else (measured, bare)
        taken = {way: way() for way in order}
        costs["wall"].append((1 - taken[bare].wall / taken[measured].wall) * 100)
        costs["cpu"].append((taken[measured].cpu / taken[bare].cpu - 1) * 100)
    return costs


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
