"""Other libraries' configs as Configs: dataclasses, pydantic, OmegaConf and ml_collections.

None of the libraries is imported: an object of theirs shows that it is loaded. Values are kept as they are; it converts
the nesting, of fields at every depth, not what lies in lists.

    to_config(TrainConfig(lr=0.1)) == Config({"lr": 0.1})
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from configmill.config.config import Config
from configmill.config.unstable import type_name
from configmill.errors import ConfigmillError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def is_mapping_like(value: object) -> bool:
    """Say whether `to_config` takes the value."""
    return isinstance(value, Mapping) or _is_dataclass(value) or _is_pydantic(value) or _is_ml_collections(value)


def to_config(value: object) -> Config:
    """Return a new, changeable Config of a mapping, dataclass, pydantic, OmegaConf or ml_collections object.

    Raises UsageError for anything else, and for an OmegaConf config that can't be resolved.
    """
    if type(value) is Config:
        return value.copy()
    if not is_mapping_like(value):
        raise UsageError(
            f"A config can't be made of {value!r:.200} (a {type_name(value)}). Give a mapping, a dataclass instance, "
            "or a pydantic, OmegaConf or ml_collections config."
        )
    try:
        return Config(_plain(value))
    except RecursionError:
        raise UsageError(
            f"The config (a {type_name(value)}) contains itself or is nested too deeply. Take the reference out."
        ) from None


def _plain(value: Any) -> Any:
    """Return a value with foreign configs turned into dicts; what isn't one is returned as it is."""
    if _is_omegaconf(value):
        return _resolved(value)
    if _is_ml_collections(value):
        changeable = value.as_configdict() if hasattr(value, "as_configdict") else value  # frozen: lists are tuples
        return _plain(changeable.to_dict())
    if _is_pydantic(value):
        return _plain_fields({**value.__dict__, **(value.__pydantic_extra__ or {})})
    if _is_dataclass(value):
        return _plain_fields({name: getattr(value, name) for name in _field_names(value)})
    if type(value) is dict and _may_hold_foreign():
        return {key: _plain(item) if _is_foreign_or_dict(item) else item for key, item in value.items()}
    return value


def _plain_fields(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _plain(item) for name, item in fields.items()}


def _may_hold_foreign() -> bool:
    return "omegaconf" in sys.modules or "ml_collections" in sys.modules


def _is_foreign_or_dict(value: object) -> bool:
    # A dataclass or pydantic object within a mapping is a value that the user put there: it stays.
    return type(value) is dict or _is_omegaconf(value) or _is_ml_collections(value)


def _resolved(value: Any) -> Any:
    omegaconf = sys.modules["omegaconf"]
    try:
        return omegaconf.OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
    except ConfigmillError:
        raise
    except Exception as error:  # OmegaConf's own, and whatever a resolver of the user's raises
        message = " ".join(str(error).split())
        raise UsageError(
            f"The OmegaConf config can't be resolved: {type(error).__name__}: {message}. "
            "Give every key that is missing (???) a value, and every interpolation its target."
        ) from error


def _field_names(value: Any) -> list[str]:
    import dataclasses

    return [field.name for field in dataclasses.fields(value)]


def _is_dataclass(value: object) -> bool:
    return hasattr(type(value), "__dataclass_fields__")


def _is_pydantic(value: object) -> bool:
    pydantic = sys.modules.get("pydantic")
    return pydantic is not None and isinstance(value, pydantic.BaseModel)


def _is_omegaconf(value: object) -> bool:
    omegaconf = sys.modules.get("omegaconf")
    return omegaconf is not None and isinstance(value, (omegaconf.DictConfig, omegaconf.ListConfig))


def _is_ml_collections(value: object) -> bool:
    ml_collections = sys.modules.get("ml_collections")
    return ml_collections is not None and isinstance(value, ml_collections.ConfigDict)
