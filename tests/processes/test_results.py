"""What an experiment returns and logs is kept as JSON, converted where that is exact, refused where it isn't."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.conftest import Project
from tests.processes.cases import Cases, run_cases

EXPERIMENTS = """
    import configmill

    def numpy_values(config):
        import numpy as np
        return {
            "f64": np.float64(0.1), "f32": np.float32(0.5), "i64": np.int64(7), "u8": np.uint8(255),
            "bool": np.bool_(True), "text": np.str_("a"), "array": np.arange(6).reshape(2, 3),
            "empty": np.zeros((0, 2)), "zero_d": np.array(3.5), "nan": np.float64("nan"),
            "days": np.datetime64("2026-01-31"), np.int64(3): "a numpy key",
            "nanoseconds": np.array(["2026-01-31T12:00:00"], dtype="datetime64[ns]"),
        }

    def pandas_values(config):
        import pandas as pd
        return {"series": pd.Series([1.5, 2.5]), "moment": pd.Timestamp("2026-01-31 12:00")}

    def paths_and_dates(config):
        import datetime, pathlib
        return {
            "path": pathlib.Path("plots") / "a b.png",
            "date": datetime.date(2026, 1, 31),
            "datetime": datetime.datetime(2026, 1, 31, 12, 30, tzinfo=datetime.timezone.utc),
            "time": datetime.time(12, 30),
        }

    def non_finite(config):
        return {"nan": float("nan"), "inf": float("inf"), "nested": [{"minus": float("-inf")}]}

    def nested(config):
        return {"a": {"b": {"c": (1, 2)}}, "n": None, 3: "three", True: "yes", "text": 'ü "\\u2603" \\n'}

    def enums(config):
        import enum
        return {"int": enum.IntEnum("Level", "LOW HIGH").HIGH, "str": enum.StrEnum("Kind", {"AR": "ar"}).AR}

    def a_mapping_that_is_no_dict(config):
        import types
        return types.MappingProxyType({"y": 1})

    def the_config_itself(config):
        return config

    def nothing(config):
        pass

    def an_empty_dict(config):
        return {}

    def an_object(config):
        return {"fine": 1, "metrics": {"model": object()}}

    def a_set_in_a_list(config):
        return {"folds": [1, {2, 3}]}

    def a_complex_number(config):
        import numpy as np
        return {"spectrum": np.array([1 + 2j])}

    def some_bytes(config):
        return {"blob": b"abc"}

    def a_function(config):
        return {"callback": print}

    def itself(config):
        result = {"y": 1}
        result["self"] = result
        return result

    def twice_the_same_key(config):
        return {"scores": {1: "a", "1": "b"}}

    def a_tuple_as_key(config):
        return {"scores": {(1, 2): "a"}}

    def a_number(config):
        return 0.5

    def a_list(config):
        return [1, 2]

    async def a_coroutine(config):
        return {"y": 1}

    def a_coroutine_function(config):
        return a_coroutine(config)

    def a_generator(config):
        yield {"y": 1}

    def logs_metrics(config):
        import numpy as np
        for step in range(3):
            configmill.log_metrics(step=step, loss=np.float32(0.5) / (step + 1), tag="fold")
        configmill.log_metrics(final=float("nan"))
        return {}

    def logs_metrics_at_once(config):
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(4) as pool:
            pool.map(_log_many, range(4))
        return {}

    def _log_many(worker):
        for step in range(50):
            configmill.log_metrics(step=step, worker=worker, text="x" * 5000)

    def logs_an_object(config):
        configmill.log_metrics(step=1, loss=object())

    def logs_then_dies(config):
        import os, signal
        configmill.log_metrics(step=1, loss=0.25)
        os.kill(os.getpid(), signal.SIGKILL)

    def changes_its_config(config):
        config["lr"] = 3

    def result_of_its_own(config):
        return {"status": "fine", "seconds": 12, "index": 99, "case": "mine", "a.b": 1}
    """


@pytest.fixture(scope="module")
def cases(shared_project: Project) -> Cases:
    """One command that ran all of EXPERIMENTS."""
    return run_cases(shared_project, EXPERIMENTS)


def test_numpy_is_converted(cases: Cases) -> None:
    """numpy scalars and arrays become numbers, text and nested lists of the same values."""
    result = cases.result("numpy_values")
    assert math.isnan(result.pop("nan"))
    dates = {result.pop("days"), *result.pop("nanoseconds")}
    assert len(dates) == 2
    assert result == {
        "f64": 0.1, "f32": 0.5, "i64": 7, "u8": 255, "bool": True, "text": "a", "array": [[0, 1, 2], [3, 4, 5]],
        "empty": [], "zero_d": 3.5, "3": "a numpy key",
    }  # fmt: skip
    assert type(result["bool"]) is bool


def test_numpys_dates_are_dates(cases: Cases) -> None:
    """A datetime64 of whatever unit is its ISO text, not a count of nanoseconds."""
    assert cases.result("numpy_values")["days"] == "2026-01-31"
    (moment,) = cases.result("numpy_values")["nanoseconds"]
    assert isinstance(moment, str)
    assert moment.startswith("2026-01-31T12:00:00")


def test_pandas_is_converted(cases: Cases) -> None:
    """A Series is a list, a Timestamp its ISO text."""
    assert cases.result("pandas_values") == {"series": [1.5, 2.5], "moment": "2026-01-31T12:00:00"}


def test_paths_and_dates_are_converted(cases: Cases) -> None:
    """Paths become text, dates and times ISO 8601."""
    assert cases.result("paths_and_dates") == {
        "path": "plots/a b.png",
        "date": "2026-01-31",
        "datetime": "2026-01-31T12:30:00+00:00",
        "time": "12:30:00",
    }


def test_non_finite_floats_are_kept(cases: Cases) -> None:
    """nan and both infinities come back from result.json as what they were."""
    result = cases.result("non_finite")
    assert math.isnan(result["nan"])
    assert (result["inf"], result["nested"]) == (math.inf, [{"minus": -math.inf}])


def test_nesting_is_kept(cases: Cases) -> None:
    """Nested mappings and sequences keep their shape; plain keys become text."""
    assert cases.result("nested") == {
        "a": {"b": {"c": [1, 2]}}, "n": None, "3": "three", "True": "yes", "text": 'ü "☃" \n',
    }  # fmt: skip


def test_enums_over_plain_types_are_their_values(cases: Cases) -> None:
    """IntEnum and StrEnum are the number and the text that they are."""
    assert cases.result("enums") == {"int": 2, "str": "ar"}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("a_mapping_that_is_no_dict", {"y": 1}),
        ("the_config_itself", {"case": "the_config_itself"}),
        ("nothing", {}),
        ("an_empty_dict", {}),
    ],
)
def test_any_mapping_or_none_is_a_result(cases: Cases, case: str, expected: dict[str, Any]) -> None:
    """An experiment returns a mapping of any kind, or nothing."""
    assert cases.record(case)["status"] == "succeeded"
    assert cases.result(case) == expected


@pytest.mark.parametrize(
    ("case", "key"),
    [
        ("an_object", "'metrics.model'"),
        ("a_set_in_a_list", "'folds[1]'"),
        ("a_complex_number", "'spectrum[0]'"),
        ("some_bytes", "'blob'"),
        ("a_function", "'callback'"),
        ("itself", "'self'"),
        ("twice_the_same_key", "'scores.1'"),
        ("a_tuple_as_key", "'scores'"),
    ],
)
def test_what_json_cant_hold_is_an_error_that_names_the_key(cases: Cases, case: str, key: str) -> None:
    """A result that JSON can't hold fails the experiment; the error names the key, and nothing half is left."""
    record = cases.record(case)
    assert (record["status"], record["failure_class"]) == ("failed", "code_error")
    assert key in record["error"]
    assert not (cases.dir(case) / "result.json").exists()
    assert not (cases.dir(case) / "success.txt").exists()


@pytest.mark.parametrize("case", ["a_number", "a_list", "a_coroutine_function", "a_generator"])
def test_what_is_no_mapping_is_an_error(cases: Cases, case: str) -> None:
    """A number, a list, a coroutine or a generator is no result, and the error says what would be."""
    record = cases.record(case)
    assert (record["status"], record["failure_class"]) == ("failed", "code_error")
    assert "mapping" in record["error"]


def test_an_error_in_the_result_is_explained_in_the_log(cases: Cases) -> None:
    """The log of a refused result says what to do."""
    assert "config.meta.experiment_dir" in cases.log("an_object")


def metrics(cases: Cases, case: str) -> list[dict[str, Any]]:
    """The lines of the case's metrics.jsonl."""
    return [json.loads(line) for line in (cases.dir(case) / "metrics.jsonl").read_text().splitlines()]


def test_metrics_are_lines_of_json(cases: Cases) -> None:
    """Each log_metrics call is a line with the time, the step and the values, in order."""
    lines = metrics(cases, "logs_metrics")
    assert [line["step"] for line in lines] == [0, 1, 2, None]
    assert [line["loss"] for line in lines[:3]] == pytest.approx([0.5, 0.25, 1 / 6])
    assert all(line["tag"] == "fold" for line in lines[:3])
    assert math.isnan(lines[3]["final"])
    assert sorted(line["time"] for line in lines) == [line["time"] for line in lines]


def test_metrics_of_several_processes_do_not_mix(cases: Cases) -> None:
    """Lines that processes log at the same time are whole, and none is lost."""
    lines = metrics(cases, "logs_metrics_at_once")
    for worker in range(4):
        assert [line["step"] for line in lines if line["worker"] == worker] == list(range(50))


def test_a_metric_that_json_cant_hold_names_its_key(cases: Cases) -> None:
    """log_metrics of an object fails with an error that names the key."""
    assert "loss" in cases.record("logs_an_object")["error"]
    assert cases.record("logs_an_object")["failure_class"] == "code_error"


def test_metrics_outlive_a_sigkill(cases: Cases) -> None:
    """What was logged before a SIGKILL is there."""
    (line,) = metrics(cases, "logs_then_dies")
    assert (line["step"], line["loss"]) == (1, 0.25)


def test_a_config_is_read_only(cases: Cases) -> None:
    """An experiment that changes its config fails, and the error names the key."""
    assert cases.record("changes_its_config")["failure_class"] == "code_error"
    assert "lr" in cases.record("changes_its_config")["error"]


def test_names_of_results_do_not_hide_columns(cases: Cases) -> None:
    """A metric that bears the name of a fixed column or of a config's key gets `result.` in front in results.csv."""
    shown = json.loads(cases.project.configmill("results", str(cases.dst), "--json").out.splitlines()[-1])
    row = shown["results"][cases.index("result_of_its_own")]
    assert (row["status"], row["index"], row["case"]) == (
        "succeeded",
        cases.index("result_of_its_own"),
        "result_of_its_own",
    )
    assert (row["result.status"], row["result.seconds"], row["result.index"]) == ("fine", 12, 99)
    assert (row["result.case"], row["a.b"]) == ("mine", 1)
