"""Configs in a file, a line a config: what `configmill.run` makes of configs given as objects.

It is the built-in builder: `configmill.config.saved.load_configs('/abs/path')`. A child decodes its own line only.

    save_configs("/data/configs.json", [Config({"lr": 0.1})])
    load_configs("/data/configs.json")[0] == Config({"lr": 0.1})
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from configmill.config.coerce import to_config
from configmill.config.config import Config
from configmill.config.config_list import ConfigList
from configmill.config.encoding import decode, encode_items, require_carriable
from configmill.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LINES = json.JSONEncoder(allow_nan=False)


def save_configs(path: str | os.PathLike[str], configs: Iterable[Any]) -> None:
    """Write a JSON array with one config (a mapping-like) a line; beside first, then renamed.

    Raises UsageError, which names index and key, for a value that JSON can't carry to another process.
    """
    lines = ",\n".join(_line(index, to_config(config)) for index, config in enumerate(configs))
    beside = f"{os.fspath(path)}.{os.getpid()}.tmp"
    with open(beside, "w", encoding="ascii") as file:
        file.write(f"[\n{lines}\n]\n")
    os.replace(beside, path)


def _line(index: int, config: Config) -> str:
    try:
        for key, value in config.flatten().items():
            require_carriable(value, key)
        return _LINES.encode(encode_items(config))
    except UsageError as error:
        raise type(error)(f"In config {index}: {error}") from error


def load_configs(path: str | os.PathLike[str]) -> ConfigList:
    """Return the saved configs; each is decoded when it is asked for.

    Raises UsageError for a file that isn't there or isn't one of `save_configs`.
    """
    try:
        with open(path, encoding="ascii") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f'The saved configs "{path}" can\'t be read: {error}. Give the path of a file that was saved.'
        ) from error
    if lines[:1] != ["["] or lines[-2:] != ["]", ""]:
        raise UsageError(f'"{path}" holds no saved configs: it is no JSON array with a config a line. Save them again.')
    saved = [line for line in lines[1:-2] if line]

    def make(index: int) -> Config:
        try:
            return Config(decode(json.loads(saved[index].removesuffix(","))))
        except ValueError as error:
            raise UsageError(f'Config {index} in "{path}" is damaged: {error}. Save the configs again.') from error

    return ConfigList.lazy(len(saved), make)
