"""Where user code failed: the last frame of a traceback that is the user's own.

It formats; it catches nothing.

    last_user_frame(error) == "/home/me/config_builders/forecasting.py:12 in build_ar_configs"
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


def last_user_frame(error: BaseException) -> str | None:
    """Return "file:line in function" of the innermost frame that is neither Configmill's nor a library's.

    Where there is none: of the innermost frame outside Configmill; else None. Of a SyntaxError in a file, the
    place of the error.
    """
    if isinstance(error, SyntaxError) and error.filename and os.path.isfile(error.filename):
        return f"{error.filename}:{error.lineno}"
    user_frame = outer_frame = None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        if not _is_ours(code.co_filename):
            outer_frame = f"{code.co_filename}:{step.tb_lineno} in {code.co_name}"
            if not _is_library(code.co_filename):
                user_frame = outer_frame
        step = step.tb_next
    return user_frame or outer_frame


def message_of(error: BaseException) -> str:
    """Return the error's message; a user's `__str__` may itself raise."""
    try:
        return str(error)
    except Exception as broken:
        return f"(its message can't be shown: {type(broken).__name__})"


def user_traceback(error: BaseException) -> str:
    """Return the formatted traceback, without Configmill's own frames at its beginning."""
    import traceback

    first = error.__traceback__
    while first is not None and _is_ours(first.tb_frame.f_code.co_filename):
        first = first.tb_next
    return "".join(traceback.format_exception(type(error), error, first))


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, "<frozen ")) or filename == _IMPORTER


def _is_library(filename: str) -> bool:
    return filename.startswith(_STANDARD_LIBRARY) or any(part in filename for part in _INSTALLED)


_IMPORTER = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "importlib", "__init__.py")
