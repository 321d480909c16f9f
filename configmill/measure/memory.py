"""Signs that the kernel's OOM killer was at work."""

from __future__ import annotations


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot (/proc/vmstat); 0 where unknown."""
    try:
        with open("/proc/vmstat", "rb") as file:
            for line in file:
                if line.startswith(b"oom_kill "):
                    return int(line.split()[1])
    except FileNotFoundError:
        return 0
    return 0
