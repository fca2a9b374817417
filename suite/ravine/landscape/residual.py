"""A trajectory seen from its straight line: how far along it, and how far from it."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.surface import Surface, loss
from ravine.landscape.trajectory import losses_at, orthonormal
from ravine.problems import arguments

BLOCK = 2**24
"""Numbers of float64 that are worked on at once: 128 MB."""

STRAIGHT = 1e-9
"""A path that leaves its line by less, relative to the line's length, is the line."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Projection:
    """A path's points along the line from its start to its end, and their distances from it.

    Args:
        start: theta_0.
        direction: u, the unit vector from start to end.
        length: from start to end.
        projections: p_t = u . (theta_t - theta_0) / length; 0 at the start, 1 at the end.
        residuals: |theta_t - theta_0 - p_t length u|; 0 at both.
        distances: |theta_t - theta_0|.
    """

    start: Float[Tensor, " P"]
    direction: Float[Tensor, " P"]
    length: float
    projections: Float[Tensor, " T"]
    residuals: Float[Tensor, " T"]
    distances: Float[Tensor, " T"]

    @property
    def straight(self) -> bool:
        """Whether the path never leaves its line."""
        return bool(self.residuals.max() <= STRAIGHT * self.length)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResidualSurface:
    """The loss over (projection, residual) of a path, with the path's own loss on it.

    Args:
        surface: name of the problem.
        split: which data.
        name: of the path.
        steps: of its points.
        path: the projection.
        losses: at the path's points themselves.
        under: what the surface shows at their projection and residual.
        line: on the straight line, at their projection.
        on_surface: the points that lie on the surface, where `under` is the true loss.
        columns: projections at which the surface was taken.
        heights: residuals at which it was taken.
        grid: the loss.
    """

    surface: str
    split: str
    name: str
    steps: tuple[int, ...]
    path: Projection
    losses: Float[Tensor, " T"]
    under: Float[Tensor, " T"]
    line: Float[Tensor, " T"]
    on_surface: tuple[int, ...]
    columns: Float[Tensor, " columns"]
    heights: Float[Tensor, " rows"]
    grid: Float[Tensor, "rows columns"]


def projection(points: Float[Tensor, "T P"]) -> Projection:
    """Projection and residual of a path's points on the line from its start to its end.

    Raises:
        BadValue: the path ends where it began, or is not finite.

    Example:
        >>> found = projection(torch.tensor([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]]))
        >>> found.projections.tolist(), found.residuals.tolist()
        ([0.0, 0.5, 1.0], [0.0, 1.0, 0.0])
    """
    if not bool(points.isfinite().all()):
        raise BadValue("a path has numbers that are not finite; leave out where it diverged")
    start = points[0].double()
    way = points[-1].double() - start
    length = float(way.norm())
    if not length > 0:
        raise BadValue("the path ends where it began, so there is no line; take another path")
    direction = way / length
    along, aside, whole = torch.zeros(3, len(points), dtype=torch.float64)
    rows = max(1, BLOCK // len(start))
    for first in range(0, len(points), rows):
        block = slice(first, first + rows)
        moved = points[block].double() - start
        along[block] = moved @ direction
        aside[block] = (moved - along[block, None] * direction).norm(dim=1)
        whole[block] = moved.norm(dim=1)
    return Projection(
        start=start,
        direction=direction,
        length=length,
        projections=along / length,
        residuals=aside,
        distances=whole,
    )


def residual_surface(
    surface: Surface,
    points: Float[Tensor, "T P"],
    name: str = "",
    steps: Sequence[int] | None = None,
    *,
    grid: int = 31,
    listener: Callable[[float], None] = lambda share: None,
) -> ResidualSurface:
    """The loss over theta_0 + p L u + r w(p), a ruled surface that contains the path.

    No plane contains a path that turns, so no plane shows its loss.  Here every projection p
    has a unit vector w(p) of its own: of the residual of the path there, interpolated
    between points.  The surface then runs through the points themselves, and what it shows
    below them is their own loss.  A path that doubles back is at one projection more than
    once; the surface takes the longest choice of points whose projections increase, names
    them, and has for the others their true loss beside its own.  It is not flat: what lies
    between distant columns is measured along straight rows of one residual only roughly.

    Args:
        surface: the loss.
        points: the path.
        name: of the path.
        steps: of its points; 0, 1, ... by default.
        grid: rows, and columns at least.
        listener: told the share of the work that is done.

    Raises:
        BadValue: the path ends where it began, or there is only one coordinate.

    References:
        Goodfellow, Vinyals and Saxe (2014). Qualitatively characterizing neural network
        optimization problems. arXiv 1412.6544.
    """
    arguments.whole("grid", grid, 2)
    if points.shape[1] < 2:
        raise BadValue("one coordinate leaves no room beside a line; take two at least")
    path = projection(points)
    p, r = path.projections, path.residuals
    low, high = float(p.min()) - 0.05, float(p.max()) + 0.1
    gap = (high - low) / grid
    off = [t for t in range(len(p)) if r[t] > STRAIGHT * path.length]
    knots = [off[i] for i in _rising([float(p[t]) for t in off], gap)]
    places = [float(p[t]) for t in knots]
    columns = _filled([low, *places, high], gap)
    top = 0.25 * path.length if path.straight else 1.25 * float(r.max())
    heights = torch.linspace(0, top, grid, dtype=torch.float64)

    def at(place: float, rows: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        pair = torch.stack([path.direction, _aside(points, path, knots, places, place)])
        along = torch.full_like(rows, place * path.length)
        coordinates = torch.stack([along, rows], -1)
        return losses_at(surface, path.start, pair, coordinates, points.dtype)

    parts = []
    for i, column in enumerate(columns):
        parts.append(at(column, heights))
        listener((i + 1) / (len(columns) + 1))
    under = torch.cat([at(float(p[t]), r[t : t + 1]) for t in range(len(p))])
    line = losses_at(
        surface, path.start, path.direction[None], p[:, None] * path.length, points.dtype
    )
    own = [t for t in range(len(p)) if t in knots or t not in off]
    return ResidualSurface(
        surface=surface.name,
        split=surface.split,
        name=name,
        steps=tuple(range(len(p)) if steps is None else steps),
        path=path,
        losses=loss(surface, points),
        under=under,
        line=line,
        on_surface=tuple(own),
        columns=torch.tensor(columns, dtype=torch.float64),
        heights=heights,
        grid=torch.stack(parts, 1),
    )


def _aside(
    points: Float[Tensor, "T P"],
    path: Projection,
    knots: Sequence[int],
    places: Sequence[float],
    place: float,
) -> Float[Tensor, " P"]:
    """The unit vector, at right angles to the line, in which the path lies at a projection."""
    if not knots:
        return orthonormal(path.direction[None], 2)[1]

    def residual(t: int) -> Float[Tensor, " P"]:
        moved = points[t].double() - path.start
        return moved - (moved @ path.direction) * path.direction

    right = bisect_right(places, place)
    before, after = knots[max(right - 1, 0)], knots[min(right, len(knots) - 1)]
    a, b = places[max(right - 1, 0)], places[min(right, len(knots) - 1)]
    share = (place - a) / (b - a) if b > a else 0.0
    mixed = (1 - share) * residual(before) + share * residual(after)
    if not mixed.norm() > STRAIGHT * path.length:  # between opposite sides of the line
        mixed = residual(before)
    aside: Tensor = mixed / mixed.norm()
    return aside


def _rising(values: Sequence[float], gap: float) -> list[int]:
    """The places of the longest part of a sequence that rises by `gap` at each step.

    Example:
        >>> _rising([0.0, 0.9, 0.3, 0.35, 0.6, 1.0], 0.1)
        [0, 2, 4, 5]
    """
    tails: list[float] = []
    ends: list[int] = []
    before: list[int] = []
    for i, value in enumerate(values):
        length = bisect_right(tails, value - gap)
        before.append(ends[length - 1] if length else -1)
        if length == len(tails):
            tails.append(value)
            ends.append(i)
        elif value < tails[length]:
            tails[length], ends[length] = value, i
    chosen, i = [], ends[-1] if ends else -1
    while i >= 0:
        chosen.append(i)
        i = before[i]
    return chosen[::-1]


def _filled(places: Sequence[float], gap: float) -> list[float]:
    """Ascending places, with further ones between those that lie more than a gap apart."""
    filled = [places[0]]
    for a, b in pairwise(places):
        pieces = max(1, round((b - a) / gap))
        filled += [a + (b - a) * (i + 1) / pieces for i in range(pieces - 1)] + [b]
    return filled
