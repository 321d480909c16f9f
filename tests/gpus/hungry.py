"""Experiments that run out of device memory above a size, and what a campaign of them shows."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

from tests.conftest import Project

#: Notes each start as a file `x-batch_size-attempt`, waits where it is told to, and needs memory for its batch.
HUNGRY = """
    import os, time

    OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})

    def run(config):
        name = f"{config.x}-{config.batch_size}-{config.meta.attempt}"
        with open(os.path.join(config.notes, name), "x") as file:
            file.write(",".join(config.meta.gpus))
        while os.path.exists(os.path.join(config.notes, f"hold-{config.batch_size}")):
            time.sleep(0.005)
        if config.batch_size * config.length > config.fits:
            raise OutOfMemoryError("CUDA out of memory")
        if os.path.exists(os.path.join(config.notes, "broken")):
            raise ValueError("a bug at the end")
        return {"used": config.batch_size * config.length}
    """
BUILDER = """
    def build(notes, batch_sizes=(64,), on_oom={"batch_size": "halve"}, floors={}, length=1, fits=8, num_gpus=0):
        def resources(size):
            wanted = {"batch_size": {"halve": True, "floor": floors[size]}} if size in floors else on_oom
            return {"num_gpus": num_gpus, "on_oom": wanted}

        return [
            {"notes": notes, "x": 0, "batch_size": size, "length": length, "fits": fits, "resources": resources(size)}
            for size in batch_sizes
        ]
    """


def make_hungry(project: Project, start_method: str) -> Project:
    """Have it be a project of such experiments, which start in that way."""
    project.write("experiment.py", HUNGRY)
    project.write("builder.py", BUILDER)
    notes(project).mkdir()
    project.start_method = start_method
    return project


def notes(project: Project) -> Path:
    """Where experiments leave their notes."""
    return project.root.parent / "notes"


def build(project: Project, **arguments: object) -> str:
    """The builder's call."""
    named = {"notes": str(notes(project)), **arguments}
    return f"builder.build({', '.join(f'{name}={value!r}' for name, value in named.items())})"


def started(project: Project) -> list[int]:
    """The batch sizes of all starts until now, each as often as it was started, largest first."""
    names = [path.name for path in notes(project).iterdir() if path.name[0].isdigit()]
    return sorted((int(name.split("-")[1]) for name in names), reverse=True)


def row(project: Project, index: int = 0) -> dict[str, str]:
    """A row of results.csv."""
    with open(project.out / "results.csv", newline="") as file:
        return list(csv.DictReader(file))[index]


def digest_of_link(project: Project, index: int = 0) -> str:
    """Which experiment a link points to."""
    return os.path.basename(os.readlink(project.result_dir(index)))


def explained(project: Project, index: int = 0) -> dict[str, Any]:
    """What `configmill explain` says of a config."""
    return project.configmill("explain", str(project.out), str(index), "--json").summary


def lineage(project: Project, digest: str) -> dict[str, Any]:
    """What an experiment's directory says of where it comes from and what it became."""
    path = project.out / "experiments" / digest / "attempts" / "lineage.json"
    parsed: dict[str, Any] = json.loads(path.read_text())
    return parsed


def original_of(project: Project, index: int = 0) -> str:
    """The digest of a config in the list."""
    run = json.loads(max(project.out.glob("runs/*.json")).read_text())
    return str(run["experiments"][index])


def check_done_as(project: Project, size: int, index: int = 0) -> None:
    """Everything that shows the config says that it succeeded with that batch size."""
    original, derived = original_of(project, index), digest_of_link(project, index)
    assert original != derived
    assert project.json(index, "config.json")["batch_size"] == size
    assert project.json(index, "result.json") == {"used": size}
    assert lineage(project, original)["succeeded_as"] == derived
    shown = row(project, index)
    assert (shown["status"], shown["digest"], shown["derived_from"]) == ("succeeded", derived, original)
    assert (int(shown["batch_size"]), int(shown["used"])) == (size, size)
    listed = project.configmill("results", str(project.out), "--json").summary["results"][index]
    assert (listed["derived_from"], listed["used"]) == (original, size)
    assert project.configmill("failures", str(project.out), "--json").summary["failures"] == []
    said = explained(project, index)
    assert (said["verdict"], said["digest"], said["derived_from"]) == ("skipped", derived, original)
    assert f"batch_size={size}" in said["why"]
