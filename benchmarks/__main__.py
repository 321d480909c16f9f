"""Measure Configmill beside other tools, and write benchmarks/RESULTS.md.

    python -m benchmarks                                      # all suites, five rounds: half an hour on two cores
    python -m benchmarks --suite noop --suite heavy --rounds 9
    python -m benchmarks --suite kernels --count 1000
    python -m benchmarks --quick                              # whether everything works

A run that is less than whole is printed, and written nowhere unless --output says where. Nothing is asserted: the exit
code is 0 whatever was measured. benchmarks/README.md says how it is done and what is not compared.
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.document import Section, compose
from benchmarks.machine import describe_load, describe_machine
from benchmarks.settings import Settings
from benchmarks.suites import SUITES

HERE = Path(__file__).parent
RESULTS = HERE / "RESULTS.md"
NOTES = HERE / "NOTES.md"
WHOLE_ROUNDS = 5


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options of the command line."""
    description, _, examples = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--suite", action="append", choices=SUITES, help="only this one; may be repeated")
    parser.add_argument(
        "--rounds", type=int, help=f"how often each tool is timed (default {WHOLE_ROUNDS}; 1 with --quick)"
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the items")
    parser.add_argument(
        "--count", type=int, default=100, help="how many kernels the suite `kernels` starts (default 100)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every round's figures here")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the tables go instead")
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 1 if options.quick else WHOLE_ROUNDS
    if options.rounds < 1 or options.count < 1:
        parser.error("--rounds and --count must be 1 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print each suite's tables as they are ready, and write all of them down."""
    options = parse_arguments(arguments)
    names = [name for name in SUITES if options.suite is None or name in options.suite]
    machine = describe_machine()
    started = time.monotonic()
    sections: list[Section] = []
    # Beside the checkout's own temporary files, and on a disk: a campaign is written there too.
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = Settings(options.rounds, Path(folder), options.quick, options.count)
        for name in names:
            sections.append(SUITES[name](settings))
            print(f"{sections[-1]}\n", flush=True)
    machine["load average after"] = describe_load()
    machine["rounds"] = f"{options.rounds}, in {(time.monotonic() - started) / 60:.0f} minutes"
    if options.json:
        figures = {section.name: section.figures for section in sections}
        options.json.write_text(json.dumps({"machine": machine, "suites": figures}, indent=2) + "\n")
    is_whole = names == list(SUITES) and not options.quick and options.rounds >= WHOLE_ROUNDS
    path = options.output or (RESULTS if is_whole else None)
    if path:
        path.write_text(compose(sections, machine, read_notes()))
        print(f"Written: {path}", file=sys.stderr)


def read_notes() -> str:
    """Return what was remarked by hand, without its comments."""
    text = NOTES.read_text() if NOTES.exists() else ""
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


if __name__ == "__main__":
    main()
