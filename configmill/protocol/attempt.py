"""Which attempt a process is: the environment variables between the manager and what it starts.

    environ.update(attempt.to_env())                # the manager
    attempt = Attempt.from_env(os.environ)          # the child; None where it isn't Configmill's

Everything is text and nothing is pickled: a child builds its config again from the builder string and the index.
"""

from __future__ import annotations

import os

from configmill.errors import EnvironmentIncompleteError
from configmill.protocol.layout import CampaignDir, ExperimentDir

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG_BUILDER = "CONFIGMILL_CONFIG_BUILDER"
CONFIG_IDX = "CONFIGMILL_CONFIG_IDX"
DST_DIR = "CONFIGMILL_DST_DIR"
TARGET = "CONFIGMILL_TARGET"
CONFIG_DIGEST = "CONFIGMILL_CONFIG_DIGEST"
OVERRIDES = "CONFIGMILL_OVERRIDES"
ATTEMPT = "CONFIGMILL_ATTEMPT"
PROJECT_DIR = "CONFIGMILL_PROJECT_DIR"
GPUS = "CONFIGMILL_GPUS"
#: CUDA's own variable; it is set beside the others, and isn't one that says whose attempt a process is.
CUDA_VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
#: "1" where the command has --strict; not set where it hasn't.
STRICT = "CONFIGMILL_STRICT"

#: Every variable that a child is given.
VARIABLES = (CONFIG_BUILDER, CONFIG_IDX, DST_DIR, TARGET, CONFIG_DIGEST, OVERRIDES, ATTEMPT, PROJECT_DIR, GPUS)

#: Whether this is the fork server, or a fork of it: what it imports is about to be an experiment's.
is_fork_server = False


class Attempt:
    """One try at one experiment. Numbers run from 1 and on over commands; directories are absolute."""

    def __init__(
        self,
        *,
        config_builder: str,
        index: int,
        dst_dir: str,
        target: str,
        digest: str,
        overrides: str,
        number: int,
        project_dir: str,
        gpus: tuple[str, ...] = (),
        cuda_visible_devices: str | None = None,
        strict: bool = False,
    ) -> None:
        self.config_builder = config_builder
        self.index = index
        self.dst_dir = dst_dir
        self.target = target
        self.digest = digest
        #: JSON of dotted keys to values, applied after building.
        self.overrides = overrides
        self.number = number
        self.project_dir = project_dir
        self.gpus = gpus
        #: What CUDA is to show to the child; None leaves the environment as it is.
        self.cuda_visible_devices = cuda_visible_devices
        #: Whether a key without effect is to be an error, where the experiment can tell.
        self.strict = strict
        #: The experiment's directory.
        self.dir: ExperimentDir = CampaignDir(dst_dir).experiment(digest)

    def to_env(self) -> dict[str, str]:
        """The variables to set for a child."""
        variables = self.marks()
        if self.cuda_visible_devices is not None:
            variables[CUDA_VISIBLE_DEVICES] = self.cuda_visible_devices
        if self.strict:
            variables[STRICT] = "1"
        return variables

    def marks(self) -> dict[str, str]:
        """The variables that say whose a process is; what user code starts in turn has them too."""
        return {
            CONFIG_BUILDER: self.config_builder,
            CONFIG_IDX: str(self.index),
            DST_DIR: self.dst_dir,
            TARGET: self.target,
            CONFIG_DIGEST: self.digest,
            OVERRIDES: self.overrides,
            ATTEMPT: str(self.number),
            PROJECT_DIR: self.project_dir,
            GPUS: ",".join(self.gpus),
        }

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Attempt | None:
        """The attempt that this process belongs to; None where no variable is set.

        Raises EnvironmentIncompleteError where only some are, or a number isn't one.
        """
        missing = [name for name in VARIABLES if name not in environ]
        if len(missing) == len(VARIABLES):
            return None
        if missing:
            raise EnvironmentIncompleteError(
                f"The environment has some of Configmill's variables but not {', '.join(missing)}. "
                "Unset the others to work by hand, or start the experiment through Configmill."
            )
        gpus = environ[GPUS]
        return cls(
            config_builder=environ[CONFIG_BUILDER],
            index=_number(environ, CONFIG_IDX),
            dst_dir=environ[DST_DIR],
            target=environ[TARGET],
            digest=environ[CONFIG_DIGEST],
            overrides=environ[OVERRIDES],
            number=_number(environ, ATTEMPT),
            project_dir=environ[PROJECT_DIR],
            gpus=tuple(gpus.split(",")) if gpus else (),
            cuda_visible_devices=environ.get(CUDA_VISIBLE_DEVICES),
            strict=environ.get(STRICT) == "1",
        )


def is_inside_experiment() -> bool:
    """Whether this process belongs to an experiment."""
    return is_fork_server or (CONFIG_IDX in os.environ and ATTEMPT in os.environ)


def _number(environ: Mapping[str, str], name: str) -> int:
    try:
        return int(environ[name])
    except ValueError:
        raise EnvironmentIncompleteError(
            f"The environment variable {name} is {environ[name]!r}, which is no whole number. "
            "Start the experiment through Configmill, or unset its variables."
        ) from None
