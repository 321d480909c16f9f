from __future__ import annotations

import os
from pathlib import Path

import pytest

from configmill.measure.host import available_memory_bytes, memory_limit_bytes, usable_cpus

MIB = 1 << 20
#: Of version 1, where nobody has set a limit.
UNLIMITED = "9223372036854771712"


class Host:
    """What the kernel would show, in a folder."""

    def __init__(self, root: Path) -> None:
        self.path = root
        self.root = str(root)

    def write(self, name: str, text: str) -> None:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def group(self, path: str, **files: str) -> None:
        """The files of a control group, `memory_max` for memory.max."""
        for name, text in files.items():
            self.write(f"sys/fs/cgroup/{path}/{name.replace('_', '.', 1)}", text + "\n")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A machine of 1000 MiB, 800 of them available, without control groups."""
    made = Host(tmp_path)
    made.write("proc/meminfo", "MemTotal:        1024000 kB\nMemFree: 1 kB\nMemAvailable:     819200 kB\n")
    return made


def test_without_groups(host: Host) -> None:
    """Without control groups it is the machine's memory."""
    assert memory_limit_bytes(host.root) == 1000 * MIB
    assert available_memory_bytes(host.root) == 800 * MIB
    assert usable_cpus(host.root) == len(os.sched_getaffinity(0))


def test_version_2(host: Host) -> None:
    """The tightest limit on the way up counts; what is used leaves less of it, files that are only cached don't."""
    host.write("proc/self/cgroup", "0::/user.slice/job.scope\n")
    host.group("", memory_stat="inactive_file 0")
    host.group("user.slice", memory_max=str(600 * MIB), memory_current=str(500 * MIB), cpu_max="50000 100000")
    host.group("user.slice", memory_stat=f"anon 5\ninactive_file {100 * MIB}\nfile 7")
    host.group("user.slice/job.scope", memory_max="max", memory_current=str(MIB), cpu_max="max 100000")
    assert memory_limit_bytes(host.root) == 600 * MIB
    assert available_memory_bytes(host.root) == 200 * MIB
    assert usable_cpus(host.root) == 0.5


def test_version_1(host: Host) -> None:
    """Version 1's files are read as well, groups below counted in its cache; its number for no limit is none."""
    host.write("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
    host.group("memory", memory_limit_in_bytes=UNLIMITED, memory_usage_in_bytes="1")
    host.group("memory/docker/abc", memory_limit_in_bytes=str(300 * MIB), memory_usage_in_bytes=str(200 * MIB))
    host.group("memory/docker/abc", memory_stat=f"inactive_file 1\ntotal_inactive_file {50 * MIB}")
    host.group("cpu,cpuacct/docker/abc", cpu_cfs_quota_us="25000", cpu_cfs_period_us="100000")
    host.group("cpu,cpuacct", cpu_cfs_quota_us="-1", cpu_cfs_period_us="100000")
    assert memory_limit_bytes(host.root) == 300 * MIB
    assert available_memory_bytes(host.root) == 150 * MIB
    assert usable_cpus(host.root) == 0.25


@pytest.mark.parametrize("path", ["/docker/abc/of/the/host", "/../../elsewhere", "/"])
def test_a_path_that_is_not_visible(host: Host, path: str) -> None:
    """In a container the group's path may be the host's: what is mounted at the top is the container's own."""
    host.write("proc/self/cgroup", f"0::{path}\n")
    host.group("", memory_max=str(256 * MIB), memory_current=str(300 * MIB))
    assert memory_limit_bytes(host.root) == 256 * MIB
    assert available_memory_bytes(host.root) == 0


def test_a_limit_above_the_machine(host: Host) -> None:
    """A group may be allowed more than there is."""
    host.write("proc/self/cgroup", "0::/\n")
    host.group("", memory_max=str(5000 * MIB), memory_current="0")
    assert memory_limit_bytes(host.root) == 1000 * MIB


def test_nothing_is_known(tmp_path: Path) -> None:
    """Where the kernel shows nothing, the answer is 0 and not an error."""
    assert memory_limit_bytes(str(tmp_path)) == 0
    assert available_memory_bytes(str(tmp_path)) == 0


def test_this_host() -> None:
    """On the machine that runs this, what is available is above nothing and within the limit."""
    assert 0 < available_memory_bytes() <= memory_limit_bytes()
    assert 0 < usable_cpus() <= len(os.sched_getaffinity(0))
