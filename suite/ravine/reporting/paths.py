"""Where optimizers went on a surface of one or two coordinates: a picture, and a film."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from ravine.problems.analytic import Analytic
from ravine.reporting.drawing import COLORS, MARKERS, Look, at_rest, canvas, looks, style, styled
from ravine.reporting.surfaces import draw_surface

FRAMES = 60
"""Of a film, log-spaced over the steps, since much happens early."""

COLUMNS = 5
"""Of plots, where each optimizer has one of its own."""

_POINTS = 121
"""Along each side of such a plot."""

_DPI = 80

_PALETTE = 128
"""Colours of a film."""

_MILLISECONDS, _LAST = 100, 2000
"""How long a picture of a film is shown, and the last."""

Paths = Mapping[str, Float[np.ndarray, "steps n"]]
"""By optimizer, points in the formula's coordinates."""


@dataclass(frozen=True, slots=True)
class _Ground:
    """A surface to draw paths on.

    Args:
        figure: the whole.
        axes: by optimizer; the same for all, or one each.
        looks: by optimizer.
    """

    figure: Figure
    axes: Mapping[str, Axes]
    looks: Mapping[str, Look]


@styled
def paths_figure(problem: Analytic, paths: Paths, title: str, *, apart: bool = False) -> Figure:
    """Draw paths on a surface; on one of a single coordinate, on its curve.

    Args:
        problem: of one or two coordinates.
        paths: by optimizer; what leaves the picture is cut.
        title: of the figure.
        apart: whether each optimizer has a plot of its own, as many need.
    """
    ground = _ground(problem, paths, title, apart)
    for label, way in paths.items():
        _draw(ground.axes[label], problem, way, ground.looks[label])
    return ground.figure


def paths_film(problem: Analytic, paths: Paths, title: str, *, apart: bool = False) -> bytes:
    """Draw the same as an animation, a GIF file.

    Args:
        problem: of one or two coordinates.
        paths: by optimizer, a point for each step, all of one length.
        title: of the figure.
        apart: whether each optimizer has a plot of its own, as many need.
    """
    steps = min(map(len, paths.values()))
    frames = sorted({0, *np.geomspace(1, steps - 1, FRAMES).round().astype(int).tolist()})
    with style():
        ground = _ground(problem, paths, title, apart)
    figure = ground.figure
    figure.set_dpi(_DPI)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    with at_rest():
        figure.set_layout_engine(None)
        pictures = list(_frames(ground, problem, paths, frames))
    # the last picture has every trail, so that no frame loses the colour of a short one
    palette = pictures[-1].quantize(_PALETTE)
    first, *rest = [each.quantize(palette=palette, dither=Image.Dither.NONE) for each in pictures]
    pause = [_MILLISECONDS] * len(rest) + [_LAST]
    film = io.BytesIO()
    first.save(film, "GIF", save_all=True, append_images=rest, duration=pause, loop=0)
    return film.getvalue()


def _frames(
    ground: _Ground, problem: Analytic, paths: Paths, frames: Sequence[int]
) -> Iterator[Image.Image]:
    """The pictures of a film; the surface is drawn once."""
    figure = ground.figure
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    empty = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    trails = {
        label: _draw(ground.axes[label], problem, way[:1], ground.looks[label])
        for label, way in paths.items()
    }
    # a legend takes the upper corner, and plots of their own the lower one
    corner, va = (0.01, "bottom") if len(set(ground.axes.values())) == 1 else (0.99, "top")
    clock = figure.text(0.99, corner, "", ha="right", va=va, fontsize="small")
    for frame in frames:
        canvas.restore_region(empty)  # type: ignore[no-untyped-call]
        clock.set_text(f"step {frame:,}")
        for label, trail in trails.items():
            x, y = _flat(problem, paths[label][: frame + 1])
            trail[0].set_data(x, y)
            trail[1].set_data(x[-1:], y[-1:])
            for part in trail:
                ground.axes[label].draw_artist(part)
        figure.draw_artist(clock)
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        yield Image.fromarray(pixels[..., :3].copy())


def _ground(problem: Analytic, paths: Paths, title: str, apart: bool) -> _Ground:
    return (_plots if apart else _plot)(problem, paths, title)


def _plot(problem: Analytic, paths: Paths, title: str) -> _Ground:
    """One plot for all, with a legend."""
    shown = looks(paths)
    figure = canvas(title, list(paths), width=5.8, height=3.6 if problem.dim == 1 else 4.8)
    axes = figure.subplots()
    draw_surface(figure, axes, problem)
    handles = [
        Line2D([], [], color=look.color, ls=look.dash, marker=look.marker, ms=5)
        for look in shown.values()
    ]
    figure.legend(handles, list(paths), loc="outside right upper")
    _hold(axes)
    return _Ground(figure, dict.fromkeys(paths, axes), shown)


def _plots(problem: Analytic, paths: Paths, title: str) -> _Ground:
    """A plot for each, under its name."""
    rows = -(-len(paths) // COLUMNS)
    figure = canvas(title, width=2.0 * COLUMNS, height=2.1 * rows + 0.5)
    grid = figure.subplots(rows, COLUMNS, squeeze=False)
    for label, axes in zip(paths, grid.flat, strict=False):
        draw_surface(figure, axes, problem, points=_POINTS, bar=False)
        axes.set_title(label, loc="left", fontsize="small")
        _hold(axes)
    for k, axes in enumerate(grid.flat):
        axes.set_visible(k < len(paths))
        if k % COLUMNS:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
        if k + COLUMNS < len(paths):
            axes.set_xlabel("")
            axes.tick_params(labelbottom=False)
    look = Look(COLORS[1], "-", MARKERS[0])
    plots = dict(zip(paths, grid.flat, strict=False))
    return _Ground(figure, plots, dict.fromkeys(paths, look))


def _hold(axes: Axes) -> None:
    """Keep the surface's limits, wherever paths go."""
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())


def _flat(
    problem: Analytic, way: Float[np.ndarray, "steps n"]
) -> tuple[Float[np.ndarray, " steps"], Float[np.ndarray, " steps"]]:
    """A path in the plane of the picture."""
    if problem.dim == 2:
        return way[:, 0], way[:, 1]
    import torch

    with torch.no_grad():
        return way[:, 0], problem.f(torch.from_numpy(way)).numpy()


def _draw(
    axes: Axes, problem: Analytic, way: Float[np.ndarray, "steps n"], look: Look
) -> tuple[Line2D, Line2D]:
    x, y = _flat(problem, way)
    # a pale edge keeps a line in sight on dark ground
    (trail,) = axes.plot(x, y, color=look.color, ls=look.dash, lw=1.6, zorder=3)
    (head,) = axes.plot(
        x[-1:], y[-1:], look.marker, color=look.color, mec="white", mew=0.7, ms=6, zorder=4
    )
    return trail, head
