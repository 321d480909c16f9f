"""What the manager tells of a run while it goes on: values that a reporter renders and the manager's log keeps."""

from __future__ import annotations

from dataclasses import dataclass

from configmill.protocol.outcome import Outcome


@dataclass(frozen=True)
class Planned:
    """The list is built and compared with what is there; nothing has started."""

    dst_dir: str
    total: int
    to_run: int
    skipped: int
    num_threads: int
    #: The dotted keys that vary over the list; of notebooks that are published alone, whose pages show them.
    varying: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.total} configs: {self.to_run} to run, {self.skipped} skipped, in {self.dst_dir}"


@dataclass(frozen=True)
class Started:
    """An attempt has begun."""

    index: int
    attempt: int
    log: str
    digest: str

    def __str__(self) -> str:
        return f"result_{self.index}: attempt {self.attempt} started"


@dataclass(frozen=True)
class Finished:
    """An attempt has ended; `retry_in` seconds until the next, None where it was the last."""

    index: int
    outcome: Outcome
    retry_in: float | None

    def __str__(self) -> str:
        outcome = self.outcome
        text = f"result_{self.index}: attempt {outcome.attempt} {outcome.status} after {outcome.seconds:.3g} s"
        if outcome.failure_class is not None:
            text += f" ({outcome.failure_class}): {outcome.error}"
        if outcome.where is not None:
            text += f", at {outcome.where}"
        return text if self.retry_in is None else f"{text}; next attempt in {self.retry_in:g} s"


@dataclass(frozen=True)
class Stopping:
    """Nothing new starts; `running` attempts are being ended. `again`: at once, without the grace."""

    why: str
    running: int
    again: bool

    def __str__(self) -> str:
        how = "killing" if self.again else "ending"
        return f"{self.why}: nothing new starts, {how} {self.running} running"


@dataclass(frozen=True)
class Note:
    """Something that the user should know."""

    text: str

    def __str__(self) -> str:
        return self.text


Event = Planned | Started | Finished | Stopping | Note
