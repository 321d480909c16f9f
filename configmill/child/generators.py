"""Random generators in a fork: each fork gets a stream of its own, unless the user's code has seeded the generator.

    generators = Generators()           # before anything of the user's is imported
    ...                                 # imports
    generators.settle()                 # before the first fork
    generators.renew()                  # in each fork

A process that is started cold seeds `random` and numpy from the system's entropy; forks would all go on with the one
stream of their parent. What a module (or the builder) has seeded itself, a fork finds as it was left, since a cold
process would have come by the same state.
"""

from __future__ import annotations

import random
import secrets
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The seed that torch starts every process with (c10/core/GeneratorImpl.h, default_rng_seed_val).
_TORCH_DEFAULT_SEED = 67280421310721


class Generators:
    """Knows which generators of `random`, numpy and torch nobody has seeded."""

    def __init__(self) -> None:
        #: Whether the generator behind `random.random()` was seeded.
        self._seeded = False
        self._state: Any = None
        #: Generators of Python's that were made without a seed, or seeded with none, by their id.
        self._own: dict[int, random.Random] = {}
        #: The entropy that numpy drew for generators that were given no seed.
        self._entropy: set[int] = set()
        self._bit_generators: list[Any] = []
        self._originals = (random.seed, random.setstate, random.Random.seed, secrets.randbits)
        self._watch()

    def _watch(self) -> None:
        seed, setstate, seed_own, randbits = self._originals

        def watched_seed(a: Any = None, version: int = 2) -> None:
            self._seeded = a is not None
            seed(a, version)

        def watched_setstate(state: Any) -> None:
            self._seeded = True
            setstate(state)

        def watched_seed_own(generator: random.Random, a: Any = None, version: int = 2) -> None:
            if a is None and type(generator) is random.Random:
                self._own[id(generator)] = generator
            else:
                self._own.pop(id(generator), None)
            seed_own(generator, a, version)

        def watched_randbits(k: int) -> int:
            drawn = randbits(k)
            self._entropy.add(drawn)
            return drawn

        random.seed, random.setstate = watched_seed, watched_setstate
        random.Random.seed = watched_seed_own  # type: ignore[assignment,method-assign]
        secrets.randbits = watched_randbits  # numpy takes its entropy from here

    def settle(self) -> None:
        """Stop watching, and find numpy's generators, of which nobody keeps a list."""
        if random.seed is not self._originals[0]:
            random.seed, random.setstate, random.Random.seed, secrets.randbits = self._originals  # type: ignore[method-assign]
        self._state = random.getstate() if self._seeded else None
        if "numpy.random" in sys.modules or "numpy.random.mtrand" in sys.modules:
            self._bit_generators = self._unseeded_of_numpy()

    def _unseeded_of_numpy(self) -> list[Any]:
        import gc

        kind = sys.modules["numpy.random"].BitGenerator
        found = [thing for thing in gc.get_objects() if isinstance(thing, kind)]
        return [generator for generator in found if _entropy_of(generator) in self._entropy]

    def renew(self) -> None:
        """Give the generators of this fork that nobody seeded a stream of their own."""
        # `random` itself has seeded its generator in the fork.
        if self._state is not None:
            random.setstate(self._state)
        for generator in self._own.values():
            generator.seed()
        for bit_generator in self._bit_generators:
            bit_generator.state = type(bit_generator)().state
        torch = sys.modules.get("torch")
        default = getattr(torch, "default_generator", None)
        if default is not None and default.initial_seed() == _TORCH_DEFAULT_SEED:
            default.seed()


def _entropy_of(bit_generator: Any) -> object:
    """What numpy's generator was seeded with; None for one of the old kind that was seeded with a number."""
    entropy = getattr(bit_generator.seed_seq, "entropy", None)
    return entropy if isinstance(entropy, int) else None
