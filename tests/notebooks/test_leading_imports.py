"""What is imported ahead of a notebook: installed packages that it imports before it does anything else, no more."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import IPython
import pytest

from configmill.forkserver.as_kernel import AsKernel
from configmill.forkserver.kernels import leading_imports
from tests.conftest import Project
from tests.notebooks.written import executed, write_notebook

CONFIG = "import configmill\nconfig = configmill.get_config_from_env()"


@pytest.fixture
def ahead(tmp_path: Path) -> Callable[..., list[str]]:
    """Writes the cells as a notebook in a project's folder `books`, and says which modules are imported ahead."""
    folder = tmp_path / "books"
    folder.mkdir()

    def modules_of(*sources: Any, **fields: Any) -> list[str]:
        cells = [
            source
            if isinstance(source, dict)
            else {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
            for source in sources
        ]
        content = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": cells, **fields}
        (folder / "nb.ipynb").write_text(json.dumps(content))
        return [each.module for each in leading_imports(str(folder / "nb.ipynb"), str(tmp_path), str(folder))]

    return modules_of


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["import numpy as np, pandas\nfrom rich.console import Console"], ["numpy", "pandas", "rich.console"]),
        (["import numpy", "import pandas"], ["numpy", "pandas"]),
        (["import os, sys\nimport configmill\nimport numpy"], ["numpy"]),
        (["# a comment\n\nimport numpy", "", "import pandas"], ["numpy", "pandas"]),
        (["from __future__ import annotations\nfrom numpy import *"], ["numpy"]),
        (["import numpy\nimport numpy"], ["numpy"]),
        (["%matplotlib inline\n%load_ext autoreload\n%autoreload 2\nimport numpy"], ["numpy"]),
        (["%config InlineBackend.figure_format = 'svg'\nimport numpy"], ["numpy"]),
        ([["import numpy\n", "import pandas"]], ["numpy", "pandas"]),
    ],
)
def test_imports_at_the_beginning(ahead: Callable[..., list[str]], cells: list[Any], expected: list[str]) -> None:
    """All forms of import of installed packages are found, over several cells, past what changes no import."""
    assert ahead(*cells) == expected


@pytest.mark.parametrize(
    "before",
    [
        "import os\nos.environ['A'] = '1'",
        "x = 1",
        "if True:\n    import rich",
        "try:\n    import rich\nexcept ImportError:\n    pass",
        "def f():\n    import rich",
        "print('first')",
        "%env A=1",
        "%cd /",
        "%run other.py",
        "%pip list",
        "%load_ext storemagic",
        "!pip list",
        "%%bash\necho",
        "%%time\nimport rich",
        "import rich as",
        "from . import sibling",
        "import no_such_module_anywhere",
        "import in_the_project",
        "from package_of_the_project import something",
        "import beside_the_notebook",
        "import rich; x = 1",
        "(" * 500 + ")" * 500,
        "a\0b",
    ],
)
def test_what_comes_after_another_statement_waits(ahead: Callable[..., list[str]], tmp_path: Path, before: str) -> None:
    """It may depend on that one: on a variable, on the folder, on what a module of the project does."""
    (tmp_path / "in_the_project.py").touch()
    (tmp_path / "package_of_the_project").mkdir()
    (tmp_path / "package_of_the_project" / "__init__.py").touch()
    (tmp_path / "books" / "beside_the_notebook.py").touch()
    assert "numpy" not in ahead(f"{before}\nimport numpy")
    assert "numpy" not in ahead(before, "import numpy")
    assert ahead("import numpy", before, "import pandas")[:1] == ["numpy"]
    assert "pandas" not in ahead("import numpy", before, "import pandas")


@pytest.mark.parametrize("name", ["numpy.py", "books/numpy.py", "numpy/__init__.py"])
def test_namesake_of_a_package_in_the_project(ahead: Callable[..., list[str]], tmp_path: Path, name: str) -> None:
    """A kernel finds the user's own module first, so nothing is imported in its place; nor after it."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
    assert ahead("import numpy\nimport pandas") == []


def test_folder_of_data_is_no_namesake(ahead: Callable[..., list[str]], tmp_path: Path) -> None:
    """A folder without an __init__.py gives way to an installed package."""
    (tmp_path / "numpy").mkdir()
    assert ahead("import numpy") == ["numpy"]


def test_cells_that_do_not_run_do_not_count(ahead: Callable[..., list[str]]) -> None:
    """Markdown, and code that is tagged to be skipped."""
    skipped = {"tags": ["skip-execution"]}
    cell = {"cell_type": "code", "metadata": skipped, "outputs": [], "execution_count": None, "source": "x = 1"}
    assert ahead({"cell_type": "markdown", "metadata": {}, "source": "x = 1"}, cell, "import numpy") == ["numpy"]


def test_notebook_of_an_old_format(tmp_path: Path) -> None:
    """Version 3 of the format keeps its cells elsewhere."""
    cell = {"cell_type": "code", "input": "import numpy", "language": "python", "metadata": {}, "outputs": []}
    content = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": [cell]}]}
    path = tmp_path / "nb.ipynb"
    path.write_text(json.dumps(content))
    assert [each.module for each in leading_imports(str(path), str(tmp_path), str(tmp_path))] == ["numpy"]


def test_first_plot_is_prepared(ahead: Callable[..., list[str]]) -> None:
    """What matplotlib imports at its first plot comes along, but never the backend, which looks for a shell."""
    found = ahead("import matplotlib_inline\nimport matplotlib")
    assert "matplotlib.pyplot" in found
    assert not [name for name in found if name.startswith("matplotlib_inline")]


def test_variable_set_before_an_import_takes_effect(user: Project) -> None:
    """A package that reads a variable as it is imported sees what the notebook has set; so does one that is plotted."""
    write_notebook(
        user,
        "import os\nos.environ['MPLBACKEND'] = 'svg'\nos.environ['PLOTLY_RENDERER'] = 'json'",
        "import matplotlib.pyplot as plt\nimport plotly.io",
        "print(plt.get_backend(), plotly.io.renderers.default)",
        CONFIG,
    )
    done = user.run_notebook("--start_method", "warm")
    assert done.code == 0, done
    assert executed(user, 0).printed(3) == "svg json\n"


def test_namesakes_of_what_runs_notebooks(user: Project) -> None:
    """The user's own module is imported by builder and notebook, though papermill has imported one of that name."""
    for name in ("tenacity", "colors", "requests"):
        user.write(f"{name}.py", f"WHO = 'the user\\'s {name}'")
    user.write("books/click.py", "WHO = 'beside the notebook'")
    user.write(
        "builder.py",
        """
        import configmill, tenacity

        def build():
            return [{"who": tenacity.WHO}]
        """,
    )
    write_notebook(
        user,
        CONFIG,
        "import click, colors, requests, tenacity",
        "print(config.who, tenacity.WHO, colors.WHO, requests.WHO, click.WHO, sep=', ')",
        name="books/nb.ipynb",
    )
    done = user.run_notebook("--start_method", "warm", "--publish_notebook", "--json", notebook="books/nb.ipynb")
    assert (done.code, done.summary["warnings"]) == (0, []), done
    own = [f"the user's {name}" for name in ("tenacity", "tenacity", "colors", "requests")]
    assert executed(user, 0).printed(3) == f"{', '.join([*own, 'beside the notebook'])}\n"


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("ip = get_ipython()\nip.register_magic_function(print)", "register_magic_function"),
        ("from IPython import get_ipython\nget_ipython().events.register('post_run_cell', print)", "events"),
        ("import IPython\nIPython.get_ipython().display_formatter = None", "display_formatter"),
        ("from IPython.display import HTML, display\ndisplay(HTML('shown'))", "display_formatter"),
        ("assert 'IPKernelApp' in get_ipython().config and 'ZMQ' in str(type(get_ipython()))", None),
    ],
)
def test_what_is_noticed_of_an_import(code: str, needed: str | None) -> None:
    """All use of the shell but the question of what kind it is; and afterwards there is no shell any more."""
    import ipykernel.zmqshell  # noqa: F401, what kernels import is there before

    with AsKernel() as kernel:
        kernel.pretend()
        with suppress(AttributeError):
            exec(code, {})
    assert kernel.finding == (needed and f"it needs {needed!r} of IPython's shell, which only a kernel has")
    assert IPython.get_ipython() is None
    assert not hasattr(sys, "ps1")


def test_module_that_works_on_the_shell_as_it_is_imported(user: Project) -> None:
    """There is no shell before there is a kernel: the experiments start cold, with a line that says why."""
    user.write("at_the_shell.py", "get_ipython().register_magic_function(print)")
    write_notebook(user, "import at_the_shell", CONFIG)
    done = user.run_notebook("--preload", "at_the_shell")
    assert done.code == 0, done
    needs = "it needs 'register_magic_function' of IPython's shell, which only a kernel has"
    said = f"experiments start cold, since they can't be forks: --preload 'at_the_shell' can't be imported: {needs}"
    assert said in done.out
    assert user.json(0, "attempts/1.json")["start_method"] == "cold"


def test_module_that_asks_whether_there_is_a_kernel(user: Project) -> None:
    """It gets the answer that it would get in the kernel; the shell that it keeps is the kernel's."""
    user.write(
        "asks.py",
        """
        import os, sys
        from IPython import get_ipython

        shell = get_ipython()
        IS_KERNEL = [
            type(shell).__name__, type(shell).__module__, str(shell.__class__), "IPKernelApp" in shell.config,
            hasattr(sys, "ps1"), "JPY_PARENT_PID" in os.environ, os.path.basename(os.getcwd()),
        ]
        """,
    )  # fmt: skip
    write_notebook(
        user,
        CONFIG,
        "import asks\nprint(asks.IS_KERNEL)",
        "print(asks.shell.execution_count, asks.shell.kernel is get_ipython().kernel)",
        "asks.shell.push({'pushed': 7})\nprint(pushed, asks.shell.user_ns['pushed'])",
        name="books/nb.ipynb",
    )
    seen = []
    for method, options in (("warm", ["--preload", "asks"]), ("cold", [])):
        done = user.run_notebook("--start_method", method, *options, notebook="books/nb.ipynb", dst=user.root / method)
        assert done.code == 0, done
        kept = json.loads((user.result_dir(0, user.root / method) / "nb.ipynb").read_text())
        seen.append([output["text"] for cell in kept["cells"] for output in cell["outputs"]])
    assert seen[0] == seen[1]
    assert seen[0][1:] == [["4 True\n"], ["7 7\n"]]
