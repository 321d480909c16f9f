"""The experiment that does nothing."""

from collections.abc import Mapping


def run(config: Mapping[str, int]) -> dict[str, int]:
    """Return the config's only value, which Configmill writes to `result.json`."""
    return {"value": config["index"]}
