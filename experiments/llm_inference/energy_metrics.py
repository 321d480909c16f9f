"""What a reading of energy comes to per token, request and FLOP, by the field's names and by the customers'.

    figures = energy_metrics(reading.to_json(), counts, flops=3.1e12, world_size=2)
    figures["energy_per_output_token_j"], figures["energy_method"]

Joules are those of the reading's own scope, gross unless a name says `net`. They are read once for each device and
host, so that a process has an average share and no reading of its own.
"""

from collections.abc import Mapping
from typing import Any

from experiments.llm_inference.metrics import Counts, per_process, ratio

JOULES_PER_KWH = 3.6e6
_JOULES_PER_WH = 3600.0


def energy_metrics(
    reading: Mapping[str, Any], counts: Counts, *, flops: float | None, world_size: int
) -> dict[str, Any]:
    """Return the figures of a reading (`EnergyReading.to_json()`) over a window, and what was done in this window.

    None for whatever needs a figure that the reading lacks; `energy_reason` says why it lacks it.
    """
    gross, net, seconds = (reading.get(name) for name in ("gross_joules", "net_joules", "seconds"))
    per_request = ratio(gross, counts.num_requests)
    grams = reading.get("gco2e")
    figures = {
        "energy_gross_j": gross,
        "energy_net_j": net,
        "energy_per_output_token_j": ratio(gross, counts.output_tokens),
        "energy_per_total_token_j": ratio(gross, counts.total_tokens),
        "energy_per_request_j": per_request,
        "energy_net_per_output_token_j": ratio(net, counts.output_tokens),
        "energy_net_per_total_token_j": ratio(net, counts.total_tokens),
        "energy_net_per_request_j": ratio(net, counts.num_requests),
        "energy_per_1000_requests_wh": None if per_request is None else per_request * 1000 / _JOULES_PER_WH,
        "average_power_w": ratio(gross, seconds),
        "energy_delay_product_js": None if gross is None or seconds is None else gross * seconds,
        "emissions_gco2e": grams,
        **_by_customers_names(gross, grams, counts, flops),
    }
    return {**figures, **per_process({"energy_j": gross, "emissions_gco2e": grams}, world_size), **_labels(reading)}


def _by_customers_names(
    gross: float | None, grams: float | None, counts: Counts, flops: float | None
) -> dict[str, float | None]:
    """The same figures as published tables call them. A token is an output token, a query a request."""
    kwh = None if gross is None else gross / JOULES_PER_KWH
    return {
        "energy_kwh": kwh,
        "kgCO2e": None if grams is None else grams / 1000,
        "energy_per_token_joules": ratio(gross, counts.output_tokens),
        "tokens_per_joule": ratio(counts.output_tokens, gross),
        "flops_per_joule": ratio(flops, gross),
        "queries_per_kwh": ratio(counts.num_requests, kwh),
    }


def _labels(reading: Mapping[str, Any]) -> dict[str, Any]:
    """How the joules came about: rows that differ in method or scope are not to be ranked with one another."""
    return {
        "energy_method": reading.get("method") or "none",
        **{
            f"energy_{name}": reading.get(name)
            for name in ("scope", "samples", "uncertainty", "uncertainty_source", "contended", "reason")
        },
        "energy_total_j": reading.get("total_joules"),
        "energy_total_scope": reading.get("total_scope"),
        "emissions_g_per_kwh": reading.get("g_per_kwh"),
        "emissions_g_per_kwh_source": reading.get("g_per_kwh_source"),
        "emissions_pue": reading.get("pue"),
    }
