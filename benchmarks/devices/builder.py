"""The configs of experiments that hold devices."""


def build_configs(count: int, num_gpus: float = 1, seconds: float = 0.0) -> list[dict[str, object]]:
    """Return `count` configs that ask for as many devices and hold them for so long."""
    return [{"index": index, "seconds": seconds, "resources": {"num_gpus": num_gpus}} for index in range(count)]
