"""Experiments: those that do nothing but write a result, and those that import torch, transformers and pandas first.

measure_noop(settings), measure_heavy(settings)
"""

import json
import os
import statistics
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from benchmarks import peer_commands
from benchmarks.bookkeeping import time_bookkeeping
from benchmarks.configmill_commands import expect_campaign, experiment_command
from benchmarks.document import Section, Verdict, cell, markdown_table
from benchmarks.ratio_tables import floor_line, ratio_table, verdicts
from benchmarks.settings import Settings
from benchmarks.timing import CommandFailedError, count_lines, new_dir, run_command
from benchmarks.tools import Tool, expect_files, figures_of, measure, say

MEMORY_DIR = "/dev/shm"
BOOKKEEPING_COUNT = 200
MEMORY_COUNT = 6
MEMORY_TARGET = 25.0  # MB

#: Enough items for each that its start-up is not all that is measured, and few enough that a round takes seconds.
NOOP_COUNTS = {"warm": 1000, "cold": 100, "script": 100, "snakemake": 40, "hydra": 40, "submitit": 20, "ray": 10}
HEAVY_COUNTS = {"warm": 400, "cold": 4, "script": 4, "snakemake": 4, "hydra": 4, "submitit": 4, "ray": 4}


def measure_noop(settings: Settings) -> Section:
    """Measure experiments that write one small JSON file each."""
    with memory_folder() as memory:
        tools = make_tools("noop", NOOP_COUNTS, {"warm": 0.8, "cold": 2.5}, settings)
        if memory is not None:
            tools = (*tools, in_memory(tools[0], memory))
        timings = measure(tools, settings.rounds, settings.folder, "noop")
        bookkeeping = measure_bookkeeping(settings, memory)
    places = ", ".join(f"{statistics.median(taken):.2f} ms {place}" for place, taken in bookkeeping.items())
    text = (
        f"Each writes a JSON file of one number. {floor_line(timings)}\n\n{ratio_table(tools, timings)}\n"
        f"Configmill's bookkeeping for one experiment, without any process: {places}.\n"
    )
    figures = {"tools": figures_of(timings), "bookkeeping_ms": bookkeeping}
    return Section("noop", "Experiments that do nothing", text, verdicts(tools, timings, "no-op experiment"), figures)


def measure_heavy(settings: Settings) -> Section:
    """Measure experiments that import torch, transformers' AutoConfig and pandas, and then do the same."""
    tools = make_tools("heavy", HEAVY_COUNTS, {"warm": 4.5}, settings)
    timings = measure(tools, settings.rounds, settings.folder, "heavy")
    memory = {method: measure_memory(method, settings) for method in ("warm", "cold")}
    warm = memory["warm"]
    verdict = Verdict("USS of a warm child", MEMORY_TARGET, None if isinstance(warm, str) else warm, "MB")
    text = (
        "Each imports torch, transformers' AutoConfig and pandas, then writes the same file. "
        f"{floor_line(timings)}\n\n{ratio_table(tools, timings)}\n"
        f"Memory that belongs to one of {MEMORY_COUNT} such experiments alone (USS, median, in runs of their own):\n\n"
        + markdown_table(["experiment", "USS MB", "target"], memory_rows(memory, verdict))
    )
    found = [*verdicts(tools, timings, "heavy imports"), verdict]
    figures = {"tools": figures_of(timings), "uss_mb": memory}
    return Section("heavy", "Experiments with heavy imports", text, found, figures)


def make_tools(
    work: str, counts: Mapping[str, int], targets: Mapping[str, float], settings: Settings
) -> tuple[Tool, ...]:
    """Return all that is compared, for one kind of work."""
    count = {name: settings.items(number) for name, number in counts.items()}
    script = expect_files("*/result.json")
    peers = peer_commands
    return (
        *(make_configmill(work, method, count[method], targets.get(method)) for method in ("warm", "cold")),
        Tool("`xargs -P2 python`", count["script"], peers.xargs_scripts(work), script, stdin=count_lines),
        Tool("GNU parallel", count["script"], peers.gnu_parallel(work), script, stdin=count_lines, program="parallel"),
        make_python_peer("joblib threads + subprocess", count["script"], "joblib_threads.py", work, "joblib"),
        Tool("Snakemake -j2", count["snakemake"], peers.snakemake(work), script, distribution="snakemake"),
        make_python_peer("submitit, local", count["submitit"], "submitit_local.py", work, "submitit"),
        make_python_peer("Ray, `max_calls=1`", count["ray"], "ray_tasks.py", work, "ray"),
        Tool(
            "Hydra joblib launcher",
            count["hydra"],
            peers.hydra_joblib(work),
            script,
            isolated=False,
            distribution="hydra-joblib-launcher",
        ),
    )


def make_configmill(work: str, method: str, count: int, target: float | None) -> Tool:
    """Return Configmill with one of its start methods."""
    return Tool(
        f"Configmill, {method}",
        count,
        lambda number, dst_dir: experiment_command(method, f"benchmarks.{work}", number, dst_dir),
        expect_campaign(method, "result.json"),
        is_peer=False,
        target=target,
    )


def make_python_peer(name: str, count: int, script: str, work: str, distribution: str) -> Tool:
    """Return what a script of `peers/` does."""
    command = peer_commands.python_script(script, work)
    return Tool(name, count, command, expect_files("*/result.json"), distribution=distribution)


def in_memory(tool: Tool, folder: Path) -> Tool:
    """Return the same tool with its files in memory, without a target: what is the file system's part of it."""
    return replace(tool, name=f"{tool.name}, files in memory", folder=folder, target=None)


@contextmanager
def memory_folder() -> Iterator[Path | None]:
    """Yield a temporary directory that is no disk's; None on a machine that has none."""
    if not os.access(MEMORY_DIR, os.W_OK):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="bench-", dir=MEMORY_DIR) as folder:
        yield Path(folder)


def measure_bookkeeping(settings: Settings, memory: Path | None) -> dict[str, list[float]]:
    """Return each round's milliseconds per experiment, by place: a file system's state can outweigh the code."""
    say("noop: bookkeeping")
    places = {"on disk": settings.folder} | ({} if memory is None else {"in memory": memory})
    return {
        place: [time_bookkeeping(BOOKKEEPING_COUNT, new_dir(folder)) for _ in range(settings.rounds)]
        for place, folder in places.items()
    }


def measure_memory(method: str, settings: Settings) -> float | str:
    """Return the median USS of experiments with heavy imports, in MB, two at a time; or why there is none."""
    say(f"heavy: memory of a {method} experiment")
    dst_dir = new_dir(settings.folder)
    try:
        run_command(experiment_command(method, "benchmarks.heavy", MEMORY_COUNT, dst_dir, measure_memory=True))
        expect_campaign(method, "result.json")(dst_dir, MEMORY_COUNT)
    except CommandFailedError as error:
        return str(error)
    results = [json.loads(path.read_text()) for path in dst_dir.glob("experiments/*/result.json")]
    return float(statistics.median(result["uss"] for result in results)) / 1e6


def memory_rows(memory: Mapping[str, float | str], verdict: Verdict) -> list[list[str]]:
    """Return a row for each start method; only the warm one has a target."""
    rows = []
    for method, megabytes in memory.items():
        said = f"**failed: {cell(megabytes)}**" if isinstance(megabytes, str) else f"{megabytes:.1f}"
        rows.append(
            [f"Configmill, {method}", said, f"≤ {verdict.target:g}, {verdict.word}" if method == "warm" else ""]
        )
    return rows
