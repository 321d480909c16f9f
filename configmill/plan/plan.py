"""The configs that a request means, with their identities, checked; nothing is created.

plan = make_plan(request)
plan.config(3), plan.digests[3], plan.selected
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial

from configmill.child.rebuild import put_first_on_path
from configmill.config import Config, ConfigList
from configmill.config.builder import build, entry
from configmill.config.identity import find_duplicates, identity_digest
from configmill.config.overrides import apply_overrides
from configmill.errors import UnstableDigestError, UsageError
from configmill.measure.host import memory_limit_bytes, usable_cpus
from configmill.plan.estimates import ask_estimator, has_estimator
from configmill.plan.launchers import check_launchers
from configmill.plan.meetable import check_meetable
from configmill.plan.resources import from_mapping, is_launched_unsaid, with_command, with_estimate
from configmill.plan.selection import select
from configmill.protocol.layout import CampaignDir
from configmill.protocol.request import FOREGROUND, RunRequest
from configmill.protocol.resources import NOTHING_ASKED, DeviceFacts, ResourceRequest
from configmill.schedule.policies import make_policy
from configmill.store.campaign import check_usable
from configmill.store.derived import standing

#: Says which devices may be handed out, and in half a sentence why there are none.
FindDevices = Callable[[], tuple[Sequence[DeviceFacts], str]]


@dataclass(frozen=True)
class Plan:
    """Every config of the list in order; `selected` are the indices to work on."""

    configs: ConfigList
    digests: Sequence[str]
    #: What each asks for; of those that are not selected, without what an estimator would say.
    resources: Sequence[ResourceRequest]
    selected: Sequence[int]
    overrides: Mapping[str, object]
    warnings: Sequence[str]

    def config(self, index: int) -> Config:
        """The config at `index` with the overrides applied, to be read or changed freely."""
        config = self.configs[index]
        apply_overrides(config, self.overrides, index=index)
        return config


def make_plan(
    request: RunRequest, configs: ConfigList | None = None, *, find_devices: FindDevices | None = None
) -> Plan:
    """Build the list (or take `configs`, given as objects) and check everything that can be known before a start.

    `find_devices` is called where experiments ask for devices; without it, whether there are enough isn't checked.
    Raises UsageError.
    """
    directory = CampaignDir(request.dst_dir)
    check_usable(directory, request.target, clean=request.clean_dst_dir)
    put_first_on_path(request.project_dir)
    make_policy(request.policy)  # before anything is created
    built = build(request.config_builder) if configs is None else configs
    digests, resources, unlaunched = [], [], set()
    by_command = with_command(NOTHING_ASKED, request.num_gpus)
    for index in range(len(built)):
        config = entry(built, index, request.config_builder)
        apply_overrides(config, request.overrides, index=index)
        digests.append(_digest(request.target, config, index))
        asked = from_mapping(config.get("resources"), index, config)
        resources.append(by_command if asked is NOTHING_ASKED else with_command(asked, request.num_gpus))
        if is_launched_unsaid(asked, config):
            unlaunched.add(index)
    duplicates = find_duplicates(digests)
    if duplicates is not None:
        raise _duplicate(request, *duplicates)
    selected = select(request.selection, len(built))
    plan = Plan(built, digests, resources, selected, request.overrides, warnings=())
    _estimate(request, plan, resources, unlaunched, configs, find_devices)
    check_launchers(request.target, {index: resources[index] for index in selected})
    if request.start_method != FOREGROUND:  # in the foreground nothing is handed out, and nothing waits
        _check_meetable(request, resources, digests, selected, find_devices)
    return plan


def _estimate(
    request: RunRequest,
    plan: Plan,
    resources: list[ResourceRequest],
    unlaunched: Set[int],
    given: ConfigList | None,
    find_devices: FindDevices | None,
) -> None:
    """Put estimates into `resources`, the plan's, where nobody has said how many devices, or what is to launch it.

    `unlaunched` are those that may want a launcher; `given` are configs given as objects.
    """
    # In the foreground nothing is handed out.
    wants_gpus = request.hands_out_gpus and request.num_gpus is None and request.start_method != FOREGROUND
    without_gpus = {index for index in plan.selected if wants_gpus and "num_gpus" not in resources[index].origins}
    unsaid = [index for index in plan.selected if index in without_gpus or index in unlaunched]
    if not unsaid or not has_estimator(request.target, request.project_dir):
        return
    wanted = [index for index in unsaid if _may_run(request, plan.digests[index])]
    if not wanted:
        return
    configs = None if given is None else {index: given[index] for index in wanted}
    there = () if find_devices is None or not wants_gpus else find_devices()[0]
    devices = {index: [device for device in there if resources[index].names(device)] for index in wanted}
    for index, estimate in ask_estimator(request, wanted, configs, devices).items():
        asked = estimate if index in without_gpus else {"launcher": estimate.get("launcher")}
        resources[index] = with_estimate(resources[index], asked, index, plan.config(index))


def _check_meetable(
    request: RunRequest,
    resources: Sequence[ResourceRequest],
    digests: Sequence[str],
    selected: Sequence[int],
    find_devices: FindDevices | None,
) -> None:
    requests = {index: resources[index] for index in selected if resources[index] is not NOTHING_ASKED}
    if not requests:
        return
    devices: Sequence[DeviceFacts] | None = None
    why_none = ""
    if not request.hands_out_gpus:
        devices, why_none = (), f"with --gpus {request.gpus!r} none is handed out"
    elif find_devices is not None and any(asked.num_gpus.least for asked in requests.values()):
        devices, why_none = find_devices()
    check = partial(
        check_meetable,
        devices=devices,
        why_no_devices=why_none,
        memory_limit=memory_limit_bytes(),
        num_cpus=usable_cpus(),
    )
    try:
        check(requests)
    except UsageError:  # then only it matters which of them are done: looking takes time where there are many
        check({index: asked for index, asked in requests.items() if _may_run(request, digests[index])})


def _may_run(request: RunRequest, digest: str) -> bool:
    """Whether it may run in this command; whether it does is decided under the lock."""
    again = request.clean_dst_dir or not request.incremental or request.rerun_on_code_change
    return again or not standing(CampaignDir(request.dst_dir), digest).is_done


def _digest(target: str, config: Config, index: int) -> str:
    try:
        return identity_digest(target, config)
    except UnstableDigestError as error:
        raise UnstableDigestError(f"Config {index}: {error}") from error


def _duplicate(request: RunRequest, first: int, second: int) -> UsageError:
    after = " after --set" if request.overrides else ""
    return UsageError(
        f"The configs at {first} and {second} of {request.config_builder!r} are the same{after}. "
        "Every config runs once: remove one, or give each a key that differs (a seed, for replicas)."
    )
