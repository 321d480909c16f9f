"""The results of a campaign as a pandas.DataFrame.

frame = load_results("out/forecast")
frame.sort_values("mase").head()
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from configmill.store.campaign import require_campaign
from configmill.store.tables import COLUMNS, latest_rows, to_records

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
