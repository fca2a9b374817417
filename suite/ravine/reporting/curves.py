"""Curves over one axis, each a line or a median with a band over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ravine.reporting.drawing import (
    CROWD,
    Look,
    canvas,
    legend_outside,
    looks,
    nothing,
    plain_decades,
    styled,
)

Log = Sequence[str]
"""Which axes are logarithmic: any of "x" and "y"."""

_FEW = 100
"""A ratio of ends below which a logarithmic axis has few decades."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Values over an axis.

    Args:
        x: places, ascending.
        y: values, or a row of them for each seed; what is not finite is not drawn.
        points: whether values are marked and not joined.
    """

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, "*seeds n"]
    points: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """One plot of a figure.

    Args:
        curves: by label; a label has the same look in all panels.
        x: what is along, with its unit in brackets.
        y: what is up, with its unit in brackets.
        log: which axes are logarithmic.
        levels: horizontal lines to compare with, by what they are.
        title: above the plot; empty for none.
    """

    curves: Mapping[str, Curve]
    x: str
    y: str
    log: Log = ()
    levels: Mapping[str, float] | None = None
    title: str = ""


@styled
def curves_figure(title: str, *panels: Panel, columns: int = 1, height: float = 3.4) -> Figure:
    """Draw panels of curves with one legend.

    Args:
        title: of the figure.
        panels: in reading order.
        columns: panels beside each other.
        height: of a row of panels, inches.
    """
    labels = list(dict.fromkeys(label for panel in panels for label in panel.curves))
    levels = list(dict.fromkeys(name for panel in panels for name in panel.levels or ()))
    rows = -(-len(panels) // columns)
    beside = [] if len(labels) + len(levels) < 2 else [*labels, *levels]
    figure = canvas(title, beside, width=6.0 if columns == 1 else 4.2 * columns, height=0.4)
    figure.set_size_inches(figure.get_figwidth(), max(height * rows, figure.get_figheight()))
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    shown = looks(labels)
    handles: dict[str, Artist] = {}
    for axes, panel in zip(grid, panels, strict=False):
        _draw(axes, panel, shown)
        found, names = axes.get_legend_handles_labels()
        handles |= dict(zip(names, found, strict=True))
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    legend_outside(figure, [handles[name] for name in beside], beside)
    return figure


def _draw(axes: Axes, panel: Panel, shown: Mapping[str, Look]) -> None:
    crowded = len(panel.curves) > CROWD
    for label, curve in panel.curves.items():
        look = shown[label]
        y = np.where(np.isfinite(curve.y), curve.y, np.nan)
        rows = y.reshape(-1, y.shape[-1])
        middle = rows[0] if len(rows) == 1 else np.nanmedian(rows, axis=0)
        if curve.points:
            axes.plot(curve.x, middle, look.marker, color=look.color, ms=4, ls="", label=label)
            continue
        axes.plot(curve.x, middle, color=look.color, ls=look.dash, label=label)
        if len(rows) > 1 and not crowded:
            low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
            axes.fill_between(curve.x, low, high, color=look.color, alpha=0.15, lw=0)
    for k, (name, level) in enumerate((panel.levels or {}).items()):
        axes.axhline(level, color="#555555", ls=("-", "--", ":")[k % 3], lw=0.9, label=name)
    if not panel.curves:
        nothing(axes, "nothing to show")
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        if name in panel.log:
            axes.set(**{f"{name}scale": "log"})
            _plain_where_short(axis)
    counted = all(np.equal(np.mod(curve.x, 1), 0).all() for curve in panel.curves.values())
    if counted and "x" not in panel.log:
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel(panel.x)
    axes.set_ylabel(panel.y)
    if panel.title:
        axes.set_title(panel.title, loc="left")


def _plain_where_short(axis: Axis) -> None:
    """Plain numbers on a logarithmic axis of few decades, where powers of ten say little."""
    low, high = sorted(axis.get_view_interval())
    if high < _FEW * low:
        plain_decades(axis)
