"""In which order jobs start, and how far a job may be overtaken: small classes behind one Protocol.

    policy = make_policy("area")
    policy = make_policy("mine.policies:ShortestFirst")

`area` is the default. `fifo` and `easy` are what batch systems do, to compare with. docs/scheduling.md has the reasons.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Protocol

from configmill.config.frames import last_user_frame
from configmill.config.nearest import nearest_name
from configmill.errors import UsageError
from configmill.schedule.demand import Demand
from configmill.schedule.job import Job
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


def make_policy(
    name: str, known: dict[str, type[Policy]] = POLICIES, *, say: Callable[[str], None] | None = None
) -> Policy:
    """The policy of that name, or of a `module:Class` whose class needs no arguments.

    Raises UsageError, also for a class that can't judge two jobs. Where it fails later, `say` is told, and the rest
    goes by `area`: nothing that was started is worth less for that. Without `say` it raises UsageError then too.
    """
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
    policy = UsersPolicy(name, _made(name, found))
    for demand in (Demand(), Demand(num_gpus=1.0)):
        ticket = Ticket(Job(index=0, demand=demand), demand, arrival=0.0, seconds=1.0)
        policy.order(ticket)
        policy.overtaking(ticket, 1.0)
    policy.say = say
    return policy


class UsersPolicy:
    """A class of a user's, whose errors are told as the user's."""

    def __init__(self, name: str, policy: Policy) -> None:
        self._name = name
        self._policy = policy
        self._instead: Policy | None = None
        #: Who is told of an error, after which `area` decides; None: UsageError is raised.
        self.say: Callable[[str], None] | None = None
        self.backfills = bool(policy.backfills)
        self.longest_first = bool(policy.longest_first)

    def order(self, ticket: Ticket) -> float:
        """What the class says."""
        return self._asked(lambda policy: policy.order(ticket), "order")

    def overtaking(self, ticket: Ticket, waiting_area: float) -> float:
        """What the class says."""
        return self._asked(lambda policy: policy.overtaking(ticket, waiting_area), "overtaking")

    def _asked(self, ask: Callable[[Policy], float], what: str) -> float:
        if self._instead is not None:
            return ask(self._instead)
        try:
            answer = float(ask(self._policy))
            if math.isnan(answer):
                raise ValueError("nan is no place in an order")
            return answer
        except (Exception, SystemExit) as error:  # whatever a user's class does is the user's to hear of
            where = last_user_frame(error)
            problem = f"The policy {self._name!r} raises {error!r} in {what}()" + (f", at {where}" if where else "")
            if self.say is None:
                raise UsageError(f"{problem}. It must return a number.") from error
            self._instead = Area()
            self.say(f"{problem}: what is left goes by the policy 'area'")
            return ask(self._instead)


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
