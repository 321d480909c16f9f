"""papermill's engine `configmill`: its own, with a kernel manager and client that have no fixed waits.

    papermill --engine configmill in.ipynb out.ipynb

Registered by the entry point `papermill.engine`; papermill and nbclient are as they were.
"""

from __future__ import annotations

from typing import Any

from papermill.engines import NBClientEngine

from configmill.child.notebook.kernel_manager import FastKernelManager


class FastEngine(NBClientEngine):  # type: ignore[misc]
    """Runs a notebook as papermill does, with a kernel manager and client that have no fixed waits."""

    @classmethod
    def execute_managed_notebook(cls, nb_man: Any, kernel_name: str, **kwargs: Any) -> Any:
        """Run the notebook that `nb_man` manages."""
        return super().execute_managed_notebook(nb_man, kernel_name, kernel_manager_class=FastKernelManager, **kwargs)
