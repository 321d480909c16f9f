"""Start one config under `accelerate launch` and watch it: what its ranks print appears as they print it.

launch_experiment_via_accelerate(config)        # [rank 0] ...   [rank 1] ...

How ranks are started is the manager's affair (docs/launching.md); this asks for it and shows the log.
"""

import json
import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import configmill
from experiments.llm_inference.campaign import run_in_campaign, to_run

#: How often (s) a log that is being written is looked at.
_LOOK_EVERY = 0.1


def launch_experiment_via_accelerate(
    experiment_config: Mapping[str, Any], temp_config_path: str | os.PathLike[str] | None = None
) -> bool:
    """Run the config once under `accelerate launch`, showing its output, and return whether it succeeded.

    It has `num_processes` ranks, also where that is one. What succeeded before isn't run again. Where
    `temp_config_path` is given, the config is there as JSON while it runs, for whoever wants to look; nothing here
    reads it. Raises configmill.UsageError for a config that can't be run as it is.
    """
    config = to_run(experiment_config)
    config["resources"] = {**config.get("resources", {}), "launcher": "accelerate"}
    with _written(config, temp_config_path), _Follower() as follower:
        [end] = run_in_campaign([config], on_event=follower)
    return end.succeeded


@contextmanager
def _written(config: Mapping[str, Any], path: str | os.PathLike[str] | None) -> Iterator[None]:
    if path is None:
        yield
        return
    try:
        Path(path).write_text(json.dumps(config, indent=2, ensure_ascii=False), "utf-8")
    except OSError as error:
        where = os.fspath(path)
        raise configmill.UsageError(
            f"temp_config_path is {where!r}, which can't be written: {error.strerror}. Name another, or leave it out."
        ) from error
    try:
        yield
    finally:
        os.unlink(path)


class _Follower:
    """Shows the log of each attempt while it is written, and what else happens."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "_Follower":
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def __call__(self, event: Any) -> None:
        log = getattr(event, "log", None)
        if log is not None:  # an attempt has begun
            self._stop()
            self._ended.clear()
            self._thread = threading.Thread(target=self._follow, args=(log,), daemon=True)
            self._thread.start()
            return
        if hasattr(event, "outcome"):
            self._stop()
        print(event, flush=True)

    def _stop(self) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def _follow(self, path: str) -> None:
        with open(path, "rb") as log:
            while not self._ended.wait(_LOOK_EVERY):
                _show(log)
            _show(log)


def _show(log: BinaryIO) -> None:
    text = log.read().decode("utf-8", "replace")
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
