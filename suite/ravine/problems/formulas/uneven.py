"""Basins of uneven width: ripples on ripples, crossing valleys, a logarithmic scale."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.formulas.points import critical, heights, ladder


@problems.register("multimodal", "analytic")
def weierstrass(dim: int = 2) -> Analytic:
    """The first three terms of a nowhere differentiable function: ripples on ripples.

    f(x) = sum_i sum_{k<3} 2^-k (1 - cos(2 pi 3^k x_i)).

    Each finer ripple is half as high and, at its steepest, half as steep again, so the
    gradient tells of the finest scale and not of the basin.  The function repeats with
    period 1 in each coordinate.

    Args:
        dim: number of coordinates.

    References:
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f16 (with
        twelve terms, rotated).
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        turns = 2 * math.pi * x
        coarse = torch.cos(turns) + 0.5 * torch.cos(3 * turns)
        return total(1.75 - (coarse + 0.25 * torch.cos(9 * turns)))

    wells = [
        (0.0, 0.0),
        (0.091294466765719, 0.8760241677739),
        (0.3275662704196, 1.484425987385),
    ]
    worse = ladder(*[wells] * dim)
    curvature = 103 * math.pi**2
    return Analytic(
        f=f,
        dim=dim,
        domain=(-0.5, 0.5),
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,) * dim,),
            critical_points=worse + critical(Kind.MINIMUM, (0.0,) * (dim + 1)),
            eigenvalues=(curvature,) * dim,
            condition=1.0,
            smoothness=curvature,
            goal=Goal.BASIN,
            targets=heights(worse),
            source="roots of the derivative in one coordinate, to thirteen digits",
        ),
    )


_VALLEYS = (
    ((2.202905520173, -0.8013034100986),),
    ((1.570796326795, -1.0), (2.711571483843, -0.4127561055223)),
    ((1.284991570553, -0.959091269896), (2.219333251748, -0.7963316360919)),
    ((1.923058469866, -0.9384624184721), (1.11378134865, -0.8966996071312)),
    ((1.720469772566, -0.9888010806215), (0.9966770382174, -0.8387989194038)),
    ((1.570796326795, -1.0), (2.027479777902, -0.8974296352969)),
    ((1.454413971362, -0.9932271353559), (1.877234665213, -0.9533799466534)),
    ((1.756086520945, -0.9828720362722), (1.360571736517, -0.9779608884786)),
    ((1.655717416821, -0.9963943649251), (1.282824006565, -0.9587827955007)),
    ((1.570796326795, -1.0), (1.858485591644, -0.9588870825666)),
)
"""For each coordinate its two deepest valleys: where, and how deep."""


@problems.register("multimodal", "box", "analytic")
def michalewicz(dim: int = 2) -> Analytic:
    """Narrow valleys that cross on a plain; one crossing is the deepest.

    f(x) = -sum_i sin(x_i) sin^20(i x_i^2 / pi) on [0, pi]^n.

    Off the valleys the gradient vanishes, and coordinate i has i valleys, narrower for
    larger i.  The first targets are the floors of valleys that lie on the plain.

    Args:
        dim: number of coordinates, at most ten.

    Raises:
        BadValue: the facts do not reach so far.

    References:
        Michalewicz (1992). Genetic Algorithms + Data Structures = Evolution Programs.
        Springer. doi 10.1007/978-3-662-03315-9.
    """
    at_least("dim", dim, 2)
    if dim > len(_VALLEYS):
        raise BadValue(f"`dim` must be at most {len(_VALLEYS)}, got {dim}; make it smaller")
    rates = torch.arange(1, dim + 1, dtype=torch.float64) / math.pi

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        squared = torch.sin(rates.to(x) * x.square()).square()
        fourth = squared.square()
        sixteenth = fourth.square().square()
        return -total(torch.sin(x) * fourth * sixteenth)

    valleys = _VALLEYS[:dim]
    best = tuple(axis[0][0] for axis in valleys)
    minimum = sum(axis[0][1] for axis in valleys)
    # at 0.1 every coordinate is on the plain
    levels = [
        (*best[:k], *(0.1,) * (dim - k), sum(axis[0][1] for axis in valleys[:k]))
        for k in range(1, dim)
    ]
    worse = ladder(*valleys)
    above = tuple(p for p in critical(Kind.DEGENERATE, *levels) if p.value > worse[0].value)
    known = above + worse
    return Analytic(
        f=f,
        dim=dim,
        domain=(0.0, math.pi),
        facts=Facts(
            minimum=minimum,
            minimizers=(best,),
            critical_points=known + critical(Kind.MINIMUM, (*best, minimum)),
            goal=Goal.BASIN,
            targets=heights(known)[-8:],
            source="roots of the derivative in one coordinate, to thirteen digits",
        ),
        traits=Traits(box=((0.0, math.pi),) * dim),
    )


@problems.register("multimodal", "box", "analytic")
def vincent(dim: int = 2) -> Analytic:
    """Equally good basins whose width grows with the distance from zero.

    f(x) = -(1/n) sum_i sin(10 log x_i) on [0.25, 10]^n.

    All 6^n minima are global, and their curvatures differ by a factor of 535, so no one
    rate suits all of them.

    Args:
        dim: number of coordinates.

    References:
        Shir, Bäck (2006). Niche radius adaptation in the CMA-ES niching algorithm. PPSN
        IX, 142-151. doi 10.1007/11844297_15.
    """
    at_least("dim", dim, 1)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(torch.sin(10 * torch.log(x))) / -dim

    places = [math.exp((0.5 + 2 * k) * math.pi / 10) for k in range(-2, 4)]
    curvature = 100 / (dim * places[0] ** 2)
    return Analytic(
        f=f,
        dim=dim,
        domain=(0.25, 10.0),
        facts=Facts(
            minimum=-1.0,
            minimizers=tuple((place,) * dim for place in places),
            eigenvalues=(curvature,) * dim,
            condition=1.0,
            source="closed form; coordinates may be in different basins",
        ),
        traits=Traits(box=((0.25, 10.0),) * dim),
    )
