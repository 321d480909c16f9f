"""The configs of the experiment that does nothing."""


def build_configs(count: int, keys: int = 1) -> list[dict[str, int]]:
    """Return `count` configs of so many keys that differ in their index."""
    constants = {f"constant_{number}": number for number in range(1, keys)}
    return [{"index": index} | constants for index in range(count)]
