"""Where runs ended, one word for each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from scipy.optimize import nnls
from torch import Tensor

from ravine.landscape.critical.kinds import kinds
from ravine.landscape.ends.newton import Bend, Search, bend, search, tolerance
from ravine.landscape.ends.place import (
    AROUND,
    CANCEL,
    FACE,
    FLAT,
    GAP,
    LOST,
    NEAR,
    SETTLED,
    STEEP,
    STIFF,
    STUCK,
    Place,
)
from ravine.landscape.ends.terrain import Terrain, terrains
from ravine.landscape.surface import loss, loss_and_gradient
from ravine.problems.base import Problem
from ravine.problems.draws import generator

BISECTIONS = 12
"""Of the way between two slopes, which leaves one in four thousand of it."""

JUMP = 0.1
"""Share of their difference that is left at a jump; a smooth one is shared out."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ends:
    """Where runs ended.

    Args:
        place: one word for each run.
        index: eigenvalues below zero at a critical point that was found; else -1.
        nullity: eigenvalues that are zero there; else -1.
        distance: to that critical point, as a share of the domain's width; else infinite.
        value: f at the end, without noise.
    """

    place: tuple[Place, ...]
    index: tuple[int, ...]
    nullity: tuple[int, ...]
    distance: tuple[float, ...]
    value: tuple[float, ...]


def ends(
    problem: Problem,
    x: Float[Tensor, "runs P"],
    seeds: Sequence[int],
    start: Sequence[float] | None = None,
) -> Ends:
    """Say of every run at which feature of the landscape it ended.

    A run ends after finitely many steps, so its gradient is never zero.  It is at a critical
    point if Newton's method from its end converges to one within 1 % of the domain's width;
    the eigenvalues there give its kind.  Else it may be on a plateau, at a kink, at a cliff
    or on the floor of a ravine, in this order; see `Place` for the words.  All is measured in
    the coordinates of the formula, each in widths of its domain, and holds for the loss
    without noise.  What lies beyond 1 % of the width is not looked at: a minimum need not be
    the lowest, and a slope may lead anywhere.

    Args:
        problem: a formula or a network.
        x: last points, `[runs, P]`; a row that is not finite has diverged.
        seeds: of the runs.
        start: losses where the runs began, by default those of the problem's starts.

    Raises:
        RuntimeError: the loss has no second derivative in torch.

    Example:
        >>> from ravine import problem
        >>> x = torch.tensor([[3.0, 2.0], [0.0867, 2.8843], [1.0, 1.0]], dtype=torch.float64)
        >>> [str(p) for p in ends(problem("himmelblau"), x, [0, 0, 0]).place]
        ['minimum', 'saddle', 'slope']
    """
    runs = len(x)
    began = _starts(problem, seeds) if start is None else torch.tensor(start).double()
    places = np.full(runs, Place.DIVERGED, dtype=object)
    numbers = {
        "index": np.full(runs, -1),
        "nullity": np.full(runs, -1),
        **{n: np.full(runs, math.inf) for n in ("distance", "value")},
    }
    finite = x.isfinite().all(-1).nonzero()[:, 0]
    some = [seeds[i] for i in finite.tolist()]
    for terrain, mine, points in terrains(problem, x[finite], some) if some else ():
        rows = finite[mine].numpy()
        places[rows], found = _classify(terrain, points.to(terrain.surface.dtype), began[rows])
        for name, values in found.items():
            numbers[name][rows] = values
    return Ends(
        place=tuple(Place(str(word)) for word in places),
        **{name: tuple(found.tolist()) for name, found in numbers.items()},
    )


def _starts(problem: Problem, seeds: Sequence[int]) -> Float[Tensor, " runs"]:
    """The losses where runs begin."""
    points = [torch.cat([p.flatten() for p in problem.start(s).values()]) for s in seeds]
    values = torch.zeros(len(seeds), dtype=torch.float64)
    for terrain, mine, x in terrains(problem, torch.stack(points), seeds):
        values[mine] = loss(terrain.surface, x.to(terrain.surface.dtype))
    return values


def _classify(
    terrain: Terrain, x: Float[Tensor, "runs P"], start: Float[Tensor, " runs"]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Places of the runs, and what was found of each."""
    value = loss(terrain.surface, x)
    lowest = terrain.lowest
    enough = GAP * (start - lowest)
    places = np.full(len(x), Place.SLOPE, dtype=object)
    numbers = {
        "index": np.full(len(x), -1),
        "nullity": np.full(len(x), -1),
        "distance": np.full(len(x), math.inf),
        "value": value.numpy(),
    }
    lost = ~(value.abs() <= LOST * start.abs().clamp(min=1.0))
    places[lost.numpy()] = Place.DIVERGED
    places[(lost & (value < 0)).numpy()] = Place.UNBOUNDED
    arrived = ~lost & (value - lowest <= enough) if terrain.known else torch.zeros_like(lost)
    places[arrived.numpy()] = Place.MINIMUM
    rest = (~(lost | arrived)).nonzero()[:, 0]
    if not len(rest):
        return places, numbers
    x, value, top = x[rest], value[rest], torch.maximum(start, value)[rest]
    height = (value if terrain.known else top) - lowest
    # a run may have left the domain and be lower than anything in it
    drop = top - value.clamp(max=lowest)
    here = bend(terrain, x)
    around, slopes = _around(terrain, x)
    near = search(terrain, x, here)
    named, index, nullity = _named(terrain, here, near, slopes)
    if terrain.known:
        lowest_of_all = near.found & (near.value - lowest <= enough[rest])
        named[lowest_of_all.numpy()] = Place.MINIMUM
    critical = named != Place.NOT_CLASSIFIED
    change = AROUND * here.slope + 0.5 * AROUND**2 * here.largest
    flat = here.defined & (change <= FLAT * height)
    steepest = slopes.norm(dim=-1).amax(-1).maximum(here.slope)
    face = around.amax(-1).maximum(here.value) - around.amin(-1).minimum(here.value)
    cliff = (face >= FACE * drop) & (steepest >= STEEP * terrain.slope)
    # a slope that changes where the Hessian is exactly zero: it is not the slope's derivative
    changes = (slopes - here.gradient[:, None]).norm(dim=-1).amax(-1) > 1e-6 * here.slope
    blind = (here.largest == 0) & (here.slope > 0) & changes
    kink = torch.zeros_like(cliff)
    creased = torch.from_numpy(~critical) & ~flat & (blind | (not terrain.surface.smooth))
    if bool(creased.any()):
        kink[creased] = _kink(terrain, x[creased], slopes[creased])
    blind = blind & terrain.surface.smooth
    places[rest.numpy()] = np.select(
        [critical, *(m.numpy() for m in (flat, kink, blind, cliff, _ravine(here)))],
        [named, Place.PLATEAU, Place.KINK, Place.NOT_CLASSIFIED, Place.CLIFF, Place.RAVINE],
        Place.SLOPE,
    )
    for key, found in (("index", index), ("nullity", nullity), ("distance", near.distance)):
        numbers[key][rest.numpy()[critical]] = found.numpy()[critical]
    return places, numbers


def _named(
    terrain: Terrain, here: Bend, near: Search, slopes: Float[Tensor, "runs around P"]
) -> tuple[np.ndarray, Int64[Tensor, " runs"], Int64[Tensor, " runs"]]:
    """The kind of the critical point at each end, `NOT_CLASSIFIED` where there is none."""
    zero = tolerance(terrain, near)
    labels, index, nullity = kinds(near.eigenvalues, zero)
    size = near.eigenvalues.abs().amax(-1, keepdim=True)
    # of one zero the signs are not known, but those of all the others are
    firm = near.eigenvalues.abs() > 0.1 * size
    both = (firm & (near.eigenvalues > 0)).any(-1) & (firm & (near.eigenvalues < 0)).any(-1)
    labels[(near.singular & ~both).numpy()] = Place.DEGENERATE
    labels[here.held.any(-1).numpy()] = Place.BOUNDARY
    lengths = slopes.norm(dim=-1)
    steepest = lengths.amax(-1)
    # where nothing is curved, and not all around is steeper, there is no point but a plain;
    # along the axes a product may be flat in spite of it
    least = lengths[:, lengths.shape[1] // 2 :].amin(-1)
    plain = (near.eigenvalues.abs() <= zero[:, None]).all(-1) & (least <= here.slope)
    minimum = torch.from_numpy(np.isin(labels, [Place.MINIMUM, Place.BOUNDARY]))
    settled = here.slope <= torch.where(minimum, SETTLED, STUCK) * steepest
    # a well may be so narrow that around it there is no slope any more
    settled = settled | (minimum & (near.distance <= 0.1 * NEAR))
    at = near.found & settled & ~plain
    return np.where(at.numpy(), labels, Place.NOT_CLASSIFIED).astype(object), index, nullity


def _around(
    terrain: Terrain, x: Float[Tensor, "runs P"]
) -> tuple[Float[Tensor, "runs around"], Float[Tensor, "runs around P"]]:
    """Losses and slopes at the distance `NEAR`, zero where one is not defined."""
    points = x[:, None] + _offsets(terrain)
    if terrain.box is not None:
        points = points.clamp(*terrain.box.unbind(-1))
    values, slopes = loss_and_gradient(terrain.surface, points)
    return values, (slopes.double() * terrain.width).nan_to_num(0.0, 0.0, 0.0)


def _offsets(terrain: Terrain) -> Float[Tensor, "around P"]:
    """Ways of the length `NEAR`: along the axes, and as many at random."""
    size = len(terrain.width)
    normal = torch.from_numpy(generator("around", size).standard_normal((size, size)))
    axes, random = torch.eye(size, dtype=torch.float64), normal / normal.norm(dim=-1)[:, None]
    ways = torch.cat([axes, -axes, random, -random])
    return (NEAR * ways * terrain.width).to(terrain.surface.dtype)


def _ravine(here: Bend) -> Bool[Tensor, " runs"]:
    """At the lowest point across, with a way left along."""
    size = here.largest[:, None]
    across = here.eigenvalues >= size / STIFF
    along = here.eigenvalues.abs() < size / STIFF
    bent = here.defined & (size[:, 0] > 0) & (across | along).all(-1)
    off = torch.where(across, here.components / here.eigenvalues, 0.0).norm(dim=-1)
    found: Tensor = bent & across.any(-1) & along.any(-1) & (off <= NEAR)
    return found


def _kink(
    terrain: Terrain, x: Float[Tensor, "runs P"], slopes: Float[Tensor, "runs around P"]
) -> Bool[Tensor, " runs"]:
    """Whether slopes around have zero as a mean, nearly, and one jumps to another.

    The former is Goldstein's stationarity; the latter tells a kink from a ripple.

    References:
        Goldstein (1977). Optimization of Lipschitz continuous functions. Mathematical
        Programming 13. Burke, Lewis and Overton (2005). A robust gradient sampling algorithm
        for nonsmooth, nonconvex optimization. SIAM Journal on Optimization 15(3).
    """
    found = _jumps(terrain, x, slopes)
    for i in found.nonzero()[:, 0].tolist():
        row = slopes[i].numpy()
        size = float(np.linalg.norm(row, axis=-1).max())
        # weights that are not negative and add up to 1, the latter by a heavy row
        heavy = np.vstack([row.T / size, np.full(len(row), 1e3)])
        weights, _ = nnls(heavy, np.append(np.zeros(row.shape[-1]), 1e3))
        found[i] = float(np.linalg.norm(weights @ row)) <= CANCEL * size
    return found


def _jumps(
    terrain: Terrain, x: Float[Tensor, "runs P"], slopes: Float[Tensor, "runs around P"]
) -> Bool[Tensor, " runs"]:
    """Whether the two slopes around that differ most still do so after bisecting their way."""
    apart = (slopes[:, :, None] - slopes[:, None]).norm(dim=-1).flatten(1)
    most, pair = apart.max(-1)
    offsets = _offsets(terrain)
    count, runs = len(offsets), torch.arange(len(x))
    ends = [pair // count, pair % count]
    low, high = (x + offsets[i] for i in ends)
    below, above = (slopes[runs, i] for i in ends)
    gap = most
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        slope = loss_and_gradient(terrain.surface, middle)[1].double() * terrain.width
        left, right = (slope - below).norm(dim=-1), (above - slope).norm(dim=-1)
        to_left = (left >= right)[:, None]
        low, high = torch.where(to_left, low, middle), torch.where(to_left, middle, high)
        below, above = torch.where(to_left, below, slope), torch.where(to_left, slope, above)
        gap = left.maximum(right)
    found: Tensor = (most > 0) & (gap >= JUMP * most)
    return found
