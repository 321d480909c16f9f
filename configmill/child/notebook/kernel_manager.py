"""jupyter_client's kernel manager and client without their fixed waits.

jupyter_client waits 0.2 s for silence once a kernel has answered, and looks every 0.1 s whether one has ended. Here
a kernel is ready when its answer and its idle state have come, and its end is noticed at once.
"""

from __future__ import annotations

import time
from queue import Empty
from typing import Any

from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.manager import AsyncKernelManager
from traitlets import Any as AnyValue
from traitlets import DottedObjectName, Type

from configmill.child.notebook.kernel_fork import KernelFork
from configmill.child.notebook.provisioner import NAME as FORK_PROVISIONER

#: What a kernel publishes before this process has subscribed is lost: then it is asked again, after these seconds.
_FIRST_PATIENCE = 0.02
_MAX_PATIENCE = 1.0
#: Between two looks whether a kernel has ended.
_FIRST_LOOK = 0.001
_MAX_LOOK = 0.05


class FastKernelClient(AsyncKernelClient):
    """Knows that a kernel is ready as soon as it is."""

    def start_channels(self, *args: Any, **kwargs: Any) -> None:
        """Start all channels but the heartbeat's, a thread that nobody listens to: the manager sees an end at once."""
        super().start_channels(*args, **{**kwargs, "hb": False})

    async def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait for the kernel's answer and its idle state. Raises RuntimeError where it dies, or `timeout` is over."""
        until = time.monotonic() + (float("inf") if timeout is None else timeout)
        patience = _FIRST_PATIENCE
        while True:
            message_id = self.kernel_info()
            if await self._is_answered(message_id, until) and await self._is_idle(message_id, patience):
                return
            patience = min(2 * patience, _MAX_PATIENCE)

    async def _is_answered(self, message_id: str, until: float) -> bool:
        while True:
            try:
                message = await self.get_shell_msg(timeout=min(1.0, max(0.0, until - time.monotonic())))
            except Empty:
                if not await self.is_alive():
                    raise RuntimeError("Kernel died before replying to kernel_info") from None
                if time.monotonic() >= until:
                    raise RuntimeError("Kernel didn't reply to kernel_info in time") from None
                continue
            if message["parent_header"].get("msg_id") == message_id:
                self._handle_kernel_info_reply(message)
                return True

    async def _is_idle(self, message_id: str, patience: float) -> bool:
        """Whether what the kernel has published has come, up to its being idle again after that message."""
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            try:
                message = await self.get_iopub_msg(timeout=left)
            except Empty:
                return False
            is_mine = message["parent_header"].get("msg_id") == message_id
            if is_mine and message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return True
        return False


class FastKernelManager(AsyncKernelManager):
    """Starts the kernel in a fork where there is one, and notices its end at once."""

    client_class = DottedObjectName(f"{__name__}.FastKernelClient")
    client_factory = Type(FastKernelClient, klass=AsyncKernelClient)
    #: A fork that waits to be this manager's kernel.
    kernel_fork: KernelFork | None = AnyValue(None, allow_none=True)  # type: ignore[assignment]

    async def _async_pre_start_kernel(self, **kw: Any) -> Any:
        spec = self.kernel_spec
        if self.kernel_fork is not None and spec is not None:
            spec.metadata.setdefault("kernel_provisioner", {"provisioner_name": FORK_PROVISIONER})
        return await super()._async_pre_start_kernel(**kw)

    async def _async_wait(self, pollinterval: float = _FIRST_LOOK) -> None:
        import asyncio

        pause = _FIRST_LOOK
        while await self._async_is_alive():
            await asyncio.sleep(pause)
            pause = min(2 * pause, _MAX_LOOK)
