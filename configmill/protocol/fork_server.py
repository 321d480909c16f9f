"""What passes between the manager and its fork server: how it is started, and the messages on their socket.

    python -c "... from configmill.forkserver.server import main; main()" '<ServerStart as JSON>'

The first message on the socket are its `ServerOrders`; a server for notebooks imports what any of them needs before it
asks for them. It answers once, `Ready`, when it has imported everything. From then on each message is one
`ForkRequest`, with three descriptors: the attempt's log, the pulse (a pipe that the minder writes its pid to and holds
open while it lives) and the dst_dir's lock. There is no other answer: what is forked speaks for itself.
"""

from __future__ import annotations

from configmill.jsontext import dumps, loads
from configmill.protocol.attempt import Attempt
from configmill.protocol.orders import Orders

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

#: The environment variable that keeps a place in the server's memory where its forks write whose attempt they are.
RESERVED = "CONFIGMILL_RESERVED"
#: Longer than a message of a system call may be on the socket.
MAX_MESSAGE = 1 << 18


class ServerStart:
    """What the server's process is started with; descriptors are inherited ones."""

    def __init__(
        self, *, socket_fd: int, lifeline_fd: int, for_notebooks: bool = False, orders: dict[str, Any] | None = None
    ) -> None:
        self.socket_fd = socket_fd
        #: The read end of a pipe whose only writer is the manager.
        self.lifeline_fd = lifeline_fd
        #: Whether to import what kernels and runners need before there are orders.
        self.for_notebooks = for_notebooks
        #: Those of a server that begins again, as JSON; None where they come on the socket.
        self.orders = orders

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> ServerStart:
        """What `to_json` wrote."""
        return cls(**loads(text))


class ServerOrders:
    """What the server is to import, and how."""

    def __init__(
        self,
        *,
        target: str,
        config_builder: str,
        project_dir: str,
        dst_dir: str,
        preload: list[str],
        search_path: list[str],
        log_level: str,
        num_forks: int,
        environment: dict[str, str] | None = None,
        notebook_source: str | None = None,
        forks_kernels: bool = False,
        max_leading: int | None = None,
    ) -> None:
        self.target = target
        self.config_builder = config_builder
        self.project_dir = project_dir
        self.dst_dir = dst_dir
        #: Modules that the user names.
        self.preload = preload
        self.search_path = search_path
        self.log_level = log_level
        #: Variables to set: the number of native threads.
        self.environment = environment or {}
        #: How many attempts there will be, about.
        self.num_forks = num_forks
        #: The copy of the notebook that runs; None for an experiment that is a function.
        self.notebook_source = notebook_source
        #: Whether the notebooks' kernels are to be forks as well.
        self.forks_kernels = forks_kernels
        #: How many of the notebook's leading imports may be imported ahead; all where it is None.
        self.max_leading = max_leading

    def to_json(self) -> str:
        """As text that `from_json` reads."""
        return dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> ServerOrders:
        """The orders that `to_json` wrote."""
        return cls(**loads(text))


class Ready:
    """The server's one answer: `unsafe` says why none of its forks may be used, None where they may."""

    def __init__(self, unsafe: str | None = None) -> None:
        self.unsafe = unsafe

    def to_bytes(self) -> bytes:
        """As a message that `from_bytes` reads."""
        return dumps(vars(self)).encode()

    @classmethod
    def from_bytes(cls, message: bytes) -> Ready:
        """The answer that `to_bytes` wrote."""
        return cls(**loads(message))


class ForkRequest:
    """An attempt to fork, with what its minder is told."""

    def __init__(self, attempt: Attempt, orders: Orders) -> None:
        self.attempt = attempt
        self.orders = orders

    def to_bytes(self) -> bytes:
        """As a message that `from_bytes` reads."""
        return dumps({"attempt": self.attempt.to_env(), "orders": self.orders.to_json()}).encode()

    @classmethod
    def from_bytes(cls, message: bytes) -> ForkRequest:
        """The request that `to_bytes` wrote."""
        given = loads(message)
        attempt = Attempt.from_env(given["attempt"])
        assert attempt is not None
        return cls(attempt, Orders.from_json(given["orders"]))
