"""What is done of a suite, by `model_name::suite::config_name::cycle_id`: read from the campaign, which is the truth.

progress = load_progress()                   # {"gpt2::controlled::batch_size_4::1": "a3f0…"}
if progress.get(key): ...                    # done: a failure is not, and neither is what was cut off
progress[key] = "0007"
save_progress(progress)                      # only keys that the campaign doesn't know need it
"""

import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from experiments.llm_inference.campaign import EXPERIMENT_ID, dst_dir, keeping_dir
from experiments.llm_inference.locks import held

KEY_PARTS = ("model_name", "suite", "config_name", "cycle_id")
FAILED_COLUMNS = ("timestamp", "experiment_id", "config_name", "model_name", "error_message", "config_json")


def progress_key(config: Mapping[str, Any]) -> str:
    """The config's key in a suite, as f"{model_name}::{suite}::{config_name}::{cycle_id}" has it: "None" for None."""
    return "::".join(str(config.get(part)) for part in KEY_PARTS)


def load_progress() -> dict[str, str]:
    """What is done: keys of a suite and the ids of the experiments.

    What has run in the campaign is done if it succeeded there, whatever was saved; of other keys those are done that
    were saved so. Nothing is done where there is no campaign (any more).
    """
    if not os.path.exists(os.path.join(dst_dir(), "campaign.json")):
        return {}
    known = dict(_experiments())
    saved = {key: value for key, value in _saved().items() if key not in known}
    return saved | {key: experiment_id for key, experiment_id in known.items() if experiment_id}


def save_progress(progress: Mapping[str, Any]) -> None:
    """Keep what is done of `progress`; a value that is false (False, None, "") says that it is not."""
    if not isinstance(progress, Mapping):
        raise TypeError(f"progress is {progress!r}, which is no mapping. Give what load_progress() returned.")
    done = {key: value for key, value in progress.items() if value}
    path = Path(keeping_dir(), "configs_run_progress.json")
    with held(os.path.join(keeping_dir(), "progress.lock"), "the saved progress"):
        _replace(path, json.dumps(done, indent=2, ensure_ascii=False) + "\n")


def get_next_experiment_id() -> str:
    """A number that no other call got, in whatever process: "0001", "0002", ...

    Raises ValueError where the file of the counter holds something else: starting again would give numbers twice.
    """
    path = Path(keeping_dir(), "experiment_id.txt")
    with held(os.path.join(keeping_dir(), "experiment_id.lock"), "the counter of experiments"):
        text = path.read_text().strip() if path.exists() else "0"
        if not text.isdecimal():
            raise ValueError(f"The counter {str(path)!r} holds {text!r}. Write the last number that was given into it.")
        number = f"{int(text) + 1:04d}"
        _replace(path, number + "\n")
    return number


def log_failed_experiment(
    experiment_config: Mapping[str, Any],
    error_message: str,
    log_file: str | os.PathLike[str] = "failed_experiments.csv",
) -> None:
    """Add a line on a failure to a table of the caller's own, made where missing.

    The manager keeps one as well, `failed_experiments.csv` in the campaign, with the same columns.
    """
    config = dict(experiment_config)
    line = {
        "timestamp": datetime.now(UTC).isoformat(timespec="seconds"),
        "experiment_id": config.get(EXPERIMENT_ID),
        "config_name": config.get("config_name"),
        "model_name": config.get("model_name"),
        "error_message": error_message,
        "config_json": json.dumps(config, ensure_ascii=False, default=str),
    }
    path = os.fspath(log_file)
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    with held(path, path), open(path, "a", newline="", encoding="utf-8") as file:
        text = io.StringIO()
        writer = csv.DictWriter(text, FAILED_COLUMNS, lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(line)
        file.write(text.getvalue())


def _experiments() -> Iterator[tuple[str, str]]:
    """The key of each experiment that began in the campaign; with its id where it succeeded, else an empty one.

    The last to run comes last: where a key stands for several, since a config was changed and kept its name, that one
    counts.
    """
    found = []
    for directory in Path(dst_dir(), "experiments").iterdir():
        config = _read(directory / "config.json")
        if config:
            done = (directory / "success.txt").exists()
            experiment_id = (_read(directory / "result.json") or {}).get(EXPERIMENT_ID) or directory.name
            last_began = (directory / "attempts").stat().st_mtime_ns
            found.append((last_began, progress_key(config), str(experiment_id) if done else ""))
    for _, key, experiment_id in sorted(found):
        yield key, experiment_id


def _saved() -> dict[str, Any]:
    path = Path(keeping_dir(), "configs_run_progress.json")
    saved = _read(path) if path.exists() else {}
    if saved is None:
        raise ValueError(f"The saved progress {str(path)!r} is no JSON object. Mend it, or remove it.")
    return {key: value for key, value in saved.items() if value}


def _read(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, None where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _replace(path: Path, text: str) -> None:
    """Write a file in one step; its callers hold a lock."""
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(text, encoding="utf-8")
    beside.replace(path)
