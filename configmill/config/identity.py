"""When two experiments are the same: the identity of a target and its config, and where two configs differ.

It says nothing of what was run (`store` does).

    identity_digest("experiments.forecasting:run", config) == "3f1c0a9b5d2e4c77"
"""

from __future__ import annotations

from collections.abc import Iterable

from configmill.config.config import Config
from configmill.config.encoding import canonical_json, encode_items
from configmill.config.hashing import sha256_hex

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Keys of the top-level mapping `resources` that say how to run an experiment, not what it computes.
NOT_IDENTIFYING = frozenset(
    {
        "priority",
        "timeout",
        "expected_seconds",
        "gpu_memory_gb",
        "memory_gb",
        "num_cpus",
        "exclusive_host",
        "gpu_list",
        "launcher",
        "on_oom",
    }
)


def identity_digest(target: str, config: Config) -> str:
    """Return 16 hex digits of the SHA-256 over target and config, without the keys that don't identify.

    Raises UnstableDigestError, naming the key, for a value that has no stable digest.
    """
    return digest_of_text(identity_text(target, config))


def identity_text(target: str, config: Config) -> str:
    """Return what is digested: target and config as canonical JSON. Raises UnstableDigestError as `identity_digest`."""
    return canonical_json([target, encode_items(_identifying(config))])


def digest_of_text(text: str) -> str:
    """Return the identity of what `identity_text` returned."""
    return sha256_hex(text)[:16]


def _identifying(config: Config) -> dict[str, Any]:
    items = dict(config._items)
    resources = items.get("resources")
    if type(resources) is Config:
        kept = {key: value for key, value in resources._items.items() if key not in NOT_IDENTIFYING}
        if kept:
            items["resources"] = Config(kept)
        else:
            del items["resources"]
    return items


def differing_keys(encoded_a: Any, encoded_b: Any) -> list[str]:
    """Return the dotted keys at which two encoded configs differ, in order; a key that one lacks included."""
    return list(_differences(encoded_a, encoded_b, ""))


def _differences(one: Any, other: Any, key: str) -> Iterable[str]:
    if not (_is_nested(one) and _is_nested(other)):
        if canonical_json(one) != canonical_json(other):
            yield key
        return
    for name in {**one, **other}:
        dotted = f"{key}.{name}" if key else name
        if name in one and name in other:
            yield from _differences(one[name], other[name], dotted)
        else:
            yield dotted


def _is_nested(encoded: Any) -> bool:
    return type(encoded) is dict and "__type__" not in encoded


def find_duplicates(digests: Iterable[str]) -> tuple[int, int] | None:
    """Return the indices of the first digest that repeats an earlier one (earlier index first); None without one."""
    seen: dict[str, int] = {}
    for index, digest in enumerate(digests):
        earlier = seen.setdefault(digest, index)
        if earlier != index:
            return earlier, index
    return None
