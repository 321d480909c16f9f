"""JSON without `json` is the same, to the byte and to the type: what it can't do it leaves to `json`."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from configmill import jsontext
from tests.conftest import REPOSITORY

WRITERS: list[tuple[Callable[[Any], str], Callable[[Any], str]]] = [
    (jsontext.dumps, json.dumps),
    (jsontext.dumps_indented, lambda value: json.dumps(value, indent=1, ensure_ascii=False)),
    (jsontext.canonical, lambda value: json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)),
]
text = st.text(st.characters() | st.sampled_from('"\\/\n\x00\x7f\u2028\ud800\udfff\U0001f600'))
scalars = st.none() | st.booleans() | st.integers() | st.floats() | text
keys = text | st.integers() | st.floats() | st.booleans() | st.none()
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(keys, inner),
    max_leaves=20,
)


class Colour(IntEnum):
    """An int that is called by a name."""

    RED = 1


class Text(str):
    """A text that says something else of itself."""

    def __repr__(self) -> str:
        return "?"


def outcome(function: Callable[[Any], Any], value: Any) -> tuple[Any, ...]:
    """What a function returns, or the error that it raises."""
    try:
        return ("returned", function(value))
    except Exception as error:
        return (type(error), str(error))


itself: list[Any] = []
itself.append(itself)


@given(values)
@example({"a": {1, 2}})
@example({(1, 2): 3})
@example({b"a": 3})
@example([object])
@example({1: "one", "1": "two", False: 3})
@example({"a": [math.nan, math.inf, -math.inf, -0.0, 1e300]})
@example({math.nan: 1, math.inf: 2})
@example([Colour.RED, {Colour.RED: Text("red")}, {Text("a"): OrderedDict(b=1)}])
@example([[], {}, (), [[]], [{}], {"": ()}])
@example(itself)
@example(10**5000)
def test_written_alike(value: Any) -> None:
    """The same text, or the same error."""
    for ours, jsons in WRITERS:
        assert outcome(ours, value) == outcome(jsons, value)


def same(one: Any, other: Any) -> bool:
    """Whether both are the same, to the type and to the bits of a NaN."""
    return type(one) is type(other) and repr(one) == repr(other)


@given(values.map(json.dumps), st.sampled_from(["", " ", "\n\t\r "]), st.sampled_from(["", " \n", "x", "}", "\x00"]))
@example("", "", "")
@example("nan", "", "")
@example("NaN", "", "")
@example("-Infinity", "", "")
@example("\ufeff{}", "", "")
@example("1" * 5000, "", "")
@example('"\x01"', "", "")
@example("[" * 100_000, "", "")
@example('{"a": 1, "a": 2}', "\u00a0", "")
def test_read_alike(text: str, before: str, after: str) -> None:
    """The same value, or the same error; from bytes too."""
    for given_text in (f"{before}{text}{after}", f"{before}{text}{after}".encode("utf-8", "surrogatepass")):
        ours, jsons = outcome(jsontext.loads, given_text), outcome(json.loads, given_text)
        assert same(ours, jsons)


@given(st.text())
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be", "utf-8-sig", "latin-1"])
def test_bytes_of_other_encodings(encoding: str, text: str) -> None:
    """json guesses, and so does this."""
    raw = json.dumps({"a": text}, ensure_ascii=False).encode(encoding, "replace")
    assert same(outcome(jsontext.loads, raw), outcome(json.loads, raw))


def test_default() -> None:
    """It is asked for what JSON has no type for."""
    assert jsontext.dumps({"a": {1, 2}}, sorted) == '{"a": [1, 2]}'


def test_minder_needs_neither_json_nor_enum() -> None:
    """Nor does an experiment, unless its own code does."""
    program = (
        "import sys; before = set(sys.modules); import configmill.minder; print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "'configmill.minder'" in done.stdout
    assert not [name for name in ("'json'", "'enum'", "'re'", "'signal'", "'typing'") if name in done.stdout]
