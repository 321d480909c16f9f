"""Devices: equal jobs on as many virtual devices, one device handed from job to job, and the order in the simulator.

measure(settings)
"""

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.configmill_commands import expect_campaign, experiment_command
from benchmarks.document import Section, Verdict, figure, markdown_table
from benchmarks.scheduling import NUM_GPUS, SEEDS, draw_jobs, with_wrong_predictions
from benchmarks.settings import Settings
from benchmarks.timing import new_dir, time_command
from benchmarks.tools import say
from configmill.schedule.policies import SIMULATED_POLICIES, make_policy
from configmill.schedule.simulator import simulate

WIDTHS = (2, 3, 4, 8)
JOB_SECONDS = 20.0
SPEED_UP_TARGET = 0.97  # of the number of devices
HAND_OVER_TARGET = 20.0  # ms
HAND_OVERS = 100
ORDER_TARGETS = {"true": 1.03, "wrong by up to 2": 1.04}


def measure(settings: Settings) -> Section:
    """Measure all three."""
    speed_ups, speed_verdicts = measure_speed_ups(settings)
    hand_over, hand_over_verdict = measure_hand_over(settings)
    order, order_verdicts = measure_order(settings)
    text = "\n\n".join((speed_ups, hand_over, order))
    return Section("devices", "Devices", text, [*speed_verdicts, hand_over_verdict, *order_verdicts])


def measure_speed_ups(settings: Settings) -> tuple[str, Sequence[Verdict]]:
    """Equal jobs of one device each on as many virtual devices: the seconds of one beside those of all."""
    rows, verdicts = [], []
    seconds = JOB_SECONDS / 10 if settings.quick else JOB_SECONDS
    for width in WIDTHS:
        say(f"devices: {width} jobs of {seconds:g} s on {width} devices")
        walls = [
            run_campaign(settings.folder, width, width, seconds=seconds) / 1e3 for _ in range(min(3, settings.rounds))
        ]
        speed_up = width * seconds / statistics.median(walls)
        rows.append([str(width), figure(statistics.median(walls)), figure(speed_up), f"{speed_up / width:.3f}"])
        what = f"{width} equal jobs on {width} devices: devices over speed-up"
        verdicts.append(Verdict(what, round(1 / SPEED_UP_TARGET, 3), width / speed_up))
    headers = ["jobs and devices", "seconds in all", "speed-up", "of the devices"]
    return (
        f"Jobs that hold one virtual device each for {seconds:g} s, whole command, start included:\n\n"
        + markdown_table(headers, rows),
        verdicts,
    )


def measure_hand_over(settings: Settings) -> tuple[str, Verdict]:
    """Jobs that do nothing, one after another: on the one device, and without a device."""
    count = settings.items(HAND_OVERS)
    costs = []
    for number in range(settings.rounds):
        say(f"devices: round {number + 1} of {settings.rounds}, hand-over")
        with_device = run_campaign(settings.folder, count, 1, num_gpus=1)
        without = run_campaign(settings.folder, count, 1, num_gpus=0)
        costs.append((with_device - without) / count)
    median = figure(statistics.median(costs))
    text = (
        f"{count} jobs that do nothing, one after another on one virtual device, take {median} ms"
        f" each more than without a device ({figure(min(costs))} to {figure(max(costs))})."
    )
    return text, Verdict("a device from one experiment to the next", HAND_OVER_TARGET, statistics.median(costs), "ms")


def measure_order(settings: Settings) -> tuple[str, Sequence[Verdict]]:
    """What each policy makes of 60 jobs at once on 8 devices, in the simulator, which runs the code that schedules."""
    seeds = range(settings.items(SEEDS))
    rows, verdicts = [], []
    for name in SIMULATED_POLICIES:
        means = {}
        for kind in ORDER_TARGETS:
            played = (
                simulate(
                    draw_jobs(seed) if kind == "true" else with_wrong_predictions(draw_jobs(seed), seed),
                    NUM_GPUS,
                    make_policy(name, SIMULATED_POLICIES),
                )
                for seed in seeds
            )
            means[kind] = statistics.mean(one.ratio for one in played)
        rows.append([name, *(f"{mean:.3f}" for mean in means.values())])
        if name == "area":
            verdicts = [
                Verdict(f"makespan over lower bound, predictions {kind}", target, means[kind])
                for kind, target in ORDER_TARGETS.items()
            ]
    headers = ["policy", *(f"predictions {kind}" for kind in ORDER_TARGETS)]
    return (
        f"60 jobs at once on {NUM_GPUS} devices, {len(seeds)} seeds, mean makespan over the lower bound:\n\n"
        + markdown_table(headers, rows),
        verdicts,
    )


def run_campaign(folder: Path, count: int, devices: int, **arguments: float) -> float:
    """Run as many jobs as wide as there are devices; returns the milliseconds of the whole command."""
    directory = new_dir(folder)
    command = experiment_command("warm", "benchmarks.devices", count, directory / "dst", **arguments)
    at = command.index("--num_threads")
    command[at + 1] = str(devices)
    elapsed = time_command([*command, "--gpus", f"virtual:{devices}"])
    expect_campaign("warm", "result.json")(directory / "dst", count)
    return elapsed
