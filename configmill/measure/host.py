"""How much memory and how many cores this host gives to processes like this one: what the control groups allow.

    memory_limit_bytes()      ->  8589934592        # of a container that may use 8 GiB of a larger machine
    available_memory_bytes()  ->  6012954214        # of which so much is free now

Both versions of control groups are read (https://docs.kernel.org/admin-guide/cgroup-v2.html, and cgroup-v1), from the
group of this process up to the highest that it sees: each of them limits. All functions take the directory that stands
for `/`, and return 0 for what can't be known.
"""

from __future__ import annotations

import os

from configmill.processes import num_cores

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Iterator

_KIB = 1024
#: Where systems and container runtimes mount them; a controller without a name is version 2's.
_MOUNTS = {
    "memory": (("", "sys/fs/cgroup"), ("", "sys/fs/cgroup/unified"), ("memory", "sys/fs/cgroup/memory")),
    "cpu": (
        ("", "sys/fs/cgroup"),
        ("", "sys/fs/cgroup/unified"),
        ("cpu", "sys/fs/cgroup/cpu"),
        ("cpu", "sys/fs/cgroup/cpu,cpuacct"),
    ),
}


def memory_limit_bytes(root: str = "/") -> int:
    """The most memory that processes like this one may ever use together."""
    known = [total] if (total := _meminfo(root, b"MemTotal")) else []
    return min([*known, *(limit for _, limit in _limited_groups(root))], default=0)


def available_memory_bytes(root: str = "/") -> int:
    """How much memory can be used now without swapping or the OOM killer; files that are only cached count as free."""
    known = [free] if (free := _meminfo(root, b"MemAvailable")) else []
    for group, limit in _limited_groups(root):
        used = _number(group, "memory.current") or _number(group, "memory.usage_in_bytes") or 0
        known.append(max(0, limit - max(0, used - _reclaimable(group))))
    return min(known, default=0)


def usable_cpus(root: str = "/") -> float:
    """How many cores' worth of time processes like this one may use: the affinity, and the groups' quotas."""
    quotas = [quota for group in _groups(root, "cpu") if (quota := _quota(group)) is not None]
    return min([float(num_cores()), *quotas])


def _limited_groups(root: str) -> Iterator[tuple[str, int]]:
    """The directory of each group that has a limit of memory, and the limit in bytes."""
    for group in _groups(root, "memory"):
        limit = _number(group, "memory.max") or _number(group, "memory.limit_in_bytes")
        if limit is not None:  # without one, version 2 says "max", and version 1 a number beyond any machine
            yield group, limit


def _groups(root: str, controller: str) -> Iterator[str]:
    """The directories of this process's group and of those above it, as far as they can be seen."""
    own = _own_groups(root)
    for name, mount in _MOUNTS[controller]:
        if name not in own:
            continue
        top = os.path.join(root, mount)
        path = own[name]
        while True:
            if os.path.isdir(group := os.path.join(top, path)):  # in a container the path may be the host's
                yield group
            if not path:
                break
            path = os.path.dirname(path)


def _own_groups(root: str) -> dict[str, str]:
    """The path of this process's group by controller, "" for version 2's, relative to where they are mounted."""
    own = {}
    for line in _read(os.path.join(root, "proc/self/cgroup")).decode("utf-8", "surrogateescape").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        for name in controllers.split(","):
            own[name] = os.path.normpath(path).lstrip("/")
    return own


def _quota(group: str) -> float | None:
    """Cores' worth of time that the group may use; None without a limit."""
    quota, _, period = _read(os.path.join(group, "cpu.max")).decode().strip().partition(" ")
    if not quota:
        quota = _read(os.path.join(group, "cpu.cfs_quota_us")).decode().strip()  # -1 without a limit
        period = _read(os.path.join(group, "cpu.cfs_period_us")).decode().strip()
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() and int(period) and int(quota) else None


def _reclaimable(group: str) -> int:
    """Bytes of files that are only cached; of version 1 with the groups below, which its usage counts as well."""
    fields = dict(line.split()[:2] for line in _read(os.path.join(group, "memory.stat")).splitlines() if b" " in line)
    return int(fields.get(b"total_inactive_file") or fields.get(b"inactive_file") or 0)


def _number(group: str, name: str) -> int | None:
    text = _read(os.path.join(group, name)).strip()
    return int(text) if text.isdigit() else None


def _meminfo(root: str, name: bytes) -> int:
    """A line of /proc/meminfo, in bytes."""
    for line in _read(os.path.join(root, "proc/meminfo")).splitlines():
        field, _, value = line.partition(b":")
        if field == name:
            return int(value.split()[0]) * _KIB
    return 0


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""
