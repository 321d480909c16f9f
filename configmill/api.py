"""The Python API of a run: `configmill.run(...)`, another face of the one manager.

summary = configmill.run("config_builders.mine.build()", "experiments.mine.run", "out/mine", num_threads=2)
summary = configmill.run(configmill.grid({"lr": 0.1}, {"lr": [0.1, 0.01]}), train, "out/train")
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from configmill.child.rebuild import put_first_on_path
from configmill.child.target import MAIN_AS_MODULE
from configmill.config import ConfigList
from configmill.config.config_list import as_config_list
from configmill.config.encoding import canonical_json, encode, require_carriable
from configmill.errors import UsageError
from configmill.manager.run import dry_run as dry_run_request
from configmill.manager.run import run as run_request
from configmill.plan.notebooks import resolve_notebook
from configmill.plan.targets import resolve_target, top_level_names
from configmill.protocol.attempt import is_inside_experiment
from configmill.protocol.energy import AUTO as AUTO_BACKEND
from configmill.protocol.events import Event
from configmill.protocol.layout import is_notebook
from configmill.protocol.request import (
    ALL_GPUS,
    DEFAULT_POLICY,
    EnergyRequest,
    NotebookRequest,
    RunRequest,
    Selection,
    width_of,
)
from configmill.protocol.start_method import AUTO
from configmill.protocol.summary import Summary
from configmill.report.publisher import Publisher

_GIVEN_AS_OBJECTS = "(configs given as objects)"


def run(
    builder_or_configs: str | Iterable[Any],
    experiment: str | os.PathLike[str] | Callable[[Any], Any],
    dst_dir: str | os.PathLike[str],
    *,
    num_threads: int | str = 1,
    index: int | None = None,
    indices: Iterable[int] | None = None,
    start_from_index: int | None = None,
    incremental: bool = True,
    rerun_on_code_change: bool = False,
    num_retries: int = 0,
    retry_backoff: float = 2.0,
    timeout: float | None = None,
    abort_on_error: bool = False,
    overrides: Mapping[str, object] | None = None,
    clean_dst_dir: bool = False,
    dry_run: bool = False,
    grace: float = 3.0,
    start_method: str = AUTO,
    preload: Iterable[str] = (),
    num_gpus: float | None = None,
    gpus: str = ALL_GPUS,
    gpu_busy_memory_mb: float | None = None,
    policy: str = DEFAULT_POLICY,
    max_failures: int | None = None,
    strict: bool = False,
    measure_energy: bool = False,
    energy_backend: str = AUTO_BACKEND,
    carbon_g_per_kwh: float | None = None,
    country: str | None = None,
    pue: float | None = None,
    log_level: str = "INFO",
    publish_notebook: bool = False,
    hide_input: bool = False,
    allow_errors: bool = False,
    cell_timeout: float | None = None,
    kernel_name: str | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Summary:
    """Run `experiment` once for every config, as run_experiment.py and run_notebook.py do, and return what came of it.

    `builder_or_configs` is a builder string, or configs as objects (Config, dict, dataclass, ...), which JSON must be
    able to carry. `experiment` is a dotted name, a function at the top level of a module or script, or a notebook's
    path, to which the options from `publish_notebook` on belong. The options are the commands'; durations are seconds.
    Nothing is printed: `on_event` is called with what happens.

    Raises UsageError before anything is created, also where it is called inside an experiment. Ctrl-C and SIGTERM,
    where this is the main thread, end the run in order and then the caller, as they would have without it.
    """
    if is_inside_experiment():
        raise UsageError(
            "configmill.run() was called inside an experiment. An experiment must not start a campaign: put what it "
            'would run into the list of configs. In a script, call it under `if __name__ == "__main__":`.'
        )
    put_first_on_path(os.getcwd())
    configs = None if isinstance(builder_or_configs, str) else as_config_list(builder_or_configs)
    options = {
        "publish_notebook": publish_notebook,
        "hide_input": hide_input,
        "allow_errors": allow_errors,
        "cell_timeout": cell_timeout,
        "kernel_name": kernel_name,
    }
    target, notebook = _resolve(experiment, options)
    if configs is not None:
        _check_carriable(configs, target)
    request = RunRequest(
        config_builder=builder_or_configs if isinstance(builder_or_configs, str) else _GIVEN_AS_OBJECTS,
        target=target,
        dst_dir=os.path.realpath(dst_dir),
        project_dir=os.getcwd(),
        num_threads=width_of(num_threads),
        selection=_selection(index, indices, start_from_index),
        incremental=incremental,
        rerun_on_code_change=rerun_on_code_change,
        num_retries=num_retries,
        retry_backoff=retry_backoff,
        timeout=timeout,
        abort_on_error=abort_on_error,
        overrides=dict(overrides or {}),
        clean_dst_dir=clean_dst_dir,
        confirmed=True,
        dry_run=dry_run,
        grace=grace,
        start_method=start_method,
        preload=tuple(preload),
        num_gpus=num_gpus,
        gpus=gpus,
        gpu_busy_memory_mb=gpu_busy_memory_mb,
        policy=policy,
        max_failures=max_failures,
        strict=strict,
        energy=EnergyRequest.of(
            measure=measure_energy, backend=energy_backend, g_per_kwh=carbon_g_per_kwh, country=country, pue=pue
        ),
        log_level=log_level,
        notebook=notebook,
        command=tuple(sys.argv),
    )
    if dry_run:
        return dry_run_request(request, configs)[0]
    with Publisher(request, on_event) as publisher:
        summary = run_request(request, configs=configs, on_event=publisher, conclude=publisher.conclude)
    if summary.signal is not None:
        _end_caller(summary.signal)
    return summary


def _resolve(
    experiment: str | os.PathLike[str] | Callable[[Any], Any], options: Mapping[str, Any]
) -> tuple[str, NotebookRequest | None]:
    """The target, and what is asked for where it is a notebook, to which `options` belong. Raises UsageError."""
    if isinstance(experiment, os.PathLike):
        experiment = os.fspath(experiment)
    if isinstance(experiment, str) and is_notebook(experiment):
        found = resolve_notebook(experiment, os.getcwd(), options["kernel_name"])
        return found.target, NotebookRequest(
            kernel_name=found.kernel_name,
            cold_kernel=found.cold_kernel,
            allow_errors=options["allow_errors"],
            cell_timeout=options["cell_timeout"],
            publish=options["publish_notebook"],
            hide_input=options["hide_input"],
        )
    named = [name for name, value in options.items() if value]
    if named:
        raise UsageError(f"{named[0]} is about notebooks, and the experiment is a function. Leave it out.")
    return resolve_target(experiment) if isinstance(experiment, str) else _target_of(experiment), None


def _target_of(function: Callable[[Any], Any]) -> str:
    """The target that means `function` in another process too. Raises UsageError where there is none."""
    name, module_name = getattr(function, "__qualname__", None), getattr(function, "__module__", None)
    if name is None or module_name is None or "<" in name:
        raise UsageError(
            f"The experiment {function!r} is no function at the top level of a module, so another process can't find "
            "it. Define it with def at the top level, or give its dotted name."
        )
    if module_name not in ("__main__", MAIN_AS_MODULE):
        return f"{_checked_home(function, module_name, name)}:{name}"
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:  # python -m package.module
        return f"{spec.name}:{_checked_name(function, main, name)}"
    script = getattr(main, "__file__", None)
    if script is None or not os.path.isfile(script):
        raise UsageError(
            f"The experiment {name!r} is defined in a __main__ without a file (a notebook, a REPL, python -c), where "
            "another process can't find it. Put it into a module."
        )
    with open(script, "rb") as file:
        names = top_level_names(file.read(), script)
    if names is not None and name.partition(".")[0] not in names:
        raise UsageError(
            f"The experiment {name!r} is defined where {script!r} runs as a script only, so another process can't "
            'find it. Define it above `if __name__ == "__main__":`.'
        )
    return f"{_relative_within_project(os.path.realpath(script))}:{_checked_name(function, main, name)}"


def _checked_home(function: Callable[[Any], Any], module_name: str, name: str) -> str:
    _checked_name(function, sys.modules[module_name], name)
    return module_name


def _checked_name(function: Callable[[Any], Any], module: Any, name: str) -> str:
    """The name, if it leads to that very function; a bound method or a decorated namesake is another one."""
    found = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        raise UsageError(
            f"The experiment {function!r} isn't what {name!r} means in the module {module.__name__!r}, so another "
            "process can't find it. Define it with def at the top level, or give its dotted name."
        )
    return name


def _relative_within_project(path: str) -> str:
    """A path inside of the project is written relative to it, so that a moved project keeps its results."""
    project = os.path.join(os.path.realpath(os.getcwd()), "")
    return path.removeprefix(project)


def _check_carriable(configs: ConfigList, target: str) -> None:
    """Raise UsageError, naming index and key, for what can't be built again from JSON in another process."""
    script_is_loaded = target.rpartition(":")[0].endswith(".py")
    for index, config in enumerate(configs):
        for key, value in config.flatten().items():
            try:
                require_carriable(value, key)
            except UsageError as error:
                raise UsageError(f"Config {index}: {error}") from error
            if not script_is_loaded and '"module":"__main__"' in canonical_json(encode(value, key)):
                raise UsageError(
                    f"Config {index}: the value of {key!r} is defined in the main script, which the experiment "
                    f"{target!r} doesn't load. Put it into a module."
                )


def _selection(index: int | None, indices: Iterable[int] | None, start_from_index: int | None) -> Selection:
    given = {"index": index, "indices": indices, "start_from_index": start_from_index}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"{named[0]} and {named[1]} contradict each other. Give one of them.")
    if index is not None:
        return Selection(ranges=((index, index),), text=f"index={index}")
    if indices is not None:
        chosen = sorted(set(indices))
        return Selection(ranges=tuple((i, i) for i in chosen), text=f"indices={chosen}")
    return Selection(start=start_from_index, text=f"start_from_index={start_from_index}")


def _end_caller(signum: int) -> None:
    """Do what the signal would have done to a script that calls `run`, now that the run has ended in order."""
    if signum == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + signum)
