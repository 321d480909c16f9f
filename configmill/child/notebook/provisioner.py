"""jupyter_client's way of starting a kernel, where a fork is waiting to be one.

Registered as the entry point `configmill-fork` of `jupyter_client.kernel_provisioners`. What is above it
(jupyter_client's manager, nbclient, papermill) is as it was. Where no fork is waiting, it is the local one.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

from configmill.child.notebook.kernel_fork import KernelFork

logger = logging.getLogger("configmill.notebook")

NAME = "configmill-fork"
#: A fork takes a tenth of a second to bind its sockets; one that takes this long hangs.
READY_SECONDS = 20.0
_LAUNCHER = "ipykernel_launcher"


class ForkProvisioner(LocalProvisioner):
    """Starts the kernel in the manager's `kernel_fork`, where it has one."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Start the kernel that `cmd` is the command line of."""
        fork: KernelFork | None = getattr(self.parent, "kernel_fork", None)
        if fork is None:
            return await super().launch_kernel(cmd, **kwargs)
        assert self.parent is not None
        self.parent.kernel_fork = None  # it can be a kernel once
        problem = fork.start(arguments_of(cmd), env=_environment(kwargs), cwd=kwargs.get("cwd"), seconds=READY_SECONDS)
        if problem is not None:
            fork.dismiss()
            logger.warning("the forked kernel %s; another one starts cold", problem)
            return await super().launch_kernel(cmd, **kwargs)
        self.process = fork.process  # type: ignore[assignment]
        self.pid = self.pgid = fork.process.pid  # it leads a session of its own
        return self.connection_info


def arguments_of(cmd: list[str]) -> list[str]:
    """What the launcher of kernels is told: all that comes after its name."""
    return cmd[cmd.index(_LAUNCHER) + 1 :]


def _environment(kwargs: dict[str, Any]) -> dict[str, str]:
    # As jupyter_client's own launch_kernel has it: the kernel looks whether its parent lives.
    return {**kwargs.get("env", os.environ), "JPY_PARENT_PID": str(os.getpid())}
