"""How the figures of all experiments look: their width, colours and lines.

figure = new_figure(height=3.8)
axes = figure.subplots()
tidy(axes)
"""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

TRUTH = "#3b3f46"
GRID = "#e3e5e8"


def new_figure(height: float) -> Figure:
    """Return an empty figure, 10 inches (1500 pixels) wide and `height` inches high.

    It is drawn on with matplotlib's objects, without pyplot's global state.
    """
    return Figure(figsize=(10, height), dpi=150, layout="constrained")


def tidy(axes: Axes) -> None:
    """Take away the lines that say nothing, and put a faint grid behind the rest."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
