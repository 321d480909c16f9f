"""Run configs from a script, with retries: thin calls of `configmill.run` and its one retry policy.

    if run_single_config_with_retry(config, max_retries=3):
        print("done", config["experiment_id"])
    batch_launch_experiments(configs, max_parallel=2)        # {"batch_size_4": True, "batch_size_8": False}

What has succeeded in the campaign (experiments/llm_inference/campaign.py) isn't run again. Inside of an experiment of
the manager's the config is just run: the manager retries, and nobody else.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import configmill
from experiments.llm_inference import campaign
from experiments.llm_inference.campaign import (
    EXPERIMENT_ID,
    End,
    dst_dir,
    is_managed,
    run_in_campaign,
    to_run,
    without_id,
)
from experiments.llm_inference.experiment import run_experiment
from experiments.llm_inference.progress import progress_key

log = logging.getLogger(__name__)


def run_single_config_with_retry(
    experiment_config: Mapping[str, Any], max_retries: int = 3, backoff_base: float = 2
) -> bool:
    """Run the config, up to `max_retries` times more where it fails, and return whether it succeeded.

    Before the k-th retry it waits `backoff_base ** k` seconds: 2, 4, 8. A success leaves the experiment's id in
    `experiment_config["experiment_id"]`, where that is a dict. What can't be run as it is (more devices than there are)
    is logged, and False. Inside of an experiment it is run once, and what it raises is raised: so the manager sees it.
    """
    if is_managed():
        return _run_here(experiment_config)
    try:
        config = to_run(experiment_config)
        [end] = run_in_campaign([config], num_retries=max_retries, retry_backoff=backoff_base, on_event=_tell)
    except configmill.UsageError as error:
        _refuse(experiment_config, error)
        return False
    _note_id(experiment_config, end)
    return end.succeeded


def batch_launch_experiments(
    experiment_configs: Sequence[Mapping[str, Any]],
    max_parallel: int = 1,
    max_retries: int = 3,
    backoff_base: float = 2,
) -> dict[str, bool]:
    """Run the configs, `max_parallel` at a time, and return by `config_name` whether each succeeded.

    What measures runs alone on the host all the same (`resources.exclusive_host`). Where several configs bear one name,
    or none, each has its key of `progress_key` instead. A config that can't be run as it is is logged, and False.
    """
    names = _names(experiment_configs)
    if is_managed():
        return {name: _run_here(config) for name, config in zip(names, experiment_configs, strict=True)}
    asked = dict(zip(names, experiment_configs, strict=True))
    how = {"num_threads": max_parallel, "num_retries": max_retries, "retry_backoff": backoff_base, "on_event": _tell}
    try:
        ends = _run_all(asked, how)
    except configmill.UsageError:
        accepted = {name: config for name, config in asked.items() if _can_run(config)}
        if len(accepted) == len(asked):  # it is none of them that can't be run
            raise
        ends = _run_all(accepted, how)
    for name, end in ends.items():
        _note_id(asked[name], end)
    results = {name: name in ends and ends[name].succeeded for name in names}
    succeeded = sum(results.values())
    _say(f"{succeeded} of {len(results)} succeeded, {len(results) - succeeded} failed: {dst_dir()}")
    return results


def _run_all(configs: Mapping[str, Mapping[str, Any]], how: Mapping[str, Any]) -> dict[str, End]:
    """How each stands afterwards, by name."""
    if not configs:
        return {}
    ends = run_in_campaign([to_run(config) for config in configs.values()], **how)
    return dict(zip(configs, ends, strict=True))


def _run_here(config: Mapping[str, Any]) -> bool:
    """Run the config as a part of the experiment that this process is: its files go into that one's directory."""
    around = (
        config if isinstance(config, configmill.Config) and config.meta.attempt else configmill.get_config_from_env()
    )
    assert around is not None  # is_managed() has said so
    own = configmill.Config(without_id(config))
    own.attach_meta(around.meta)
    run_experiment(own.freeze())
    return True


def _can_run(config: Mapping[str, Any]) -> bool:
    """Whether the manager would take the config; if not, that is logged."""
    try:
        configmill.run([to_run(config)], campaign.EXPERIMENT, dst_dir(), dry_run=True)
    except configmill.UsageError as error:
        _refuse(config, error)
        return False
    return True


def _names(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each is called in the result: its name, or where that isn't its own, its key."""
    given = [without_id(config).get("config_name") for config in configs]
    count = Counter(given)
    names = [
        str(name) if name is not None and count[name] == 1 else progress_key(config)
        for name, config in zip(given, configs, strict=True)
    ]
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise configmill.UsageError(
            f"Several configs are called {repeated[0]!r}. Give each a config_name or a cycle_id of its own."
        )
    return names


def _note_id(config: Mapping[str, Any], end: End) -> None:
    if end.succeeded and isinstance(config, dict):
        config[EXPERIMENT_ID] = end.experiment_id


def _refuse(config: Mapping[str, Any], error: configmill.UsageError) -> None:
    log.error("%s can't be run: %s", progress_key(config), error)
    _say(f"{progress_key(config)} can't be run: {error}")


def _tell(event: Any) -> None:
    _say(str(event))


def _say(text: str) -> None:
    print(text, flush=True)
