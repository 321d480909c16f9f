"""The beginning of an attempt: its directory prepared, its link set, and what its process is to be told."""

from __future__ import annotations

from configmill.config.overrides import overrides_to_json
from configmill.plan.plan import Plan
from configmill.protocol.attempt import Attempt
from configmill.protocol.request import RunRequest
from configmill.store.campaign import Campaign
from configmill.store.experiments import begin_attempt


def begin(request: RunRequest, plan: Plan, campaign: Campaign, index: int) -> Attempt:
    """Begin the next attempt at the config at `index`. Raises OSError where its directory can't be prepared."""
    digest = plan.digests[index]
    number = begin_attempt(campaign.dir.experiment(digest), plan.config(index), request.target)
    campaign.link(index, digest)
    return Attempt(
        config_builder=request.config_builder,
        index=index,
        dst_dir=request.dst_dir,
        target=request.target,
        digest=digest,
        overrides=overrides_to_json(request.overrides),
        number=number,
        project_dir=request.project_dir,
    )
