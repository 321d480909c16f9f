"""A session with a kernel: starting it over ipc, making it part of the experiment, asking it, ending it.

    session = Session(keeper, kernel_name="python3", socket_dir="/tmp/configmill-x1")
    with session.setup_kernel(cwd=..., env=kernel_environment()):
        session.enter_kernel(orders)
        session.ask("failure")           # see child/notebook/kernel.py
        session.let_the_kernel_end()

Kernels are talked to over ipc: those that start side by side race for TCP ports.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import signal
import sys
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

from nbclient.exceptions import DeadKernelError
from papermill.clientwrap import PapermillNotebookClient
from traitlets.config import Config as Traits

from configmill.child.notebook.keeper import Keeper
from configmill.child.notebook.kernel_fork import KernelFork
from configmill.child.notebook.kernel_manager import FastKernelManager
from configmill.errors import Terminated

logger = logging.getLogger("configmill.notebook")
#: What nbclient has to say is said here in other words, and would stand between what the cells print.
_silent = logging.Logger("nbclient", logging.CRITICAL + 1)

#: A machine with many kernels that start at once is slow to answer; a kernel that dies is seen at once.
_STARTUP_SECONDS = 300
#: For what a kernel has printed to arrive after its answer; nbclient's 4 s are little where many kernels share a core.
_IOPUB_SECONDS = 60
#: For a kernel to end once every cell has run: for its threads, and what it has registered with atexit.
_SHUTDOWN_SECONDS = 5.0

_LIBRARY_PARENT = str(Path(__file__).resolve().parents[3])
#: Run in the kernel, leaving no names behind. A kernel of another environment has its own Configmill, or uses this one.
_ENTER = """
import sys
try:
    import configmill
except ImportError:
    sys.path.insert(0, {parent!r})
    import configmill
    sys.path.pop(0)
from configmill.child.notebook.kernel import enter
enter({orders!r})
"""
_END = "from configmill.child.notebook.kernel import end; end()"
_ASK = "__import__('configmill.child.notebook.kernel', fromlist=['_']).{question}()"


def kernel_environment() -> dict[str, str]:
    """The environment that a kernel gets: this process's."""
    # A campaign that a test starts is no test itself; where ipykernel takes it for one, it catches no descriptors.
    return {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}


class Session(PapermillNotebookClient):  # type: ignore[misc]
    """A kernel of its own for a keeper's notebook; started and ended by `setup_kernel`."""

    def __init__(
        self, keeper: Keeper, *, kernel_name: str, kernel_fork: KernelFork | None, socket_dir: str, **traits: Any
    ) -> None:
        manager = {"transport": "ipc", "connection_file": os.path.join(socket_dir, "kernel.json")}
        super().__init__(
            keeper,
            kernel_name=kernel_name,
            kernel_manager_class=FastKernelManager,
            config=Traits({"KernelManager": manager}),
            startup_timeout=_STARTUP_SECONDS,
            iopub_timeout=_IOPUB_SECONDS,
            log=_silent,
            **traits,
        )
        self._kernel_fork = kernel_fork
        self.shutdown_kernel = "graceful"
        #: Whether the kernel has answered at all.
        self.answered = False
        #: Whether child/notebook/kernel.py can be called in it.
        self._entered = False

    def create_kernel_manager(self) -> Any:
        """The manager of the one kernel."""
        manager = super().create_kernel_manager()
        manager.kernel_fork = self._kernel_fork
        return manager

    def enter_kernel(self, orders: dict[str, Any]) -> None:
        """Make the kernel part of the experiment; one of another language than Python stays as it is."""
        info = self.wait_for_reply(self.kc.kernel_info())["content"]
        self.answered = True
        self.nb.metadata["language_info"] = info["language_info"]
        self._entered = info["language_info"].get("name") == "python" and self._enter_python(orders)
        if self._entered:
            return
        # It can't write to the log itself.
        self.stdout_file, self.stderr_file = sys.stdout, sys.stderr

    def _enter_python(self, orders: dict[str, Any]) -> bool:
        source = _ENTER.format(parent=_LIBRARY_PARENT, orders=json.dumps(orders))
        message = self.kc.execute(f"exec({source!r}, {{}})", silent=True, store_history=False)
        reply = self.wait_for_reply(message)["content"]
        if reply["status"] != "ok":
            logger.warning(
                "the kernel %r can't import Configmill (%s: %s), so the notebook can't get its config there; install "
                "it in that kernel's environment", self.kernel_name, reply.get("ename"), reply.get("evalue"),
            )  # fmt: skip
        return bool(reply["status"] == "ok")

    def ask(self, question: str) -> Any:
        """What the kernel answers, None where it can't."""
        if self.shutdown_kernel == "immediate":
            return None
        expressions = {"answer": _ASK.format(question=question)}
        try:
            message = self.kc.execute("", silent=True, store_history=False, user_expressions=expressions)
            reply = self.wait_for_reply(message)["content"]
        except DeadKernelError:
            return None
        answer = reply.get("user_expressions", {}).get("answer", {})
        if answer.get("status") != "ok":
            logger.debug("the kernel doesn't answer %s: %s", question, answer or reply.get("status"))
            return None
        return json.loads(ast.literal_eval(answer["data"]["text/plain"]))

    def let_the_kernel_end(self) -> None:
        """Ask the kernel to end, and wait for its threads and what it has registered with atexit.

        jupyter_client would interrupt it first, which shows as an error in the log and cuts that short; ipykernel would
        spend seconds on ending what a pool leaves running, which the minder ends anyway.
        """
        if self.shutdown_kernel == "immediate":
            return
        if self._entered:
            self.kc.execute(f"exec({_END!r}, {{}})", silent=True, store_history=False)
        else:
            self.kc.shutdown()
        process = self.km.provisioner.process
        try:
            process.wait(_SHUTDOWN_SECONDS)
        except TimeoutExpired:
            logger.warning("the kernel has not ended %g s after it was told to; it is killed", _SHUTDOWN_SECONDS)
            self.shutdown_kernel = "immediate"

    def interrupt(self) -> None:
        """Interrupt the running cell, from a signal handler."""
        if self.km.kernel_spec.interrupt_mode != "signal":
            raise Terminated
        os.killpg(self.km.provisioner.pgid, signal.SIGINT)
