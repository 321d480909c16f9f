"""When Python looks for garbage in cycles: seldom, while much is made that stays.

    with LookedForSeldom():
        import torch
    take_as_old()               # what there is now need not be looked at to collect what comes after

By default it looks whenever there are 700 objects more, and now and then at all there are. What a notebook's server
imports are some 120,000 that stay, and a seventh of the time goes into such looks.
"""

from __future__ import annotations

import gc

TYPE_CHECKING = False  # what the fork server imports for itself makes each fork dearer
if TYPE_CHECKING:
    from types import TracebackType

_SELDOM = (100_000, 20, 100)


class LookedForSeldom:
    """So it is within; afterwards as before, or as what ran within has wanted it."""

    def __enter__(self) -> None:
        self._before = gc.get_threshold()
        gc.set_threshold(*_SELDOM)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if gc.get_threshold() == _SELDOM:
            gc.set_threshold(*self._before)


def take_as_old() -> None:
    """Have `gc.collect(1)` leave out what there is now; unlike what is frozen, `gc.get_objects` finds it."""
    gc.freeze()
    gc.unfreeze()
