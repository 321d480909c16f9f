"""Overrides: `--set a.b=3`, and their way to a child."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.config import Config
from configmill.config.encoding import same_value
from configmill.config.overrides import (
    apply_overrides,
    overrides_from_json,
    overrides_to_json,
    parse_override,
    parse_overrides,
)
from configmill.errors import ReadOnlyConfigError, UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("3.0", 3.0),
        ("1e-3", 1e-3),
        ("True", True),
        ("None", None),
        ("true", "true"),
        ("'3'", "3"),
        ('"a=b"', "a=b"),
        ("a=b", "a=b"),
        ("", ""),
        (" 3", 3),
        (" x ", " x "),
        ("(1, 2)", (1, 2)),
        ("[1, [2]]", [1, [2]]),
        ("{'a': 1}", {"a": 1}),
        ("{1, 2}", {1, 2}),
        ("-1", -1),
        ("1+2", "1+2"),
        ("2024-01-01", "2024-01-01"),
        ("/data/x y", "/data/x y"),
        ("f(x)", "f(x)"),
        ("[1", "[1"),
        ("{[]: 1}", "{[]: 1}"),
        ("'\\d'", "\\d"),
    ],
)
def test_a_value_is_a_literal_or_else_the_string(text: str, value: object) -> None:
    """Python's literals, type-strictly; everything else as it was typed."""
    key, parsed = parse_override(f"a.b={text}")
    assert key == "a.b" and same_value(parsed, value)


@given(st.text())
def test_any_text_is_a_value(text: str) -> None:
    """Nothing that is typed after the sign can crash the parser."""
    assert parse_override("k=" + text)[0] == "k"


@pytest.mark.parametrize("text", ["a.b", "", "=3", "  =3", "a.b:3"])
def test_what_is_no_override(text: str) -> None:
    """The text is quoted."""
    with pytest.raises(UsageError, match=f"The override '{text}' isn't of the form key=value"):
        parse_override(text)


def test_a_key_has_one_value() -> None:
    """Said twice is fine, contradicted is not; the order is kept."""
    assert list(parse_overrides(["b=1", "a=x", "b=1"]).items()) == [("b", 1), ("a", "x")]
    for other in ("2", "1.0", "True", "'1'"):
        with pytest.raises(UsageError, match=f'"b" is set twice, to 1 and {other}'):
            parse_overrides(["b=1", f"b={other}"])


def test_overrides_change_what_is_there() -> None:
    """In place, at every depth; a sub-config may be replaced; a mapping becomes a Config."""
    config = Config({"a": {"b": 1, "c": {"d": 2}}, "e": 3})
    apply_overrides(config, {"a.b": (1,), "e": None, "a.c": {"z": 1}})
    assert config == {"a": {"b": (1,), "c": {"z": 1}}, "e": None}
    with pytest.raises(ReadOnlyConfigError):
        apply_overrides(config.freeze(), {"e": 1})


def test_an_unknown_key_is_quoted_with_the_nearest() -> None:
    """And with the config's index where there is one; nothing is changed."""
    config = Config({"model": {"lr": 1}, "seed": 0})
    with pytest.raises(UsageError, match=r'The config has no key "model.lrr" to set. Did you mean "model.lr"\?'):
        apply_overrides(config, {"seed": 1, "model.lrr": 2})
    with pytest.raises(UsageError, match=r'Config 3 has no key "lr" to set. Did you mean "model.lr"\?'):
        apply_overrides(config, {"lr": 2}, index=3)
    with pytest.raises(UsageError, match=r'There are: "model", "model.lr", "seed".'):
        apply_overrides(config, {"qqqq": 2})
    assert config == {"model": {"lr": 1}, "seed": 0}


def test_overrides_survive_json() -> None:
    """Tuples, sets, nan and bytes too; the text is strict JSON."""
    overrides = {"a.b": (1, [2]), "s": {1}, "n": float("nan"), "t": "x", "d": {1: 2}, "__type__": b"x"}
    text = overrides_to_json(overrides)
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    again = overrides_from_json(text)
    assert list(again) == sorted(again) or list(again) == list(overrides)
    assert again.keys() == overrides.keys() and all(same_value(again[key], overrides[key]) for key in overrides)
    assert overrides_from_json(overrides_to_json({})) == {}


def test_overrides_that_cannot_be_carried() -> None:
    """A lambda is named by its key; damaged JSON is quoted."""
    with pytest.raises(UsageError, match=r'"a.f" can\'t be carried'):
        overrides_to_json({"a.f": lambda: 1})
    for text in ("{", "[1]", "3"):
        with pytest.raises(UsageError, match=r"aren't"):
            overrides_from_json(text)
