"""What the runner adds to a config: where it runs, as which attempt, on which devices.

It is no part of the config's keys, equality or digest, and says nothing of the experiment itself.

    config.attach_meta(ConfigMeta(idx=3, dst_dir="/data/campaign"))
    config.meta.idx == 3
"""

from __future__ import annotations

from configmill.errors import ReadOnlyConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ConfigMeta:
    """The runner's part of a config, read-only; what doesn't apply is None. Paths are absolute strings."""

    __slots__ = (
        "attempt",
        "checkpoint_dir",
        "config_builder",
        "digest",
        "dst_dir",
        "experiment_dir",
        "gpus",
        "idx",
        "project_dir",
        "strict",
    )

    #: Index of the config in the list that its builder returns.
    idx: int | None
    #: The experiment's identity (target and config), 16 hex digits.
    digest: str | None
    #: Number of the attempt, from 1.
    attempt: int | None
    #: Directory of the whole campaign.
    dst_dir: str | None
    #: Directory of this experiment: its artifacts go here.
    experiment_dir: str | None
    #: Survives attempts.
    checkpoint_dir: str | None
    #: The directory that the manager was started in.
    project_dir: str | None
    #: The builder string.
    config_builder: str | None
    #: Ids of the devices leased to this attempt.
    gpus: tuple[str, ...]
    #: Whether the command has --strict: a key without effect is to be an error, where the experiment can tell.
    strict: bool

    def __init__(
        self,
        *,
        idx: int | None = None,
        digest: str | None = None,
        attempt: int | None = None,
        dst_dir: str | None = None,
        experiment_dir: str | None = None,
        checkpoint_dir: str | None = None,
        project_dir: str | None = None,
        config_builder: str | None = None,
        gpus: tuple[str, ...] = (),
        strict: bool = False,
    ) -> None:
        given: dict[str, Any] = {
            "idx": idx,
            "digest": digest,
            "attempt": attempt,
            "dst_dir": dst_dir,
            "experiment_dir": experiment_dir,
            "checkpoint_dir": checkpoint_dir,
            "project_dir": project_dir,
            "config_builder": config_builder,
            "gpus": tuple(gpus),
            "strict": strict,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise ReadOnlyConfigError(f"\"meta.{name}\" can't be set: config.meta is the runner's. Put it in the config.")

    def __delattr__(self, name: str) -> None:
        raise ReadOnlyConfigError(f"\"meta.{name}\" can't be deleted: config.meta is the runner's.")

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    def __eq__(self, other: object) -> bool:
        return self._fields() == other._fields() if isinstance(other, ConfigMeta) else NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(self._fields().values()))

    def __repr__(self) -> str:
        applying = {
            name: value for name, value in self._fields().items() if value not in (None, ()) and value is not False
        }
        given = ", ".join(f"{name}={value!r}" for name, value in applying.items())
        return f"ConfigMeta({given})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_meta, (self._fields(),)


def _restore_meta(fields: dict[str, Any]) -> ConfigMeta:
    return ConfigMeta(**fields)
