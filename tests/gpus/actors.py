"""Processes that the tests race, kill and wait for.

python -m tests.gpus.actors race LEASE_DIR CLAIMS SECONDS
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from configmill.gpus.devices import virtual_devices
from configmill.gpus.host_lease import try_host
from configmill.gpus.lease_dir import LeaseDir
from configmill.gpus.leases import Refusal, try_lease
from configmill.gpus.pool import GPUResourcePool
from configmill.gpus.tickets import Wish, place_ticket

REPOSITORY = Path(__file__).resolve().parents[2]


class Actor:
    """A process of this module that says a line when it has what it wants, and keeps it until it is told or killed."""

    def __init__(self, *arguments: object, user: int | None = None) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.gpus.actors", *map(str, arguments)],
            cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=user, umask=0o077,
        )  # fmt: skip

    def line(self) -> str:
        """The next line that it says; "" where it has ended."""
        return _of(self.process.stdout).readline().strip()

    def go_on(self) -> None:
        """Have it let go and end."""
        _of(self.process.stdin).close()
        assert self.process.wait() == 0

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Actor:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        _of(self.process.stdout).close()


def _of(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def race(lease_dir: str, claims: str, seconds: str) -> None:
    """Take devices again and again; claim each by a file that only one can make. Exit code 3: somebody had one too."""
    random.seed(os.getpid())
    ends = time.monotonic() + float(seconds)
    taken = 0
    with GPUResourcePool(devices="virtual:4", lease_dir=lease_dir) as pool:
        while time.monotonic() < ends:
            with pool.lease(random.choice((1, 1, 2, 3, 4))) as ids:
                files = [os.path.join(claims, id) for id in ids]
                for file in files:
                    try:
                        os.close(os.open(file, os.O_CREAT | os.O_EXCL))
                    except FileExistsError:
                        os._exit(3)
                time.sleep(random.uniform(0, 0.003))
                for file in files:
                    os.unlink(file)
                taken += 1
    print(taken, flush=True)


def hold(lease_dir: str, device: str) -> None:
    """Lease one virtual device, say `held` or why not, and keep it until stdin ends."""
    lease = try_lease(LeaseDir(lease_dir), virtual_devices(int(device) + 1)[int(device)])
    print(lease.reason if isinstance(lease, Refusal) else "held", flush=True)
    sys.stdin.read()


def hold_host(lease_dir: str, exclusive: str) -> None:
    """As `hold`, for the host."""
    host = try_host(LeaseDir(lease_dir), exclusive=exclusive == "exclusive")
    print(host.reason if isinstance(host, Refusal) else "held", flush=True)
    sys.stdin.read()


def ticket(lease_dir: str, *devices: str) -> None:
    """Place a ticket for devices by id, and keep it until stdin ends."""
    placed = place_ticket(LeaseDir(lease_dir), Wish(frozenset(devices)))
    print(placed.name, flush=True)
    sys.stdin.read()
    placed.withdraw()


def narrow_stream(lease_dir: str, num_devices: str, seconds: str) -> None:
    """As many threads as devices, each taking one device for `seconds` at a time, without a pause, until stdin ends."""
    import threading

    over = threading.Event()
    pool = GPUResourcePool(devices=f"virtual:{num_devices}", lease_dir=lease_dir)

    def work() -> None:
        while not over.is_set():
            with pool.lease(1):
                over.wait(float(seconds))

    threads = [threading.Thread(target=work) for _ in range(int(num_devices))]
    for thread in threads:
        thread.start()
    print("streaming", flush=True)
    sys.stdin.read()
    over.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    {f.__name__: f for f in (race, hold, hold_host, ticket, narrow_stream)}[sys.argv[1]](*sys.argv[2:])
