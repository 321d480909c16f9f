"""The files of an experiment's results: one for each kind of figure, in `raw_results/<experiment_id>/`.

    folder = save_results(results, "out/mine/raw_results")      # 2026..._1_experiment_setup.json and so on
    load_results("out/llm_inference")["2026..."]["inference_metrics"]["num_prompts"]

A folder appears when all of its files are whole; a killed experiment leaves none, or one that begins with a dot.
"""

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from configmill.files import read_json, write_json

RAW_RESULTS = "raw_results"
LOCAL_ENERGY = "local_energy_results"
#: Keys of the results, and what their files are called after the experiment's id.
FILES = {
    "experiment_setup": "1_experiment_setup",
    "experiment_variables": "2_experiment_variables",
    "model_architecture": "3_model_architecture",
    "inference_metrics": "4_inference_metrics",
    "compute_metrics": "5_compute_metrics",
    LOCAL_ENERGY: "6_local_energy_results_process_{rank}",
    "global_energy_results": "7_global_energy_results",
    "text_output": "8_text_output",
    "token_output": "8_token_output",
}
_OF_RANK = re.compile(r"_6_local_energy_results_process_(\d+)\.json$")


def save_results(results: Mapping[str, Any], raw_results: str | os.PathLike[str]) -> Path:
    """Write the files of results that have their `experiment_setup`, in place of those of the same id.

    Returns the experiment's folder. Raises TypeError for what JSON can't hold.
    """
    experiment_id: str = results["experiment_setup"]["experiment_id"]
    folder = Path(raw_results) / experiment_id
    if folder.is_dir():
        _write(results, experiment_id, folder)
        return folder
    unfinished = folder.with_name(f".{experiment_id}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    _write(results, experiment_id, unfinished)
    os.rename(unfinished, folder)
    return folder


def load_results(directory: str | os.PathLike[str]) -> dict[str, dict[str, Any]]:
    """Return the results of all experiments whose files lie somewhere below a directory, by experiment id.

    The directory may be a campaign's, an experiment's, or the folder of one id. Each has the keys of
    `ExperimentRunner.results`; `local_energy_results` has the ranks, as text, below it. Empty: there are none.
    Raises FileNotFoundError where there is no such directory.
    """
    root = Path(directory)
    if not root.is_dir():
        raise FileNotFoundError(f"There is no directory {str(root)!r}. Give that of a campaign, or of an experiment.")
    found = {}
    for setup in sorted(root.rglob(f"*_{FILES['experiment_setup']}.json")):
        experiment_id = setup.parent.name
        if not experiment_id.startswith(".") and setup.name == f"{experiment_id}_{FILES['experiment_setup']}.json":
            found[experiment_id] = _joined(experiment_id, setup.parent)
    return found


def _write(results: Mapping[str, Any], experiment_id: str, folder: Path) -> None:
    for name, content in _contents(results):
        write_json(str(folder / f"{experiment_id}_{name}.json"), content)


def _contents(results: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, name in FILES.items():
        if key == LOCAL_ENERGY:
            for rank, reading in results[key].items():
                yield name.format(rank=rank), reading
        elif key in results:
            yield name, results[key]


def _joined(experiment_id: str, folder: Path) -> dict[str, Any]:
    joined: dict[str, Any] = {}
    for key, name in FILES.items():
        content = None if key == LOCAL_ENERGY else read_json(str(folder / f"{experiment_id}_{name}.json"))
        if content is not None:
            joined[key] = content
    ranks = {match[1]: path for path in folder.iterdir() if (match := _OF_RANK.search(path.name))}
    joined[LOCAL_ENERGY] = {rank: read_json(str(ranks[rank])) for rank in sorted(ranks, key=int)}
    return joined
