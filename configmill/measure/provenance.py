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


def code_hash(project_dir: str) -> str:
    """A hash (16 hex digits) over the source of every imported module that lies in the project.

    Configmill's own modules are left out, also where the project is its checkout: runs/<run>.json has the commit.
    """
    parts = []
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] == "configmill":
            continue
        path = getattr(module, "__file__", None)
        if isinstance(path, str) and path.endswith(".py") and _is_project_file(path, project_dir):
            parts.append(f"{os.path.relpath(path, project_dir)}\0{_token_of_file(path)}\0")
    return sha256_hex("".join(parts))[:16]


def _is_project_file(path: str, project_dir: str) -> bool:
    inside = os.path.abspath(path).startswith(os.path.join(project_dir, ""))
    return inside and "site-packages" not in path and not path.startswith(os.path.join(sys.prefix, ""))


def _token_of_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return source_token(file.read(), path)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return "unreadable"  # gone, half-edited or nested too deeply since it was imported


def git_state(directory: str) -> dict[str, Any] | None:
    """Commit, branch and the patch of uncommitted changes of the checkout around `directory`; None outside of one."""
    head = _git(directory, "rev-parse", "HEAD", "--abbrev-ref", "HEAD")
    if head is None:
        return None
    commit, branch = head.split()
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
