"""The configs of the experiment with heavy imports."""


def build_configs(count: int, measure_memory: bool = False) -> list[dict[str, int | bool]]:
    """Return `count` configs that differ in their index."""
    return [{"index": index, "measure_memory": measure_memory} for index in range(count)]
