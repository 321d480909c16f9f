"""The experiment that holds its devices."""

import time
from collections.abc import Mapping


def run(config: Mapping[str, float]) -> dict[str, float]:
    """Wait, and return the config's index."""
    time.sleep(config["seconds"])
    return {"value": config["index"]}
