"""Which code ran where: the files of the project that made a result, the commit, the installed versions.

    code = ProjectCode("/home/me/project")
    ...                                     # user code is imported and runs
    code.tokens  ->  {"experiments/mine.py": "5f1c09d2a1b7c3e4"}

A token changes with what a file does: comments, white space and docstrings don't count.
"""

from __future__ import annotations

import os
import sys
import time

from configmill.config.encoding import canonical_json
from configmill.config.hashing import sha256_hex
from configmill.measure.source import UNPARSABLE, Source, read_source

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from configmill.measure.source import Import

#: The token of a file that was edited before anybody looked, and maybe after it was imported. No file has it later on.
UNKNOWN = "unknown"

MAX_PATCH_BYTES = 1_000_000
_STANDARD_LIBRARY = os.path.join(os.path.dirname(os.path.abspath(os.__file__)), "")
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class ProjectCode:
    """The files of the project that went into a result, as they were when they were imported.

    That is what was imported since this object was made (`look`), without what only the config builder needed
    (`pass_over`): what it built is in the config. A module that was passed over counts all the same where one that
    counts has an import statement for it, since importing it again leaves no trace; or where the config names it.

    The project is the directory `project_dir`, and the folder that the target was found in. Configmill's own modules
    and installed ones are left out, and what lies in `leave_out` (the dst_dir): that is made by experiments.
    """

    def __init__(self, project_dir: str, leave_out: str | None = None) -> None:
        self._project_dir = project_dir
        self._roots = [os.path.join(project_dir, "")]
        self._leave_out = () if leave_out is None else (os.path.join(leave_out, ""),)
        self._looked = time.time()
        self._seen: set[str] = set()
        self._tokens: dict[str, str] = {}
        #: The names of all modules that what counts imports, at whatever moment.
        self._named: set[str] = set()
        #: Path and content by the module's name.
        self._passed_over: dict[str, tuple[str, bytes | None]] = {}

    def look(self) -> None:
        """Count the modules that were imported since the last look."""
        for name, path, content in self._new_modules():
            self._count(path, content, _package_of(name, path))

    def pass_over(self) -> None:
        """Count the modules that were imported since the last look only where something that counts needs them."""
        for name, path, content in self._new_modules():
            self._passed_over[name] = (path, content)

    def add_module(self, name: str) -> None:
        """Count the module `name` wherever it lies, its packages, and what is imported from the same folder."""
        path = _path_of(name, sys.modules.get(name))
        if path is None or not os.path.isfile(path):
            return
        is_package = os.path.basename(path) == "__init__.py"
        folder = path
        for _ in range(name.count(".") + is_package + 1):
            folder = os.path.dirname(folder)
        self._add_root(folder)
        self._named.update(_with_packages(name))
        self._count(path, self._read(path), _package_of(name, path))

    def add(self, path: str, content: bytes | None = None) -> None:
        """Count the file at `path` (a notebook, with what its cells import), and what is imported from its folder.

        `content` is what runs, where that is known better than by reading the file now.
        """
        self._add_root(os.path.dirname(path))
        self._count(path, self._read(path) if content is None else content, "")

    def add_named_in(self, config: Mapping[str, Any], encoded: str) -> None:
        """Count those modules that a config names: a function's, class's or object's, or in a text.

        `encoded` is the config as canonical JSON. A function that reads no globals needs no module: its code is part
        of the config's identity, so that a builder with a `lambda x: 2 * x` may grow.
        """
        if '"__type__":"function"' in encoded:
            from configmill.config.held_functions import held_functions  # most configs hold none

            self_contained, needed = held_functions(config, self._passed_over)
            self._named |= needed
            for function in self_contained:
                encoded = encoded.replace(function, "")
        for name in self._passed_over:
            quoted = canonical_json(name)
            texts = [f'"module":{quoted}', f"{quoted[:-1]}.", f"{quoted[:-1]}:"]  # a text: "models.ar", "models:ar"
            if any(text in encoded for text in texts) or ("." in name and quoted in encoded):
                self._named.add(name)

    @property
    def tokens(self) -> dict[str, str]:
        """The token (16 hex digits, or UNKNOWN) of each file that counts up to now, by its path within the project."""
        self.look()
        while ready := self._named & self._passed_over.keys():
            for name in ready:
                path, content = self._passed_over.pop(name)
                self._count(path, content, _package_of(name, path))
        return {self._name_of(path): token for path, token in sorted(self._tokens.items())}

    def _new_modules(self) -> list[tuple[str, str, bytes | None]]:
        """Name, path and content of the project's modules that are new."""
        names = [name for name in list(sys.modules) if name not in self._seen]
        self._seen.update(names)
        found = []
        for name in names:
            path = _path_of(name, sys.modules.get(name))
            # What is gone again was made to be imported once; a module in an archive has no file.
            if path is not None and self._is_mine(path) and os.path.isfile(path):
                found.append((name, path, self._read(path)))
        self._looked = time.time()
        return found

    def _is_mine(self, path: str) -> bool:
        for root in self._roots:
            if path.startswith(root):
                within = path[len(root) - 1 :]
                return not path.startswith(self._leave_out) and not any(part in within for part in _INSTALLED)
        return False

    def _add_root(self, folder: str) -> None:
        root = os.path.join(folder, "")
        if not any(root.startswith(known) for known in self._roots) and not any(part in root for part in _INSTALLED):
            self._roots.append(root)

    def _read(self, path: str) -> bytes | None:
        """The file as it was when it was imported, at some moment since the last look; None where nobody knows."""
        try:
            with open(path, "rb") as file:
                # Not the time of its content's last change: that can be set, as rsync does. A clock may be wrong,
                # and what was changed in the future says nothing.
                changed = os.fstat(file.fileno()).st_ctime
                return None if self._looked < changed <= time.time() else file.read()
        except OSError:
            return None

    def _count(self, path: str, content: bytes | None, package: str) -> None:
        if path not in self._tokens:
            source = None if content is None else _parsed(path, content)
            self._tokens[path] = UNKNOWN if source is None else source.token[:16]
            for imported in source.imports if source else ():
                self._named.update(_modules_named(imported, package))

    def _name_of(self, path: str) -> str:
        return path.removeprefix(self._roots[0])


def code_hash(tokens: dict[str, str]) -> str:
    """One hash (16 hex digits) over all files and their tokens."""
    return sha256_hex("".join(sorted(f"{path}\0{token}\0" for path, token in tokens.items())))[:16]


def token_of_file(path: str) -> str | None:
    """The token (16 hex digits) of a module or notebook as it is now; None where it can't be read."""
    try:
        with open(path, "rb") as file:
            return _parsed(path, file.read()).token[:16]
    except OSError:
        return None


def _parsed(path: str, content: bytes) -> Source:
    """What is to know of a file; where it is neither Python nor a notebook, its token is over all that it holds."""
    try:
        if path.endswith(".ipynb"):
            from configmill.measure.notebook_source import read_notebook  # most experiments are none

            return read_notebook(content)
        return read_source(content, path)
    except UNPARSABLE:  # half-edited, or nested too deeply
        return Source(sha256_hex(content.decode("latin-1")), [])


def _path_of(name: str, module: object) -> str | None:
    """The source file of a module, None for Configmill's, the standard library's, and those that have none."""
    if name.partition(".")[0] == "configmill":
        return None
    try:  # past what a lazy module does when it is asked for an attribute: import whatever it stands for
        path = object.__getattribute__(module, "__dict__").get("__file__")
    except Exception:  # anything can be put into sys.modules
        return None
    if not isinstance(path, str) or not path.endswith(".py") or path.startswith(_STANDARD_LIBRARY):
        return None
    return os.path.abspath(path)


def _package_of(name: str, path: str) -> str:
    """What the dots of a relative import in the module lead to; empty where it is in no package."""
    return name if os.path.basename(path) == "__init__.py" else name.rpartition(".")[0]


def _modules_named(imported: Import, package: str) -> Iterator[str]:
    """Every module that an import statement may mean: those it names, what it takes from them, and their packages."""
    level, module, names = imported
    if level:
        parts = package.split(".")
        base = ".".join(parts[: len(parts) - level + 1])
        module = f"{base}.{module}".strip(".")
    yield from _with_packages(module)
    for name in names:
        yield f"{module}.{name}"


def _with_packages(module: str) -> Iterator[str]:
    while module:
        yield module
        module = module.rpartition(".")[0]


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
