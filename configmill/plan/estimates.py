"""What an experiment's own module estimates that its configs need, asked in a process of its own.

    if has_estimator("experiments.llm:run", project_dir):
        estimates = ask_estimator(request, [0, 3])      ->  {0: {"num_gpus": 1}, 3: {"num_gpus": 2}}

Importing the module into the manager would cost what `plan.targets` says; so whether there is a hook is read from the
source, and a process is started only where there is one. It asks about all configs at once: one import.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from configmill.child.python import start_python
from configmill.config import Config
from configmill.config.encoding import encode_items
from configmill.config.overrides import overrides_to_json
from configmill.errors import UsageError
from configmill.plan.targets import defines
from configmill.processes import close, close_in_forks, signal_name
from configmill.protocol.layout import is_notebook
from configmill.protocol.request import RunRequest
from configmill.protocol.resources import HOOK, DeviceFacts

#: Seconds for an import and all estimates: far above what they take, so that only what hangs is ended.
MAX_SECONDS = 300.0
#: An exit code above this is the signal that ended the process, as a shell has it.
SIGNALLED = 128


def has_estimator(target: str, project_dir: str) -> bool:
    """Whether the experiment's module has the hook at its top level, as far as its source shows. No notebook has."""
    return not is_notebook(target) and defines(target, HOOK, project_dir)


def ask_estimator(
    request: RunRequest,
    indices: Sequence[int],
    configs: Mapping[int, Config] | None = None,
    devices: Mapping[int, Sequence[DeviceFacts]] | None = None,
) -> dict[int, dict[str, Any]]:
    """The estimates for the configs at `indices`, by index, those left out for which it returned nothing.

    `configs` are theirs where they were given as objects, which no builder makes; `devices` those that each of them may
    be given, which a hook with a second parameter is told. Raises UsageError, with the last
    frame in user code, where the hook, or the import of its module, raises, dies or hangs.
    """
    orders = {
        "manager": os.getpid(),
        "target": request.target,
        "config_builder": request.config_builder,
        "overrides": overrides_to_json(request.overrides),
        "indices": list(indices),
        "devices": [[_facts(device) for device in (devices or {}).get(index, ())] for index in indices],
        "configs": None if configs is None else [encode_items(configs[index]) for index in indices],
        "project_dir": request.project_dir,
        "search_path": [entry for entry in sys.path if entry],
        "log_level": request.log_level,
    }
    # Files without a name: neither side waits for the other to read, and nothing is left behind.
    with _memory_file() as told, _memory_file() as answer, _memory_file() as output:
        told.write(json.dumps(orders).encode())
        told.flush()
        code = _run(request, [told.fileno(), answer.fileno()], output)
        for file in (answer, output):
            file.seek(0)
        given = answer.read()
        if not given:
            raise _died(request, code, output.read().decode("utf-8", "replace"))
    return _estimates(request, json.loads(given))


def _facts(device: DeviceFacts) -> dict[str, Any]:
    """What a hook is told of a device; `total_memory` in bytes, 0 where it is unknown."""
    return {"id": device.id, "index": device.index, "name": device.name, "total_memory": device.total_memory}


def _run(request: RunRequest, files: Sequence[int], output: BinaryIO) -> int:
    """Run the process to its end; returns its exit code. Nothing of it is left, whatever ends this function."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    if sys.dont_write_bytecode:  # a dry run touches nothing
        environment["PYTHONDONTWRITEBYTECODE"] = "1"
    its_end, lifeline = os.pipe()
    close_in_forks(lifeline)
    try:
        descriptors = [*files, its_end]
        process = start_python(
            "configmill.child.estimate",
            ",".join(map(str, descriptors)),
            env=environment,
            cwd=request.project_dir,
            output=output,
            descriptors=descriptors,
        )
    except OSError as error:
        close(lifeline)
        raise UsageError(
            f"{HOOK} of {request.target!r} can't be asked: no process could be started ({error}). "
            "Give --num_gpus, and it isn't asked."
        ) from error
    finally:
        os.close(its_end)
    try:
        return process.wait(MAX_SECONDS)
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{HOOK} of {request.target!r} did not answer within {MAX_SECONDS:g} s. Make it quicker, or give "
            "--num_gpus, and it isn't asked."
        ) from None
    finally:
        close(lifeline)
        process.wait()


def _estimates(request: RunRequest, answer: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    if "failure" not in answer:
        return {int(index): estimate for index, estimate in answer["estimates"].items()}
    at = f", at {answer['where']}" if answer["where"] else ""
    doing = (
        f"for config {answer['index']} failed"
        if answer["index"] is not None
        else "can't be asked, since its module or the configs can't be had in a process of their own"
    )
    raise UsageError(
        f"{HOOK} of {request.target!r} {doing}: {answer['failure']}{at}. "
        "Correct it there, or give --num_gpus, and it isn't asked.",
        user_traceback=answer["traceback"],
    )


def _died(request: RunRequest, code: int, output: str) -> UsageError:
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    how = f"by {signal_name(code - SIGNALLED)}" if code > SIGNALLED else f"with exit code {code}"
    said = f"; the last it said was {last[:200]!r}" if last else ""
    return UsageError(
        f"{HOOK} of {request.target!r} ended its process {how} before it answered{said}. Correct it, or give "
        "--num_gpus, and it isn't asked."
    )


def _memory_file() -> BinaryIO:
    return open(os.memfd_create("configmill-estimate"), "w+b")
