"""The one campaign behind `run_single_config_with_retry` and its kin: configs join its list, one call after another.

    [end] = run_in_campaign([config], num_retries=3)
    end.succeeded, end.experiment_id

They are thin: the manager runs, retries, resumes and keeps, as for run_experiment.py. A call runs its own configs
alone, but the list of the command is everything that has run there, so that the campaign's tables and report have all
of it. The campaign is in `out/llm_inference`, or where CONFIGMILL_LLM_DST_DIR says; of several processes that want it
the others wait.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import configmill
from config_builders.llm_inference import base_config, with_resources
from experiments.llm_inference.locks import held
from experiments.llm_inference.settings import Settings, SettingsError

log = logging.getLogger(__name__)

EXPERIMENT = "experiments.llm_inference.run_experiment"
DST_DIR_VARIABLE = "CONFIGMILL_LLM_DST_DIR"
_DEFAULT_DST_DIR = os.path.join("out", "llm_inference")
#: What says how a config runs; only `num_gpus` of it is part of what an experiment is.
_RESOURCES = "resources"
#: What a run gives and callers of these names keep in their config: no part of what to run.
EXPERIMENT_ID = "experiment_id"
#: The statuses that mean that it is done.
_DONE = ("succeeded", "succeeded with errors")


class End(NamedTuple):
    """How a config stands when the command is over; its id is the experiment's own, where it succeeded and has one."""

    succeeded: bool
    experiment_id: str


def dst_dir() -> str:
    """Where the campaign is: an absolute path."""
    return os.path.abspath(os.environ.get(DST_DIR_VARIABLE) or _DEFAULT_DST_DIR)


def keeping_dir() -> str:
    """The folder beside the campaign for what isn't the manager's: a counter, saved progress, locks."""
    path = f"{dst_dir()}.progress"
    os.makedirs(path, exist_ok=True)
    return path


def is_managed() -> bool:
    """Whether this process is an experiment of the manager's already: it retries then, and nobody else."""
    return "CONFIGMILL_ATTEMPT" in os.environ


def to_run(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as it is run: with a model, and with the resources that it needs.

    Raises configmill.UsageError for one that no machine could carry out: trying it, and again, would be of no use.
    """
    plain = {"model_name": base_config["model_name"], **without_id(config)}
    try:
        Settings.from_config(plain)
    except SettingsError as error:
        raise configmill.UsageError(str(error)) from error
    return with_resources(plain)


def without_id(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config as plain dicts, without an id that an earlier run left in it."""
    if not isinstance(config, Mapping):
        raise TypeError(f"The config is {config!r}, which is no mapping. Give one with a 'model_name'.")
    plain = configmill.Config(config).to_dict()
    plain.pop(EXPERIMENT_ID, None)
    return plain


def run_in_campaign(
    configs: Sequence[Mapping[str, Any]],
    *,
    num_threads: int = 1,
    num_retries: int = 0,
    retry_backoff: float = 2.0,
    on_event: Callable[[Any], None] = lambda event: None,
) -> list[End]:
    """Run what of `configs` has not succeeded yet, and return how each stands now.

    Raises configmill.UsageError, before anything runs, where one of them can't be run as it is.
    """
    with held(os.path.join(keeping_dir(), "lock"), f"the campaign {dst_dir()}"):
        listed, positions = _joined(_listed(), configs)
        configmill.run(
            listed,
            EXPERIMENT,
            dst_dir(),
            indices=sorted(set(positions)),
            num_threads=num_threads,
            num_retries=num_retries,
            retry_backoff=retry_backoff,
            on_event=on_event,
        )
        rows = configmill.load_results(dst_dir()).to_dict("records")
    return [_end(rows[position]) for position in positions]


def _end(row: Mapping[Any, Any]) -> End:
    own = row.get(EXPERIMENT_ID)  # missing, or NaN, where it returned none
    return End(row["status"] in _DONE, own if isinstance(own, str) and own else str(row["digest"]))


def _listed() -> list[configmill.Config]:
    """What has run in the campaign, in its order."""
    if not os.path.exists(os.path.join(dst_dir(), "campaign.json")):
        return []
    return list(configmill.load_configs(dst_dir()))


def _joined(
    listed: Sequence[configmill.Config], configs: Sequence[Mapping[str, Any]]
) -> tuple[list[configmill.Config], list[int]]:
    """The list with `configs` in it, and where each stands: in the place of what is the same experiment, or behind."""
    joined = list(listed)
    identities = [_identity(config) for config in joined]
    positions = []
    for config in configs:
        adopted = configmill.Config(config)
        identity = _identity(adopted)
        if identity not in identities:
            joined.append(adopted)
            identities.append(identity)
        position = identities.index(identity)
        joined[position] = adopted  # how it is to run may have changed
        positions.append(position)
    return joined, positions


def _identity(config: configmill.Config) -> configmill.Config:
    """The config without what only says how to run it."""
    plain = config.to_dict()
    resources = plain.pop(_RESOURCES, None) or {}
    num_gpus = {"num_gpus": resources["num_gpus"]} if "num_gpus" in resources else {}
    return configmill.Config({**plain, _RESOURCES: num_gpus})
