"""What stands for a config: the config itself, or one that was derived from it when a device's memory ran out.

    place = standing(campaign, digest)
    place.dir                 # where its result is, or how it failed
    place.is_done             # whether the config is done, as itself or as a derived one

A derived config is an experiment of its own, with its own identity, directory and success marker. That marker is what
decides: `succeeded_as` in the original's lineage is for the eye, and is written afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from configmill.protocol.layout import CampaignDir, ExperimentDir
from configmill.store.experiments import is_done, last_attempt
from configmill.store.lineage import Rung, in_words, read_lineage, write_lineage


@dataclass(frozen=True)
class Standing:
    """The experiment that stands for a config, and what was tried on the way to it, both ends included."""

    digest: str
    dir: ExperimentDir
    #: Whether that one had succeeded when this was looked up.
    is_done: bool
    #: Empty where the config stands for itself.
    tried: tuple[Rung, ...] = ()

    @property
    def derived_as(self) -> str:
        """The values of a derived config, `batch_size=8`; empty where the config stands for itself."""
        return in_words(self.tried[-1:]) if self.tried else ""


def standing(campaign: CampaignDir, digest: str) -> Standing:
    """What stands for the config: itself once it succeeded, else the last one of its lineage that began."""
    directory = campaign.experiment(digest)
    if is_done(directory):
        return Standing(digest, directory, is_done=True)
    tried = read_lineage(directory).tried
    for position in range(len(tried) - 1, 0, -1):
        derived = campaign.experiment(tried[position].digest)
        if last_attempt(derived):
            return Standing(tried[position].digest, derived, is_done(derived), tried[: position + 1])
    return Standing(digest, directory, is_done=False)


def standing_digests(campaign: CampaignDir, digests: Sequence[str], known: Mapping[int, str]) -> list[str]:
    """The identities of what stands for each config of a list; `known` are some of them, by index."""
    return [known.get(index) or standing(campaign, digest).digest for index, digest in enumerate(digests)]


def note_tried(original: ExperimentDir, tried: Sequence[Rung]) -> None:
    """Keep what has been tried, and what is about to be; before that begins."""
    lineage = read_lineage(original)
    write_lineage(original, replace(lineage, tried=tuple(tried), succeeded_as=None))


def note_success(original: ExperimentDir, derived: str) -> None:
    """Keep as which derived config it succeeded."""
    lineage = read_lineage(original)
    if lineage.succeeded_as != derived:
        write_lineage(original, replace(lineage, succeeded_as=derived))
