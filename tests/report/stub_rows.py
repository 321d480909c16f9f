"""Rows of a campaign of any size without running it: what `write_index` reads of a Row, and the files it links to.

rows = stub_rows(directory, 1000)      # each 19th failed; of the rest loss, accuracy and nine more
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from configmill.config.encoding import leaves
from configmill.protocol.layout import CampaignDir
from configmill.store.tables import Row


def stub_campaign(path: Path, target: str = "experiments.stub:run") -> CampaignDir:
    """A campaign's directory in which nothing ran."""
    path.mkdir(parents=True)
    (path / "runs").mkdir()
    (path / "campaign.json").write_text(json.dumps({"configmill": 1, "target": target}))
    return CampaignDir(str(path))


def stub_row(
    directory: CampaignDir,
    index: int,
    *,
    config: Mapping[str, Any],
    result: Mapping[str, Any] = {},
    status: str = "succeeded",
    **record: Any,
) -> Row:
    """A Row of one attempt that took `index` / 10 seconds; `record` has the fields of its record that matter."""
    digest = hashlib.sha256(repr((index, config)).encode()).hexdigest()[:16]
    row = SimpleNamespace(
        index=index, digest=digest, dir=directory.experiment(digest), status=status, attempts=1,
        record={"status": status, "seconds": index / 10, "attempt": 1, **record},
        config=config, result=dict(result), flat_config=dict(leaves(dict(config))),
        derived_from=None, derived_keys=frozenset(),
    )  # fmt: skip
    return cast(Row, row)


def stub_rows(directory: CampaignDir, number: int) -> list[Row]:
    """Rows of a sweep over five keys, each 19th failed."""
    return [_sweep_row(directory, index, random.Random(index)) for index in range(number)]


def _sweep_row(directory: CampaignDir, index: int, chance: random.Random) -> Row:
    config = {
        "model": {"name": ("tree", "forest", "linear")[index % 3], "depth": 1 + index % 17},
        "rate": 10 ** -(index % 4), "seed": index // 51, "data": f"/data/sets/number {index % 7}.csv",
    }  # fmt: skip
    if index % 19 == 0:
        failure = {"failure_class": "code_error", "error": f"ValueError: row {index} is bad", "where": "x.py:12 in fit"}
        return stub_row(directory, index, config=config, status="failed", **failure)
    more = {f"metric_{number}": chance.gauss(0, 1) for number in range(9)}
    result = {"loss": {"test": chance.random()}, "accuracy": chance.random(), **more}
    return stub_row(directory, index, config=config, result=result)
