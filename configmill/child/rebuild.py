"""The config of this process, built again from the environment and held against what the manager recorded.

config = get_config_from_env()      # in a notebook or an experiment; None by hand
"""

from __future__ import annotations

import os
import sys

from configmill.child import current
from configmill.child.target import load_script
from configmill.config import Config, ConfigMeta
from configmill.config.builder import build
from configmill.config.encoding import encode
from configmill.config.identity import differing_keys, digest_of_text, identity_text
from configmill.config.overrides import apply_overrides, overrides_from_json
from configmill.errors import ConfigDriftError
from configmill.files import read_json
from configmill.protocol.attempt import Attempt

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Sequence


def get_config_from_env() -> Config | None:
    """The config that this process is to run, read-only, with `config.meta`; None where nobody started it.

    The project's directory is put first on `sys.path`. Raises EnvironmentIncompleteError where only some of the
    variables are set, ConfigDriftError where the builder makes another config than the manager recorded.
    """
    attempt = Attempt.from_env(os.environ)
    if attempt is None:
        return None
    put_first_on_path(attempt.project_dir)
    current.config = rebuild_config(attempt)
    return current.config


def put_first_on_path(project_dir: str) -> None:
    """Have modules of the user's project found first."""
    if not sys.path or sys.path[0] != project_dir:
        sys.path.insert(0, project_dir)


def rebuild_config(attempt: Attempt) -> Config:
    """Build the attempt's config, check it, and hand it out read-only."""
    load_script(attempt.target)  # saved configs may hold functions of it
    if current.code is not None and current.inherited is None:  # the fork server has looked at what it imported
        current.code.look()
    configs = _configs(attempt)
    if attempt.index >= len(configs):
        raise ConfigDriftError(
            f"{attempt.config_builder!r} builds {len(configs)} configs here, but the manager recorded one at index "
            f"{attempt.index}. {_ADVICE}"
        )
    config = configs[attempt.index]
    apply_overrides(config, overrides_from_json(attempt.overrides), index=attempt.index)
    identity = identity_text(attempt.target, config)
    if digest_of_text(identity) != attempt.digest:
        raise _drift(attempt, config)
    if current.code is not None:  # a change of the builder alone changes no result: what it built is in the identity
        current.code.pass_over()
        current.code.add_named_in(config, identity)
    config.attach_meta(meta_of(attempt))
    return config.freeze()


def _configs(attempt: Attempt) -> Sequence[Config]:
    """The builder's list: made anew, or as the fork server has built it."""
    inherited = current.inherited
    if inherited is not None and inherited.config_builder == attempt.config_builder:
        return inherited.configs
    return build(attempt.config_builder)


def meta_of(attempt: Attempt) -> ConfigMeta:
    """The experiment runner's part of a config."""
    return ConfigMeta(
        idx=attempt.index,
        digest=attempt.digest,
        attempt=attempt.number,
        dst_dir=attempt.dst_dir,
        experiment_dir=attempt.dir.path,
        checkpoint_dir=attempt.dir.checkpoints,
        project_dir=attempt.project_dir,
        config_builder=attempt.config_builder,
        gpus=attempt.gpus,
        strict=attempt.strict,
    )


_ADVICE = (
    "A builder must build the same list every time: take random numbers from a fixed seed, and nothing from the clock, "
    "the process or files that change."
)


def _drift(attempt: Attempt, config: Config) -> ConfigDriftError:
    keys = differing_keys(read_json(attempt.dir.config_json) or {}, encode(config))
    named = ", ".join(repr(key) for key in keys[:10]) or "(no key that config.json shows)"
    return ConfigDriftError(
        f"{attempt.config_builder!r} built another config at index {attempt.index} than the manager recorded; "
        f"it differs in {named}. {_ADVICE}"
    )
