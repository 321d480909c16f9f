"""A manager may die before its campaign is one: what it leaves is taken up by the next."""

from __future__ import annotations

import os
from pathlib import Path

from configmill.protocol.layout import CampaignDir
from configmill.store.campaign import check_usable, open_campaign


def _die_at(step: int, directory: CampaignDir) -> bool:
    """Open the campaign in a process that dies just before its `step`th call that changes a directory; did it?"""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    left = step

    def deadly(name: str) -> None:
        call = getattr(os, name)

        def counted(*args: object, **kwargs: object) -> object:
            nonlocal left
            if left == 0:
                os._exit(9)
            left -= 1
            return call(*args, **kwargs)

        setattr(os, name, counted)

    for name in ("mkdir", "open", "write", "replace", "unlink", "symlink"):
        deadly(name)
    with open_campaign(directory, "experiments.some.run"):
        os._exit(0)
    os._exit(1)


def test_a_manager_that_dies_while_it_opens_its_campaign(tmp_path: Path) -> None:
    """Wherever a manager dies while it makes its directory, the next one takes that directory."""
    step = 0
    while _die_at(step, directory := CampaignDir(str(tmp_path / f"out {step}"))):
        check_usable(directory, "experiments.some.run")
        with open_campaign(directory, "experiments.some.run"):
            assert sorted(name for name in os.listdir(directory.path) if not name.startswith(".")) == [
                "campaign.json",
                "experiments",
                "runs",
            ]
        step += 1
    assert step >= 6, "it died too rarely for the test to mean anything"
