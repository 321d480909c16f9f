"""The process that reads an attempt's energy: it is ready once the window is open, and answers when it is closed.

    start_python("configmill.measure.energy.process", '{"orders": ..., "stop_fd": 5, ...}', ...)

It writes a line when the window has begun, and the EnergyReading as a line of JSON once the other end of `stop_fd` is
closed. What it reads with (pynvml, codecarbon) is never imported by the minder, whose fork is the experiment. It dies
with the minder.
"""

from __future__ import annotations

import json
import os
import sys

from configmill.measure.energy.meter import EnergyMeter
from configmill.processes import die_with_parent
from configmill.protocol.energy import READY, EnergyOrders

#: Of a host that the attempt has alone, before it starts; else idle power is not idle.
IDLE_SECONDS = 2.0


def main() -> None:
    """Measure as the one argument says."""
    given = json.loads(sys.argv[1])
    die_with_parent(given["parent"])
    orders = EnergyOrders.from_json(given["orders"])
    meter = EnergyMeter.from_orders(orders, given["devices"])
    if orders.exclusive:
        meter.measure_idle(IDLE_SECONDS)
    meter.start()
    os.write(given["answer_fd"], f"{READY}\n".encode())
    os.read(given["stop_fd"], 1)  # nobody writes: it can only be closed
    reading = meter.stop()
    _write(given["answer_fd"], json.dumps(reading.to_json()) + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # nothing of codecarbon's threads is waited for


def _write(descriptor: int, text: str) -> None:
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
