"""The results of a campaign as a pandas.DataFrame, and the configs that it ran.

frame = load_results("out/forecast")
frame.sort_values("mase").head()
configs = load_configs("out/forecast")       # as they ran: configs[frame["index"][0]]
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from configmill.config import ConfigList
from configmill.config.encoding import decode
from configmill.files import read_json_of_experiment
from configmill.store.campaign import require_campaign
from configmill.store.tables import COLUMNS, latest_list, latest_rows, to_records

if TYPE_CHECKING:
    import pandas as pd


def load_results(dst_dir: str | os.PathLike[str]) -> pd.DataFrame:
    """A row per config of the last command's list: index, digest, status, attempts, seconds, what varies, metrics.

    Raises UsageError where `dst_dir` isn't Configmill's.
    """
    import pandas as pd  # 0.4 s: only for who asks for a frame

    directory = require_campaign(os.fspath(dst_dir))
    records = to_records(latest_rows(directory))
    return pd.DataFrame(records, columns=list(records[0]) if records else list(COLUMNS))


def load_configs(dst_dir: str | os.PathLike[str]) -> ConfigList:
    """The configs of the last command's list, overrides applied, in its order.

    One that is on no disk (its command was killed before it came to it) is left out. Raises UsageError where `dst_dir`
    isn't Configmill's, and for a config with a value that JSON can only name, such as a lambda.
    """
    directory = require_campaign(os.fspath(dst_dir))
    latest = latest_list(directory)
    pending = latest.get("pending") or {}
    kept = (
        read_json_of_experiment(directory.experiment(digest).config_json) or pending.get(str(index))
        for index, digest in enumerate(latest.get("experiments", ()))
    )
    return ConfigList(decode(config) for config in kept if config is not None)
