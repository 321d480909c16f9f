"""How many FLOPs a device can do per second at the most, by its name; and how much of that a run made use of.

    mfu(flops=4.2e15, wall_s=10.0, device_name="NVIDIA H100 80GB HBM3", precision="bfloat16", num_devices=1)

Figures are the maker's for dense matrices at the boost clock. What the table lacks is unknown: a CPU's peak depends on
clocks and vector units that its name doesn't tell.
"""

import re
from typing import Any

#: A pattern of the device's name, then FLOP/s in half precision (float16 and bfloat16) and in float32 without TF32, as
#: torch multiplies by default. From NVIDIA's data sheet of each device (GeForce: the white paper of its architecture,
#: sums in float32), halved where it says "with sparsity".
_PEAKS: tuple[tuple[str, float, float], ...] = (
    (r"B200\b", 2250.0e12, 75.0e12),
    (r"GH200\b", 989.5e12, 67.0e12),
    (r"H200 NVL", 835.5e12, 60.0e12),
    (r"H200\b", 989.5e12, 67.0e12),
    (r"H100 NVL", 835.5e12, 60.0e12),
    (r"H100 PCIe", 756.5e12, 51.2e12),
    (r"H100( SXM\d?)?( \d+GB)? HBM3\b", 989.5e12, 67.0e12),
    (r"A100", 312.0e12, 19.5e12),
    (r"V100-SXM2", 125.0e12, 15.7e12),
    (r"V100-PCIE", 112.0e12, 14.0e12),
    (r"L40S\b", 362.05e12, 91.6e12),
    (r"L40\b", 181.05e12, 90.5e12),
    (r"L4\b", 121.0e12, 30.3e12),
    (r"A40\b", 149.7e12, 37.4e12),
    (r"A30\b", 165.0e12, 10.3e12),
    (r"A10G\b", 70.0e12, 35.0e12),
    (r"A10\b", 125.0e12, 31.2e12),
    (r"RTX 6000 Ada", 364.25e12, 91.1e12),
    (r"RTX A6000\b", 154.8e12, 38.7e12),
    (r"RTX 4090(?! (D|Laptop))\b", 165.2e12, 82.6e12),
    (r"RTX 3090 Ti\b", 80.0e12, 40.0e12),
    (r"RTX 3090\b", 71.0e12, 35.6e12),
    (r"T4\b", 65.0e12, 8.1e12),
)
#: Made before bfloat16: what runs in it there is not what the figure is of.
_WITHOUT_BFLOAT16 = r"V100|T4\b"


def peak_flops_per_s(device_name: str, precision: str) -> float | None:
    """Return the peak of a device in a precision ("float32", "float16" or "bfloat16"), None where it is unknown.

    A part of a device (MIG) has a part of its peak, which the name doesn't tell exactly: unknown.
    """
    if "MIG" in device_name or (precision == "bfloat16" and re.search(_WITHOUT_BFLOAT16, device_name)):
        return None
    for pattern, half, single in _PEAKS:
        if re.search(rf"\b{pattern}", device_name):
            return {"float16": half, "bfloat16": half, "float32": single}.get(precision)
    return None


def mfu(flops: float | None, wall_s: float, device_name: str, precision: str, num_devices: int) -> dict[str, Any]:
    """Return the share of the devices' peak that was made use of: flops / (wall * peak * devices).

    None, with `mfu_reason`, where the FLOPs or the peak are unknown. Source: Chowdhery et al. (2022), "PaLM: Scaling
    Language Modeling with Pathways", appendix B.
    """
    peak = peak_flops_per_s(device_name, precision)
    if flops is None or peak is None:
        missing = "FLOPs of this model are" if flops is None else f"peak of {device_name!r} in {precision} is"
        return {"mfu": None, "mfu_reason": f"the {missing} unknown", "peak_flops_per_s": peak}
    return {"mfu": flops / (wall_s * peak * num_devices), "peak_flops_per_s": peak}
