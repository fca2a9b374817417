"""Figures of distances between solutions."""

from collections.abc import Sequence

from jaxtyping import Float64
from matplotlib.figure import Figure
from numpy import ndarray

from ravine.reporting.drawing import canvas, styled


@styled
def distances_figure(matrix: Float64[ndarray, "n n"], names: Sequence[str], title: str) -> Figure:
    """Draw distances of all pairs, as colours with their numbers.

    Args:
        matrix: distances, as shares.
        names: of rows and columns.
        title: of the figure.
    """
    figure = canvas(title, width=7.6, height=6.4)
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap="viridis", vmin=0.0)
    middle = matrix.max() / 2
    for i, row in enumerate(matrix):
        for j, value in enumerate(row):
            if i != j:
                ink = "white" if value < middle else "black"
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="distance / larger norm of the two", shrink=0.8)
    return figure
