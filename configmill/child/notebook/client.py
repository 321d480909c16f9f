"""Cell after cell, told truthfully: what each raised, time-outs, interrupts, a dead kernel.

client = Client(keeper, ending, kernel_name="python3", allow_errors=False, cell_timeout=None, log=path)
client.execute(cwd="/project/notebooks", orders={...})      # raises CellFailed, KernelDied, Terminated
client.failures                                             # the cells that raised, with --allow_errors
client.parting                                              # what only the kernel knew
"""

from __future__ import annotations

import asyncio
import logging
import os
from queue import Empty
from typing import Any

from jupyter_core.utils import ensure_async
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import from_dict
from nbformat.v4 import new_output

from configmill.child.failures import class_of_name, shorten
from configmill.child.notebook import executed
from configmill.child.notebook.cell_failures import CellFailed, CellFailure, KernelDied
from configmill.child.notebook.ending import GentleTermination
from configmill.child.notebook.keeper import Keeper
from configmill.child.notebook.kernel_fork import KernelFork
from configmill.child.notebook.session import Session, kernel_environment
from configmill.child.notebook.source import validate_by_parts
from configmill.processes import signal_name
from configmill.protocol import status

logger = logging.getLogger("configmill.notebook")

#: For an interrupted cell to end.
_INTERRUPT_SECONDS = 5.0


class Client(Session):
    """Runs the cells of a keeper's notebook in a kernel of its own."""

    def __init__(
        self,
        keeper: Keeper,
        ending: GentleTermination,
        *,
        kernel_name: str,
        kernel_fork: KernelFork | None,
        allow_errors: bool,
        cell_timeout: float | None,
        socket_dir: str,
        log: str,
    ) -> None:
        super().__init__(
            keeper,
            kernel_name=kernel_name,
            kernel_fork=kernel_fork,
            socket_dir=socket_dir,
            allow_errors=allow_errors,
            on_cell_error=self._on_cell_error,
            on_cell_executed=self._on_cell_executed,
            on_cell_complete=self._on_cell_sent,
        )
        #: Where a cell was when it was told to end, or its kernel died.
        self.interrupted_at: str | None = None
        self.failures: list[CellFailure] = []
        self.parting: dict[str, Any] = {}
        self._ending = ending
        self._cell_timeout = cell_timeout
        #: The attempt's log.
        self.log_path = log
        self._log_size_at_start = 0
        self._raised: dict[str, Any] | None = None
        self._timed_out = self._exited = False
        self._exit_code: int | None = None

    def execute(self, *, cwd: str, orders: dict[str, Any]) -> None:
        """Start the kernel, run every cell, end the kernel."""
        self.reset_execution_trackers()
        environment = kernel_environment()
        validate_by_parts()
        try:
            with self.setup_kernel(cwd=cwd, env=environment):
                try:
                    self.enter_kernel(orders)
                    self.papermill_execute_cells()
                    self._take_leave()
                except BaseException as error:
                    self._part(error)
                    raise
        except DeadKernelError:
            raise KernelDied(self._how_the_kernel_ended()) from None

    def papermill_execute_cells(self) -> None:
        """Run the cells in order, until one fails."""
        for index, cell in enumerate(self.nb.cells):
            if executed.KEY in cell.metadata:
                self._execute_one(cell, index)

    def _execute_one(self, cell: Any, index: int) -> None:
        self._ending.check()
        self.nb_man.cell_start(cell, index)
        logger.info("cell %d of %d", cell.metadata[executed.KEY]["cell"], self.nb_man.num_cells)
        self.interrupted_at = f"cell {cell.metadata[executed.KEY]['cell']}"
        try:
            self._run_to_its_end(cell, index)
        except DeadKernelError:
            self._keep_last_words(cell)
            self.nb_man.cell_cut_off(cell)
            raise
        except BaseException:
            self.nb_man.cell_cut_off(cell)
            raise
        failure = self._failure_of(cell)
        if failure is None:
            self.nb_man.cell_complete(cell, index)
            return
        self.nb_man.cell_exception(cell, index)
        self.nb_man.cell_complete(cell, index)
        self.nb_man.save_now()
        self.failures.append(failure)
        if not self.allow_errors or self._exited or self.shutdown_kernel == "immediate":
            raise CellFailed(failure)

    def _run_to_its_end(self, cell: Any, index: int) -> None:
        """Execute the cell; that it raised or ran too long is noted. Raises Terminated, DeadKernelError."""
        self._raised, self._timed_out, self._exited = None, False, False
        self._log_size_at_start = os.path.getsize(self.log_path)
        try:
            with self._ending.interrupting(self.interrupt):
                self.execute_cell(cell, index)
        except CellExecutionError:
            if self._ending.asked:  # what it raised then is the interrupt
                self.interrupted_at = self._where(cell)
        except CellTimeoutError:
            self._timed_out = True
            self.shutdown_kernel = "immediate"
        self._ending.check()

    def _failure_of(self, cell: Any) -> CellFailure | None:
        number = cell.metadata[executed.KEY]["cell"]
        if self._timed_out:
            message = f"it ran longer than --cell_timeout {self._cell_timeout:g} s"
            _add_error(cell, status.TIMEOUT, message)
            return CellFailure(number, status.TIMEOUT, message, where=self._where(cell))
        if self._exited:
            message = "the notebook called exit() or quit()"
            _add_error(cell, "exit", message)
            return CellFailure(number, status.CODE_ERROR, message, where=f"cell {number}")
        if self._raised is None or "raises-exception" in cell.metadata.get("tags", ()):
            return None
        known = self.ask("failure") or {}
        name, message = self._raised.get("ename", "error"), self._raised.get("evalue", "")
        traceback = self._raised.get("traceback") or [f"{name}: {message}"]
        if not any(output["output_type"] == "error" for output in cell.outputs):  # IPython printed it, or could not
            cell.outputs.append(new_output("error", ename=name, evalue=message, traceback=traceback))
        logger.error("a cell raised:\n%s", executed.without_colours("\n".join(traceback)))
        return CellFailure(
            cell=number,
            failure_class=known.get("failure_class") or class_of_name(name),
            message=known.get("message") or shorten(name, message),
            where=known.get("where") or f"cell {number}",
        )

    def _where(self, cell: Any) -> str:
        """Where in it the cell was interrupted; the cell alone, where the kernel can't tell."""
        known = (self.ask("failure") or {}) if self._raised is not None else {}
        return known.get("where") or f"cell {cell.metadata[executed.KEY]['cell']}"

    def _on_cell_error(self, cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
        self._raised = execute_reply["content"]

    def _on_cell_sent(self, cell: Any, cell_index: int) -> None:
        asyncio.get_running_loop().call_later(max(0.0, self.nb_man.seconds_to_save()), self.nb_man.catch_up)

    def _on_cell_executed(self, cell: Any, cell_index: int, execute_reply: dict[str, Any]) -> None:
        payload = execute_reply["content"].get("payload") or ()
        self._exited = any(entry.get("source") == "ask_exit" for entry in payload)  # the kernel is about to end

    def _part(self, error: BaseException) -> None:
        """Before the kernel is ended after a failure: what it still can tell, or that it is to be ended at once."""
        if isinstance(error, CellFailed):
            self._take_leave()
            return
        process = getattr(self.km.provisioner, "process", None)
        self._exit_code = None if process is None else process.poll()
        self.shutdown_kernel = "immediate"

    def _take_leave(self) -> None:
        """Keep what only the kernel knows, and what its widgets show, and let it end."""
        self.parting = self.ask("leave") or {}
        self.set_widgets_metadata()
        self.nb_man.save_now()
        self.let_the_kernel_end()

    def _get_timeout(self, cell: Any) -> float | None:
        # nbclient's own trait takes whole seconds.
        return None if cell is None else self._cell_timeout

    async def _async_handle_timeout(self, timeout: float, cell: Any = None) -> dict[str, Any]:
        """Interrupt the cell, so that the notebook shows where it was; returns its reply."""
        self._timed_out = True
        await ensure_async(self.km.interrupt_kernel())
        try:
            reply: dict[str, Any] = await ensure_async(self.kc.shell_channel.get_msg(timeout=_INTERRUPT_SECONDS))
        except Empty:
            raise CellTimeoutError(f"the cell does not heed the interrupt after {timeout:g} s") from None
        return reply

    def _how_the_kernel_ended(self) -> str:
        place = "" if self.interrupted_at is None else f" in {self.interrupted_at}"
        if self._exit_code is None:
            return f"the kernel died{place}"
        if self._exit_code < 0:
            return f"the kernel was ended by {signal_name(-self._exit_code)}{place}"
        return f"the kernel ended with exit code {self._exit_code}{place}"

    def _keep_last_words(self, cell: Any) -> None:
        """Add what the dead kernel wrote to the log, but could no longer send, to what the cell put out."""
        with open(self.log_path, "rb") as log:
            log.seek(self._log_size_at_start)
            written = log.read().decode("utf-8", "replace")
        sent = "".join(output["text"] for output in cell.outputs if output["output_type"] == "stream")
        if written.startswith(sent) and len(written) > len(sent):
            cell.outputs.append(new_output("stream", name="stdout", text=written[len(sent) :]))


def _add_error(cell: Any, failure_class: str, message: str) -> None:
    executed.add_error(cell, failure_class, message)
    cell.outputs = from_dict(cell.outputs)
