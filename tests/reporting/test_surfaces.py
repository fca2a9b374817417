"""Pictures of surfaces: levels, marks, slices, and heights that are no numbers."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.base import CriticalPoint, Facts, Kind
from ravine.reporting.drawing import to_png, to_svg
from ravine.reporting.surfaces import surface_figure

POINTS = 41


def bowl(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
    return (x**2).sum(-1)


def valley(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
    return ((1 - x[..., :-1]) ** 2 + 100 * (x[..., 1:] - x[..., :-1] ** 2) ** 2).sum(-1)


def saddle(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
    return x[..., 0] ** 3 - 3 * x[..., 0] * x[..., 1] ** 2


BOWL = Analytic(
    f=bowl,
    dim=2,
    name="bowl",
    start_at=(2.0, 3.0),
    facts=Facts(
        minimum=0.0,
        minimizers=((0.0, 0.0),),
        critical_points=(CriticalPoint((0.0, 0.0), 0.0, Kind.MINIMUM),),
    ),
)
VALLEY = replace(BOWL, f=valley, name="valley", facts=Facts(minimum=0.0, minimizers=((1.0, 1.0),)))
SADDLE = replace(
    BOWL,
    f=saddle,
    name="saddle",
    facts=Facts(critical_points=(CriticalPoint((0.0, 0.0), 0.0, Kind.DEGENERATE),)),
)


def colors_of(figure: Figure) -> object:
    return figure.axes[0].collections[0].norm  # type: ignore[attr-defined]


def names(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def places(figure: Figure, label: str) -> list[tuple[float, float]]:
    lines = [line for line in figure.axes[0].get_lines() if line.get_label() == label]
    return [(float(x), float(y)) for line in lines for x, y in np.asarray(line.get_xydata())]


@pytest.mark.parametrize(
    ("problem", "norm"), [(VALLEY, "LogNorm"), (SADDLE, "SymLogNorm"), (BOWL, "Normalize")]
)
def test_levels_follow_the_surface(problem: Analytic, norm: str) -> None:
    """A valley is drawn on logarithmic levels, a steep saddle on both signs, a bowl evenly."""
    even = replace(BOWL, f=lambda x: bowl(x).sqrt()) if problem is BOWL else problem
    assert type(colors_of(surface_figure(even, points=POINTS))).__name__ == norm


def test_points_are_marked_by_kind() -> None:
    """Every critical point in the domain is marked once; those outside are not."""
    inside = [CriticalPoint((float(i), 0.0), 0.0, kind) for i, kind in enumerate(Kind)]
    points = (*inside, CriticalPoint((100.0, 0.0), 0.0, Kind.SADDLE))
    facts = Facts(minimum=0.0, minimizers=((0.0, 0.0),), critical_points=points)
    figure = surface_figure(replace(BOWL, facts=facts), points=POINTS)
    assert names(figure) == [*map(str, Kind), "start, seeds in the box"]
    for i, kind in enumerate(Kind):
        assert places(figure, str(kind)) == [(float(i), 0.0)]
    assert places(figure, "start, seeds in the box") == [(2.0, 3.0)]


def test_minimizers_without_a_gradient_are_marked() -> None:
    """A minimum that is no critical point, at a kink, is marked as a minimum."""
    figure = surface_figure(VALLEY, points=POINTS)
    assert places(figure, "minimum") == [(1.0, 1.0)]


def test_a_start_outside_the_domain_is_shown() -> None:
    """The picture grows to hold the start."""
    figure = surface_figure(replace(BOWL, start_at=(9.0, 0.0)), points=POINTS)
    low, high = figure.axes[0].get_xlim()
    assert low <= -5
    assert high >= 9


@pytest.mark.parametrize(
    ("facts", "start", "words"),
    [
        (Facts(minimum=0.0, minimizers=((1.0,) * 4,)), (0.0,) * 4, "through the first minimizer"),
        (Facts(), (0.0,) * 4, "through the start"),
        (Facts(), None, "through the middle of the domain"),
    ],
)
def test_slices_say_where_they_are(
    facts: Facts, start: tuple[float, ...] | None, words: str
) -> None:
    """More than two coordinates are sliced, and the title says through what."""
    problem = replace(VALLEY, dim=4, facts=facts, start_at=start)
    figure = surface_figure(problem, points=POINTS)
    title = " ".join(figure.get_suptitle().split())
    assert words in title
    assert "of 4 coordinates" in title


def test_a_slice_shows_only_points_that_lie_in_it() -> None:
    """A critical point elsewhere is not projected into the picture."""
    points = (
        CriticalPoint((0.0, 0.0, 0.0), 0.0, Kind.MINIMUM),
        CriticalPoint((1.0, 1.0, 2.0), 6.0, Kind.SADDLE),
    )
    facts = Facts(minimum=0.0, minimizers=((0.0, 0.0, 0.0),), critical_points=points)
    problem = replace(BOWL, dim=3, facts=facts, start_at=(1.0, 1.0, 1.0))
    figure = surface_figure(problem, points=POINTS)
    assert names(figure) == ["minimum", "start (projected), seeds in the box"]


def test_a_curve_for_one_coordinate() -> None:
    """One coordinate gives a curve through the formula's values."""
    problem = replace(BOWL, dim=1, start_at=(2.0,), facts=Facts(minimum=0.0, minimizers=((0.0,),)))
    figure = surface_figure(problem, points=POINTS)
    line = figure.axes[0].get_lines()[0]
    np.testing.assert_allclose(line.get_ydata(), np.square(line.get_xdata()))
    assert places(figure, "minimum") == [(0.0, 0.0)]


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize(
    "f",
    [
        lambda x: torch.full(x.shape[:-1], torch.nan, dtype=torch.float64),
        lambda x: torch.ones(x.shape[:-1], dtype=torch.float64),
        lambda x: torch.where(x[..., 0] > 0, torch.inf, x[..., 0]),
        lambda x: 1e300 * x[..., 0],
        lambda x: x[..., 0].sign(),
        lambda x: torch.exp(-100 * bowl(x)),
    ],
    ids=["nan", "constant", "half infinite", "huge", "step", "spike"],
)
def test_strange_surfaces_are_drawn(f: object, dim: int) -> None:
    """Heights that are infinite, constant or not a number warn of nothing."""
    problem = Analytic(f=f, dim=dim, facts=Facts(minimum=-1.0))  # type: ignore[arg-type]
    assert to_png(surface_figure(problem, points=POINTS)).startswith(b"\x89PNG")


def test_all_points_are_one_stack() -> None:
    """The formula is called once for the grid, however many points it has."""
    sizes: list[int] = []

    def counted(x: Tensor) -> Tensor:
        sizes.append(x.numel())
        return bowl(x)

    surface_figure(replace(BOWL, f=counted), points=POINTS)
    assert sizes == [2 * POINTS**2]


def test_many_coordinates_are_cut_into_stacks() -> None:
    """A slice through very many coordinates does not fill the memory."""
    sizes: list[int] = []

    def counted(x: Tensor) -> Tensor:
        sizes.append(x.numel())
        return bowl(x)

    surface_figure(Analytic(f=counted, dim=10_000), points=POINTS)
    assert sum(sizes) == 10_000 * POINTS**2
    assert max(sizes) <= 10_000_000


def test_the_same_surface_is_the_same_file() -> None:
    """Drawn twice, a surface gives the same SVG."""
    first, second = (to_svg(surface_figure(VALLEY, points=POINTS)) for _ in range(2))
    assert first == second
