"""argparse, as Configmill's commands use it: flags with `_` or `-`, errors as UsageErrors; and numbers among values.

Parser("configmill", "What it does.").parse(sys.argv[1:])
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import NoReturn

from configmill.config.nearest import nearest_name
from configmill.errors import UsageError


class Parser(argparse.ArgumentParser):
    """Takes each flag with underscores and with hyphens; never guesses what an abbreviated one means."""

    def __init__(self, prog: str, description: str, epilog: str | None = None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """The parsed arguments. Raises UsageError; `-h` prints the help and exits."""
        parsed, unknown = self.parse_known_args([_with_underscores(argument) for argument in arguments])
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings if flag.startswith("--")]
            given = unknown[0].partition("=")[0]
            typed = next((argument for argument in arguments if _with_underscores(argument) == unknown[0]), unknown[0])
            close = nearest_name(given, flags)
            hint = f"Did you mean {close}?" if close else f"Run {self.prog} -h for all of them."
            raise UsageError(f"There is no option {typed!r}. {hint}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print."""
        raise UsageError(f"{message[:1].upper()}{message[1:]}. Run {self.prog} -h to see how it is used.")


def _with_underscores(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    flag, equals, value = argument.partition("=")
    return flag[:2] + flag[2:].replace("-", "_") + equals + value


def whole_number(flag: str, given: str) -> int:
    """`given` as a number from 0. Raises UsageError."""
    if not given.isdecimal():
        raise UsageError(f"{flag} {given!r} is no whole number. Give one from 0, such as {flag} 3.")
    return int(given)


def number(flag: str, given: str) -> float:
    """`given` as a number; whether it is in range is the request's to say. Raises UsageError."""
    try:
        return float(given)
    except ValueError:
        raise UsageError(f"{flag} {given!r} is no number. Give one, such as {flag} 2.5.") from None
