"""Where optimizers went on a surface of one or two coordinates: a picture, and a film."""

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from ravine.problems.analytic import Analytic
from ravine.reporting.drawing import Look, at_rest, canvas, looks, style, styled
from ravine.reporting.surfaces import draw_surface

FRAMES = 60
"""Of a film, log-spaced over the steps, since much happens early."""

_DPI = 80

_MILLISECONDS, _LAST = 100, 2000
"""How long a picture of a film is shown, and the last."""


@styled
def paths_figure(
    problem: Analytic, paths: Mapping[str, Float[np.ndarray, "steps n"]], title: str
) -> Figure:
    """Draw paths on a surface; on one of a single coordinate, on its curve.

    Args:
        problem: of one or two coordinates.
        paths: by optimizer, points in the formula's coordinates; what leaves the picture is cut.
        title: of the figure.
    """
    figure, axes, shown = _ground(problem, paths, title)
    for label, way in paths.items():
        _draw(axes, problem, way, shown[label])
    return figure


def paths_film(
    problem: Analytic, paths: Mapping[str, Float[np.ndarray, "steps n"]], title: str
) -> bytes:
    """Draw the same as an animation, a GIF file.

    Args:
        problem: of one or two coordinates.
        paths: by optimizer, a point for each step, all of one length.
        title: of the figure.
    """
    steps = min(map(len, paths.values()))
    frames = sorted({0, *np.geomspace(1, steps - 1, FRAMES).round().astype(int).tolist()})
    with style():
        figure, axes, shown = _ground(problem, paths, title)
    figure.set_dpi(_DPI)
    if engine := figure.get_layout_engine():
        engine.execute(figure)
    with at_rest():
        figure.set_layout_engine(None)
        pictures = list(_frames(figure, axes, problem, paths, shown, frames))
    film = io.BytesIO()
    first, *rest = pictures
    pause = [_MILLISECONDS] * len(rest) + [_LAST]
    first.save(film, "GIF", save_all=True, append_images=rest, duration=pause, loop=0)
    return film.getvalue()


def _frames(
    figure: Figure,
    axes: Axes,
    problem: Analytic,
    paths: Mapping[str, Float[np.ndarray, "steps n"]],
    shown: Mapping[str, Look],
    frames: Sequence[int],
) -> Iterator[Image.Image]:
    """The pictures of a film; the ground is drawn once."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    ground = canvas.copy_from_bbox(figure.bbox)  # type: ignore[no-untyped-call]
    trails = {label: _draw(axes, problem, way[:1], shown[label]) for label, way in paths.items()}
    clock = axes.set_title("", loc="right", fontsize="small")
    for frame in frames:
        canvas.restore_region(ground)  # type: ignore[no-untyped-call]
        clock.set_text(f"step {frame:,}")
        for label, trail in trails.items():
            x, y = _flat(problem, paths[label][: frame + 1])
            trail[0].set_data(x, y)
            trail[1].set_data(x[-1:], y[-1:])
        for artist in (clock, *(part for trail in trails.values() for part in trail)):
            axes.draw_artist(artist)
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        yield Image.fromarray(pixels[..., :3].copy()).quantize(64)


def _ground(
    problem: Analytic, paths: Mapping[str, Float[np.ndarray, "steps n"]], title: str
) -> tuple[Figure, Axes, Mapping[str, Look]]:
    shown = looks(paths)
    figure = canvas(title, list(paths), width=5.8, height=3.6 if problem.dim == 1 else 4.8)
    axes = figure.subplots()
    draw_surface(figure, axes, problem)
    limits = axes.get_xlim(), axes.get_ylim()
    handles = [
        Line2D([], [], color=look.color, ls=look.dash, marker=look.marker, ms=5)
        for look in shown.values()
    ]
    figure.legend(handles, list(paths), loc="outside right upper")
    axes.set(xlim=limits[0], ylim=limits[1])
    return figure, axes, shown


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
