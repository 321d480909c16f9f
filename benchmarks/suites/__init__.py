"""What is measured, a module for each suite. Each has `measure(settings)`, which returns a `Section`.

SUITES["noop"](Settings(rounds=5, folder=Path("/tmp/bench")))
"""

from collections.abc import Callable

from benchmarks.document import Section
from benchmarks.settings import Settings
from benchmarks.suites import devices, experiments, kernels, llm, notebooks, resume, scale

SUITES: dict[str, Callable[[Settings], Section]] = {
    "noop": experiments.measure_noop,
    "heavy": experiments.measure_heavy,
    "notebooks": notebooks.measure,
    "resume": resume.measure,
    "scale": scale.measure,
    "kernels": kernels.measure,
    "devices": devices.measure,
    "llm": llm.measure,
}
