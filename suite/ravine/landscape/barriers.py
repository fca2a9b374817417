"""How high the loss rises on the straight way between two solutions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.along import scores
from ravine.landscape.lines import Line, assembled, checked
from ravine.landscape.surface import Surface

POINTS = 25
"""Alphas at least, before the highest one is looked at more closely."""

RESOLUTION = 1e-4
"""Width in alpha of the interval that is left around the highest point."""

_HALF = 3  # new points on either side of the highest one, so that a round quarters its interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Height:
    """How far a curve rises above the chord of its ends.

    Args:
        height: max over alpha of f(alpha) - (1 - alpha) f(0) - alpha f(1); never negative,
            for it is 0 at the ends; nan where an end is not finite.
        at: the alpha of the maximum.
        width: of the interval between the two evaluated alphas beside it.
        ends: f(0) and f(1).
        nonfinite: values that are left out; with any, the height is only a lower bound.
    """

    height: float
    at: float
    width: float
    ends: tuple[float, float]
    nonfinite: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Barrier:
    """The way between two solutions on one surface.

    Args:
        line: all that was evaluated; with its ends, data and batch normalisation.
        loss: height of the barrier in the loss.
        error: likewise in the share of wrong answers; None without right ones.
    """

    line: Line
    loss: Height
    error: Height | None


def barrier(
    surface: Surface,
    a: Float[Tensor, " P"],
    b: Float[Tensor, " P"],
    *,
    points: int = POINTS,
    refine: bool = True,
) -> Barrier:
    """The barrier between two solutions on the straight line through them.

    max over alpha in [0, 1] of f((1 - alpha) a + alpha b) - (1 - alpha) f(a) - alpha f(b),
    the same from either end.  A maximum between the points that is narrower than their
    distance may be missed.

    Args:
        surface: f; between solutions, batch normalisation should be `recomputed`.
        a: one end.
        b: the other.
        points: evenly spaced alphas, 25 or more; an odd number has the middle among them.
        refine: narrow the interval around the highest point to 1e-4.

    Raises:
        BadValue: there are too few points, or the ends are no points of the surface.

    References:
        Frankle et al. (2020). Linear mode connectivity and the lottery ticket hypothesis.
        arXiv 1912.05671.  Entezari et al. (2022). The role of permutation invariance in
        linear mode connectivity of neural networks. arXiv 2110.06296.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> wells = surface(problem("double_well(dim=1)"))
        >>> ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> found = barrier(wells, *ends).loss
        >>> found.at, found.height, found.ends
        (0.5, 0.25, (0.0, 0.0))
    """
    found = barriers({"": surface}, torch.stack([a, b]), points=points, refine=refine)
    return found[0, 1][""]


def barriers(
    surfaces: Mapping[str, Surface],
    solutions: Float[Tensor, "k P"],
    *,
    points: int = POINTS,
    refine: bool = True,
    listener: Callable[[float], None] = lambda share: None,
) -> dict[tuple[int, int], dict[str, Barrier]]:
    """The barriers between all pairs of solutions on several surfaces, evaluated together.

    Args:
        surfaces: by name, as `train` and `test`; of one problem.
        solutions: at least two points.
        points: see `barrier`.
        refine: see `barrier`.
        listener: told the share of points that are evaluated.

    Returns:
        By places i < j of the solutions, and by surface.

    Raises:
        BadValue: see `barrier`.
    """
    if type(points) is not int or points < POINTS:
        raise BadValue(f"`points` must be a whole number of at least {POINTS}, got {points}")
    if len(solutions) < 2:
        raise BadValue(f"a barrier lies between two solutions, got {len(solutions)}; give more")
    pairs = list(combinations(range(len(solutions)), 2))
    first, second = (list(side) for side in zip(*pairs, strict=True))
    a, b = checked(surfaces, solutions[first], solutions[second])
    rounds, width = 0, 2 / (points - 1)
    while refine and width > RESOLUTION:
        rounds, width = rounds + 1, width / (_HALF + 1)
    passes = 1 + rounds * len(surfaces)
    done = 0

    def heard(share: float) -> None:
        listener((done + share) / passes)

    grid = torch.linspace(0, 1, points, dtype=torch.float64).expand(len(pairs), -1)
    found: dict[tuple[int, int], dict[str, Barrier]] = {pair: {} for pair in pairs}
    coarse = scores(surfaces, a, b, grid, heard)
    for name, surface in surfaces.items():
        alphas, values = grid, coarse.values[name]
        for _ in range(rounds):
            done += 1
            between = torch.cat([_around(alphas, v) for v in values], -1)
            more = scores({name: surface}, a, b, between, heard).values[name]
            alphas, order = torch.cat([alphas, between], -1).sort(-1)
            values = torch.cat([values, more], -1).gather(-1, order.expand(len(values), -1, -1))
        for row, pair in enumerate(pairs):
            fresh = alphas[row].diff(prepend=torch.tensor([-1.0], dtype=torch.float64)) > 0
            line = assembled(
                surface,
                a[row],
                b[row],
                alphas[row, fresh],
                *values[:, row, fresh],
                way=coarse.ways[row],
                reason=coarse.reasons[row],
            )
            found[pair][name] = Barrier(
                line=line,
                loss=_height(line, line.losses),
                error=None if line.errors is None else _height(line, line.errors),
            )
    return found


def over_chord(
    alphas: Float64[Tensor, "*k A"], values: Float64[Tensor, "*k A"]
) -> Float64[Tensor, "*k A"]:
    """Values above the chord of the first and the last, which are at alpha 0 and 1."""
    return values - ((1 - alphas) * values[..., :1] + alphas * values[..., -1:])


def _around(
    alphas: Float64[Tensor, "k A"], values: Float64[Tensor, "k A"]
) -> Float64[Tensor, "k new"]:
    """Alphas between the highest inner point over the chord and its neighbours."""
    over = over_chord(alphas, values)
    inner = over.isfinite() & (alphas > 0) & (alphas < 1)
    # an end is 0 above the chord, whatever lies beside it
    middle = alphas.gather(-1, torch.where(inner, over, -torch.inf).argmax(-1, keepdim=True))
    middle = middle.clamp(alphas[:, 1:2], alphas[:, -2:-1])
    # an alpha may be there twice, where loss and error are highest at one place
    low = torch.where(alphas < middle, alphas, 0).amax(-1, keepdim=True)
    high = torch.where(alphas > middle, alphas, 1).amin(-1, keepdim=True)
    share = torch.arange(1, _HALF + 1) / (_HALF + 1)
    return torch.cat([low + share * (middle - low), middle + share * (high - middle)], -1)


def _height(line: Line, values: Float64[Tensor, " A"]) -> Height:
    over = over_chord(line.alphas, values)
    finite = over.isfinite()
    top = int(torch.where(finite, over, -torch.inf).argmax())
    known = bool(finite[0] and finite[-1])
    beside = line.alphas[[max(top - 1, 0), min(top + 1, len(over) - 1)]]
    return Height(
        height=float(over[top]) if known else torch.nan,
        at=float(line.alphas[top]) if known else torch.nan,
        width=float(beside[1] - beside[0]),
        ends=(float(values[0]), float(values[-1])),
        nonfinite=int((~values.isfinite()).sum()),
    )
