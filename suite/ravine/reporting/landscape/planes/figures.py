"""Figures of planes: contours, surfaces, seeds side by side, eigenvalue ratios."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, Locator, LogLocator, MaxNLocator
from matplotlib.tri import Triangulation

from ravine.landscape.planes.plane import Plane
from ravine.landscape.planes.ratio import Ratios
from ravine.landscape.planes.shape import Spread
from ravine.reporting.drawing import canvas, nothing, styled

_LEVELS = 24
_WIDE = 10.0  # a ratio of high to low losses that equal steps cannot show
_GAP = "#d9d9d9"
_ACROSS = 3  # planes of different seeds beside each other


@dataclass(frozen=True, slots=True)
class Mark:
    """A point of the plane that has a name.

    Args:
        x: a.
        y: b.
        label: its name.
    """

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class _Scale:
    norm: Normalize
    levels: Float64[np.ndarray, " levels"]
    ticks: Locator
    label: str
    floor: float

    @property
    def logarithmic(self) -> bool:
        return isinstance(self.norm, LogNorm)

    def heights(self, loss: Float64[np.ndarray, "ny nx"]) -> Any:
        """What is coloured; what is not finite is masked."""
        found = np.ma.masked_invalid(loss) - self.floor
        return np.ma.maximum(found, self.levels[0]) if self.logarithmic else found


@styled
def plane_figure(plane: Plane, title: str, marks: Sequence[Mark] = ()) -> Figure:
    """Draw the loss on a plane as filled contours, with the centre and other points marked.

    Levels are logarithmic where losses range over more than a decade; cells without a finite
    loss are grey.
    """
    figure = canvas(title, width=6.2, height=5.0)
    axes = figure.subplots()
    scale = _scale([plane.loss])
    if scale is None:
        nothing(axes, "no cell has a finite loss")
        return figure
    filled = _contours(axes, plane, scale)
    _bar(figure, filled, axes, scale)
    _mark(axes, plane, marks)
    axes.set(xlabel=_axis(plane, 0), ylabel=_axis(plane, 1))
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower left", ncols=4, handlelength=1.0)
    return figure


@styled
def surface_figure(plane: Plane, title: str, marks: Sequence[Mark] = ()) -> Figure:
    """Draw the loss on a plane as a surface in three dimensions, with the same colours."""
    figure = canvas(title, width=6.6, height=5.4)
    scale = _scale([plane.loss])
    if scale is None:
        nothing(figure.subplots(), "no cell has a finite loss")
        return figure
    axes: Any = figure.add_subplot(projection="3d")

    def raised(loss: Any) -> Any:
        heights = scale.heights(np.asarray(loss, dtype=float))
        return np.ma.log10(heights) if scale.logarithmic else heights

    ny, nx = plane.loss.shape
    known = np.isfinite(plane.loss)
    whole = (known[:-1, :-1] & known[1:, :-1] & known[:-1, 1:] & known[1:, 1:]).ravel()
    corner = (np.arange(ny - 1)[:, None] * nx + np.arange(nx - 1)).ravel()[whole]
    triangles = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + nx + 1], -1),
            np.stack([corner, corner + nx + 1, corner + nx], -1),
        ]
    )
    x, y = np.meshgrid(plane.x, plane.y)
    z = raised(plane.loss)
    low, high = float(z.min()), float(z.max())
    if len(triangles):
        axes.plot_trisurf(
            Triangulation(x.ravel(), y.ravel(), triangles),
            z.filled(low).ravel(),
            cmap="viridis",
            vmin=low,
            vmax=high,
            linewidth=0.1,
            antialiased=True,
            rasterized=True,
        )
    else:
        axes.scatter(x[known], y[known], z[known], c=z[known], cmap="viridis")
    cell = plane.centre_cell
    if cell is not None and math.isfinite(plane.centre_loss):
        foot = [float(raised([[plane.centre_loss]])[0, 0])] * 2
        axes.plot([0, 0], [0, 0], [foot[0], high], color="black", lw=0.8, zorder=10)
        axes.plot([0], [0], [high], "o", ms=5, mfc="white", mec="black", zorder=11)
    for mark in marks:
        axes.plot([mark.x] * 2, [mark.y] * 2, [low, high], color="#D55E00", lw=0.9, zorder=10)
        axes.text(mark.x, mark.y, high, mark.label, fontsize=8, zorder=12)
    axes.set(xlabel=_axis(plane, 0), ylabel=_axis(plane, 1), zlabel=scale.label)
    if scale.logarithmic:
        axes.zaxis.set_major_locator(MaxNLocator(6, integer=high - low > 3))
        axes.zaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{10**value:.2g}"))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.view_init(elev=32, azim=-60)
    axes.set_box_aspect(None, zoom=0.93)
    return figure


@styled
def spread_figure(found: Spread, title: str) -> Figure:
    """Draw the planes of several seeds on one scale, and how far they differ cell by cell."""
    planes = found.planes
    count = len(planes) + 1
    across = min(_ACROSS, count)
    down = math.ceil(count / across)
    figure = canvas(title, width=2.9 * across + 1.2, height=2.7 * down + 0.7)
    every = figure.subplots(down, across, squeeze=False).ravel()
    scale = _scale([plane.loss for plane in planes])
    if scale is None:
        for axes in every:
            axes.set_axis_off()
        nothing(every[0], "no cell has a finite loss")
        return figure
    drawings = [_contours(axes, one, scale) for axes, one in zip(every, planes, strict=False)]
    for axes, plane in zip(every, planes, strict=False):
        axes.plot(0, 0, "o", ms=4, mfc="white", mec="black", mew=0.8)
        axes.set_title(f"seed {plane.seed}")
    last = every[len(planes)]
    spread = np.ma.masked_invalid(found.upper - found.lower)
    drawn = last.pcolormesh(planes[0].x, planes[0].y, spread, cmap="cividis", rasterized=True)
    last.set_facecolor(_GAP)
    last.grid(visible=False)
    _square(last, planes[0])
    last.set_title("interquartile range")
    for axes in every[count:]:
        axes.set_axis_off()
    for axes in every[:count]:
        axes.set(xlabel=_axis(planes[0], 0), ylabel=_axis(planes[0], 1))
        axes.label_outer()
    _bar(figure, drawings[0], list(every), scale)
    figure.colorbar(drawn, ax=last, location="bottom", label="range of the loss", shrink=0.9)
    return figure


@styled
def ratio_figure(found: Ratios, plane: Plane, title: str) -> Figure:
    """Draw |smallest / largest eigenvalue| on a coarse grid; cells not converged are crossed."""
    figure = canvas(title, width=6.0, height=4.8)
    axes = figure.subplots()
    shown = np.ma.masked_invalid(found.ratio)
    mesh = axes.pcolormesh(found.x, found.y, shown, cmap="cividis", vmin=0, rasterized=True)
    # beyond one, a cell curves more downwards than upwards; by how much is of no interest
    high = float(shown.max()) if shown.count() else 0.0
    mesh.set_clim(0.0, min(high, 1.0) or 1.0)
    figure.colorbar(
        mesh,
        ax=axes,
        extend="max" if high > 1 else "neither",
        label=r"$|\lambda_{min}\,/\,\lambda_{max}|$, 0 if convex",
    )
    rows, columns = np.nonzero(~found.converged)
    if len(rows):
        axes.plot(
            found.x[columns],
            found.y[rows],
            "x",
            color="white",
            mec="#D55E00",
            label="not converged",
        )
        figure.legend(loc="outside lower left")
    axes.set_facecolor(_GAP)
    axes.grid(visible=False)
    _square(axes, plane)
    axes.set(xlabel=_axis(plane, 0), ylabel=_axis(plane, 1))
    return figure


def _scale(losses: Sequence[Float64[np.ndarray, "ny nx"]]) -> _Scale | None:
    """Levels from the data: equal steps, or logarithmic ones where those show more."""
    finite = np.concatenate([loss[np.isfinite(loss)] for loss in losses])
    if not len(finite):
        return None
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        levels = np.array([low - 0.5, low, low + 0.5])
        return _Scale(Normalize(levels[0], levels[-1]), levels, MaxNLocator(3), "loss", 0.0)
    floor, label = (0.0, "loss") if low > 1e-3 * high else (low, f"loss - {low:.3g}")
    above = finite[finite > floor] - floor
    start = float(above.min()) if floor == 0.0 else float(np.quantile(above, 0.005))
    if high - floor > _WIDE * start and start > 0:
        label = "loss" if floor == 0.0 or abs(floor) < 1e-12 else label
        levels = np.geomspace(start, high - floor, _LEVELS)
        ticks = LogLocator(base=10, subs=(1.0, 2.0, 5.0) if high - floor < 100 * start else (1.0,))
        return _Scale(LogNorm(start, high - floor), levels, ticks, label, floor)
    levels = np.linspace(low, high, _LEVELS)
    return _Scale(Normalize(low, high), levels, MaxNLocator(8), "loss", 0.0)


def _contours(axes: Axes, plane: Plane, scale: _Scale) -> Any:
    shown = scale.heights(plane.loss)
    if min(plane.loss.shape) < 2:
        axes.set_axis_off()
    filled = axes.contourf(
        plane.x, plane.y, shown, levels=scale.levels, norm=scale.norm, cmap="viridis", zorder=0
    )
    # thousands of polygon corners would make the file large and nobody the wiser
    filled.set_rasterized(True)
    axes.contour(
        plane.x,
        plane.y,
        shown,
        levels=scale.levels[::2],
        colors="white",
        linewidths=0.4,
        alpha=0.5,
        negative_linestyles="solid",
        zorder=0.5,
    ).set_rasterized(True)
    axes.set_facecolor(_GAP)
    axes.grid(visible=False)
    _square(axes, plane)
    return filled


def _square(axes: Axes, plane: Plane) -> None:
    spans = (np.ptp(plane.x), np.ptp(plane.y))
    if max(spans) < 2.5 * min(spans):
        axes.set_aspect("equal")


def _bar(figure: Figure, filled: Any, axes: Any, scale: _Scale) -> None:
    bar = figure.colorbar(filled, ax=axes, label=scale.label, ticks=scale.ticks, shrink=0.9)
    bar.ax.minorticks_off()
    if scale.logarithmic:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _mark(axes: Axes, plane: Plane, marks: Sequence[Mark]) -> None:
    if not marks and plane.x[0] <= 0 <= plane.x[-1] and plane.y[0] <= 0 <= plane.y[-1]:
        axes.plot(0, 0, "o", ms=6, mfc="white", mec="black", ls="none", label="centre")
    for mark, shape in zip(marks, ("o", "s", "^", "D", "P", "X", "v") * len(marks), strict=False):
        axes.plot(
            mark.x, mark.y, shape, ms=7, mfc="white", mec="black", ls="none", label=mark.label
        )


def _axis(plane: Plane, axis: int) -> str:
    return plane.labels[axis]
