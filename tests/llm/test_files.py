from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from experiments.llm_inference import files, tabular
from experiments.llm_inference.settings import Settings


def _results(experiment_id: str = "one", tokens: int = 5) -> dict[str, Any]:
    plain = {name: {"of": name} for name in files.FILES if not name.endswith("_output")}
    return plain | {
        "experiment_setup": {"experiment_id": experiment_id},
        "inference_metrics": {"output_tokens": tokens},
        "local_energy_results": {str(rank): {"gross_joules": rank} for rank in range(11)},
    }


def test_results_are_what_was_saved(tmp_path: Path) -> None:
    """Read again they are equal, ranks in the order of their numbers; saved again, the later ones hold."""
    for tokens in (5, 6):
        files.save_results(_results(tokens=tokens), tmp_path / "raw_results")
        loaded = files.load_results(tmp_path)
        assert loaded == {"one": _results(tokens=tokens)}
        assert list(loaded["one"]["local_energy_results"]) == [str(rank) for rank in range(11)]


def test_a_killed_save_leaves_no_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed after any number of files there is nothing that is taken for results, and saving again works."""
    written = files.write_json

    def killed_after(count: int) -> None:
        done: list[str] = []

        def write(path: str, content: Any) -> None:
            written(path, content)
            done.append(path)
            if len(done) == count:
                os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(files, "write_json", write)
        files.save_results(_results(), tmp_path)

    for count in (1, 4, 17):
        process = multiprocessing.get_context("fork").Process(target=killed_after, args=(count,))
        process.start()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert files.load_results(tmp_path) == {}
    files.save_results(_results(), tmp_path)
    assert list(files.load_results(tmp_path)) == ["one"]


def test_no_directory_is_an_error_and_an_empty_one_is_not(tmp_path: Path) -> None:
    """A directory without results has none; one that isn't there is named."""
    assert files.load_results(tmp_path) == {}
    with pytest.raises(FileNotFoundError, match="nowhere"):
        files.load_results(tmp_path / "nowhere")


def _save_rows(directory: str, process: int) -> None:
    settings = Settings.from_config({"model_name": "gpt2"})
    for number in range(10):
        tabular.save_row(settings, {"experiment_id": f"{process}-{number}", "value": 0.5}, directory)


def test_rows_of_several_processes_are_all_there(tmp_path: Path) -> None:
    """Four processes that write ten rows each at the same time lose none, and every row is whole."""
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_save_rows, args=(str(tmp_path), number)) for number in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    with open(tmp_path / "results" / "text_generation_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["experiment_id"] for row in rows) == sorted(f"{p}-{n}" for p in range(4) for n in range(10))
    assert {row["value"] for row in rows} == {"0.5"}
    assert {row["model_name"] for row in rows} == {"gpt2"}


def test_a_new_figure_is_a_new_column(tmp_path: Path) -> None:
    """Rows that were there keep theirs, with nothing in the new one."""
    settings = Settings.from_config({"model_name": "gpt2"})
    tabular.save_row(settings, {"experiment_id": "a", "old": 1}, str(tmp_path))
    tabular.save_row(settings, {"experiment_id": "b", "old": 2, "new": None}, str(tmp_path))
    with open(tmp_path / "results" / "text_generation_results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["old"], row["new"]) for row in rows] == [("1", ""), ("2", "")]
