"""Whether the checks can run here: `python -m tests.real_gpu`, before anything is installed for them."""

from __future__ import annotations

import sys

from tests.real_gpu.host import idle_devices, refusal


def main() -> int:
    """0 and the devices' names, or 1 and the reason."""
    with idle_devices() as (devices, reason):
        if devices:
            print("Checking on " + ", ".join(f"{device.name} ({device.id})" for device in devices))
            return 0
    print(refusal(reason), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
