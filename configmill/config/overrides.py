"""Values set from outside the builder: `--set a.b=3`, derived retries, a search.

It changes configs after they were built; it can't add keys.

    apply_overrides(config, parse_overrides(["model.lr=0.01", "name=ar"]))
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from configmill.config.config import Config
from configmill.config.encoding import decode, encode_items, require_carriable, same_value
from configmill.errors import UsageError
from configmill.jsontext import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse_override(text: str) -> tuple[str, Any]:
    """Return the dotted key and the value of `a.b=3`: a Python literal, or else the very string after the sign.

    Raises UsageError where there is no "=" or no key.
    """
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise UsageError(f"The override {text!r:.200} isn't of the form key=value. Write a.b=3, or name=text.")
    return key.strip(), _literal_or_text(value)


def _literal_or_text(text: str) -> Any:
    import ast
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a quoted string is the user's own affair
            return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return text


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """Return keys and values of many overrides; raises UsageError for a key that is given two values."""
    overrides: dict[str, Any] = {}
    for text in texts:
        key, value = parse_override(text)
        if key in overrides and not same_value(overrides[key], value):
            raise UsageError(
                f'The key "{key}" is set twice, to {overrides[key]!r:.100} and {value!r:.100}. Set it once.'
            )
        overrides[key] = value
    return overrides


def apply_overrides(config: Config, overrides: Mapping[str, Any], index: int | None = None) -> None:
    """Set the values, in place; all or none.

    Raises UsageError for a key that the config (number `index` of the list) lacks.
    """
    for key in overrides:
        if key not in config:
            from configmill.config.nearest import nearest_sentence

            which = "The config" if index is None else f"Config {index}"
            raise UsageError(f'{which} has no key "{key}" to set. {nearest_sentence(key, config._dotted_keys())}')
    for key, value in overrides.items():
        config[key] = value


def overrides_to_json(overrides: Mapping[str, Any]) -> str:
    """Return overrides as JSON; raises UsageError, naming the key, for a value that JSON can't carry."""
    for key, value in overrides.items():
        require_carriable(value, key)
    import json

    return json.dumps(encode_items(overrides), allow_nan=False)


def overrides_from_json(text: str) -> dict[str, Any]:
    """Return the overrides that `overrides_to_json` wrote; raises UsageError for anything else."""
    try:
        overrides = decode(loads(text))
    except ValueError as error:
        raise UsageError(f"The overrides {text!r:.200} aren't JSON: {error}. Use overrides_to_json.") from error
    if type(overrides) is not dict:
        raise UsageError(f"The overrides {text!r:.200} aren't a JSON object. Use overrides_to_json.")
    return overrides
