"""The process in which an experiment's module says what its experiments need: never the manager's.

    manager ── lifeline pipe ──> watcher (subreaper, no user code) ── PDEATHSIG ──> asker ── anything below

The asker imports the module without a device in sight, builds the configs, calls `estimate_gpu_requirements(config)`,
or `estimate_gpu_requirements(config, devices)`, for those that it is told of, and writes the answers to a file. The
watcher ends all that is left then, and everything when the manager closes the pipe or dies. It is started by
`start_python("configmill.child.estimate", "3,4,5", ...)`.
"""

from __future__ import annotations

import json
import os
import select
import sys

from configmill.child.experiment_process import become_experiment, prepare_process
from configmill.child.failures import describe
from configmill.child.rebuild import put_first_on_path
from configmill.child.results import to_jsonable
from configmill.child.target import load_target, module_of
from configmill.config import Config
from configmill.config.builder import build
from configmill.config.encoding import decode
from configmill.config.frames import last_user_frame, user_traceback
from configmill.config.overrides import apply_overrides, overrides_from_json
from configmill.errors import ResultError
from configmill.processes import become_subreaper, end_all_children
from configmill.protocol import attempt
from configmill.protocol.resources import HOOK

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any


def main() -> None:
    """The watcher. Its argument has the descriptors of the orders, of the file for the answer, and of the lifeline."""
    orders_fd, answer_fd, lifeline_fd = (int(number) for number in sys.argv[1].split(","))
    become_subreaper()
    watcher = os.getpid()
    asker = os.fork()
    if asker == 0:
        become_experiment(watcher, [lifeline_fd])
        _answer(orders_fd, answer_fd)
        os._exit(0)
    poll = select.poll()
    poll.register(lifeline_fd)
    poll.register(ended := os.pidfd_open(asker), select.POLLIN)
    status = 0
    if any(descriptor == ended for descriptor, _ in poll.poll()):
        status = os.waitstatus_to_exitcode(os.waitpid(asker, 0)[1])
    end_all_children()
    os._exit(status if status >= 0 else 128 - status)  # as a shell has it


def _answer(orders_fd: int, answer_fd: int) -> None:
    process = os.getpid()
    with open(orders_fd, encoding="utf-8") as file:
        file.seek(0)
        orders = json.load(file)
    progress: dict[str, Any] = {"index": None, "estimates": {}}
    try:
        _estimate(orders, progress)
    except BaseException as error:  # SystemExit included: it is the manager that decides what comes of it
        progress["failure"] = describe(error)
        progress["where"] = last_user_frame(error)
        progress["traceback"] = user_traceback(error)
    if os.getpid() == process:  # and not one that user code forked
        with open(answer_fd, "w", encoding="utf-8") as file:
            json.dump(progress, file)


def _estimate(orders: Mapping[str, Any], progress: dict[str, Any]) -> None:
    """Fill in the estimates by index; `progress["index"]` is the config that is being asked about."""
    target = orders["target"]
    prepare_process(target, orders["search_path"], orders["log_level"])
    put_first_on_path(orders["project_dir"])
    # As in a fork server: a script that starts a campaign when it is imported is told so, and doesn't.
    attempt.is_fork_server = True
    load_target(target)
    estimator: Callable[..., Any] = getattr(sys.modules[module_of(target)], HOOK)
    wants_devices = _wants_devices(estimator)
    configs = _configs(orders)
    overrides = overrides_from_json(orders["overrides"])
    for position, index in enumerate(orders["indices"]):
        config = configs[index if orders["configs"] is None else position]
        apply_overrides(config, overrides, index=index)
        progress["index"] = index
        # Its own mappings each time: an estimator may change what it is given.
        devices = [[dict(device) for device in orders["devices"][position]]] if wants_devices else []
        estimated = estimator(config.freeze(), *devices)
        if estimated is not None:
            progress["estimates"][index] = _checked(estimated)


def _wants_devices(estimator: Callable[..., Any]) -> bool:
    """Whether the hook has a second parameter: one without a default, or called `devices`."""
    import inspect

    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [each for each in inspect.signature(estimator).parameters.values() if each.kind in positional]
    return len(parameters) > 1 and (parameters[1].default is inspect.Parameter.empty or parameters[1].name == "devices")


def _configs(orders: Mapping[str, Any]) -> Sequence[Config]:
    """The builder's list; or those that are asked about, where configs were given as objects."""
    if orders["configs"] is None:
        return build(orders["config_builder"])
    return [Config(decode(encoded)) for encoded in orders["configs"]]


def _checked(estimated: Any) -> Any:
    """The estimate as JSON-able values."""
    converted = to_jsonable(estimated, HOOK)
    if not isinstance(converted, dict):
        raise ResultError(f"it returned {estimated!r:.100}, which is no mapping. Return a dict, or nothing.")
    return converted
