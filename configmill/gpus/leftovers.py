"""Whether anything of a lock's former holder still runs, though the lock is free.

A lock lives as long as the minder. A daemon that the experiment made has not inherited it, and outlives a minder that
was killed: it may still compute on the device. It is known by its session, and by the variables of the attempt in its
environment, which another user's process doesn't show.
"""

from __future__ import annotations

import os

from configmill.gpus.records import Holder, Record
from configmill.processes import is_running, processes_with_environment, start_time
from configmill.protocol.attempt import ATTEMPT, CONFIG_DIGEST, DST_DIR


def left_over(record: Record) -> str | None:
    """What still runs of the record's attempts, in words; None: nothing that can be seen from here."""
    if not record.pids_are_ours:
        return None
    for holder in record.holders:
        pids = _processes_of(holder)
        if pids:
            shown = ", ".join(map(str, pids[:5]))
            return f"of {holder.experiment} in {holder.dst_dir!r} there still run processes: pid {shown}"
    return None


def _processes_of(holder: Holder) -> list[int]:
    minder = holder.minder
    if minder is not None and minder.runs:
        return [minder.pid]
    marks = {DST_DIR: holder.dst_dir, CONFIG_DIGEST: holder.experiment, ATTEMPT: str(holder.attempt)}
    marked = processes_with_environment(f"{name}={value}" for name, value in marks.items())
    in_session = _session(minder.pid) if minder is not None and start_time(minder.pid) is None else []
    # The environment of a zombie is empty, but one may just have become one: it uses nothing any more.
    return sorted(pid for pid in {*marked, *in_session} if is_running(pid, None))


def _session(leader: int) -> list[int]:
    """The members of a session whose leader is gone; its pid is given to nobody while there are any."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _session_of(int(name)) == leader]


def _session_of(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None
