"""Memory: what this process has, and signs that the kernel's OOM killer was at work."""

from __future__ import annotations

import os


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot (/proc/vmstat); 0 where unknown."""
    try:
        with open("/proc/vmstat", "rb") as file:
            rest = file.read().partition(b"\noom_kill ")[2]
    except FileNotFoundError:
        return 0
    return int(rest.partition(b"\n")[0] or 0)


def peak_resident_bytes() -> int:
    """The most memory that this process has had resident since its last exec (VmHWM); 0 where that isn't told."""
    try:
        with open("/proc/self/status", "rb") as file:
            value = file.read().partition(b"\nVmHWM:")[2]
    except OSError:
        return 0
    return int(value.split(maxsplit=1)[0]) * 1024 if value else 0


def resident_bytes() -> int:
    """How much memory this process has resident now, what it shares with others included; 0 where that isn't told.

    Not getrusage's ru_maxrss: an exec keeps the largest of the program before it.
    """
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
