"""What a minder is told besides the attempt: limits, descriptors, and facts that belong into the record."""

from __future__ import annotations

from configmill.jsontext import dumps, loads

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

    from configmill.protocol.energy import EnergyOrders


class NotebookOrders:
    """How to run a notebook: what the runner in the experiment's process is told."""

    def __init__(
        self,
        *,
        source: str,
        kernel_name: str,
        allow_errors: bool,
        cell_timeout: float | None,
        forks_kernel: bool = False,
        socket_dir: str = "",
    ) -> None:
        #: The copy of the notebook that the command made when it began: an edit on the way must not leak in.
        self.source = source
        self.kernel_name = kernel_name
        self.allow_errors = allow_errors
        #: Seconds for each cell.
        self.cell_timeout = cell_timeout
        #: Whether the kernel may be a fork of the runner: it is one of this Python's own.
        self.forks_kernel = forks_kernel
        #: A short folder for the kernel's sockets; the minder makes and removes it.
        self.socket_dir = socket_dir


class Orders:
    """Passed as one JSON argument. Durations are seconds; descriptors are inherited ones."""

    def __init__(
        self,
        *,
        run: str,
        timeout: float | None,
        grace: float,
        log_level: str,
        queued_seconds: float,
        start_method: str,
        lock_fd: int,
        lifeline_fd: int,
        search_path: list[str],
        notebook: NotebookOrders | None = None,
        pulse_fd: int | None = None,
        lease_fds: list[int] | None = None,
        resources: dict[str, Any] | None = None,
        derived_from: str | None = None,
        energy: EnergyOrders | None = None,
        launcher: str | None = None,
        num_processes: int = 1,
        native_threads: int | None = None,
    ) -> None:
        self.run = run
        self.timeout = timeout
        self.grace = grace
        self.log_level = log_level
        self.queued_seconds = queued_seconds
        self.start_method = start_method
        #: Holds the dst_dir's lock for as long as the minder lives, the manager's death included.
        self.lock_fd = lock_fd
        #: The read end of a pipe whose only writer is the manager: its end is the manager's.
        self.lifeline_fd = lifeline_fd
        #: The manager's sys.path: what it could import, the experiment can.
        self.search_path = search_path
        #: None for an experiment that is a function.
        self.notebook = notebook
        #: Where a minder that the manager didn't start itself writes its pid; open for as long as it lives.
        self.pulse_fd = pulse_fd
        #: Hold the locks of the devices, for as long as the minder lives.
        self.lease_fds = lease_fds or []
        #: What the experiment asked for and was given, for the record.
        self.resources = resources or {}
        #: The digest of the config in whose place this one runs, for the record; None where it runs for its own sake.
        self.derived_from = derived_from
        #: How to measure energy; None where the command says nothing about it.
        self.energy = energy
        #: What starts the experiment as several processes, its ranks; None for one that is a single process.
        self.launcher = launcher
        self.num_processes = num_processes
        #: How many threads native libraries may start in all of the experiment; None: the environment says, or nobody.
        self.native_threads = native_threads

    @property
    def descriptors(self) -> list[int]:
        """All of them: the minder's, and nobody's below it."""
        return [fd for fd in (self.lock_fd, self.lifeline_fd, self.pulse_fd, *self.lease_fds) if fd is not None]

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return dumps(vars(self), vars)

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """The orders that `to_json` wrote."""
        given = loads(text)
        if given["notebook"]:
            given["notebook"] = NotebookOrders(**given["notebook"])
        if given["energy"]:
            from configmill.protocol.energy import EnergyOrders  # not every cold start pays for it

            given["energy"] = EnergyOrders(**given["energy"])
        return cls(**given)
