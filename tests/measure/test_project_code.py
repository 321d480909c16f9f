"""Which files of a project count: what was imported, less what only the builder needed, and what a config names.

Each test runs a process of its own, as an experiment or a notebook's kernel would: what is imported stays imported.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from configmill.measure.provenance import UNKNOWN, code_hash, token_of_file
from tests.conftest import REPOSITORY, Project

BEGIN = """
import json, os, sys
sys.path.insert(0, os.getcwd())
from configmill.measure.provenance import ProjectCode
code = ProjectCode(os.getcwd(), leave_out=os.path.join(os.getcwd(), "out"))
"""


def counted(project: Project, program: str, **env: str) -> dict[str, str]:
    """The tokens that are printed by a process in the project's folder."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", BEGIN + textwrap.dedent(program) + "\nprint(json.dumps(code.tokens))"],
        cwd=project.root, env=project.environment(**env), capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    tokens: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return tokens


def files(project: Project, program: str, **env: str) -> list[str]:
    """The paths of the files that count after a program."""
    return list(counted(project, program, **env))


def write(project: Project, **modules: str) -> None:
    """Write top-level modules."""
    for name, text in modules.items():
        project.write(f"{name}.py", text)


def test_what_was_imported_counts(project: Project) -> None:
    """Modules of the project count, at whatever moment they were imported, each with the token of its file."""
    write(project, first="import below", below="X = 1", later="Y = 2", never="Z = 3")
    tokens = counted(project, "import first; code.look(); import later, json, decimal")
    assert tokens == {
        f"{name}.py": token_of_file(str(project.root / f"{name}.py")) for name in ("below", "first", "later")
    }
    assert all(len(token) == 16 for token in tokens.values())


BUILT = """
import experiment
code.add_module("experiment"); code.look()
import builder
code.pass_over()
"""


def test_what_only_the_builder_needs_does_not_count(project: Project) -> None:
    """Modules that were passed over don't count, unless they were imported before by what counts."""
    write(project, experiment="import shared", builder="import shared, only_here", shared="", only_here="")
    assert files(project, BUILT) == ["experiment.py", "shared.py"]


@pytest.mark.parametrize(
    "statement",
    [
        "import shared",
        "import os, shared as s",
        "from shared import VALUE",
        "import importlib; importlib.import_module('shared')",
    ],
)
def test_what_counts_may_import_it_later(project: Project, statement: str) -> None:
    """A module that the builder imported first counts where the experiment has an import for it, in a function as well.

    So does what that module imports; a module that it has no import for doesn't.
    """
    write(
        project,
        experiment=f"def run(config):\n    {statement}\n", builder="import shared, other",
        shared="VALUE = 1\ndef f():\n    import deeper\n", deeper="", other="import deeper",
    )  # fmt: skip
    assert files(project, BUILT) == ["deeper.py", "experiment.py", "shared.py"]


def test_relative_imports_lead_within_their_package(project: Project) -> None:
    """Dots are resolved by the importing module's package, and the packages above count with a module."""
    for name, text in {
        "pkg/__init__.py": "", "pkg/near.py": "", "pkg/sub/__init__.py": "def f():\n    from . import own\n",
        "pkg/sub/own.py": "", "pkg/sub/experiment.py": "def run(c):\n    from ..near import x\n",
        "near.py": "", "own.py": "",
    }.items():  # fmt: skip
        project.write(name, text)
    program = """
    import pkg.sub.experiment, pkg.near, pkg.sub.own, near, own
    code.pass_over()
    code.add_module("pkg.sub.experiment")
    """
    expected = ["pkg/__init__.py", "pkg/near.py", "pkg/sub/__init__.py", "pkg/sub/experiment.py", "pkg/sub/own.py"]
    assert files(project, program) == expected


@pytest.mark.parametrize(
    ("config", "counts"),
    [
        ("{'f': models.ar.fit}", True),
        ("{'c': [models.ar.Model]}", True),
        ("{'o': models.ar.Point(1)}", True),
        ("{'f': functools.partial(models.ar.fit, 1)}", True),
        ("{'f': lambda x: x}", False),
        ("{'m': models.ar}", True),
        ("{'target': 'models.ar.Model'}", True),
        ("{'target': 'models.ar:Model'}", True),
        ("{'module': 'models.ar'}", True),
        ("{'name': 'ar'}", False),
        ("{'name': 'models.arima'}", False),
    ],
)
def test_what_a_config_names_counts(project: Project, config: str, counts: bool) -> None:
    """The module of a function, class or object in the config counts, and one that a text names with its dots."""
    project.write("models/__init__.py", "")
    functions = "def fit(x): return Model\nclass Model: pass\n"
    project.write("models/ar.py", f"import dataclasses\n{functions}@dataclasses.dataclass\nclass Point:\n    x: int\n")
    program = f"""
    import functools, models.ar
    from configmill import Config
    from configmill.config.identity import identity_text
    code.pass_over()
    config = Config({config})
    code.add_named_in(config, identity_text("experiment:run", config))
    """
    assert ("models/ar.py" in files(project, program)) is counts


HELD = """
import functools, json, other

FACTOR = 2

def plain(x, *, k=3):
    return max(x.size, k) * 2
def reads(x):
    return x * FACTOR
def reads_inside(x):
    return [y * FACTOR for y in x]
def calls(x):
    return plain(x)
def uses(x):
    return json.dumps(x)
def imports(x):
    import other.sub
def imports_near(x):
    from . import anything
def evaluates(x):
    return eval("FACTOR")
def closed(f):
    return lambda x: f(x)
def default(x, f=reads):
    return f(x)
def recursive():
    def f(x):
        return f(x - 1)
    return f
@functools.wraps(plain)
def wrapped(x):
    return reads(x)
class Scaler:
    def plain(self, x):
        return x
"""


@pytest.mark.parametrize(
    ("value", "counts"),
    [
        ("plain", False),
        ("lambda x: x + 1", False),
        ("functools.partial(builder.plain, k=[builder.plain])", False),
        ("{'deep': [(builder.plain, 1)]}", False),
        ("builder.closed(builder.plain)", False),
        ("builder.recursive()", False),
        ("reads", True),
        ("reads_inside", True),
        ("calls", True),
        ("uses", True),
        ("imports", True),
        ("imports_near", True),
        ("evaluates", True),
        ("default", True),
        ("wrapped", True),
        ("builder.closed(builder.reads)", True),
        ("functools.partial(builder.plain, k=builder.reads)", True),
        ("[builder.plain, builder.reads]", True),
        ("builder.Scaler().plain", True),
    ],
)
def test_a_function_that_needs_nothing_else(project: Project, value: str, counts: bool) -> None:
    """The module of a function in the config counts where the function reads its globals, and only there.

    The code alone is in the config's identity: what else changes in the builder is no matter to it.
    """
    project.write("builder.py", HELD)
    project.write("other/__init__.py", "")
    project.write("other/sub.py", "")
    held = f"builder.{value}" if value.isidentifier() else value
    program = f"""
    import functools, builder
    from configmill import Config
    from configmill.config.identity import identity_text
    builder.Scaler.__configmill_digest__ = lambda self: "0"
    code.pass_over()
    config = Config({{"f": {held}}})
    code.add_named_in(config, identity_text("experiment:run", config))
    """
    assert ("builder.py" in files(project, program)) is counts


def test_a_module_of_one_word_is_no_name_in_a_text(project: Project) -> None:
    """A text in the config that is a top-level module's name by chance doesn't make it count; a reference does."""
    write(project, forecast="def f(): return f")
    program = """
    import forecast
    from configmill import Config
    from configmill.config.identity import identity_text
    code.pass_over()
    config = Config({"kind": %s})
    code.add_named_in(config, identity_text("experiment:run", config))
    """
    assert files(project, program % "'forecast'") == []
    assert files(project, program % "forecast.f") == ["forecast.py"]


def test_a_notebook_counts_with_what_its_cells_import(project: Project) -> None:
    """A notebook's own file counts, by the content that is given, and what its cells import or lies beside it.

    That includes a module that the builder has imported before the cell did.
    """
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "source": "import shared\n%time import beside"}
    content = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})
    project.write("notebooks/nb.ipynb", content.replace("beside", "edited"))
    project.write("notebooks/beside.py", "")
    write(project, builder="import shared", shared="")
    project.write("copy.ipynb", content)
    program = """
    sys.path.insert(0, os.path.join(os.getcwd(), "notebooks"))
    code.add(os.path.join(os.getcwd(), "notebooks", "nb.ipynb"), open("copy.ipynb", "rb").read())
    import builder
    code.pass_over()
    import beside, shared
    """
    tokens = counted(project, program)
    assert list(tokens) == ["notebooks/beside.py", "notebooks/nb.ipynb", "shared.py"]
    assert tokens["notebooks/nb.ipynb"] == token_of_file(str(project.root / "copy.ipynb"))
    assert tokens["notebooks/nb.ipynb"] != token_of_file(str(project.root / "notebooks/nb.ipynb"))


def test_what_is_installed_or_made_does_not_count(project: Project) -> None:
    """Modules in a virtual environment inside of the project are left out, and those in the dst_dir."""
    for folder in (".venv/lib/python3.11/site-packages", "env/lib/python3/dist-packages", "out/experiments", "outer"):
        name = f"in_{folder.split('/')[0].strip('.')}"
        project.write(f"{folder}/{name}.py", "")
    program = """
    for folder in (".venv/lib/python3.11/site-packages", "env/lib/python3/dist-packages", "out/experiments", "outer"):
        sys.path.insert(0, os.path.join(os.getcwd(), folder))
    import in_venv, in_env, in_out, in_outer
    """
    assert files(project, program) == ["outer/in_outer.py"]


def test_configmill_itself_does_not_count(tmp_path: Path) -> None:
    """Where the project is a checkout of Configmill, its own modules are left out and the others are not."""
    program = BEGIN.replace("os.getcwd()", repr(str(REPOSITORY))) + "import benchmarks.noop.experiment, configmill.api"
    done = subprocess.run(
        [sys.executable, "-P", "-c", program + "\nprint(json.dumps(code.tokens))"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    names = ["benchmarks/__init__.py", "benchmarks/noop/__init__.py", "benchmarks/noop/experiment.py"]
    assert list(json.loads(done.stdout)) == names, done.stderr


def test_a_target_outside_of_the_project_counts(project: Project, tmp_path: Path) -> None:
    """The target's module counts wherever it lies, with what is imported from its folder, by its absolute path."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "far.py").write_text("import beside_it\n")
    (elsewhere / "beside_it.py").write_text("")
    program = "import far\ncode.add_module('far')"
    path = f"{REPOSITORY}{os.pathsep}{elsewhere}"
    assert files(project, program, PYTHONPATH=path) == [str(elsewhere / "beside_it.py"), str(elsewhere / "far.py")]


def test_an_edit_before_the_look_is_not_taken_for_what_ran(project: Project) -> None:
    """A file that was changed since the last look may have been imported before that: its token is UNKNOWN.

    One that was looked at keeps the token of what was imported, and one that was removed is left out.
    """
    write(project, early="X = 1", late="X = 1", gone="X = 1")
    before = token_of_file(str(project.root / "early.py"))
    program = """
    import early
    code.look()
    import late, gone
    for name in ("early", "late"):
        with open(name + ".py", "w") as file:
            file.write("X = 2")
    os.unlink("gone.py")
    """
    assert counted(project, program) == {"early.py": before, "late.py": UNKNOWN}


def test_odd_modules_do_no_harm(project: Project) -> None:
    """Objects that raise, lazy modules (which stay unloaded), and a source that is no Python: nothing is raised."""
    write(project, lazy="raise SystemExit('loaded')", broken="X = 1")
    program = """
    import importlib.util, time
    class Odd:
        def __getattribute__(self, name):
            raise RuntimeError(name)
    class Slotted:
        __slots__ = ()
    sys.modules["odd"], sys.modules["slotted"], sys.modules["none"], sys.modules[""] = Odd(), Slotted(), None, Odd()
    spec = importlib.util.find_spec("lazy")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = sys.modules["lazy"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    import broken
    code.add(os.path.abspath("broken.txt"), b"def f(:")
    """
    assert list(counted(project, program)) == ["broken.py", "broken.txt", "lazy.py"]


def test_the_hash_is_over_names_and_tokens() -> None:
    """code_hash doesn't depend on the order, and on nothing else but names and tokens."""
    one = {"a.py": "1" * 16, "b.py": "2" * 16}
    assert code_hash(one) == code_hash(dict(reversed(one.items())))
    others = ({"a.py": "2" * 16, "b.py": "1" * 16}, {"a.py": "1" * 16}, {"c.py": "1" * 16, "b.py": "2" * 16}, {})
    assert len({code_hash(tokens) for tokens in (one, *others)}) == 5
