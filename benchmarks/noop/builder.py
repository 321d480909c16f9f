"""The configs of the experiment that does nothing."""


def build_configs(count: int) -> list[dict[str, int]]:
    """Return `count` configs that differ in their index."""
    return [{"index": index} for index in range(count)]
