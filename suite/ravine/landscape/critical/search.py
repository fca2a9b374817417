"""Critical points from many starts at once: Levenberg and Marquardt on the squared gradient."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64, Shaped
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.critical.classify import (
    FLAT,
    GRADIENT,
    HELD,
    Classification,
    classify,
)
from ravine.landscape.critical.kinds import Label
from ravine.landscape.critical.rest import Rest, downhill, rest
from ravine.landscape.sources import surface as surface_of
from ravine.landscape.surface import Surface
from ravine.problems import arguments
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.draws import generator

STARTS = 1000
ITERATIONS = 300

RADIUS = 1e-6
"""Points this close, as a share of the scale, are one; see `Found.radius`."""

LEFT = "left the domain"
"""At rest outside the box, or more than its width away."""
UNFINISHED = "not converged"
"""After all iterations."""
GRADIENT_FLAT = "gradient-flat"
"""At rest in a minimum of |g| alone, or with the gradient in the kernel of the Hessian."""
INFINITE = "not finite"
UNCERTIFIED = "not a critical point on a closer look"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """Critical points, and what became of all starts.

    Args:
        surface: its name.
        points: classified, from the lowest value to the highest.
        hits: starts that led to each.
        rejected: starts that led to none, by the reason.
        starts: how many there were.
        radius: points closer than this, or than 20 times the Newton steps that are left at
            them, were taken for one; a share of the scale.
        box: where points were sought, [low, high] of each coordinate; None for anywhere.
        iterations: that were allowed to a start.
        seed: of the starts; None where they were given.
    """

    surface: str
    points: tuple[Classification, ...]
    hits: tuple[int, ...]
    rejected: Mapping[str, int]
    starts: int
    radius: float = RADIUS
    box: tuple[tuple[float, float], ...] | None = None
    iterations: int = ITERATIONS
    seed: int | None = None

    @property
    def kinds(self) -> Mapping[str, int]:
        """How many points there are of each kind."""
        return Counter(point.label.value for point in self.points)


def critical_points(
    problem: Problem,
    starts: int = STARTS,
    seed: int = 0,
    *,
    listener: Callable[[float], None] = lambda share: None,
) -> Found:
    """Find the critical points of a formula in its domain, from random starts.

    Starts are uniform in the domain; points outside are counted and left out.  The formula
    is taken in its own coordinates, where its facts speak.  Nothing says that all points
    were found; a point that attracts few starts is missed easily.

    Args:
        problem: a formula.
        starts: how many.
        seed: of the starts.
        listener: told the share of the work that is done.

    Raises:
        BadValue: the problem has no domain, or is not twice differentiable.

    Example:
        >>> from ravine import problem
        >>> dict(critical_points(problem("tilted_double_well"), starts=100).kinds)
        {'minimum': 2, 'maximum': 1}
    """
    arguments.whole("starts", starts, 1)
    if not isinstance(problem, Analytic):
        raise BadValue(
            f"`{problem.name}` has no domain to draw starts in; give a point to classify, or "
            f"starts to `search`"
        )
    if not problem.traits.smooth:
        raise BadValue(
            f"`{problem.name}` has kinks, where no gradient vanishes; choose a smooth problem, or "
            f"give a point to classify"
        )
    low, high = np.array(problem.intervals).T
    draws = generator("critical", problem.dim, seed).random((starts, problem.dim))
    found = search(
        surface_of(problem),
        torch.from_numpy(low + (high - low) * draws),
        box=problem.intervals,
        listener=listener,
    )
    return replace(found, seed=seed)


def search(
    surface: Surface,
    starts: Float[Tensor, "n P"],
    *,
    box: tuple[tuple[float, float], ...] | None = None,
    radius: float = RADIUS,
    iterations: int = ITERATIONS,
    higher: bool = True,
    listener: Callable[[float], None] = lambda share: None,
) -> Found:
    """Find critical points by minimising |grad f|^2 / 2 from every start, in float64.

    A step is s = -(H^2 + mu)^-1 H g with the dense Hessian H and a damping mu of each start's
    own, which falls where the quadratic model holds.  All starts are one stack, as far as
    their Hessians fit into 128 MB.  A start that is lost (it leaves the box, or comes to rest
    in a minimum of |g| alone) is led downhill first and tried once more.  What is lost again is
    counted; equal points are merged; the rest is classified.

    Args:
        surface: f, smooth.
        starts: points.
        box: [low, high] of each coordinate; points outside are counted and left out.
        radius: see `Found.radius`.
        iterations: at most so many steps from each start.
        higher: whether to take higher derivatives at degenerate points.
        listener: told the share of the work that is done.

    Raises:
        BadValue: the surface has kinks, or too many coordinates for dense Hessians.

    References:
        Marquardt (1963). An algorithm for least-squares estimation of nonlinear parameters.
        Journal of SIAM 11(2).  Nielsen (1999). Damping parameter in Marquardt's method.
        Technical University of Denmark, IMM-REP-1999-05.
    """
    if not surface.smooth:
        raise BadValue(f"`{surface.name}` has kinks; search on a smooth surface")
    x = starts.detach().double()
    bounds = None if box is None else torch.tensor(box, dtype=torch.float64)
    scale = _scale(x, bounds)
    ended = _ended(surface, x, scale, bounds, iterations, lambda done: listener(0.5 * done))
    status = _outcomes(ended, surface.size, bounds)
    lost = torch.from_numpy(np.flatnonzero(status != ""))
    if len(lost):
        pieces = _stacks(len(lost), surface.size)
        begin = torch.cat([downhill(surface, x[lost[p]], scale[lost[p]]) for p in pieces])
        again = _ended(
            surface, begin, scale[lost], bounds, iterations, lambda d: listener(0.5 + 0.5 * d)
        )
        ended = _with(ended, lost, again)
        status = _outcomes(ended, surface.size, bounds)
    rejected = Counter(status[status != ""].tolist())
    kept = torch.from_numpy(np.flatnonzero(status == ""))
    heads, hits = _merged(ended, kept, _scale(ended.x, bounds), radius)
    width = None if bounds is None else float((bounds[:, 1] - bounds[:, 0]).max())
    points = classify(surface, ended.x[heads], scale=width, higher=higher) if len(heads) else ()
    chosen = []
    for point, hit in zip(points, hits, strict=True):
        if point.label is Label.NOT_CRITICAL:
            rejected[UNCERTIFIED] += hit
        else:
            chosen.append((point, hit))
    chosen.sort(key=lambda pair: pair[0].value)
    listener(1.0)
    return Found(
        surface=surface.name,
        points=tuple(point for point, _ in chosen),
        hits=tuple(hit for _, hit in chosen),
        rejected=dict(rejected),
        starts=len(x),
        radius=radius,
        box=box,
        iterations=iterations,
    )


def _scale(
    x: Float64[Tensor, "n P"], bounds: Float64[Tensor, "P 2"] | None
) -> Float64[Tensor, " n"]:
    if bounds is None:
        lengths: Float64[Tensor, " n"] = torch.nan_to_num(x).norm(dim=-1)
        return 1 + lengths
    return torch.full((len(x),), float((bounds[:, 1] - bounds[:, 0]).max()), dtype=x.dtype)


def _beyond(
    x: Float64[Tensor, "n P"], bounds: Float64[Tensor, "P 2"] | None, widths: float
) -> Bool[Tensor, " n"]:
    """Whether points lie outside the box by more than so many of its widths."""
    if bounds is None:
        return torch.zeros(len(x), dtype=torch.bool)
    margin = widths * (bounds[:, 1] - bounds[:, 0])
    inside = (x >= bounds[:, 0] - margin) & (x <= bounds[:, 1] + margin)
    outside: Bool[Tensor, " n"] = ~inside.all(-1)
    return outside


def _ended(
    surface: Surface,
    x: Float64[Tensor, "n P"],
    scale: Float64[Tensor, " n"],
    bounds: Float64[Tensor, "P 2"] | None,
    iterations: int,
    listener: Callable[[float], None],
) -> Rest:
    """Where starts come to rest, in stacks whose Hessians fit into memory."""
    runs = []
    for own in _stacks(len(x), surface.size):
        done, share = own.start / len(x), len(x[own]) / len(x)
        runs.append(
            rest(
                surface,
                x[own],
                scale[own],
                lambda points: _beyond(points, bounds, 1.0),
                iterations,
                lambda part, done=done, share=share: listener(done + part * share),  # type: ignore[misc]
            )
        )
    return Rest(*(torch.cat([getattr(run, n) for run in runs]) for n in Rest.__slots__))


def _stacks(count: int, size: int) -> list[slice]:
    each = max(1, HELD // size**2)
    return [slice(first, first + each) for first in range(0, count, each)]


def _with(ended: Rest, rows: Int64[Tensor, " k"], other: Rest) -> Rest:
    """The same with some starts exchanged."""
    return Rest(*(getattr(ended, n).index_copy(0, rows, getattr(other, n)) for n in Rest.__slots__))


def _outcomes(
    ended: Rest, size: int, bounds: Float64[Tensor, "P 2"] | None
) -> Shaped[np.ndarray, " n"]:
    """Why each start led to nothing; empty where its gradient vanishes in the box."""
    outside = _beyond(ended.x, bounds, 1e-9)
    flat = ended.rested | (ended.flatness < FLAT)
    still = ended.gradients.norm(dim=-1) <= GRADIENT * (1 + ended.values.abs()) * size**0.5
    return np.select(
        [
            ~ended.finite.numpy(),
            outside.numpy(),
            still.numpy(),
            flat.numpy(),
        ],
        [INFINITE, LEFT, "", GRADIENT_FLAT],
        UNFINISHED,
    )


def _merged(
    ended: Rest, kept: Int64[Tensor, " k"], scale: Float64[Tensor, " n"], radius: float
) -> tuple[list[int], list[int]]:
    """The best of each group of equal points, and how many are in it."""
    heads, hits = [], []
    norms = ended.gradients.norm(dim=-1)
    reach = scale * radius + torch.minimum(20 * ended.steps, 1e3 * radius * scale)
    rows = kept[norms[kept].argsort(stable=True)]
    while len(rows):
        head = rows[0]
        apart = (ended.x[rows] - ended.x[head]).norm(dim=-1)
        same = apart <= torch.maximum(reach[rows], reach[head])
        heads.append(int(head))
        hits.append(int(same.sum()))
        rows = rows[~same]
    return heads, hits
