"""In which order jobs start, and how far a job may be overtaken: small classes behind one Protocol.

    policy = make_policy("area")
    policy = make_policy("mine.policies:ShortestFirst")

`area` is the default. `fifo` and `easy` are what batch systems do, to compare with. docs/scheduling.md has the reasons.
"""

from __future__ import annotations

import importlib
import math
from typing import Protocol

from configmill.config.nearest import nearest_name
from configmill.errors import UsageError
from configmill.schedule.ticket import Ticket

# Measured with benchmarks/scheduling.py. Less costs makespan where predictions are wrong (0 and 1: 1.042 of the lower
# bound instead of 1.021), since room is then kept for jobs that would have found it soon. More gains nothing, and
# lengthens the longest waits of jobs that come one by one.
#: A job may be overtaken by this part of the area that waited when it came, itself included.
OVERTAKING_BY_QUEUE = 0.5
#: And by all that the capacity does in the job's expected time, times this.
OVERTAKING_BY_TIME = 1.0


class Policy(Protocol):
    """What a policy says of a job. Smaller goes first; seconds are expected ones."""

    #: Whether others may start around a job whose turn has come and that finds no room.
    backfills: bool
    #: Whether `order` puts jobs that occupy the same longest first; finding one to fill a gap is faster then.
    longest_first: bool

    def order(self, ticket: Ticket) -> float:
        """Its place among jobs of the same priority; equals go in the order in which they came."""

    def overtaking(self, ticket: Ticket, waiting_area: float) -> float:
        """By how much area (shares of the capacity times expected seconds) jobs that came later may overtake it.

        `waiting_area` is the area of the jobs that waited when it came, it and those that came with it included. Minus
        infinity: nothing overtakes it, and of several such the first in order has its turn.
        """


class Area:
    """Largest expected area first: what is hard to place is placed while there is room."""

    backfills = True
    longest_first = True

    def order(self, ticket: Ticket) -> float:
        """Seconds times devices; jobs without a device stand among themselves, by seconds."""
        return -ticket.seconds * (ticket.demand.num_gpus or 1.0)

    def overtaking(self, ticket: Ticket, waiting_area: float) -> float:
        """As much as waited before it, and some of its own size."""
        return OVERTAKING_BY_QUEUE * waiting_area + OVERTAKING_BY_TIME * ticket.seconds


class Fifo:
    """In the order in which they came: one that finds no room holds up all behind it."""

    backfills = False
    longest_first = False

    def order(self, ticket: Ticket) -> float:
        """By arrival."""
        return ticket.arrival

    def overtaking(self, ticket: Ticket, waiting_area: float) -> float:
        """Never."""
        return -math.inf


class Easy(Fifo):
    """First come first served, with backfilling around the first that finds no room (Lifka 1995)."""

    backfills = True


class Waves(Fifo):
    """Fifo in batches: the next batch starts when all of the last one has ended. Only the simulator plays it."""


#: What `--policy` takes by name.
POLICIES: dict[str, type[Policy]] = {"area": Area, "fifo": Fifo, "easy": Easy}
#: What the simulator takes besides.
SIMULATED_POLICIES: dict[str, type[Policy]] = {**POLICIES, "waves": Waves}
DEFAULT_POLICY = "area"


def make_policy(name: str, known: dict[str, type[Policy]] = POLICIES) -> Policy:
    """The policy of that name, or of a `module:Class` whose class needs no arguments. Raises UsageError."""
    if name in known:
        return known[name]()
    module_name, _, class_name = name.partition(":")
    if not module_name or not class_name:
        close = nearest_name(name, known)
        hint = f"Did you mean {close!r}?" if close else f"Take one of {', '.join(known)}, or module:Class."
        raise UsageError(f"There is no policy {name!r}. {hint}")
    try:
        found = getattr(importlib.import_module(module_name), class_name)
    except ImportError as error:
        raise UsageError(f"The policy {name!r} can't be imported: {error}. Write it as module:Class.") from error
    except AttributeError:
        raise UsageError(_no_such_class(name, module_name, class_name)) from None
    except Exception as error:
        raise UsageError(f"Importing {module_name!r} for the policy {name!r} raises {error!r}. Repair it.") from error
    return _made(name, found)


def _no_such_class(name: str, module_name: str, class_name: str) -> str:
    classes = [key for key, value in vars(importlib.import_module(module_name)).items() if isinstance(value, type)]
    close = nearest_name(class_name, classes)
    hint = f"Did you mean {module_name}:{close}?" if close else "Name a class that the module defines."
    return f"The policy {name!r}: {module_name!r} has no {class_name!r}. {hint}"


def _made(name: str, found: object) -> Policy:
    if not isinstance(found, type):
        raise UsageError(f"The policy {name!r} is no class. Name a class that needs no arguments.")
    missing = [part for part in ("order", "overtaking", "backfills", "longest_first") if not hasattr(found, part)]
    if missing:
        raise UsageError(
            f"The policy {name!r} has no {missing[0]!r}. Derive it from configmill.schedule.policies.Area."
        )
    try:
        policy: Policy = found()
    except Exception as error:
        raise UsageError(
            f"The policy {name!r} can't be made: {error}. Name a class that needs no arguments."
        ) from error
    return policy
