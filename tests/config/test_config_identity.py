"""When two experiments are one."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.config import Config
from configmill.config.encoding import encode
from configmill.config.identity import NOT_IDENTIFYING, differing_keys, find_duplicates, identity_digest
from configmill.errors import UnstableDigestError


def test_target_and_config_identify() -> None:
    """Sixteen hex digits that change with either, and not with key order or freezing."""
    config = Config({"a": 1, "b": {"c": 2}})
    digest = identity_digest("m:f", config)
    assert len(digest) == 16 and set(digest) <= set("0123456789abcdef")
    assert digest == identity_digest("m:f", Config({"b": {"c": 2}, "a": 1}).freeze())
    others = [identity_digest("m:g", config), identity_digest("m:f", Config({"a": 1.0, "b": {"c": 2}}))]
    assert len({digest, *others}) == 3


@pytest.mark.parametrize("key", sorted(NOT_IDENTIFYING))
def test_how_it_is_run_does_not_identify(key: str) -> None:
    """Only at the top level; a `resources` with nothing left counts as absent."""
    plain = Config({"a": 1})
    assert identity_digest("t", Config({"a": 1, "resources": {key: 5}})) == identity_digest("t", plain)
    with_gpus = [Config({"a": 1, "resources": {"num_gpus": 2, **extra}}) for extra in ({}, {key: 1}, {key: 2})]
    assert len({identity_digest("t", config) for config in with_gpus}) == 1
    assert identity_digest("t", with_gpus[0]) != identity_digest("t", plain)
    nested = [Config({"a": {"resources": {key: value}}}) for value in (1, 2)]
    assert identity_digest("t", nested[0]) != identity_digest("t", nested[1])


def test_the_list_of_what_does_not_identify() -> None:
    """It is part of the contract: another list would change every directory's name."""
    assert {
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
    } == NOT_IDENTIFYING


def test_resources_that_is_no_mapping_counts() -> None:
    """A value of that name is the user's; the config isn't changed by asking, and nothing is marked as read."""
    assert identity_digest("t", Config({"resources": 3})) != identity_digest("t", Config({"resources": 4}))
    config = Config({"resources": {"timeout": 3}, "a": 1}).freeze()
    identity_digest("t", config)
    assert config == {"resources": {"timeout": 3}, "a": 1} and config.unread_keys() == ["a", "resources.timeout"]


def test_identity_is_pinned() -> None:
    """A change of the encoding would orphan every result that exists: it must not happen unnoticed."""
    config = Config({"lr": 0.1, "layers": [1, 2], "name": "ar", "t": (1, None, True), "n": {"x": float("inf")}})
    assert identity_digest("experiments.forecasting:run", config) == "dfd8ec2cbcaa315b"


def test_what_has_no_identity_is_named() -> None:
    """The key of the value, at any depth."""
    with pytest.raises(UnstableDigestError, match=r'"a.b"'):
        identity_digest("t", Config({"a": {"b": object()}}))


def test_differing_keys() -> None:
    """Dotted, type-strict, missing keys included; encoded values are compared as a whole."""
    one = encode(Config({"a": {"b": 1, "c": 2, "t": (1, 2)}, "d": [1], "e": {}, "g": 1}))
    other = encode(Config({"a": {"b": 1.0, "c": 2, "t": (1, 3)}, "d": [1], "e": {"f": 1}, "h": {"i": 1}}))
    assert differing_keys(one, other) == ["a.b", "a.t", "e.f", "g", "h"]
    assert differing_keys(one, one) == []
    assert differing_keys(encode(Config({"x": {"y": 1}})), encode(Config({"x": 1}))) == ["x"]


@given(st.lists(st.sampled_from("abcdefgh")))
def test_the_first_duplicate(digests: list[str]) -> None:
    """The first entry that repeats an earlier one, with that earlier one; None for a list without."""
    found = find_duplicates(digests)
    if found is None:
        assert len(set(digests)) == len(digests)
    else:
        earlier, later = found
        assert digests[earlier] == digests[later] and earlier < later
        assert len(set(digests[:later])) == later


def test_identity_in_another_process(run_python: Callable[..., str]) -> None:
    """The child computes what the manager computed."""
    code = """
        from configmill.config import Config
        from configmill.config.identity import identity_digest
        print(identity_digest("m:f", Config({"s": {"a", "b", "c"}, "f": 0.1, "resources": {"timeout": 3}})))
    """
    here = identity_digest("m:f", Config({"f": 0.1, "s": {"c", "b", "a"}}))
    assert {run_python(code, hash_seed=seed) for seed in (1, 2)} == {here}
