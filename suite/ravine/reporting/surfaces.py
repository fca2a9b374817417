"""Pictures of test problems: the surface over its domain, with what is known of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize, SymLogNorm
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import Locator, LogLocator, MaxNLocator, SymmetricalLogLocator

from ravine.problems.analytic import Analytic, Interval
from ravine.problems.base import Kind
from ravine.reporting.drawing import canvas, nothing, styled

POINTS = 301
"""Along each side of the grid."""

_LEVELS = 24
_WIDE = 20.0  # a ratio of high to low parts of a surface that equal steps cannot show
_NUMBERS = 10_000_000  # coordinates in one stack

_MARKS = {
    Kind.MINIMUM: ("*", "#ffffff", 13.0),
    Kind.SADDLE: ("X", "#E69F00", 8.5),
    Kind.MAXIMUM: ("^", "#D55E00", 8.5),
    Kind.DEGENERATE: ("D", "#CC79A7", 7.0),
}


@dataclass(frozen=True, slots=True)
class _View:
    """The coordinates that a picture shows, and the point it passes through."""

    intervals: tuple[Interval, ...]
    base: tuple[float, ...]
    note: str


@dataclass(frozen=True, slots=True)
class _Heights:
    """What is coloured, and by which levels."""

    values: Float64[np.ndarray, "..."]
    label: str
    levels: Float64[np.ndarray, " levels"]
    norm: Normalize
    ticks: Locator
    extend: Literal["min", "neither"] = "neither"


@styled
def surface_figure(problem: Analytic, *, points: int = POINTS) -> Figure:
    """Draw a problem's formula over its domain, its critical points and its start.

    One coordinate gives a curve, two a map with filled contours.  More give a slice along
    the first two, through the first minimizer where one is listed, else through the start,
    else through the middle of the domain; the title says which.  Levels are logarithmic in
    f - f* where equal steps would hide the valley.  The shift, rotation and noise of a
    seed are not drawn.

    Args:
        problem: what to draw.
        points: along each side; all are evaluated as one stack.
    """
    view = _view(problem)
    title = f"{problem.name or 'surface'}{view.note}"
    figure = canvas(title, width=5.6, height=3.6 if problem.dim == 1 else 5.0)
    axes = figure.subplots()
    draw_surface(figure, axes, problem, points=points)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles, labels, loc="outside lower left", ncols=5, handlelength=1.0, columnspacing=1.4
        )
    return figure


def draw_surface(
    figure: Figure, axes: Axes, problem: Analytic, *, points: int = POINTS, bar: bool = True
) -> None:
    """Draw into a plot what `surface_figure` draws into a figure of its own, without a legend.

    Args:
        figure: for the colour bar.
        axes: the plot.
        problem: what to draw.
        points: along each side.
        bar: whether a map has a colour bar.
    """
    view = _view(problem)
    sides = [np.linspace(low, high, points) for low, high in view.intervals]
    values = _evaluate(problem, view, sides)
    if not np.isfinite(values).any():
        nothing(axes, "no finite value in the domain")
        return
    if problem.dim == 1:
        _curve(axes, sides[0], values)
    else:
        heights = _heights(values, problem.facts.minimum)
        filled = _map(axes, sides, heights)
        if bar:
            beside = figure.colorbar(
                filled, ax=axes, label=heights.label, ticks=heights.ticks, shrink=0.9
            )
            beside.ax.minorticks_off()
    _mark(axes, problem, view)


def _view(problem: Analytic) -> _View:
    shown = min(problem.dim, 2)
    if problem.dim <= 2:
        base, note = (0.0,) * problem.dim, ""
    else:
        where = f"slice along $x_1$, $x_2$ of {problem.dim} coordinates"
        if problem.facts.minimizers:
            base, note = problem.facts.minimizers[0], f": {where} through the first minimizer"
        elif problem.start_at is not None:
            base, note = problem.start_at, f": {where} through the start"
        else:
            base = tuple((low + high) / 2 for low, high in problem.intervals)
            note = f": {where} through the middle of the domain"
    intervals = list(problem.intervals[:shown])
    for i, start in enumerate((problem.start_at or ())[:shown]):
        low, high = intervals[i]
        margin = 0.05 * (high - low) + problem.spread
        # a start outside the domain is part of the story
        if not low <= start <= high:
            intervals[i] = (min(low, start - margin), max(high, start + margin))
    return _View(tuple(intervals), base, note)


def _evaluate(
    problem: Analytic, view: _View, sides: list[Float64[np.ndarray, " points"]]
) -> Float64[np.ndarray, "..."]:
    """Heights on the grid; `[points]`, or `[y, x]`."""
    grid = torch.meshgrid(*(torch.from_numpy(side) for side in sides), indexing="xy")
    flat = torch.stack([g.flatten() for g in grid], -1)
    base = torch.tensor(view.base, dtype=torch.float64)
    parts = []
    with torch.no_grad(), _one_thread():
        for part in torch.split(flat, max(1, _NUMBERS // problem.dim)):
            x = base.expand(len(part), problem.dim).clone()
            x[:, : len(sides)] = part
            parts.append(problem.f(x))
    values: Float64[np.ndarray, "..."] = torch.cat(parts).double().reshape(grid[0].shape).numpy()
    return values


@contextmanager
def _one_thread() -> Iterator[None]:
    """A grid of two coordinates takes a millisecond; waking a second thread took seventy."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _curve(
    axes: Axes, x: Float64[np.ndarray, " points"], values: Float64[np.ndarray, " points"]
) -> None:
    axes.plot(x, np.where(np.isfinite(values), values, np.nan), color="#0072B2", zorder=1)
    finite = values[np.isfinite(values)]
    low, middle, high = np.quantile(finite, (0.0, 0.5, 1.0))
    if middle > low and high - low > 10 * _WIDE * (middle - low):
        axes.set_yscale("symlog", linthresh=max(float(np.abs(finite).max()) * 1e-4, 1e-12))
    axes.set_xlabel("$x$")
    axes.set_ylabel("$f(x)$")


def _map(
    axes: Axes, sides: list[Float64[np.ndarray, " points"]], heights: _Heights
) -> QuadContourSet:
    shown = np.ma.masked_invalid(heights.values)
    filled = axes.contourf(
        *sides, shown, levels=heights.levels, norm=heights.norm, extend=heights.extend, zorder=0
    )
    # thousands of polygon corners would make the file large and nobody the wiser
    filled.set_rasterized(True)
    axes.contour(
        *sides,
        shown,
        levels=heights.levels[::2],
        colors="white",
        linewidths=0.4,
        alpha=0.5,
        negative_linestyles="solid",
        zorder=0.5,
    ).set_rasterized(True)
    spans = [side[-1] - side[0] for side in sides]
    if max(spans) < 2.5 * min(spans):
        axes.set_aspect("equal")
    axes.grid(visible=False)
    axes.set_xlabel("$x_1$")
    axes.set_ylabel("$x_2$")
    return filled


def _heights(values: Float64[np.ndarray, "y x"], minimum: float | None) -> _Heights:
    """Levels chosen from the data: equal steps, or logarithmic ones where those show more."""
    norm: Normalize
    ticks: Locator
    finite = values[np.isfinite(values)]
    lowest, highest = float(finite.min()), float(finite.max())
    if lowest == highest:
        levels = np.array([lowest - 0.5, lowest, lowest + 0.5])
        return _Heights(values, "$f$", levels, Normalize(), MaxNLocator(3))
    # a grid value may undercut the exact minimum by rounding
    floor = None if minimum is None else min(minimum, lowest)
    if floor is not None and lowest - floor <= 0.01 * (highest - floor):
        above = finite[finite > floor] - floor
        low, high = np.quantile(above, (0.02, 0.95))
        if high > _WIDE * low:
            low = float(np.quantile(above, 0.001))
            levels = np.geomspace(low, highest - floor, _LEVELS)
            # the grid may hit the minimum, which has no logarithm
            lifted = np.maximum(values - floor, low * 1e-3)
            norm = LogNorm(low, highest - floor)
            ticks = LogLocator(base=10, numticks=9)
            return _Heights(lifted, "$f - f^*$", levels, norm, ticks, "min")
    if minimum is None and _two_sided(finite):
        threshold = float(np.quantile(np.abs(finite), 0.1))
        norm = SymLogNorm(threshold, vmin=lowest, vmax=highest)
        levels = np.asarray(norm.inverse(np.linspace(0, 1, _LEVELS)), dtype=float)
        return _Heights(
            values, "$f$", levels, norm, SymmetricalLogLocator(base=10, linthresh=threshold)
        )
    levels = np.linspace(lowest, highest, _LEVELS)
    return _Heights(values, "$f$", levels, Normalize(lowest, highest), MaxNLocator(8))


def _two_sided(finite: Float64[np.ndarray, " n"]) -> bool:
    """Whether heights on both sides of zero range over decades, as around a saddle."""
    low, high = np.quantile(finite, (0.05, 0.95))
    near, far = np.quantile(np.abs(finite), (0.1, 0.95))
    return bool(low < 0 < high and 0 < near < far / _WIDE and near > far * 1e-8)


def _known(problem: Analytic) -> Iterator[tuple[Kind, tuple[float, ...]]]:
    listed = [np.array(point.x) for point in problem.facts.critical_points]
    for point in problem.facts.critical_points:
        yield point.kind, point.x
    for x in problem.facts.minimizers:
        # a minimum at a kink has no gradient and so is no critical point
        if not any(np.allclose(x, other, atol=1e-6) for other in listed):
            yield Kind.MINIMUM, x


def _mark(axes: Axes, problem: Analytic, view: _View) -> None:
    """Draw known points that lie in the picture, and where runs start."""
    places: dict[Kind, list[list[float]]] = {kind: [] for kind in Kind}
    for kind, x in _known(problem):
        inside = all(lo <= c <= hi for c, (lo, hi) in zip(x, view.intervals, strict=False))
        if inside and np.allclose(x[2:], view.base[2:], atol=1e-6):
            height = [] if problem.dim > 1 else [_height(problem, x)]
            places[kind].append([*x[:2], *height])
    many = sum(map(len, places.values())) > 40
    for kind, (marker, color, size) in _MARKS.items():
        if places[kind]:
            axes.plot(
                *np.array(places[kind]).T,
                ls="none",
                marker=marker,
                ms=size * (0.55 if many else 1.0),
                mfc=color,
                mec="black",
                mew=0.7,
                label=str(kind),
                clip_on=False,
                zorder=5,
            )
    if problem.start_at is None:
        return
    start = problem.start_at[:2]
    if problem.dim == 1:
        axes.axvspan(
            start[0] - problem.spread, start[0] + problem.spread, color="#000000", alpha=0.08, lw=0
        )
        start = (*start, _height(problem, problem.start_at))
    elif problem.spread:
        corner = (start[0] - problem.spread, start[1] - problem.spread)
        side = 2 * problem.spread
        axes.add_patch(Rectangle(corner, side, side, fill=False, ec="white", lw=2.2, zorder=3))
        axes.add_patch(
            Rectangle(corner, side, side, fill=False, ec="black", lw=0.9, ls=":", zorder=3)
        )
    aside = problem.dim > 2 and not np.allclose(problem.start_at[2:], view.base[2:])
    label = "start" + (" (projected)" if aside else "")
    span = view.intervals[0][1] - view.intervals[0][0]
    label += ", seeds in the box" if problem.spread > 0.005 * span else ""
    axes.plot(
        *start, "o", ms=5.5, mfc="black", mec="white", mew=1.0, label=label, ls="none", zorder=6
    )


def _height(problem: Analytic, x: tuple[float, ...]) -> float:
    with torch.no_grad():
        return float(problem.f(torch.tensor(x, dtype=torch.float64)))
