"""Signs that the kernel's OOM killer was at work."""

from __future__ import annotations


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot (/proc/vmstat); 0 where unknown."""
    try:
        with open("/proc/vmstat", "rb") as file:
            rest = file.read().partition(b"\noom_kill ")[2]
    except FileNotFoundError:
        return 0
    return int(rest.partition(b"\n")[0] or 0)
