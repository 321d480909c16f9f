"""Random generators in forks: each has a stream of its own, unless user code has seeded the generator."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from configmill.child.generators import Generators
from tests.conftest import Project
from tests.processes.conftest import METHODS

EXPERIMENT = """
    import copy, random

    import numpy as np

    class Own(random.Random):
        pass

    held = {
        "python": random.Random(),
        "python's subclass": Own(),
        "python's copy": copy.deepcopy(random.Random()),
        "numpy": np.random.default_rng(),
        "numpy's old kind": np.random.RandomState(),
        "numpy, spawned": np.random.default_rng().spawn(1)[0],
        "numpy's MT19937": np.random.Generator(np.random.MT19937()),
        "numpy's SFC64": np.random.Generator(np.random.SFC64()),
    }
    seeded = {
        "python": random.Random(1),
        "python's copy": copy.deepcopy(random.Random(2)),
        "python, later": random.Random(),
        "python, state set": random.Random(),
        "numpy": np.random.default_rng(3),
        "numpy's old kind": np.random.RandomState(4),
        "numpy's old kind, later": np.random.RandomState(),
        "numpy, spawned": np.random.default_rng(5).spawn(1)[0],
        "numpy, state set": np.random.default_rng(),
        "numpy, drawn from": np.random.default_rng(6),
        "numpy's SFC64": np.random.Generator(np.random.SFC64(7)),
    }
    seeded["python, later"].seed(8)
    seeded["python, state set"].setstate(random.Random(9).getstate())
    seeded["numpy's old kind, later"].seed(10)
    seeded["numpy, state set"].bit_generator.state = np.random.default_rng(11).bit_generator.state
    seeded["numpy, drawn from"].random(1000)

    # As a library does that must not disturb what its users have.
    before = random.getstate(), np.random.get_state()
    random.seed(0); np.random.seed(0)
    random.random(); np.random.rand()
    random.setstate(before[0]); np.random.set_state(before[1])

    def run(config):
        if config.seed is not None:
            random.seed(config.seed)
            np.random.seed(config.seed)
        return {
            "shared": {"python": random.random(), "numpy": np.random.rand()},
            "held": {name: generator.random() for name, generator in held.items()},
            "spawned here": held["numpy"].spawn(1)[0].random(),
            "seeded": {name: generator.random() for name, generator in seeded.items()},
        }
    """


@pytest.fixture(scope="module")
def drawn(shared_project: Project) -> dict[str, list[dict[str, Any]]]:
    """What four experiments drew, by start method; the last two have the same seed in their configs."""
    configs = [{"n": 0, "seed": None}, {"n": 1, "seed": None}, {"n": 2, "seed": 5}, {"n": 3, "seed": 5}]
    shared_project.write("builder.py", f"def build():\n    return {configs!r}\n")
    shared_project.write("experiment.py", EXPERIMENT)
    found = {}
    for method in METHODS:
        dst = shared_project.root / method
        done = shared_project.run("--start_method", method, dst=dst)
        assert done.code == 0, done
        found[method] = [shared_project.json(index, "result.json", dst) for index in range(4)]
    return found


HELD = [
    "python", "python's subclass", "python's copy", "numpy", "numpy's old kind", "numpy, spawned", "numpy's MT19937",
    "numpy's SFC64",
]  # fmt: skip
SEEDED = [
    "python", "python's copy", "python, later", "python, state set", "numpy", "numpy's old kind",
    "numpy's old kind, later", "numpy, spawned", "numpy, state set", "numpy, drawn from", "numpy's SFC64",
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", HELD)
def test_generators_of_a_module_differ(drawn: dict[str, list[dict[str, Any]]], method: str, name: str) -> None:
    """A generator that a module made without a seed gives each experiment other numbers."""
    assert len({result["held"][name] for result in drawn[method]}) == 4


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["python", "numpy"])
def test_shared_generators_differ(drawn: dict[str, list[dict[str, Any]]], method: str, name: str) -> None:
    """random.random() and numpy.random.rand() differ, also where a module put them back as they were."""
    assert len({result["shared"][name] for result in drawn[method][:3]}) == 3


@pytest.mark.parametrize("method", METHODS)
def test_what_is_spawned_from_them_differs(drawn: dict[str, list[dict[str, Any]]], method: str) -> None:
    """What an experiment spawns from an unseeded generator of its module is its own as well."""
    assert len({result["spawned here"] for result in drawn[method]}) == 4


def test_seeds_of_configs_hold(drawn: dict[str, list[dict[str, Any]]]) -> None:
    """Two experiments with the same seed draw the same, warm and cold."""
    results = [result["shared"] for method in METHODS for result in drawn[method][2:]]
    assert results == [results[0]] * 4


@pytest.mark.parametrize("name", SEEDED)
def test_seeds_of_modules_hold(drawn: dict[str, list[dict[str, Any]]], name: str) -> None:
    """A generator that a module has seeded, or set a state of, gives all experiments the same numbers."""
    assert len({result["seeded"][name] for method in METHODS for result in drawn[method]}) == 1


@pytest.mark.parametrize("place", ["module", "builder's module", "builder"])
def test_seeds_of_the_shared_generators_hold(project: Project, place: str) -> None:
    """random.seed() and numpy.random.seed() in the module, or anywhere in the builder, hold as they do cold."""
    seeding = "import random, numpy\n{indent}random.seed(7)\n{indent}numpy.random.seed(7)\n{indent}random.random()\n"
    at_top = seeding.format(indent="")
    (project.root / "builder.py").write_text(
        (at_top if place == "builder's module" else "")
        + "def build():\n"
        + ("    " + seeding.format(indent="    ") if place == "builder" else "")
        + "    return [{'x': 1}, {'x': 2}]\n"
    )
    (project.root / "experiment.py").write_text(
        (at_top if place == "module" else "import random, numpy\n")
        + "def run(config):\n    return {'drawn': [random.random(), numpy.random.rand()]}\n"
    )
    found = []
    for method in METHODS:
        dst = project.root / method
        assert project.run("--start_method", method, dst=dst).code == 0
        assert project.json(0, "attempts/1.json", dst)["start_method"] == method
        found += [project.json(index, "result.json", dst) for index in range(2)]
    assert found == [found[0]] * 4


class TorchGenerator:
    """As much of torch's generator as is looked at."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.renewed = 0

    def initial_seed(self) -> int:
        """The seed that it was given last."""
        return self._seed

    def manual_seed(self, seed: int) -> None:
        """Seed it."""
        self._seed = seed

    def seed(self) -> None:
        """Seed it from the system's entropy."""
        self.renewed += 1


@pytest.mark.parametrize(("seeded", "renewed"), [(False, 1), (True, 0)])
def test_the_generator_of_torch(monkeypatch: pytest.MonkeyPatch, seeded: bool, renewed: int) -> None:
    """torch's own generator, which torch itself seeds from entropy, is renewed unless it was seeded since."""
    default = TorchGenerator(4237195305358915916)
    torch = types.ModuleType("torch")
    torch.default_generator = default  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    generators = Generators()
    try:
        if seeded:
            default.manual_seed(3)
    finally:
        generators.settle()
    generators.renew()
    assert default.renewed == renewed


def test_nothing_is_watched_any_more() -> None:
    """Once it is settled the functions that seed are those of their modules again."""
    import random
    import secrets

    import numpy

    before = (random.seed, random.setstate, random.Random.seed, random.Random.setstate, secrets.randbits)
    numpy_before = (numpy.random.seed, numpy.random.get_state, numpy.random.set_state)
    generators = Generators()
    assert random.seed is not before[0]
    generators.settle()
    assert (random.seed, random.setstate, random.Random.seed, random.Random.setstate, secrets.randbits) == before
    assert (numpy.random.seed, numpy.random.get_state, numpy.random.set_state) == numpy_before
