"""Hamilton, without its plug-ins.

On import the driver would load every plug-in whose package happens to be installed (plotly, scikit-learn, mlflow, ...),
which costs each experiment seconds and gives it nothing. From version 1.90 Hamilton sends no telemetry.
"""

import logging
from types import ModuleType

from hamilton import registry

registry.disable_autoload()
# What goes wrong in a node is raised. Hamilton also logs it, with an invitation to its chat, and says on import which
# optional packages it lacks: noise in an experiment's log.
logging.getLogger("hamilton").setLevel(logging.CRITICAL)

from hamilton.driver import Builder, Driver  # noqa: E402 - the line above must come before it

__all__ = ["Driver", "build_driver"]


def build_driver(nodes: ModuleType) -> Driver:
    """Return a driver for the graph that the module's functions span. Raises where it isn't a graph without cycles."""
    return Builder().with_modules(nodes).build()
