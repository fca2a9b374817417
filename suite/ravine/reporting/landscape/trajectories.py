"""Figures and tables of trajectories: on their plane, and beside their straight line."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import Normal, Stroke
from matplotlib.ticker import LogLocator, MaxNLocator

from ravine.landscape.residual import ResidualSurface
from ravine.landscape.trajectory import Trajectories
from ravine.reporting import cells
from ravine.reporting.drawing import canvas, legend_outside, looks, plain_decades, styled
from ravine.reporting.layout import Align, Table

ROWS = 11
"""Checkpoints of a path that its table shows."""

_LEVELS = 24
_WIDE = 5.0  # a ratio of high to low losses that equal steps cannot show


@dataclass(frozen=True, slots=True)
class Mark:
    """A known point of a formula, drawn where it lies."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class _Scale:
    """How losses are coloured, on a surface and on the paths over it alike."""

    norm: Normalize
    levels: Float64[np.ndarray, " levels"]
    label: str
    floor: float


@styled
def plane_figure(
    found: Trajectories, *, minimum: float | None = None, marks: Sequence[Mark] = ()
) -> Figure:
    """Draw paths on their plane: the plane's loss below, the true loss on them.

    Where a dot has another colour than the ground around it, the plane does not show the
    loss that the path had.  In a problem's two coordinates it always does, so there are none.

    Args:
        found: paths and plane.
        minimum: the lowest value there is; heights are taken from it.
        marks: known points in the plane.
    """
    shown = looks(found.names)
    labels = [*found.names, "start", "end", *{m.label for m in marks}]
    own = found.plane.about == "axes"
    what, whose = ("path", "its") if len(found.names) == 1 else ("paths", "their")
    where = "in two coordinates" if own else f"on the plane of {whose} first two components"
    title = f"{found.surface}: {what} {where}"
    figure = canvas(title, labels, width=6.2, height=4.9)
    axes = figure.subplots()
    grid = found.grid.numpy()
    scale = _scale(grid, found.losses.numpy(), minimum, found.split)
    _ground(figure, axes, found.x.numpy(), found.y.numpy(), grid, scale)
    spread = np.array([float(found.x[-1] - found.x[0]), float(found.y[-1] - found.y[0])])
    # where paths run over each other, the first shows on both sides of the later ones
    widths = np.linspace(3.4 if own and len(found.names) > 1 else 1.8, 1.8, len(found.names))
    for name, place, width in zip(found.names, found.places, widths, strict=True):
        at = found.plane.coordinates[place].numpy()
        losses = None if own else found.losses[place].numpy()
        _path(axes, at, losses, scale, shown[name].color, spread, float(width))
    for mark in marks:
        axes.plot(mark.x, mark.y, "*", ms=8, mfc="white", mec="black", mew=0.7, zorder=6)
    handles = [Line2D([], [], color=shown[name].color, lw=2.2) for name in found.names]
    handles += [_start(), _end()]
    if marks:
        handles.append(Line2D([], [], ls="none", marker="*", ms=9, mfc="white", mec="black"))
    legend_outside(figure, handles, [*found.names, "start", "end", *{m.label for m in marks}])
    if own:
        axes.set(xlabel="$x_1$", ylabel="$x_2$")
    else:
        axes.set(xlabel=_direction(found, 0), ylabel=_direction(found, 1))
    return figure


@styled
def residual_figure(found: ResidualSurface, *, minimum: float | None = None) -> Figure:
    """Draw a path beside its straight line: the surface it runs on, and the loss along it.

    Args:
        found: the surface and the path.
        minimum: the lowest value there is; heights are taken from it.
    """
    figure = canvas(f"{found.surface}: {found.name} beside its straight line", width=10.4)
    axes, below = figure.subplots(1, 2, width_ratios=(1.25, 1), gridspec_kw={"wspace": 0.08})
    grid, path = found.grid.numpy(), found.path
    scale = _scale(grid, found.losses.numpy(), minimum, found.split)
    _ground(figure, axes, found.columns.numpy(), found.heights.numpy(), grid, scale)
    at = np.stack([path.projections.numpy(), path.residuals.numpy()], -1)
    spread = np.array([np.ptp(found.columns.numpy()), np.ptp(found.heights.numpy())])
    _path(axes, at, found.losses.numpy(), scale, "#D55E00", spread)
    axes.set(
        xlabel="projection on the line from start (0) to end (1)",
        ylabel="residual: distance from the line",
    )
    axes.set_title("surface through the path, dots: the path's loss")
    if path.straight:
        axes.set_title("the path is straight: its residual direction is drawn at random")
    lines = (
        (found.line, "#0072B2", (0, (4, 1.6)), "straight line"),
        (found.losses, "#D55E00", "-", "path"),
        (found.under, "#000000", (0, (1.2, 1.4)), "surface below the path"),
    )
    # a path that turns back would be a scribble over its projection
    steady = np.abs(np.diff(at[:, 0])).sum() < 1.5 * np.ptp(at[:, 0])
    along = at[:, 0] if steady else np.array(found.steps)
    for values, color, dash, label in lines:
        heights = values.numpy() - scale.floor
        order = np.argsort(along) if label == "straight line" else slice(None)
        below.plot(along[order], heights[order], color=color, ls=dash, label=label)
    if isinstance(scale.norm, LogNorm):
        below.set_yscale("log")
        plain_decades(below.yaxis)
    below.set(xlabel="projection on the line" if steady else "step", ylabel=scale.label)
    below.set_title("loss where the path went, and beside it")
    below.legend(loc="best")
    return figure


def explained_table(found: Trajectories, count: int = 5) -> Table:
    """How much of the paths' movement each component holds, and what chance would.

    Args:
        found: paths and plane.
        count: components shown.
    """
    plane = found.plane
    several = min(count, len(plane.uncentred), len(plane.origin))
    rows = [
        (
            str(k + 1),
            *(
                cells.percent(float(share), digits=2)
                for shares in (plane.uncentred, plane.centred)
                for share in (shares[k], shares[: k + 1].sum())
            ),
        )
        for k in range(several)
    ]
    return Table(
        title=f"Components of {_few(found.names)} on {found.surface}",
        columns=("component", "about the end", "so far", "about the mean", "so far"),
        rows=tuple(rows),
        footer=(
            f"Shares of squared differences, over {len(plane.coordinates)} points of "
            f"{len(plane.origin)} parameters. The plane drawn holds "
            f"{cells.percent(plane.held, digits=2)}, two random directions "
            f"{cells.percent(plane.by_chance, digits=4)}; a random walk's own first two "
            f"components hold 60.8% and 15.2% about the mean."
            + (" The path spans one direction; the second is random." if plane.rank < 2 else "")
        ),
        align=("right",) * 5,
    )


def plane_table(found: Trajectories) -> Table:
    """Where checkpoints lie: on the plane, how far from it, the true loss and the plane's."""
    plane = found.plane
    rows: list[tuple[str, ...]] = []
    columns: tuple[str, ...]
    own = plane.about == "axes"
    for name, steps, place in zip(found.names, found.steps, found.places, strict=True):
        for t in _some(len(steps)):
            i = place.start + t
            off = cells.decimal(float(plane.residuals[i]))
            projected = cells.decimal(float(found.plane_losses[i]), 4)
            rows.append(
                (
                    name,
                    str(steps[t]),
                    *(cells.decimal(float(c)) for c in plane.coordinates[i]),
                    *(() if own else (off,)),
                    cells.decimal(float(found.losses[i]), 4),
                    *(() if own else (projected,)),
                )
            )
    if own:
        columns = ("method", "step", "x1", "x2", "loss")
        footer = "Some checkpoints; --json has all."
    else:
        columns = (
            *("method", "step", "component 1", "component 2", "off the plane"),
            *("loss", "loss on the plane"),
        )
        footer = (
            "`off the plane` is the distance of a checkpoint from the plane that is drawn; "
            "`loss` is its own, `loss on the plane` that of its projection, which a picture "
            "shows. Some checkpoints; --json has all."
        )
    return Table(
        title=f"Checkpoints on {found.surface}" + ("" if own else ", and on the plane"),
        columns=columns,
        rows=tuple(rows),
        footer=footer,
        align=_sides(len(columns)),
    )


def residual_table(found: Sequence[ResidualSurface]) -> Table:
    """Projection and residual of checkpoints, with the loss there and around."""
    rows = []
    for one in found:
        for t in _some(len(one.steps)):
            rows.append(
                (
                    one.name,
                    str(one.steps[t]),
                    cells.fixed(float(one.path.projections[t])),
                    cells.decimal(float(one.path.residuals[t])),
                    cells.decimal(float(one.losses[t]), 4),
                    cells.decimal(float(one.under[t]), 4),
                    cells.decimal(float(one.line[t]), 4),
                )
            )
    said = "; ".join(
        f"{one.name}: {cells.decimal(one.path.length)} from start to end, off the line by "
        f"{cells.percent(float(one.path.residuals.max()) / one.path.length)} of it at most, "
        f"{len(one.on_surface)} of {len(one.steps)} checkpoints on the surface"
        for one in found
    )
    return Table(
        title=f"Checkpoints beside the straight line, {found[0].surface}",
        columns=("method", "step", "projection", "residual", "loss", "surface", "line"),
        rows=tuple(rows),
        footer=(
            f"{said}. `surface` is what the residual surface shows at a checkpoint's place, "
            f"`line` the loss on the straight line beside it."
        ),
        align=_sides(7),
    )


def _scale(
    ground: Float64[np.ndarray, "y x"],
    path: Float64[np.ndarray, " T"],
    minimum: float | None,
    split: str,
) -> _Scale:
    """Colours for the losses of ground and path: logarithmic where they range widely over zero."""
    # a path may come nearer to the minimum than any cell: it does not stretch the colours
    least = np.min(ground, initial=np.inf, where=np.isfinite(ground))
    both = np.concatenate([ground.ravel(), path[path > least]])
    finite = both[np.isfinite(both)]
    if not finite.size:
        finite = np.array([0.0, 1.0])
    lowest = float(finite.min())
    floor = 0.0 if minimum is None else min(minimum, lowest)
    name = f"{split} loss" if split else "$f$" if minimum is None else "$f - f^*$"
    above = finite[finite > floor] - floor
    if lowest >= floor and above.size:
        low, high = float(np.quantile(above, 0.001)), float(above.max())
        if high > _WIDE * low:
            return _Scale(LogNorm(low, high), np.geomspace(low, high, _LEVELS), name, floor)
    high = max(float(finite.max()), lowest + 1e-12 * max(1.0, abs(lowest))) - floor
    low = lowest - floor
    return _Scale(Normalize(low, high), np.linspace(low, high, _LEVELS), name, floor)


def _ground(
    figure: Figure,
    axes: Axes,
    x: Float64[np.ndarray, " x"],
    y: Float64[np.ndarray, " y"],
    values: Float64[np.ndarray, "y x"],
    scale: _Scale,
) -> None:
    heights = np.ma.masked_invalid(values - scale.floor)
    if isinstance(scale.norm, LogNorm):
        # a cell may hit the minimum, which has no logarithm
        heights = np.ma.maximum(heights, scale.levels[0] * 1e-3)
    drawn = axes.contourf(
        x, y, heights, levels=scale.levels, norm=scale.norm, extend="both", zorder=0
    )
    # thousands of polygon corners would make the file large and nobody the wiser
    drawn.set_rasterized(True)
    axes.contour(
        x, y, heights, levels=scale.levels[::2], colors="white", linewidths=0.4, alpha=0.5
    ).set_rasterized(True)
    bar = figure.colorbar(drawn, ax=axes, label=scale.label, shrink=0.9)
    bar.ax.minorticks_off()
    if isinstance(scale.norm, LogNorm):
        bar.ax.yaxis.set_major_locator(LogLocator(numticks=8))
        plain_decades(bar.ax.yaxis)
    else:
        bar.ax.yaxis.set_major_locator(MaxNLocator(7))
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    axes.grid(visible=False)


def _path(
    axes: Axes,
    at: Float64[np.ndarray, "T two"],
    losses: Float64[np.ndarray, " T"] | None,
    scale: _Scale,
    color: str,
    spread: Float64[np.ndarray, " two"],
    width: float = 1.8,
) -> None:
    """A path in its colour, dots on it in the colours of its own losses."""
    halo = [Stroke(linewidth=width + 1.2, foreground="white"), Normal()]
    axes.plot(*at.T, color=color, lw=width, path_effects=halo, zorder=3, solid_joinstyle="round")
    if losses is not None:
        dots = _apart(at / spread, 0.035)
        axes.scatter(
            at[dots, 0],
            at[dots, 1],
            c=np.maximum(losses[dots] - scale.floor, scale.levels[0]),
            norm=scale.norm,
            s=30,
            edgecolors=color,
            linewidths=1.1,
            zorder=4,
            clip_on=False,
        )
    for handle, place in ((_start(), at[0]), (_end(color), at[-1])):
        handle.set_data([place[0]], [place[1]])
        handle.set(zorder=5, clip_on=False)
        axes.add_line(handle)


def _start() -> Line2D:
    ring = Line2D([], [], ls="none", marker="o", ms=9, mfc="none", mec="black", mew=1.6)
    ring.set_path_effects([Stroke(linewidth=3.4, foreground="white"), Normal()])
    return ring


def _end(color: str = "#888888") -> Line2D:
    return Line2D([], [], ls="none", marker="D", ms=6.5, mfc=color, mec="white", mew=1.2)


def _apart(at: Float64[np.ndarray, "T two"], least: float) -> list[int]:
    """Points that lie so far from the one chosen before, from the first on."""
    chosen = [0]
    for i in range(1, len(at)):
        if np.hypot(*(at[i] - at[chosen[-1]])) >= least:
            chosen.append(i)
    return chosen


def _direction(found: Trajectories, k: int) -> str:
    plane = found.plane
    if k >= plane.rank:
        return f"component {k + 1} (random: the path spans one direction)"
    if plane.about == "mean":
        return f"component {k + 1} ({100 * float(plane.centred[k]):.1f}% of the variance)"
    share = 100 * float(plane.uncentred[k])
    end = "the end" if len(found.names) == 1 else "the ends' mean"
    return f"component {k + 1} ({share:.1f}% of squared distance from {end})"


def _few(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} paths together"


def _sides(columns: int) -> tuple[Align, ...]:
    right: tuple[Align, ...] = ("right",)
    return ("left", *right * (columns - 1))


def _some(count: int) -> list[int]:
    """Places of a few checkpoints, the first and the last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, ROWS)})
