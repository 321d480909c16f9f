"""Values as JSON and back; what has no stable digest; digests that no process changes."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import json
import math
import pathlib
import re
import threading
import uuid
import zoneinfo
from collections import namedtuple
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from configmill.config import Config
from configmill.config.encoding import canonical_json, decode, encode, is_carriable, require_carriable
from configmill.errors import UnstableDigestError, UsageError


class Level(enum.IntEnum):
    LOW = 1


class Color(enum.StrEnum):
    RED = "red"


class Mode(enum.Flag):
    A = enum.auto()
    B = enum.auto()


class Opaque(enum.Enum):
    ONE = object()


@dataclasses.dataclass
class Point:
    x: int
    y: list = dataclasses.field(default_factory=list)
    norm: float = dataclasses.field(init=False, default=0.0)

    def __post_init__(self) -> None:
        self.x += 1
        self.norm = self.x * 2.0

    def scaled(self, k: int) -> int:
        return self.x * k


@dataclasses.dataclass(frozen=True)
class Seeded:
    seed: int
    source: dataclasses.InitVar[int]


Pair = namedtuple("Pair", "left right")


class Typed(NamedTuple):
    a: int = 1


class Model(pydantic.BaseModel):
    size: int = pydantic.Field(alias="sz")
    inner: dict[str, int] = {}


class Loose(pydantic.BaseModel, extra="allow"):
    a: int = 1


class Sampler:
    def __init__(self, n: int) -> None:
        self.n = n

    def __configmill_digest__(self) -> str:
        return f"sampler-{self.n}"

    @classmethod
    def make(cls) -> Sampler:
        return cls(1)


def double(x: int) -> int:
    """Return twice x."""
    return 2 * x


@dataclasses.dataclass
class Text(str):
    """A subclass of str, which no encoding confuses with a str."""


VALUES = {
    "none": None,
    "true": True,
    "int": 3,
    "big int": 2**200,
    "huge int": -(16**5000) + 1,
    "float": 0.1,
    "minus zero": -0.0,
    "tiny": 5e-324,
    "nan": math.nan,
    "inf": math.inf,
    "-inf": -math.inf,
    "str": "a\n\u00e9\U0001f600\ud800",
    "list": [1, [2.0, None]],
    "tuple": (1, (2,), [3]),
    "empty tuple": (),
    "set": {3, 1, 2},
    "mixed set": {1, "a", (2,), None, frozenset({1})},
    "frozenset": frozenset({"b", "a"}),
    "bytes": b"\x00\xff",
    "complex": complex(math.nan, -0.0),
    "dict": {"b": 1, "a": {"c": [1]}},
    "dict with numbers as keys": {"t": 1, 1: "a", 2.5: "b", None: "c", (1, 2): "d"},
    "dict with __type__": {"__type__": "tuple", "items": [1]},
    "nested __type__": {"a": {"__type__": {"__type__": 1}}},
    "range": range(1, 10, 3),
    "slice": slice(1, None, 2),
    "ellipsis": ...,
    "datetime": dt.datetime(2024, 2, 29, 12, 30, 1, 5),
    "datetime utc": dt.datetime(2024, 2, 29, tzinfo=dt.UTC),
    "datetime zone": dt.datetime(2024, 10, 27, 2, 30, tzinfo=zoneinfo.ZoneInfo("Europe/Rome"), fold=1),
    "datetime offset": dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2), "here")),
    "timezone": dt.timezone(dt.timedelta(minutes=-90)),
    "date": dt.date(2024, 1, 1),
    "time": dt.time(1, 2, 3, 4, tzinfo=dt.UTC),
    "timedelta": dt.timedelta(days=-1, microseconds=1),
    "decimal": decimal.Decimal("1.10"),
    "decimal inf": decimal.Decimal("-Infinity"),
    "fraction": fractions.Fraction(-1, 3),
    "path": pathlib.Path("/a b/'c"),
    "windows path": pathlib.PureWindowsPath("c:\\x"),
    "uuid": uuid.UUID(int=5),
    "pattern": re.compile(r"a\d", re.IGNORECASE),
    "bytes pattern": re.compile(rb"a"),
    "int enum": Level.LOW,
    "str enum": Color.RED,
    "flags": Mode.A | Mode.B,
    "enum of objects": Opaque.ONE,
    "dataclass": Point(1, [2]),
    "dataclass with InitVar": Seeded(1, 2),
    "namedtuple": Pair([1], (2,)),
    "typed namedtuple": Typed(),
    "pydantic": Model(sz=3, inner={"a": 1}),
    "pydantic extra": Loose(b=[1]),
    "function": double,
    "builtin": len,
    "function of a C module": math.sqrt,
    "method of a builtin value": "abc".upper,
    "class method of a builtin": dict.fromkeys,
    "method descriptor": str.upper,
    "bound method": Point(1).scaled,
    "class method": Sampler.make,
    "partial": functools.partial(double, *[1], **{"k": (2,)}),
    "class": Point,
    "builtin class": int,
    "numpy class": np.float32,
    "module": json,
    "submodule": json.decoder,
    "array": np.arange(6, dtype="<i2").reshape(2, 3),
    "array of strings": np.array(["a", "bc"]),
    "array of dates": np.array(["2024-01-01"], dtype="M8[D]"),
    "structured array": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
    "empty array": np.zeros((0, 3)),
    "0-d array": np.array(1.5),
    "column order": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "numpy float": np.float64(0.1),
    "numpy float32": np.float32("nan"),
    "numpy int": np.int64(1),
    "numpy bool": np.True_,
    "numpy str": np.str_("a"),
    "numpy bytes": np.bytes_(b"a"),
    "numpy datetime": np.datetime64("2024-01-01T00:00:01"),
    "numpy complex": np.complex64(1 + 2j),
    "dtype": np.dtype("float32"),
    "structured dtype": np.dtype([("a", "i4")]),
    "ufunc": np.tanh,
    "numpy function": np.mean,
    "timestamp": pd.Timestamp("2024-01-01 00:00:00.000000001"),
    "timestamp with zone": pd.Timestamp("2024-10-27 01:30", tz="UTC").tz_convert("Europe/Rome"),
    "timestamp in seconds": pd.Timestamp("2024-01-01").as_unit("s"),
    "pandas timedelta": pd.Timedelta("1 days 00:00:00.000000001"),
    "NaT": pd.NaT,
}


def shown(value: object) -> str:
    """Return the repr without addresses, of ints without the limit on digits."""
    return hex(value) if type(value) is int else re.sub("0x[0-9a-f]+", "", repr(value))


@pytest.mark.parametrize("name", VALUES)
def test_values_survive_json(name: str) -> None:
    """decode(encode(v)) through real, strict JSON text is v again: same type, same encoding, equal."""
    value = VALUES[name]
    encoded = encode(value)
    text = json.dumps(encoded, allow_nan=False)
    again = decode(json.loads(text))
    assert type(again) is type(value)
    assert canonical_json(encode(again)) == canonical_json(encoded)
    assert shown(again) == shown(value) or again == value
    assert is_carriable(value)
    require_carriable(value, "k")


def test_all_values_differ() -> None:
    """No two of the values above have one encoding, and each has one digest, frozen or not."""
    digests = {Config({"v": [value]}).digest() for value in VALUES.values()}
    assert len(digests) == len(VALUES)
    for value in VALUES.values():
        assert Config({"v": [value]}).freeze().digest() == Config({"v": [value]}).digest()


def test_subclasses_are_not_their_base() -> None:
    """A member of an IntEnum is no int, a numpy float no float, a namedtuple no tuple."""
    for value, base in [
        (Level.LOW, 1),
        (Color.RED, "red"),
        (np.float64(1), 1.0),
        (np.str_("a"), "a"),
        (Pair(1, 2), (1, 2)),
    ]:
        assert value == base and canonical_json(encode(value)) != canonical_json(encode(base))


def test_an_enum_counts_its_value() -> None:
    """Two enums of one name that differ in a member's value differ in the digest."""
    one, other = (enum.Enum("Rate", {"HIGH": value}, module="m", qualname="Rate") for value in (0.1, 0.2))
    assert encode(one.HIGH) != encode(other.HIGH)


plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.complex_numbers()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(max_size=8) | st.just("__type__"), inner, max_size=4),
        st.dictionaries(st.integers() | st.text(max_size=2) | st.floats(allow_nan=False), inner, max_size=4),
        st.tuples(inner, inner),
        st.frozensets(st.integers() | st.text(max_size=3), max_size=4),
    ),
    max_leaves=12,
)


@given(plain)
def test_any_nesting_survives_json(value: object) -> None:
    """The round trip is exact at any depth and for any text."""
    again = decode(json.loads(json.dumps(encode(value), allow_nan=False)))
    assert canonical_json(encode(again)) == canonical_json(encode(value))
    assert _exact(again) == _exact(value)


def _exact(value: object) -> object:
    """Return a value that is equal for values of equal types and content only, whatever the order of keys and sets."""
    if isinstance(value, dict):
        return {"dict": sorted((repr(_exact(k)), repr(_exact(v))) for k, v in value.items())}
    if isinstance(value, (list, tuple)):
        return type(value), [_exact(item) for item in value]
    if isinstance(value, frozenset):
        return "frozenset", sorted(map(repr, value))
    return repr(value)


def test_config_json_keeps_nesting_and_order() -> None:
    """A Config is written as a plain dict, in its own order, also when frozen; canonical JSON sorts."""
    config = Config({"b": {"z": 1, "y": [{"q": 2}]}, "a": (1,)}).freeze()
    assert json.dumps(encode(config)) == ('{"b": {"z": 1, "y": [{"q": 2}]}, "a": {"__type__": "tuple", "items": [1]}}')
    assert canonical_json({"b": 1.0, "a": "é"}) == '{"a":"\\u00e9","b":1.0}'
    assert Config(decode(encode(config))) == config


@pytest.mark.parametrize("mapping", [{"__type__": "x", "a": 1}, {"n": {"__type__": "tuple", "items": []}}])
def test_a_config_may_hold_the_key_type(mapping: dict) -> None:
    """The tag of encoded values is an ordinary key for users."""
    config = Config(mapping)
    assert Config(decode(json.loads(json.dumps(encode(config))))) == config
    assert decode(encode(config)) == mapping


def _generator() -> object:
    yield 1


class Plain:
    pass


class Broken:
    def __configmill_digest__(self) -> str:
        raise RuntimeError("no data")


def _closing_over(value: object) -> Callable[[], object]:
    return lambda: value


UNSTABLE = {
    "object": (object(), '"object"'),
    "instance": (Plain(), "Plain"),
    "generator": (_generator(), '"generator"'),
    "lock": (threading.Lock(), "lock"),
    "open file": (open(__file__), "TextIOWrapper"),  # noqa: SIM115 - closed with the process
    "object array": (np.array([object()]), "dtype"),
    "frame": (pd.DataFrame({"a": [1]}), "DataFrame"),
    "in a list": ([1, [Plain()]], "Plain"),
    "in a tuple": ((Plain(),), "Plain"),
    "in a dict": ([{"x": Plain()}], "Plain"),
    "in a partial": (functools.partial(double, Plain()), "Plain"),
    "in a closure": (_closing_over(Plain()), "Plain"),
    "as a default": (lambda x=Plain(): x, "Plain"),  # noqa: B008 - the default is the test
    "method of an instance": (Plain().__init__, "method-wrapper"),
    "own ufunc": (np.frompyfunc(double, 1, 1), "ufunc"),
    "broken digest": (Broken(), r"raised RuntimeError: no data"),
    "bytearray": (bytearray(b"a"), "bytearray"),
}


@pytest.mark.parametrize("name", UNSTABLE)
def test_what_has_no_stable_digest_is_named(name: str) -> None:
    """The error quotes the dotted key and the type, holds no address, and says what to do."""
    value, shown = UNSTABLE[name]
    config = Config({"model": {"part": value}})
    for act in (config.digest, lambda: encode(config), lambda: require_carriable(value, "model.part")):
        with pytest.raises(
            UnstableDigestError, match=rf'The value of "model.part" .*{shown}.*__configmill_digest__'
        ) as e:
            act()
        assert "0x" not in str(e.value)
    assert not is_carriable(value)


def test_cycles_are_named() -> None:
    """A list in itself, two dicts in one another: the error, not a RecursionError."""
    loop: list = []
    loop.append(loop)
    one: dict = {}
    one["other"] = {"one": one}
    config = Config({"a": []})
    config.a.append(config.a)
    for value in (loop, one, (loop,), functools.partial(double, loop)):
        with pytest.raises(UnstableDigestError, match=r'"a\.b" .*contains itself'):
            encode(value, "a.b")
    with pytest.raises(UnstableDigestError, match=r'"a" .*contains itself'):
        config.digest()


def test_a_custom_digest_is_used_and_not_carried() -> None:
    """__configmill_digest__ decides equality; the object can't be rebuilt from it."""
    assert Config({"s": Sampler(1)}) == Config({"s": Sampler(1)}) != Config({"s": Sampler(2)})
    assert encode(Sampler(1))["__type__"] == "custom"
    with pytest.raises(UsageError, match=r'"model.s" can\'t be carried.*Sampler'):
        require_carriable(Sampler(1), "model.s")
    assert is_carriable(Sampler)


@pytest.mark.parametrize(
    "value", [lambda: 1, _closing_over(1), [lambda: 1], functools.partial(lambda: 1), [{1: _closing_over(2)}]]
)
def test_local_functions_are_not_carried(value: object) -> None:
    """A lambda or local function has a digest, but no name to find it by; the error names the key."""
    assert len(Config({"f": value}).digest()) == 64
    assert not is_carriable(value)
    with pytest.raises(UsageError, match=r'"a\.f" can\'t be carried.*(lambda|local function).*top level'):
        require_carriable(value, "a.f")


def test_a_function_whose_name_leads_elsewhere_is_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would come back is another function, or nothing."""
    original = double
    monkeypatch.setitem(globals(), "double", lambda x: 3 * x)
    with pytest.raises(UsageError, match=r'"f" can\'t be carried'):
        require_carriable(original, "f")
    monkeypatch.delitem(globals(), "double")
    with pytest.raises(UsageError, match=r'has no "double"'):
        require_carriable(original, "f")


def test_functions_of_a_main_script_need_a_file(run_python: Callable[..., str], tmp_path: pathlib.Path) -> None:
    """`python -c` can't be imported again, a script can."""
    code = """
        from configmill.config.encoding import encode, is_carriable
        class C: pass
        def f(): return 1
        print(encode(f)["module"], is_carriable(f), is_carriable(C), is_carriable([C]), is_carriable(len))
    """
    assert run_python(code) == "__main__ False False False True"
    (tmp_path / "script.py").write_text("\n".join(line.strip() for line in code.splitlines()))
    assert run_python("import runpy; runpy.run_path('script.py', run_name='other')", cwd=tmp_path).startswith("other")
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": str(pathlib.Path(__file__).resolve().parents[2])},
    )
    assert done.stdout.strip() == "__main__ True True True True", done.stderr


def test_an_unknown_tag_and_a_lost_module_are_usage_errors() -> None:
    """What another version wrote, or names what is gone, is said so."""
    with pytest.raises(UsageError, match=r"'quaternion'.*unknown"):
        decode({"__type__": "quaternion"})
    with pytest.raises(UsageError, match=r'"no_such_module" .*can\'t be imported'):
        decode({"__type__": "class", "module": "no_such_module", "qualname": "A"})
    with pytest.raises(UsageError, match=r'"json" has no "Nope"'):
        decode({"__type__": "class", "module": "json", "qualname": "Nope"})


DIGEST = """
    import datetime, enum, pathlib
    import numpy as np
    from configmill.config import Config
    def build(k):
        def local(x): return x in {"a", "b", "c", k}
        return Config({
            "s": {"x", "y", "z", 1, None}, "fs": frozenset({"p", "q", ("r",)}), "d": [{1: {"m", "n"}, "k": 2, None: 3}],
            "f": lambda v, w=k: {v: w, "u": {"g", "h"}}, "local": local, "arr": np.arange(3), "cls": dict,
            "p": pathlib.Path("x"),
            "nested": {"lr": 0.1, "name": "ar"}, "gen": [x for x in "abc"],
        })
    print(build(3).digest())
"""


def test_digests_are_the_same_in_every_process(run_python: Callable[..., str]) -> None:
    """Whatever PYTHONHASHSEED is: sets, dicts with odd keys, lambdas with set constants, closures."""
    assert len({run_python(DIGEST, hash_seed=seed) for seed in (0, 1, 42)}) == 1


def test_reading_configs_imports_nothing_heavy(run_python: Callable[..., str]) -> None:
    """A cold start that builds, digests and identifies a plain config pays for none of these modules."""
    code = """
        import sys
        before = set(sys.modules)
        from configmill.config.config import Config
        from configmill.config.sweeps import grid
        from configmill.config.identity import identity_digest
        config = grid({"a": {"b": [1, 2.0]}, "c": "x"}, {"a.d": [1, 2]})[1].freeze()
        identity_digest("m:f", config), config.a.b, config.unread_keys()
        heavy = {"typing", "dataclasses", "inspect", "logging", "numpy", "pandas", "hashlib", "difflib", "ast", "dis"}
        print(sorted(heavy & (set(sys.modules) - before)), "configmill.config.codecs" in sys.modules)
    """
    found = run_python(
        "import sys, types; m = types.ModuleType('configmill'); m.__path__ = ["
        f"{str(pathlib.Path(__file__).resolve().parents[2] / 'configmill')!r}]; sys.modules['configmill'] = m\n"
        + "import textwrap; exec(textwrap.dedent('''"
        + code
        + "'''))"
    )
    assert found == "[] False"
