"""Random generators in a fork: each fork gets a stream of its own, unless the user's code has seeded the generator.

    generators = Generators()           # before anything of the user's is imported
    ...                                 # imports
    generators.settle()                 # before the first fork
    generators.renew()                  # in each fork

A process that is started cold seeds `random`, numpy and torch from the system's entropy; forks would all go on with the
one stream of their parent. What a module (or the builder) has seeded itself, a fork finds as it was left, since a cold
process would have come by the same state.
"""

from __future__ import annotations

import sys

from configmill.child.after_import import after_import

TYPE_CHECKING = False
if TYPE_CHECKING:
    import random
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any


class Generators:
    """Knows which generators of `random`, numpy and torch nobody has seeded."""

    def __init__(self) -> None:
        #: The one behind `random.random()`, once that is imported.
        self._python: _SharedGenerator | None = None
        #: The one behind `numpy.random.rand()`, once that is imported.
        self._numpy: _SharedGenerator | None = None
        #: The seed that torch's generator began with.
        self._torch_seed: int | None = None
        #: Generators of Python's that were made without a seed, or seeded with none, by their id.
        self._own: dict[int, random.Random] = {}
        #: The entropy that numpy drew for generators that were given no seed.
        self._entropy: set[int] = set()
        self._bit_generators: list[Any] = []
        self._state: Any = None
        #: What puts a watched function back.
        self._undo: list[Callable[[], None]] = []
        self._is_settled = False
        after_import("random", self._watch_python)
        after_import("secrets", self._watch_entropy)
        after_import("numpy.random.mtrand", self._watch_numpy)
        after_import("torch", self._look_at_torch)

    def _watch_python(self) -> None:
        if self._is_settled:  # a fork that imports it has one of its own
            return
        import random

        self._python = _SharedGenerator(random, "seed", "getstate", "setstate")
        seed, setstate = random.Random.seed, random.Random.setstate

        def watched_seed(generator: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None:
                self._own[id(generator)] = generator
            else:
                self._own.pop(id(generator), None)
            seed(generator, a, version)

        def watched_setstate(generator: random.Random, state: Any) -> None:
            # A copy of one that nobody has seeded is another.
            if all(other.getstate() != state for other in self._own.values()):
                self._own.pop(id(generator), None)
            setstate(generator, state)

        def undo() -> None:
            random.Random.seed, random.Random.setstate = seed, setstate  # type: ignore[method-assign]

        random.Random.seed, random.Random.setstate = watched_seed, watched_setstate  # type: ignore[assignment,method-assign]
        self._undo.append(undo)

    def _watch_entropy(self) -> None:
        if self._is_settled:
            return
        import secrets

        randbits = secrets.randbits

        def watched_randbits(k: int) -> int:
            drawn = randbits(k)
            self._entropy.add(drawn)
            return drawn

        def undo() -> None:
            secrets.randbits = randbits

        secrets.randbits = watched_randbits  # numpy takes its entropy from here
        self._undo.append(undo)

    def _watch_numpy(self) -> None:
        if not self._is_settled:
            self._numpy = _SharedGenerator(sys.modules["numpy.random.mtrand"], "seed", "get_state", "set_state")

    def _look_at_torch(self) -> None:
        default = _default_of_torch()
        if not self._is_settled and default is not None:
            self._torch_seed = default.initial_seed()

    def settle(self) -> None:
        """Stop watching, and find numpy's generators, of which nobody keeps a list."""
        self._is_settled = True
        for undo in self._undo:
            undo()
        if self._python is not None:
            random: Any = sys.modules["random"]
            self._python.let_go(random)
            self._state = random.getstate() if self._python.is_seeded else None
        if self._numpy is not None:
            self._numpy.let_go(sys.modules["numpy.random.mtrand"], sys.modules["numpy.random"])
            self._bit_generators = self._unseeded_of_numpy()

    def _unseeded_of_numpy(self) -> list[Any]:
        import gc

        shared = sys.modules["numpy.random.mtrand"]._rand._bit_generator
        kind = sys.modules["numpy.random"].BitGenerator
        # By the type alone: to ask an object itself (isinstance does) makes lazy modules import what they stand for.
        kinds = _with_subclasses(kind)
        own = [thing for thing in gc.get_objects() if type(thing) in kinds and thing is not shared]
        unseeded = [generator for generator in own if self._is_unseeded(generator)]
        return unseeded if self._numpy is None or self._numpy.is_seeded else [shared, *unseeded]

    def _is_unseeded(self, bit_generator: Any) -> bool:
        seed_seq = bit_generator.seed_seq  # None where it was seeded as numpy did of old
        return getattr(seed_seq, "entropy", None) in self._entropy and not _was_set(bit_generator)

    def renew(self) -> None:
        """Give the generators of this fork that nobody seeded a stream of their own."""
        # `random` itself has seeded its generator in the fork.
        random: Any = sys.modules.get("random")
        if self._state is not None:
            random.setstate(self._state)
        for generator in self._own.values():
            random.Random.seed(generator)
        for bit_generator in self._bit_generators:
            _renew_numpy(bit_generator)
        default = _default_of_torch()
        if default is not None and default.initial_seed() == self._torch_seed:
            default.seed()


def _with_subclasses(kind: type) -> set[type]:
    return {kind}.union(*map(_with_subclasses, kind.__subclasses__()))


def _default_of_torch() -> Any:
    return getattr(sys.modules.get("torch"), "default_generator", None)


class _SharedGenerator:
    """Watches the functions of a module that seed the generator behind them, and that give and take its state."""

    def __init__(self, module: ModuleType, seed: str, get_state: str, set_state: str) -> None:
        self.is_seeded = False
        #: States of a time at which it was not seeded: who sets one of them again puts things back as they were.
        self._unseeded: list[Any] = []
        self._originals: dict[str, Any] = {name: getattr(module, name) for name in (seed, get_state, set_state)}
        self._watched: dict[str, Any] = {}
        original_seed, original_get, original_set = self._originals.values()

        def watched_seed(*arguments: Any, **keywords: Any) -> None:
            given = [*arguments, *keywords.values()]
            original_seed(*arguments, **keywords)
            self.is_seeded = bool(given) and given[0] is not None

        def watched_get(*arguments: Any, **keywords: Any) -> Any:
            if not self.is_seeded:
                self._unseeded.append(_comparable(original_get()))
            return original_get(*arguments, **keywords)

        def watched_set(*arguments: Any, **keywords: Any) -> None:
            original_set(*arguments, **keywords)
            self.is_seeded = _comparable(original_get()) not in self._unseeded

        self._watched = dict(zip(self._originals, (watched_seed, watched_get, watched_set), strict=True))
        for name, function in self._watched.items():
            setattr(module, name, function)

    def let_go(self, *modules: ModuleType) -> None:
        """Put the functions back where they still are the watched ones."""
        for module in modules:
            for name, function in self._watched.items():
                if getattr(module, name, None) is function:
                    setattr(module, name, self._originals[name])


def _comparable(state: Any) -> Any:
    """A state as something that can be compared: numpy's holds an array."""
    return [part.tobytes() if hasattr(part, "tobytes") else part for part in state]


def _was_set(bit_generator: Any) -> bool:
    """Whether its state is not of its seed's but was given to it; that can only be told of numpy's default kind."""
    kind = type(bit_generator)
    if kind.__name__ not in ("PCG64", "PCG64DXSM"):
        return False
    # The increment of this kind stays what it was at first.
    now, at_first = bit_generator.state["state"]["inc"], kind(bit_generator.seed_seq).state["state"]["inc"]
    return bool(now != at_first)


def _renew_numpy(bit_generator: Any) -> None:
    fresh = type(bit_generator)()
    try:  # with the seed that it can spawn others from
        bit_generator.__setstate__((fresh.state, fresh.seed_seq))
    except (TypeError, ValueError, KeyError):  # an older numpy
        bit_generator.state = fresh.state
