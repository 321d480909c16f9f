"""Exceptions and what they make of a command's exit code.

0 all succeeded or skipped, 1 some failed, 2 a usage error, 3 a bug in Configmill, 130/143 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

from configmill.errors import ConfigmillError, UsageError
from configmill.processes import exit_now

USAGE_ERROR = 2
BUG = 3
INTERRUPTED = 130


def exit_with(command: Callable[[Sequence[str]], int]) -> NoReturn:
    """Run `command` on the process's arguments and exit with its code, or with that of what it raised."""
    exit_now(exit_code_of(command))


def exit_code_of(command: Callable[[Sequence[str]], int]) -> int:
    """The exit code that `command` returns, or that what it raised stands for; says on stderr what went wrong."""
    _mend_streams()
    try:
        code = command(sys.argv[1:])
    except UsageError as error:
        code = _usage_error(error)
    except KeyboardInterrupt:
        _say("Interrupted before anything started; nothing was created.")
        code = INTERRUPTED
    except BrokenPipeError:
        code = 0  # whoever read our output (head, less) has had enough
    except Exception:  # the last resort: whatever it is, the user gets a file to send and code 3
        code = _bug()
    _flush_stdout()
    return code


def _mend_streams() -> None:
    """Open what whoever started us has closed, and have every path printable.

    A lock that gets descriptor 2 would end where an experiment's output is meant to go.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_stdout() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain again at its own flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _usage_error(error: UsageError) -> int:
    if error.user_traceback is not None:
        if _debugging(sys.argv):
            _say(error.user_traceback.rstrip())
        else:
            _say(f"{error} (--log_level DEBUG shows the whole traceback.)")
            return USAGE_ERROR
    _say(str(error))
    return USAGE_ERROR


def _debugging(arguments: Sequence[str]) -> bool:
    """Whether `--log_level DEBUG` is among the arguments; they may not have been parsed when an error comes."""
    flags = [argument.partition("=")[0].replace("-", "_") == "__log_level" for argument in arguments]
    values = [
        argument.partition("=")[2] or following
        for argument, following, is_flag in zip(arguments, [*arguments[1:], ""], flags, strict=True)
        if is_flag
    ]
    return "DEBUG" in (value.upper() for value in values)


def _bug() -> int:
    import tempfile  # 4 ms, with random and shutil, which only a bug needs

    from configmill.measure.provenance import installed_versions

    error = sys.exc_info()[1]
    with tempfile.NamedTemporaryFile("w", prefix="configmill-error-", suffix=".txt", delete=False) as file:
        file.write(f"{traceback.format_exc()}\ncommand: {sys.argv}\npython: {sys.version}\n")
        file.writelines(f"{package} {version}\n" for package, version in installed_versions().items())
    if isinstance(error, OSError | ConfigmillError):
        _say(f"Configmill could not go on: {error}. Nothing that was finished is lost; details are in {file.name}.")
    else:
        _say(f"This is a bug in Configmill ({error!r}). Please report it with the file {file.name}.")
    return BUG


def _say(text: str) -> None:
    print(text, file=sys.stderr)
