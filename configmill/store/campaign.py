"""A campaign's directory: whose it is, what commands ran in it, and its links by index.

check_usable(directory, target)              # read-only; raises UsageError
with open_campaign(directory, target) as campaign:
    ...
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from configmill.errors import UsageError
from configmill.files import is_beside, read_json, write_json
from configmill.processes import kill, processes_with_environment
from configmill.protocol import FORMAT_VERSION
from configmill.protocol.attempt import DST_DIR
from configmill.protocol.layout import RESULT_LINK_PREFIX, CampaignDir
from configmill.store.lock import CampaignLock

_MARK = "configmill"
#: How what a link by index says begins.
_LINKED = "experiments/"


def check_usable(directory: CampaignDir, target: str | None, *, clean: bool = False) -> None:
    """Raise UsageError unless `directory` can be a campaign of `target`: missing, empty, or one already.

    `target` None: whatever target it has. `clean`: it is about to be emptied, so another target may take it.
    """
    path = directory.path
    if not os.path.lexists(path):
        _check_creatable(path)
        return
    if not os.path.isdir(path):
        raise UsageError(f"--dst_dir {path!r} is not a directory. Give a directory that is new, empty or Configmill's.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise UsageError(f"--dst_dir {path!r} can't be written to. Give one that you may write to.")
    campaign = read_campaign(directory)
    if campaign is None:
        if _is_empty(path):
            return
        raise UsageError(
            f"--dst_dir {path!r} is neither empty nor Configmill's (it has no campaign.json). "
            "Give a directory that is new or empty; nothing in this one was touched."
        )
    if target is not None and campaign["target"] != target and not clean:
        raise UsageError(
            f"--dst_dir {path!r} belongs to {campaign['target']!r}, not to {target!r}. "
            "Give each experiment or notebook a dst_dir of its own, or empty this one with --clean_dst_dir."
        )


def read_campaign(directory: CampaignDir) -> dict[str, Any] | None:
    """What marks a directory as Configmill's; None where nothing does. Raises UsageError for a newer format."""
    try:
        campaign = read_json(directory.campaign)
    except (ValueError, OSError):
        campaign = {}
    if campaign is None:
        return None
    if not isinstance(campaign, dict) or not isinstance(campaign.get(_MARK), int) or "target" not in campaign:
        raise UsageError(
            f"{directory.campaign!r} is not a campaign.json of Configmill's. "
            "Give another --dst_dir; nothing in this one was touched."
        )
    if campaign[_MARK] > FORMAT_VERSION:
        raise UsageError(
            f"{directory.path!r} was written by a newer Configmill (format {campaign[_MARK]}, this one knows "
            f"{FORMAT_VERSION}). Use that version, or another --dst_dir."
        )
    return campaign


def require_campaign(path: str) -> CampaignDir:
    """The campaign at `path`, for commands that only read. Raises UsageError where there is none."""
    directory = CampaignDir(os.path.abspath(path))
    if read_campaign(directory) is None:
        raise UsageError(f"{path!r} is no directory of Configmill's. Give the --dst_dir of a run.")
    return directory


def _check_creatable(path: str) -> None:
    ancestor = os.path.dirname(path)
    while not os.path.lexists(ancestor):
        ancestor = os.path.dirname(ancestor)
    if not os.path.isdir(ancestor) or not os.access(ancestor, os.W_OK | os.X_OK):
        raise UsageError(
            f"--dst_dir {path!r} can't be created: {ancestor!r} is no directory that you may write to. Give another."
        )


def _is_empty(path: str) -> bool:
    # A manager that died before its campaign.json leaves the lock, and perhaps that file's beginning.
    return all(name == ".lock" or is_beside(name) for name in os.listdir(path))


class Campaign:
    """An open campaign: this process holds its lock."""

    def __init__(self, directory: CampaignDir, lock: CampaignLock) -> None:
        self.dir = directory
        self.lock_fd = lock.descriptor
        self.previous_died = lock.previous_died

    def update_links(self, digests: Sequence[str]) -> bool:
        """Have `result_<idx>` point at the experiment of each config that has a directory; surplus links go.

        Returns whether any link had to change.
        """
        with os.scandir(self.dir.path) as entries:
            links = {entry.name: leads_to for entry in entries if (leads_to := _result_link(entry))}
        existing = set(os.listdir(self.dir.experiments))
        wanted = {f"{RESULT_LINK_PREFIX}{i}": d for i, d in enumerate(digests) if d in existing}
        surplus = []
        for name, digest in links.items():
            if wanted.get(name) == digest:
                del wanted[name]
            else:
                surplus.append(os.path.join(self.dir.path, name))
        for path in surplus:
            os.unlink(path)
        for name, digest in wanted.items():
            _link(os.path.join(self.dir.path, name), digest)
        return bool(surplus or wanted)

    def link(self, index: int, digest: str) -> None:
        """Have `result_<index>` point at the experiment `digest`."""
        path = self.dir.result_link(index)
        if os.path.islink(path) and os.readlink(path).startswith(_LINKED):
            if os.readlink(path) == _LINKED + digest:
                return
            os.unlink(path)
        _link(path, digest)


def _result_link(entry: os.DirEntry[str]) -> str:
    """What a link of ours leads to within the experiments; empty for all else, as a user's links of like names."""
    index = entry.name.removeprefix(RESULT_LINK_PREFIX)
    if not (entry.name.startswith(RESULT_LINK_PREFIX) and index.isdecimal() and entry.is_symlink()):
        return ""
    text = os.readlink(entry.path)
    return text.removeprefix(_LINKED) if text.startswith(_LINKED) else ""


def _link(path: str, digest: str) -> None:
    if not os.path.lexists(path):  # a user's own file of that name stays
        os.symlink(_LINKED + digest, path)


@contextmanager
def open_campaign(
    directory: CampaignDir, target: str, *, clean: bool = False, confirm_clean: Callable[[str], bool] | None = None
) -> Iterator[Campaign]:
    """Take the campaign's lock, creating or (`clean`, once `confirm_clean` agrees) emptying the directory.

    Raises UsageError where it can't be created, is in use, isn't Configmill's or belongs to another target.
    """
    _create(directory.path)
    with CampaignLock(directory) as lock:
        # Another manager may have been here between the first check and the lock.
        check_usable(directory, target, clean=clean)
        if clean:
            _clean(directory, confirm_clean)
        if lock.previous_died:
            _end_leftovers(directory)
        # The mark comes first: whoever dies here leaves a directory that is still known as Configmill's.
        if read_campaign(directory) is None:
            write_json(directory.campaign, {_MARK: FORMAT_VERSION, "target": target})
        for path in (directory.runs, directory.experiments):
            os.makedirs(path, exist_ok=True)
        yield Campaign(directory, lock)


def _create(path: str) -> None:
    """Create the directory with those above it, all or none. Raises UsageError."""
    missing = []
    above = path
    while not os.path.lexists(above):
        missing.append(above)
        above = os.path.dirname(above)
    made = []
    try:
        for step in reversed(missing):
            os.mkdir(step)
            made.append(step)
    except OSError as error:
        for step in reversed(made):
            os.rmdir(step)
        raise UsageError(f"--dst_dir {path!r} can't be created: {error.strerror}. Give another.") from error


def _clean(directory: CampaignDir, confirm: Callable[[str], bool] | None) -> None:
    import shutil  # 2 ms, with the compressors that it knows

    names = [name for name in os.listdir(directory.path) if name != ".lock"]
    if not names:
        return
    if confirm is not None and not confirm(directory.path):
        raise UsageError(f"{directory.path!r} was not emptied: you said no. Leave out --clean_dst_dir to keep it.")
    # The mark goes last: a directory that is half emptied is still known as Configmill's.
    for name in sorted(names, key=lambda name: name == os.path.basename(directory.campaign)):
        path = os.path.join(directory.path, name)
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)


def _end_leftovers(directory: CampaignDir) -> None:
    """End what is left of a manager that died together with its minders; they are known by their environment."""
    while leftovers := processes_with_environment([f"{DST_DIR}={directory.path}"]):
        for pid in leftovers:
            kill(pid)
