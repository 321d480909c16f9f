"""What the user asked for of energy, as what each attempt is told.

request = settle_energy(request)                     # raises UsageError before anything is created
orders = energy_orders(request, exclusive=True, shared=False)
notes = energy_notes(request)                        # what the user should know before it begins
"""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

from configmill.errors import UsageError
from configmill.measure.energy.carbon import Carbon
from configmill.measure.energy.rapl import RaplCounter
from configmill.measure.energy.source import EnergyUnavailableError
from configmill.protocol.energy import AUTO, CODECARBON, NVML, RAPL, EnergyOrders
from configmill.protocol.request import RunRequest


def settle_energy(request: RunRequest) -> RunRequest:
    """The request with the factor that its country stands for. Raises UsageError for what can't be had on this host."""
    asked = request.energy
    if asked is None:
        return request
    if asked.backend == CODECARBON and not _has_codecarbon():
        raise UsageError(
            "--energy_backend 'codecarbon' needs the package codecarbon, which isn't installed. "
            "Run pip install 'configmill[llm]', or leave the backend to auto."
        )
    reason = _rapl_problem() if asked.backend == RAPL else None
    if reason is not None:
        raise UsageError(f"--energy_backend 'rapl' can't be used: {reason}. Mend that, or leave the backend to auto.")
    carbon = Carbon.of(asked.g_per_kwh, asked.country, asked.pue)
    return replace(request, energy=replace(asked, g_per_kwh=carbon.g_per_kwh, g_per_kwh_source=carbon.source))


def energy_orders(request: RunRequest, *, exclusive: bool, shared: bool) -> EnergyOrders | None:
    """What an attempt is told; None where the command says nothing about energy."""
    asked = request.energy
    if asked is None:
        return None
    return EnergyOrders(
        measure=asked.measure,
        backend=asked.backend,
        g_per_kwh=asked.g_per_kwh,
        g_per_kwh_source=asked.g_per_kwh_source,
        pue=1.0 if asked.pue is None else asked.pue,
        exclusive=exclusive,
        shared=shared,
    )


def energy_notes(request: RunRequest, num_without_gpu: int) -> list[str]:
    """That there will be no measurement, where there will be none; `num_without_gpu` experiments have no GPU."""
    asked = request.energy
    if asked is None or not asked.measure or asked.backend not in (AUTO, NVML) or not num_without_gpu:
        return []
    if asked.backend == NVML:
        return ["the energy of experiments without a GPU will not be known: nvml reads the meters of GPUs alone"]
    reason = _rapl_problem()
    if reason is None:
        return []
    if _has_codecarbon():
        return [f"the energy of experiments without a GPU is estimated by codecarbon, not measured: {reason}"]
    return [
        f"the energy of experiments without a GPU will not be known: {reason}, and codecarbon, which would estimate "
        "it, isn't installed"
    ]


def _rapl_problem() -> str | None:
    try:
        RaplCounter()
    except EnergyUnavailableError as error:
        return str(error)
    return None


def _has_codecarbon() -> bool:
    return find_spec("codecarbon") is not None
