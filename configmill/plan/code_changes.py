"""Which results another version of the code made: what their records say ran, against the files as they are now.

    changes = CodeChanges(CampaignDir("/data/out"), "/home/me/project")
    changes.since(experiment)  ->  ("experiments/mine.py",)

Read-only, and quick with many results: of each record only the hash over its code is looked at, and what it stands for
is compared once; each file of the project is read once.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from typing import Any

from configmill.files import read_json_of_experiment
from configmill.measure.provenance import token_of_file
from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.store.experiments import last_attempt

MAX_FILES_NAMED = 3

_CODE_HASH = b'"code_hash": "'
_CHUNK = 65536


class CodeChanges:
    """What has changed of the code since experiments succeeded."""

    def __init__(self, directory: CampaignDir, project_dir: str) -> None:
        self._directory = directory
        self._project_dir = project_dir
        #: By the hash over the code.
        self._changed: dict[bytes, tuple[str, ...]] = {}
        self._tokens: dict[str, str | None] = {}

    def since(self, experiment: ExperimentDir) -> tuple[str, ...]:
        """The files, by their paths within the project, that went into the experiment's result and are others now.

        None where the record doesn't say what ran.
        """
        content = _record_of_success(experiment)
        start = content.find(_CODE_HASH) + len(_CODE_HASH)
        if start < len(_CODE_HASH):
            return ()
        code_hash = content[start : content.find(b'"', start)]
        changed = self._changed.get(code_hash)
        if changed is None:
            changed = self._changed[code_hash] = self._compare(content)
        return changed

    def _compare(self, content: bytes) -> tuple[str, ...]:
        try:
            record = json.loads(content)
        except ValueError:
            return ()
        match record:
            case {"code": dict(code)}:
                return tuple(path for path, token in sorted(code.items()) if self._token(path, record) != token)
        return ()

    def _token(self, path: str, record: dict[str, Any]) -> str | None:
        """The token that the file has now; None where it is gone."""
        token = self._token_at(os.path.join(self._project_dir, path))
        if token is None:
            # Another project_dir: the path leads from where the experiment was started.
            token = self._token_at(os.path.join(self._project_of(record), path))
        return token

    def _token_at(self, path: str) -> str | None:
        if path not in self._tokens:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an odd escape in a string: whoever imports the file is told
                self._tokens[path] = token_of_file(path)
        return self._tokens[path]

    def _project_of(self, record: dict[str, Any]) -> str:
        run = read_json_of_experiment(self._directory.run_file(str(record.get("run")), ".json"))
        match run:
            case {"request": {"project_dir": str(project_dir)}}:
                return project_dir
        return self._project_dir


def named(files: Sequence[str]) -> str:
    """The files in a sentence, the first few by name."""
    more = len(files) - MAX_FILES_NAMED
    shown = files if more <= 1 else [*files[:MAX_FILES_NAMED], f"{more} more"]
    return " and ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def _record_of_success(experiment: ExperimentDir) -> bytes:
    """The record of the attempt that succeeded, as it stands in its file; empty where there is none."""
    attempt = _read(experiment.success).strip()
    # An experiment may have written what it likes to its marker.
    number = int(attempt) if attempt.isdigit() else last_attempt(experiment)
    return _read(experiment.record(number))


def _read(path: str) -> bytes:
    # `open` would double the time for ten thousand results.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        content = part = os.read(descriptor, _CHUNK)
        while len(part) == _CHUNK:
            part = os.read(descriptor, _CHUNK)
            content += part
        return content
    except OSError:  # a directory
        return b""
    finally:
        os.close(descriptor)
