"""Pictures and films of paths on surfaces."""

import io

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image, ImageSequence

from ravine.problems.catalogue import analytic
from ravine.reporting.drawing import COLORS
from ravine.reporting.paths import paths_figure, paths_film

WAYS = {
    "first": np.linspace([-5.0, -2.0], [0.0, 0.0], 30),
    "second": np.linspace([-5.0, -2.0], [5.0, 2.0], 30),
}


@pytest.mark.parametrize("apart", [False, True])
def test_every_path_is_drawn_to_its_last_point(apart: bool) -> None:
    """A line of the picture holds each path, in the plot that has its name where there are many."""
    figure = paths_figure(analytic("narrow_bowl"), WAYS, "Paths", apart=apart)
    plots = [axes for axes in figure.axes if axes.get_visible()]
    for label, way in WAYS.items():
        where = [axes for axes in plots if axes.get_title("left") == label] if apart else plots
        held = [np.array(line.get_xydata()) for axes in where for line in axes.lines]
        assert any(xy.shape == way.shape and np.array_equal(xy, way) for xy in held)


@pytest.mark.parametrize("apart", [False, True])
def test_films_begin_at_the_start_and_keep_their_colours(apart: bool) -> None:
    """A path's own colour is missing in the first picture but for its head, and there in the last.

    Frames share one palette, so that a colour does not change from one to the next.
    """
    film = Image.open(io.BytesIO(paths_film(analytic("narrow_bowl"), WAYS, "Paths", apart=apart)))
    first, *_, last = [np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(film)]
    color = 255 * np.array(to_rgb(COLORS[1]))

    def count(picture: np.ndarray) -> int:
        return int((np.abs(picture - color).max(-1) < 25).sum())

    assert count(last) > count(first) + 50
    ground = np.s_[10:40, 10:40]
    assert np.array_equal(first[ground], last[ground])


def test_path_on_a_curve_lies_on_it() -> None:
    """With one coordinate a path is drawn at the heights of the formula."""
    way = np.linspace([4.0], [-4.0], 20)
    figure = paths_figure(analytic("tanh"), {"only": way}, "Paths", apart=True)
    held = [np.array(line.get_xydata()) for line in figure.axes[0].lines]
    wanted = np.hstack([way, np.tanh(way)])
    assert any(xy.shape == wanted.shape and np.allclose(xy, wanted) for xy in held)
