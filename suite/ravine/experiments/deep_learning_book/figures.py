"""Figures that only this book's experiments need."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from ravine.reporting.drawing import COLORS, canvas, legend_outside, styled

_ENDS = (COLORS[5], COLORS[1], COLORS[6], "#DDDDDD")


@styled
def ends_figure(
    title: str,
    side: Float[np.ndarray, " n"],
    maps: Mapping[str, Int[np.ndarray, "n n"]],
    labels: Sequence[str],
) -> Figure:
    """Draw for every start in a square where it leads, by colour.

    Args:
        title: of the figure.
        side: coordinates along both sides.
        maps: by what is run, a number below 4 for every start, rows upwards.
        labels: of the numbers.
    """
    figure = canvas(title, labels, width=4.0 * len(maps), height=4.0)
    colors = ListedColormap(list(_ENDS[: len(labels)]))
    norm = BoundaryNorm(np.arange(len(labels) + 1) - 0.5, len(labels))
    row = figure.subplots(1, len(maps), sharey=True, squeeze=False)[0]
    for axes, (name, ends) in zip(row, maps.items(), strict=True):
        axes.pcolormesh(
            side, side, ends, cmap=colors, norm=norm, shading="nearest", rasterized=True
        )
        axes.set_title(name, loc="left")
        axes.set_aspect("equal")
        axes.grid(visible=False)
        axes.set_xlabel("$x_1$ of the start")
    row[0].set_ylabel("$x_2$ of the start")
    patches = [Patch(fc=color, ec="black", lw=0.5) for color in _ENDS[: len(labels)]]
    legend_outside(figure, patches, list(labels))
    return figure
