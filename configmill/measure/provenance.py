"""Which code ran where: a hash of the project's modules, the commit, the installed versions.

code_hash("/home/me/project")  ->  "5f1c…"; comments, white space and docstrings don't count
"""

from __future__ import annotations

import os
import sys

from configmill.config.hashing import sha256_hex
from configmill.measure.source import source_token

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from typing import Any

MAX_PATCH_BYTES = 1_000_000


class ProjectCode:
    """The source of the project's modules as it was when they were imported, as far as `look` was called in time.

    Configmill's own modules are left out, also where the project is its checkout: runs/<run>.json has the commit.
    """

    def __init__(self, project_dir: str) -> None:
        self._project_dir = project_dir
        self._tokens: dict[str, str] = {}

    def look(self) -> None:
        """Take in the modules that were imported since the last look."""
        for name, module in list(sys.modules.items()):
            path = _path_of(name, module)
            if path is not None and path not in self._tokens and _is_project_file(path, self._project_dir):
                self._tokens[path] = _token_of_file(path)

    def hash(self) -> str:
        """A hash (16 hex digits) over all of it: comments, white space and docstrings don't count."""
        parts = [f"{os.path.relpath(path, self._project_dir)}\0{token}\0" for path, token in self._tokens.items()]
        return sha256_hex("".join(sorted(parts)))[:16]


def _path_of(name: str, module: object) -> str | None:
    if name.partition(".")[0] == "configmill":
        return None
    try:
        path = getattr(module, "__file__", None)
    except Exception:  # a lazy module may import whatever it stands for, and fail
        return None
    return path if isinstance(path, str) and path.endswith(".py") else None


def _is_project_file(path: str, project_dir: str) -> bool:
    inside = os.path.abspath(path).startswith(os.path.join(project_dir, ""))
    return inside and "site-packages" not in path and not path.startswith(os.path.join(sys.prefix, "lib", ""))


def _token_of_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return source_token(file.read(), path)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return "unreadable"  # gone, half-edited or nested too deeply since it was imported


def git_state(directory: str) -> dict[str, Any] | None:
    """Commit, branch and the patch of uncommitted changes of the checkout around `directory`; None outside of one."""
    head = _git(directory, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    names = (head or "").split()
    if len(names) != 2:  # not a checkout, or one without a commit
        return None
    commit, branch = names
    patch = _git(directory, "diff", "HEAD", "--no-ext-diff", "--no-color") or ""
    return {
        "commit": commit,
        "branch": branch,
        "dirty": bool(patch),
        "patch": patch if len(patch) <= MAX_PATCH_BYTES else patch[:MAX_PATCH_BYTES],
        "patch_cut": len(patch) > MAX_PATCH_BYTES,
    }


def _git(directory: str, *arguments: str) -> str | None:
    import subprocess

    command = ["git", "-C", directory, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None


def installed_versions() -> dict[str, str]:
    """Name and version of every installed package, read off the names of their metadata directories.

    `importlib.metadata` opens each package's metadata file, which takes 100 ms in a usual environment; this takes 1.
    """
    versions: dict[str, str] = {}
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")
        except OSError:
            continue
        for name in names:
            if name.endswith(".dist-info"):
                package, _, version = name.removesuffix(".dist-info").rpartition("-")
                versions.setdefault(package, version)
    return dict(sorted(versions.items()))
