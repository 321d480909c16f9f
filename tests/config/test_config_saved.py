"""Configs in a file: one a line, decoded one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from configmill.config import Config, ConfigList, grid
from configmill.config.builder import build
from configmill.config.saved import load_configs, save_configs
from configmill.errors import UnstableDigestError, UsageError

CONFIGS = [
    {"a": {"b": (1, None)}, "text": "line\nbreak \u2028 'quote\"", "s": {1}},
    {"__type__": "tuple", "f": json.dumps, "n": float("nan")},
    {},
]


@pytest.fixture(params=["plain", "a'; echo \u00e9 foo"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a path, also one that a shell or a string literal would choke on."""
    folder = tmp_path / request.param
    folder.mkdir()
    return folder / "configs.json"


def test_configs_survive_the_file(path: Path) -> None:
    """Equal and with equal digests; the file is strict JSON with one config a line."""
    save_configs(path, CONFIGS)
    loaded = load_configs(path)
    assert loaded == ConfigList(CONFIGS) and [c.digest() for c in loaded] == [Config(c).digest() for c in CONFIGS]
    assert loaded[-1] == {} and type(loaded) is ConfigList
    lines = path.read_text().splitlines()
    assert len(lines) == len(CONFIGS) + 2 and len(json.loads(path.read_text())) == len(CONFIGS)
    assert [file.name for file in path.parent.iterdir()] == ["configs.json"]


def test_it_is_a_builder(path: Path) -> None:
    """The builder string that run() makes of configs given as objects."""
    save_configs(path, grid({"x": 0}, {"x": range(5)}))
    assert build(f"configmill.config.saved.load_configs({str(path)!r})")[3] == {"x": 3}


def test_only_the_line_that_is_asked_for_is_decoded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A child doesn't parse all configs; a damaged line hurts nobody else."""
    save_configs(path, [{"x": i} for i in range(100)])
    path.write_text(path.read_text().replace('{"x": 7}', '{"x": '))
    loaded = load_configs(path)
    decoded: list[str] = []
    real = json.loads
    monkeypatch.setattr(json, "loads", lambda text: decoded.append(text) or real(text))
    assert len(loaded) == 100 and loaded[50] == {"x": 50} and decoded == ['{"x": 50}']
    with pytest.raises(UsageError, match=r"Config 7 in .* is damaged"):
        loaded[7]


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (lambda: 1, UsageError, r'In config 1: The value of "a\.b" can\'t be carried'),
        (object(), UnstableDigestError, r'"a\.b" can\'t be hashed'),
        ([lambda: 1], UsageError, r'In config 1: The value of "a\.b" can\'t be carried'),
    ],
)
def test_what_cannot_be_carried_is_named(path: Path, value: object, error: type, message: str) -> None:
    """Index and key; nothing is written, what was there stays."""
    path.write_text("before")
    with pytest.raises(error, match=message):
        save_configs(path, [{}, {"a": {"b": value}}])
    assert path.read_text() == "before" and len(list(path.parent.iterdir())) == 1


def test_a_key_that_cannot_be_is_named(path: Path) -> None:
    """By index; the path of the key is quoted."""
    with pytest.raises(UsageError, match=r'The key 1 .*in "a"'):
        save_configs(path, [{"a": {1: 2}}])


@pytest.mark.parametrize("content", [None, "", "{}", '[{"a": 1}]', "[\n", "[\n{}\n", "[\n{}]\n", "\u00e9"])
def test_what_is_no_saved_list(path: Path, content: str | None) -> None:
    """A missing, cut or foreign file is a usage error that quotes the path."""
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_configs(path)
    assert str(path) in str(caught.value)


def test_another_process_loads_them(path: Path, run_python: Callable[..., str]) -> None:
    """What the manager saved, the child rebuilds, digest and all."""
    config = {"a": (1, {"x"}), "f": json.dumps}
    save_configs(path, [config])
    builder = f"configmill.config.saved.load_configs({str(path)!r})"
    code = f"from configmill.config.builder import build\nprint(build({builder!r})[0].digest())"
    assert run_python(code) == Config(config).digest()
