"""What the user asked for: the one description of a run that the command line and the Python API both fill in."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from configmill.errors import UsageError
from configmill.processes import num_cores
from configmill.protocol import energy
from configmill.protocol.resources import checked_num_gpus
from configmill.protocol.start_method import AUTO, COLD, START_METHODS

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

#: How run_experiment_stub.py starts its one experiment.
FOREGROUND = "foreground"

DEFAULT_GRACE = 3.0
DEFAULT_RETRY_BACKOFF = 2.0

#: `--gpus` with which no device is handed out: experiments see none, or whatever the environment shows.
NO_GPUS, INHERITED_GPUS = "none", "inherit"
ALL_GPUS = "auto"
DEFAULT_POLICY = "area"
#: `num_threads` that is left to the manager: a number that is known only once there is a plan.
AUTO_WIDTH = 0


@dataclass(frozen=True)
class Selection:
    """Which configs of the list to work on; all where every field is None."""

    start: int | None = None
    #: Ranges (first, last), not expanded: a user may write 0-999999999.
    ranges: tuple[tuple[int, int], ...] | None = None
    #: As the user wrote it, for messages.
    text: str = ""


@dataclass(frozen=True)
class NotebookRequest:
    """What is asked for where the target is a notebook; `cell_timeout` in seconds for each cell."""

    kernel_name: str
    allow_errors: bool = False
    cell_timeout: float | None = None
    publish: bool = False
    hide_input: bool = False
    #: Why a fork can't be the kernel; None where it can.
    cold_kernel: str | None = None

    def __post_init__(self) -> None:
        above_zero = self.cell_timeout is None or (_is_number(self.cell_timeout, 0) and self.cell_timeout > 0)
        _require(above_zero, "cell_timeout", self.cell_timeout, "a number of seconds above 0")


@dataclass(frozen=True)
class EnergyRequest:
    """What is asked for of energy; None where nobody asked. `g_per_kwh` in grams of CO2e, `pue` from 1."""

    #: Measure each experiment from its start to its end; without it the rest is for experiments' own meters.
    measure: bool = False
    backend: str = energy.AUTO
    g_per_kwh: float | None = None
    g_per_kwh_source: str | None = None
    #: A code of three letters (ISO 3166).
    country: str | None = None
    pue: float | None = None

    def __post_init__(self) -> None:
        known = ", ".join(energy.BACKENDS)
        _require(self.backend in energy.BACKENDS, "energy_backend", self.backend, f"one of {known}")
        factor = self.g_per_kwh
        _require(factor is None or _is_number(factor, 0), "carbon_g_per_kwh", factor, "a number of grams from 0")
        _require(self.pue is None or _is_number(self.pue, 1), "pue", self.pue, "a number from 1, such as 1.2")
        _require(self.country is None or _is_text(self.country), "country", self.country, "a code such as FRA")

    @classmethod
    def of(
        cls, *, measure: bool, backend: str, g_per_kwh: float | None, country: str | None, pue: float | None
    ) -> EnergyRequest | None:
        """The request, None where nothing was asked for. Raises UsageError."""
        if g_per_kwh is not None and country is not None:
            raise UsageError(
                f"--carbon_g_per_kwh {g_per_kwh!r} and --country {country!r} both say what a kWh emits. Give one of "
                "them."
            )
        asked = cls(measure=measure, backend=backend, g_per_kwh=g_per_kwh, country=country, pue=pue)
        return None if asked == cls() else asked


@dataclass(frozen=True)
class RunRequest:
    """One command. Directories are absolute, durations seconds, `num_threads` at least 1, or AUTO_WIDTH."""

    config_builder: str
    #: `module:function`, `/path/to/script.py:function` for a function of a script, or a notebook's path, relative to
    #: the project where it is inside of it.
    target: str
    dst_dir: str
    project_dir: str
    num_threads: int = 1
    selection: Selection = Selection()
    incremental: bool = True
    #: Run again what succeeded with another version of the code.
    rerun_on_code_change: bool = False
    num_retries: int = 0
    retry_backoff: float = DEFAULT_RETRY_BACKOFF
    timeout: float | None = None
    abort_on_error: bool = False
    overrides: Mapping[str, object] = field(default_factory=dict)
    clean_dst_dir: bool = False
    confirmed: bool = False
    dry_run: bool = False
    grace: float = DEFAULT_GRACE
    start_method: str = AUTO
    #: Modules that the fork server imports as well.
    preload: tuple[str, ...] = ()
    log_level: str = "INFO"
    #: Devices for each experiment that doesn't say itself, a fraction to share one; None where the command doesn't say.
    num_gpus: float | None = None
    #: Which devices may be used, as the user wrote it: auto, none, inherit, 0,1, GPU-<uuid>,... or virtual:4.
    gpus: str = ALL_GPUS
    #: MB that others may use on a device before it counts as theirs; None for the default.
    gpu_busy_memory_mb: float | None = None
    #: In which order: the name of a policy, or `module:Class`.
    policy: str = DEFAULT_POLICY
    #: After how many experiments that fail alike the others of their family don't start; None for never.
    max_failures: int | None = None
    #: A key without effect is an error of its experiment, where the experiment can tell.
    strict: bool = False
    #: None where the command says nothing about energy.
    energy: EnergyRequest | None = None
    #: None for an experiment that is a function.
    notebook: NotebookRequest | None = None
    #: The command as typed, for the run's record.
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        is_width = isinstance(self.num_threads, int) and (self.num_threads >= 1 or self.num_threads == AUTO_WIDTH)
        _require(is_width, "num_threads", self.num_threads, "1 or more")
        _require(
            isinstance(self.num_retries, int) and self.num_retries >= 0, "num_retries", self.num_retries, "0 or more"
        )
        _require(_is_number(self.retry_backoff, 0), "retry_backoff", self.retry_backoff, "a number from 0")
        _require(_is_number(self.grace, 0), "grace", self.grace, "a number of seconds from 0")
        above_zero = self.timeout is None or (_is_number(self.timeout, 0) and self.timeout > 0)
        _require(above_zero, "timeout", self.timeout, "a number of seconds above 0")
        known = (*START_METHODS, FOREGROUND)
        _require(self.start_method in known, "start_method", self.start_method, f"one of {', '.join(START_METHODS)}")
        if self.preload and self.start_method == COLD:
            raise UsageError(
                f"--preload {','.join(self.preload)!r} is for warm starts, and --start_method is 'cold'. Leave one out."
            )
        for module in self.preload:
            is_name = all(part.isidentifier() for part in module.split("."))
            _require(is_name, "preload", module, "the name of a module, such as torch")
        _require(self.log_level in LOG_LEVELS, "log_level", self.log_level, f"one of {', '.join(LOG_LEVELS)}")
        self._check_devices()

    def _check_devices(self) -> None:
        _require(_is_text(self.gpus), "gpus", self.gpus, "auto, none, inherit, 0,1, GPU-<uuid>,... or virtual:4")
        _require(_is_text(self.policy), "policy", self.policy, "the name of a policy, or module:Class")
        busy = self.gpu_busy_memory_mb
        _require(busy is None or _is_number(busy, 0), "gpu_busy_memory_mb", busy, "a number of MB from 0")
        most = self.max_failures
        above_zero = most is None or (isinstance(most, int) and not isinstance(most, bool) and most >= 1)
        _require(above_zero, "max_failures", most, "1 or more")
        if self.num_gpus is None:
            return
        is_number = isinstance(self.num_gpus, int | float)  # and not numpy's: the run's record has it as JSON
        _require(is_number, "num_gpus", self.num_gpus, "a whole number from 0, or a fraction below 1")
        asks = checked_num_gpus(self.num_gpus, "--num_gpus").most > 0
        if asks and not self.hands_out_gpus:
            why = "they see none" if self.gpus == NO_GPUS else "they are left with what the environment shows"
            raise UsageError(
                f"--num_gpus {self.num_gpus!r} asks for devices, and with --gpus {self.gpus!r} experiments get none: "
                f"{why}. Leave one out."
            )

    @property
    def hands_out_gpus(self) -> bool:
        """Whether experiments are given devices at all."""
        return self.gpus not in (NO_GPUS, INHERITED_GPUS)


def width_of(given: int | str) -> int:
    """How many run at a time: a number, "serial" for one, -1 for as many as there are cores; AUTO_WIDTH for "auto".

    Raises UsageError.
    """
    if given == "serial":
        return 1
    if given == "auto":
        return AUTO_WIDTH
    if given in (-1, "-1"):
        return num_cores()
    number = int(given) if isinstance(given, str) and given.isdecimal() else given
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise UsageError(f"--num_threads {given!r} is no number of threads. Give 1 or more, 'serial', 'auto', or -1.")
    return number


def _require(holds: bool, name: str, value: object, wanted: str) -> None:
    if not holds:
        raise UsageError(f"--{name} {value!r} can't be used. Give {wanted}.")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: object, least: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf
