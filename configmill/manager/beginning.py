"""The beginning of an attempt: its directory prepared, its link set, and what its process is to be told."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from configmill.config.overrides import apply_overrides, overrides_to_json
from configmill.plan.plan import Plan
from configmill.protocol.attempt import Attempt
from configmill.protocol.fork_server import ServerOrders
from configmill.protocol.request import RunRequest
from configmill.store.campaign import Campaign
from configmill.store.experiments import begin_attempt
from configmill.store.lineage import Rung


def begin(
    request: RunRequest,
    plan: Plan,
    campaign: Campaign,
    index: int,
    gpus: tuple[str, ...] = (),
    shown: str | None = None,
    rung: Rung | None = None,
) -> Attempt:
    """Begin the next attempt at the config at `index`: it is given the devices `gpus`, and CUDA shows it `shown`.

    None for `shown` leaves the environment as it is. `rung`: the derived config that is tried in its place.
    Raises OSError where its directory can't be prepared.
    """
    original = plan.digests[index]
    config = plan.config(index)
    if rung is not None:
        apply_overrides(config, rung.values, index=index)
        request = replace(request, overrides={**request.overrides, **rung.values})
    digest = original if rung is None else rung.digest
    derived_from = None if rung is None else original
    number = begin_attempt(campaign.dir.experiment(digest), config, request.target, derived_from)
    campaign.link(index, digest)
    return _attempt(request, index, digest, number, gpus, shown)


def mark_of(request: RunRequest, plan: Plan) -> Attempt:
    """An attempt like any other of this request's: the text that tells its processes from others is as long."""
    return _attempt(request, 0, plan.digests[0], 1)


def _attempt(
    request: RunRequest,
    index: int,
    digest: str,
    number: int,
    gpus: tuple[str, ...] = (),
    shown: str | None = None,
) -> Attempt:
    return Attempt(
        config_builder=request.config_builder,
        index=index,
        dst_dir=request.dst_dir,
        target=request.target,
        digest=digest,
        overrides=overrides_to_json(request.overrides),
        number=number,
        project_dir=request.project_dir,
        gpus=gpus,
        cuda_visible_devices=shown,
        strict=request.strict,
    )


def server_orders(request: RunRequest, num_forks: int) -> ServerOrders:
    """What the fork server is to import for this request, in which it will fork about `num_forks` attempts."""
    notebook = request.notebook
    return ServerOrders(
        target=request.target,
        config_builder=request.config_builder,
        project_dir=request.project_dir,
        dst_dir=request.dst_dir,
        preload=list(request.preload),
        search_path=[entry for entry in sys.path if entry],
        log_level=request.log_level,
        num_forks=num_forks,
        notebook_source=None if notebook is None else os.path.join(request.project_dir, request.target),
        forks_kernels=notebook is not None and notebook.cold_kernel is None,
    )
