"""The options that ask for energy, and say what it is read from and what it emits.

add_energy(parser)
RunRequest(..., energy=energy_asked(parser.parse(arguments)))
"""

from __future__ import annotations

import argparse

from configmill.cli.parser import Parser, number
from configmill.protocol.energy import AUTO, BACKENDS
from configmill.protocol.request import EnergyRequest


def add_energy(parser: Parser) -> None:
    """The options, as a group of their own."""
    group = parser.add_argument_group("energy")
    group.add_argument(
        "--measure_energy", action="store_true",
        help="measure what each experiment uses, from its start to its end: joules and gCO2e in its record and result",
    )  # fmt: skip
    group.add_argument(
        "--energy_backend", choices=BACKENDS, default=AUTO,
        help="what to read: the GPUs' own meter (nvml), the CPU's (rapl), codecarbon's estimate, which is a model and "
        "labelled so, or the best that there is (auto, the default)",
    )  # fmt: skip
    group.add_argument("--carbon_g_per_kwh", metavar="G", help="grams of CO2e that a kWh stands for here")
    group.add_argument(
        "--country", metavar="CODE", help="take the mean of this country (FRA, DEU, ...; default: the world's mean)"
    )
    group.add_argument(
        "--pue",
        metavar="X",
        help="power usage effectiveness of the building, by which gCO2e are multiplied (default: 1)",
    )


def energy_asked(given: argparse.Namespace) -> EnergyRequest | None:
    """What the options ask for; None where none of them is given. Raises UsageError."""
    factor, pue = given.carbon_g_per_kwh, given.pue
    return EnergyRequest.of(
        measure=given.measure_energy,
        backend=given.energy_backend,
        g_per_kwh=None if factor is None else number("--carbon_g_per_kwh", factor),
        country=given.country,
        pue=None if pue is None else number("--pue", pue),
    )
