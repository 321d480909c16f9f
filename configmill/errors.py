"""The exceptions of Configmill; a class's docstring is its message where none is given.

A user's mistake is a `UsageError`: one sentence that quotes what was given, one that says what to do. The command
line turns it into exit code 2; nothing has been created by then. Everything that is neither a `ConfigmillError` nor
raised by user code is a bug in Configmill (exit code 3).
"""

from __future__ import annotations


class ConfigmillError(Exception):
    """Configmill can't go on."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    def __str__(self) -> str:
        # KeyError's own __str__ would show the message in quotes.
        return str(self.args[0])


class UsageError(ConfigmillError):
    """The command can't be carried out as given."""

    def __init__(self, message: str | None = None, *, user_traceback: str | None = None) -> None:
        super().__init__(message)
        #: The traceback of user code that raised (a builder, an import); shown only on request.
        self.user_traceback = user_traceback


class UnstableDigestError(UsageError):
    """A value of the config can't be hashed stably."""


class ConfigKeyError(ConfigmillError, KeyError, AttributeError):
    """The config has no such key."""


class ReadOnlyConfigError(ConfigmillError, TypeError):
    """The config is read-only: an experiment must not change what it is recorded to have run."""


class ConfigDriftError(ConfigmillError):
    """The config that was built here is not the one that was recorded."""


class ConfigRefusedError(ConfigmillError, ValueError):
    """The experiment can't carry out its config, however often it is tried.

    For experiments to raise, or to derive from: such a failure is never tried again.
    """


class EnvironmentIncompleteError(ConfigmillError):
    """Only some of Configmill's environment variables are set."""


class ResultError(ConfigmillError):
    """What the experiment returned or logged can't be saved as JSON."""


class CheckpointError(ConfigmillError):
    """The checkpoint can't be saved or loaded."""


class PageError(ConfigmillError):
    """The notebook can't be shown as a page."""


class Terminated(KeyboardInterrupt):
    """The experiment is asked to end (SIGTERM: Ctrl-C in the manager, a time-out, --abort_on_error).

    It derives from KeyboardInterrupt so that `except Exception` lets it pass and `finally` and teardown run, as a
    Ctrl-C in a plain script would.
    """
