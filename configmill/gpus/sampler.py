"""How the devices of running attempts are used over time: utilisation, memory, power and temperature.

    sampler = Sampler(Nvml(), warn=log.warning)
    sampling = sampler.begin(experiment.device_samples(1), experiment.device_use(1), grant.devices)
    ...                                       # the attempt runs
    sampler.end(sampling)                     # before its devices are given back

One thread looks at all devices that this manager has handed out: when an attempt begins, every second, and when it
ends. A device is leased by one manager at a time, so each device of the host is sampled by exactly one of them. Where
no real device is handed out there is no thread; pretended ones have no samples.

What is read is the device's: attempts that share one see each other's use in it. Samples are appended one by one, so
what was there is kept whatever ends the manager. Seeing is not running: where NVML, the device or the disk fails, the
samples end with one warning, and an attempt's end waits for the last sample for `PATIENCE_SECONDS` at most.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from configmill.files import append_line, write_json
from configmill.gpus.devices import Device
from configmill.measure.nvml import DeviceSample, NvmlError

SECONDS_BETWEEN = 1.0
#: What the last sample of an attempt may cost the hand-over of its devices; it takes a few milliseconds.
PATIENCE_SECONDS = 0.02
#: NVML may hang on a device that is sick.
_JOIN_SECONDS = 1.0

COLUMNS = ("seconds", "device", "utilisation_percent", "memory_bytes", "power_watts", "temperature_celsius")


class SampleReader(Protocol):
    """Where samples come from: NVML, or a test's stand-in."""

    def sample(self, device_id: str) -> DeviceSample:
        """How busy the device is now. Raises NvmlError."""


class _Mean:
    """A mean over time: a value stands for the time since the one before it."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._sum = self._seconds = 0.0

    def add(self, value: float | None, seconds: float) -> None:
        if value is not None:
            self._last = value
            self._sum += value * seconds
            self._seconds += seconds

    @property
    def value(self) -> float | None:
        """None without a value; of one alone it is that."""
        return round(self._sum / self._seconds, 3) if self._seconds else self._last


class _Use:
    """Peaks and means of one device over one attempt."""

    def __init__(self) -> None:
        self._samples = 0
        self._last_at = 0.0
        self._memory: int | None = None
        self._temperature: int | None = None
        self._utilisation, self._power = _Mean(), _Mean()

    def add(self, at: float, sample: DeviceSample) -> None:
        since, self._last_at = at - self._last_at, at
        self._samples += 1
        self._memory = _larger(self._memory, sample.used_bytes)
        self._temperature = _larger(self._temperature, sample.temperature)
        # The first tells of the time before the attempt: it counts where there is no other.
        self._utilisation.add(sample.utilisation, since)
        self._power.add(sample.power, since)

    def to_json(self) -> dict[str, Any]:
        return {
            "peak_memory_bytes": self._memory,
            "mean_utilisation_percent": self._utilisation.value,
            "mean_power_watts": self._power.value,
            "peak_temperature_celsius": self._temperature,
            "samples": self._samples,
        }


class Sampling:
    """One attempt whose devices are sampled, from `Sampler.begin` to `Sampler.end`; the sampler's lock guards it."""

    def __init__(self, samples_path: str, use_path: str, devices: Iterable[str], now: float) -> None:
        self.samples_path, self.use_path = samples_path, use_path
        self.began = self.next_at = now
        self.uses = {id: _Use() for id in devices}
        self.has_samples = False
        #: The attempt has ended: one sample more, now.
        self.ending = False
        self.over = False

    def add(self, at: float, samples: dict[str, DeviceSample]) -> list[str]:
        """Take in what was read of its devices at `at` (the sampler's clock); returns the lines of the file."""
        seconds = round(at - self.began, 3)
        lines = [] if self.has_samples else [",".join(COLUMNS)]
        for id, use in self.uses.items():
            if (sample := samples.get(id)) is not None:
                use.add(seconds, sample)
                values = (sample.utilisation, sample.used_bytes, sample.power, sample.temperature)
                lines.append(",".join([str(seconds), id, *("" if value is None else str(value) for value in values)]))
                self.has_samples = True
        return lines if self.has_samples else []


class Sampler:
    """Thread-safe. `warn` is told what goes wrong; `seconds_between` samples of an attempt."""

    def __init__(
        self,
        nvml: SampleReader,
        warn: Callable[[str], None],
        *,
        seconds_between: float = SECONDS_BETWEEN,
        patience: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._nvml = nvml
        self._warn = warn
        self._seconds_between = seconds_between
        self._patience = patience
        self._clock = clock
        self._changed = threading.Condition()
        self._active: list[Sampling] = []
        self._lost: set[str] = set()
        self._thread: threading.Thread | None = None
        self._closed = False

    def begin(self, samples_path: str, use_path: str, devices: Iterable[Device]) -> Sampling | None:
        """An attempt begins on `devices`; None where there is nothing to sample."""
        ids = [device.id for device in devices if device.kind != "virtual"]
        with self._changed:
            if not ids or self._closed:
                return None
            sampling = Sampling(samples_path, use_path, ids, self._clock())
            self._active.append(sampling)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="configmill-sampler", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        return sampling

    def end(self, sampling: Sampling | None) -> None:
        """The attempt has ended, and still has its devices: take a last sample, and write what it all came to."""
        if sampling is None:
            return
        with self._changed:
            sampling.ending = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: sampling.over or self._closed, self._patience)
            self._drop(sampling)
            use = {id: use.to_json() for id, use in sampling.uses.items()} if sampling.has_samples else None
        if use is not None:
            try:
                write_json(sampling.use_path, use)
            except OSError as error:  # user code may have removed the directory, or filled the disk
                self._warn(f"what an attempt used of its devices can't be written: {error}")

    def close(self) -> None:
        """End the thread; what isn't ended yet has no more samples."""
        with self._changed:
            self._closed = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                due = self._wait()
                if not due:
                    self._thread = None  # the next attempt starts another one
                    return
            try:
                self._sample(due)
            except Exception as error:  # NVML without its driver, whatever a broken library raises
                self._end(f"devices are sampled no more: {error}")
                return

    def _wait(self) -> list[Sampling]:
        """Those that are to be sampled now, once there are any; none: there is nothing left to sample."""
        while self._active and not self._closed:
            now = self._clock()
            due = [sampling for sampling in self._active if sampling.ending or sampling.next_at <= now]
            if due:
                return due
            self._changed.wait(min(sampling.next_at for sampling in self._active) - now)
        return []

    def _sample(self, due: list[Sampling]) -> None:
        """One sample of each device that any of `due` has, and a line of it for each that has the device."""
        last_of = {sampling for sampling in due if sampling.ending}
        at = self._clock()
        samples = self._read({id for sampling in due for id in sampling.uses})
        for sampling in due:
            with self._changed:
                if sampling.over:  # its end has not waited: the device may be another's by now
                    continue
                lines = sampling.add(at, samples)
                in_step = sampling.next_at + self._seconds_between
                sampling.next_at = in_step if in_step > at else at + self._seconds_between
            if lines:
                self._append(sampling, lines)
            if sampling in last_of:
                with self._changed:
                    self._drop(sampling)
                    self._changed.notify_all()

    def _read(self, ids: Iterable[str]) -> dict[str, DeviceSample]:
        samples = {}
        for id in sorted(set(ids) - self._lost):
            try:
                samples[id] = self._nvml.sample(id)
            except NvmlError as error:
                if not error.lost:
                    raise
                self._lost.add(id)
                self._warn(f"{id} is sampled no more: {error}")
        return samples

    def _append(self, sampling: Sampling, lines: list[str]) -> None:
        try:
            append_line(sampling.samples_path, "\n".join(lines))
        except OSError as error:
            with self._changed:
                self._drop(sampling)
            self._warn(f"{sampling.samples_path} has no more samples: {error}")

    def _end(self, why: str) -> None:
        with self._changed:
            self._closed = True
            self._thread = None
            self._changed.notify_all()
        self._warn(why)

    def _drop(self, sampling: Sampling) -> None:
        sampling.over = True
        if sampling in self._active:
            self._active.remove(sampling)


def _larger(a: int | None, b: int | None) -> int | None:
    return b if a is None else a if b is None else max(a, b)
