"""Whether what is to launch experiments as several processes can do so here.

check_launchers("experiments.llm:run", {3: request})
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

from configmill.errors import UsageError
from configmill.protocol.layout import is_notebook
from configmill.protocol.resources import ResourceRequest

#: What the processes of `accelerate launch` import.
_NEEDED = ("accelerate", "torch")


def check_launchers(target: str, requests: Mapping[int, ResourceRequest]) -> None:
    """Raise UsageError where one of `requests` (by index) wants a launcher that can't be used. Imports nothing."""
    launched = next(((index, asked.launcher) for index, asked in requests.items() if asked.launcher is not None), None)
    if launched is None:
        return
    index, launcher = launched
    asks = f"Config {index}: resources.launcher is {launcher!r}"
    if is_notebook(target):
        raise UsageError(
            f"{asks}, and {target!r} is a notebook, whose kernel is one process. Leave it out, or make the experiment "
            "a function."
        )
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{asks}, which needs {' and '.join(missing)}, and that isn't installed here. Install Configmill's extra: "
            "pip install 'configmill[llm]'."
        )
