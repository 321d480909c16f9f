"""What follows where an experiment ran out of a device's memory: it alone on a device, or a config derived from it.

    ladders = Ladders(request, plan, campaign.dir, indices)
    step = ladders.step_after(job, outcome)               # None: `resources.on_oom` has nothing (more) for it
    ladders.take(job.index, step)                         # kept on disk before anything of it starts
    for job, step in ladders.note_end(digest, outcome): ...   # what other jobs waited for

A rung is a config of its own, which other configs of the command may be, or come down to, as well: it runs once, and
all of them have its outcome.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from configmill.config.identity import identity_digest
from configmill.config.overrides import apply_overrides
from configmill.plan.plan import Plan
from configmill.protocol import status
from configmill.protocol.layout import CampaignDir
from configmill.protocol.outcome import Outcome
from configmill.protocol.request import RunRequest
from configmill.schedule.job import Job
from configmill.store.derived import note_success, note_tried
from configmill.store.experiments import is_done, last_attempt, read_outcome, read_state
from configmill.store.lineage import Rung, in_words, read_lineage, with_tried


@dataclass(frozen=True)
class Step:
    """What a job does next; without a rung it runs again as it is, alone on its device."""

    rung: Rung | None = None
    #: What came of the rung already.
    outcome: Outcome | None = None
    #: Another job of this command runs it, or will.
    waits: bool = False

    @property
    def runs(self) -> bool:
        """Whether the job itself runs next."""
        return self.outcome is None and not self.waits

    def __str__(self) -> str:
        if self.rung is None:
            return "ran out of device memory beside others: it runs again alone"
        text = f"ran out of device memory: it goes on with {in_words([self.rung])}"
        if self.waits:
            return f"{text}, which another experiment of this command runs"
        return text if self.outcome is None else f"{text}, which has been run"


class Ladders:
    """The rungs of one command's experiments. Not thread-safe: the manager's lock guards it."""

    def __init__(self, request: RunRequest, plan: Plan, campaign: CampaignDir, indices: Iterable[int]) -> None:
        self._request = request
        self._plan = plan
        self._campaign = campaign
        self._rungs: dict[int, Sequence[Rung]] = {}
        #: Where each job is, as a position in its ladder; those that are missing are at the top.
        self._at: dict[int, int] = {}
        #: Who runs what in this command, and what came of what has ended.
        self._runs = {plan.digests[index]: index for index in indices}
        self._ended: dict[str, Outcome] = {}
        self._waiting: dict[str, list[Job]] = {}
        for index in self._runs.copy().values():
            self._go_on(index)

    def rung(self, index: int) -> Rung | None:
        """The derived config that stands for the one at `index`; None: itself."""
        position = self._at.get(index, 0)
        return self._ladder(index)[position] if position else None

    def digest(self, index: int) -> str:
        """The identity of what stands for the config at `index`."""
        rung = self.rung(index)
        return self._plan.digests[index] if rung is None else rung.digest

    def step_after(self, job: Job, outcome: Outcome) -> Step | None:
        """What follows an attempt; None where it isn't for `on_oom` to say, or there is no smaller config."""
        if outcome.failure_class != status.OOM_GPU or not self._plan.resources[job.index].on_oom:
            return None
        return Step() if job.occupies.is_share else self._descend(job.index)

    def take(self, job: Job, step: Step) -> None:
        """The job does that next: what is tried is kept before any of it starts."""
        if step.rung is None:
            return
        ladder = self._ladder(job.index)
        position = ladder.index(step.rung)
        original = self._campaign.experiment(self._plan.digests[job.index])
        note_tried(original, ladder[: position + 1])
        if step.waits:  # from where it is it looks again
            self._waiting.setdefault(step.rung.digest, []).append(job)
            return
        self._at[job.index] = position
        if step.outcome is None:
            self._runs[step.rung.digest] = job.index

    def note_end(self, digest: str, outcome: Outcome) -> list[tuple[Job, Step]]:
        """There will be no other attempt at the config `digest`. Returns what the jobs do next that waited for it."""
        self._ended[digest] = outcome
        steps = ((job, self._descend(job.index)) for job in self._waiting.pop(digest, ()))
        return [(job, step) for job, step in steps if step is not None]

    def conclude(self, index: int, outcome: Outcome) -> Outcome:
        """The job is over: a success as a derived config is kept; a failure's message names all that was tried."""
        rung = self.rung(index)
        if rung is None:
            return outcome
        if outcome.succeeded:
            note_success(self._campaign.experiment(self._plan.digests[index]), rung.digest)
        if outcome.status != status.FAILED:
            return outcome
        return replace(outcome, error=with_tried(outcome.error, self._ladder(index)[: self._at[index] + 1]))

    def _descend(self, index: int) -> Step | None:
        """The next rung on which memory has not run out already."""
        failed = None
        for rung in self._ladder(index)[self._at.get(index, 0) + 1 :]:
            ended = self._ended.get(rung.digest) or self._found(rung)
            if ended is None:
                return Step(rung, waits=self._runs.get(rung.digest, index) != index)
            if ended.failure_class != status.OOM_GPU:
                return Step(rung, ended)
            failed = Step(rung, ended)
        return failed

    def _found(self, rung: Rung) -> Outcome | None:
        """A success that an earlier command left and that may be used."""
        directory = self._campaign.experiment(rung.digest)
        again = not self._request.incremental or self._request.rerun_on_code_change
        if again or rung.digest in self._runs or not is_done(directory):
            return None
        return read_outcome(directory, last_attempt(directory))

    def _go_on(self, index: int) -> None:
        """Have the job begin at the rung where an earlier command stopped.

        Where that one ran out of memory as well and was the last, or the original is to run again, it begins anew.
        """
        if not self._plan.resources[index].on_oom or not self._request.incremental:
            return
        tried = read_lineage(self._campaign.experiment(self._plan.digests[index])).tried
        digests = [rung.digest for rung in self._ladder(index)] if len(tried) > 1 else []
        if not digests or tried[-1].digest not in digests[1:]:
            return
        position = digests.index(tried[-1].digest)
        directory = self._campaign.experiment(digests[position])
        record = read_state(directory, in_use=True).record or {}
        position += record.get("failure_class") == status.OOM_GPU
        if is_done(directory) or position == len(digests) or digests[position] in self._runs:
            return
        self._at[index] = position
        self._runs[digests[position]] = index
        # Nobody runs those above any more: what others that come down to them need to know is what came of them.
        del self._runs[digests[0]]
        for digest in digests[:position]:
            passed = self._campaign.experiment(digest)
            outcome = read_outcome(passed, last_attempt(passed))
            if digest not in self._runs and outcome is not None and outcome.failure_class == status.OOM_GPU:
                self._ended[digest] = outcome
        note_tried(self._campaign.experiment(digests[0]), self._ladder(index)[: position + 1])

    def _ladder(self, index: int) -> Sequence[Rung]:
        if index not in self._rungs:
            self._rungs[index] = ladder(self._plan, self._request.target, index)
        return self._rungs[index]


def ladder(plan: Plan, target: str, index: int) -> list[Rung]:
    """The config at `index`, then those derived from it: in each all keys of `on_oom` are halved that can be."""
    remedies = plan.resources[index].on_oom
    config = plan.config(index)
    values = {remedy.key: config[remedy.key] for remedy in remedies}
    rungs = [Rung(plan.digests[index], values)]
    while True:
        halves = {remedy.key: remedy.next_value(values[remedy.key]) for remedy in remedies}
        if all(half is None for half in halves.values()):
            return rungs
        values = {key: values[key] if half is None else half for key, half in halves.items()}
        derived = plan.config(index)
        apply_overrides(derived, values, index=index)
        digest = identity_digest(target, derived)
        if any(rung.digest == digest for rung in rungs):  # a key that does not identify: nothing would be smaller
            return rungs
        rungs.append(Rung(digest, values))
