"""The notebooks that are run: three cells, the last of which draws a plot, light or with heavy imports.

    write_notebook(Path("/tmp/light.ipynb"), "light", asks_configmill=False)

Configmill's asks for its config; that of the others has its index set by papermill, or runs as it is.
"""

import json
from pathlib import Path

IMPORTS = {
    "light": "import matplotlib.pyplot as plt",
    "heavy": "import matplotlib.pyplot as plt\nimport pandas\nimport torch\nfrom transformers import AutoConfig",
}
CONFIGMILL_INDEX = "import configmill\n\nindex = configmill.get_config_from_env()['index']"
COMPUTE = "values = [(position + index) ** 2 for position in range(100)]\nprint(sum(values))"
PLOT = "plt.plot(values)\nplt.title(f'experiment {index}')\nplt.show()"

PLOT_TYPE = b"image/png"  # what is in an executed notebook, and in its page, if the plot is


def write_notebook(path: Path, work: str, *, asks_configmill: bool) -> Path:
    """Write a notebook of light or heavy work, and return its path."""
    index = CONFIGMILL_INDEX if asks_configmill else "index = 0"
    first = _code_cell("imports", f"{IMPORTS[work]}\n\n{index}", tags=["parameters"])
    return _write(path, [first, _code_cell("compute", COMPUTE), _code_cell("plot", PLOT)])


def write_trivial_notebook(path: Path) -> Path:
    """Write a notebook of one cell that does nothing: what is left is the kernel."""
    return _write(path, [_code_cell("nothing", "1 + 1")])


def _code_cell(name: str, source: str, tags: list[str] | None = None) -> dict[str, object]:
    cell = {"cell_type": "code", "id": name, "metadata": {"tags": tags or []}}
    return cell | {"execution_count": None, "outputs": [], "source": source}


def _write(path: Path, cells: list[dict[str, object]]) -> Path:
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    path.write_text(json.dumps(notebook, indent=1))
    return path
