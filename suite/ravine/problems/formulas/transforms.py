"""Wrappers that move, turn, scale or delay any problem given by a formula."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, positive
from ravine.problems.base import Facts, Goal
from ravine.problems.catalogue import analytic, problems
from ravine.registry import Id


def _moving(facts: Facts) -> Facts:
    """Facts that still hold when places differ from seed to seed."""
    return replace(facts, minimizers=(), critical_points=(), complete=False)


@problems.register("transform", "analytic")
def shifted(base: str | Id = "ellipsoid", shift: float = 2.0) -> Analytic:
    """A problem whose minimum lies elsewhere for every seed.

    f(x) = base(x - s) with s uniform in [-shift, shift]^n; the start moves along.

    Nothing changes for a method that sees gradients alone; one that is drawn to the
    origin, as by weight decay, loses what that gave it.  Places of minima are not listed,
    for they move; values and curvatures stay.

    Args:
        base: the id of a formula.
        shift: half-width of the box of shifts.

    References:
        Hansen, Auger, Ros, Mersmann, Tušar, Brockhoff (2021). COCO: a platform for
        comparing continuous optimizers in a black-box setting. arXiv 1603.08785.
    """
    positive("shift", shift)
    inner = analytic(base)
    if inner.shift:
        raise BadValue(f"`{inner.name}` is shifted already; shift it once")
    if inner.traits.box is not None:
        raise BadValue(f"`{inner.name}` is bound to a box; shift one without")
    return replace(inner, shift=shift, facts=_moving(inner.facts))


@problems.register("transform", "analytic")
def rotated(base: str | Id = "rosenbrock") -> Analytic:
    """A problem in coordinates turned at random, by another rotation for each seed.

    f(x) = base(R x) with R orthogonal, uniform in the Haar measure.

    Methods with a rate for each coordinate are not invariant under rotation; plain
    descent is, apart from its start.  Places of minima are not listed, for they move,
    unless all are the origin; values and curvatures stay.

    Args:
        base: the id of a formula over two coordinates at least.

    References:
        Hansen, Auger, Ros, Mersmann, Tušar, Brockhoff (2021). COCO: a platform for
        comparing continuous optimizers in a black-box setting. arXiv 1603.08785.
    """
    inner = analytic(base)
    at_least("dim", inner.dim, 2)
    if inner.rotate:
        raise BadValue(f"`{inner.name}` is rotated already; rotate it once")
    if inner.traits.box is not None:
        raise BadValue(f"`{inner.name}` is bound to a box; rotate one without")
    origin_only = not any(any(x) for x in inner.facts.minimizers) and not inner.shift
    facts = inner.facts if origin_only else _moving(inner.facts)
    return replace(inner, rotate=True, facts=replace(facts, critical_points=(), complete=False))


@problems.register("transform", "analytic")
def scaled(base: str | Id = "rosenbrock", by: float = 1e3) -> Analytic:
    """A problem whose loss is multiplied by a constant.

    f(x) = by * base(x).

    Nothing changes but the size of gradients: methods that normalise them do not notice,
    plain descent needs its rate divided by the same constant, and a small constant in a
    denominator or a clip shows.

    Args:
        base: the id of a formula.
        by: the constant, positive.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization.
        arXiv 1312.6055.
    """
    positive("by", by)
    inner = analytic(base)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return by * inner.f(x)

    facts = inner.facts
    relative = facts.goal is Goal.MINIMUM
    return replace(
        inner,
        f=f,
        facts=replace(
            facts,
            minimum=_times(by, facts.minimum),
            critical_points=tuple(replace(p, value=by * p.value) for p in facts.critical_points),
            eigenvalues=tuple(by * e for e in facts.eigenvalues),
            smoothness=_times(by, facts.smoothness),
            strong_convexity=_times(by, facts.strong_convexity),
            targets=facts.targets if relative else tuple(by * t for t in facts.targets),
        ),
    )


def _times(by: float, value: float | None) -> float | None:
    return None if value is None else by * value


@problems.register("transform", "analytic")
def stretched(base: str | Id = "rosenbrock", ratio: float = 10.0) -> Analytic:
    """A problem whose coordinates are measured in different units.

    f(x) = base(x_1 / u_1, ..., x_n / u_n) with u_i = ratio^((i-1)/(n-1)).

    Curvatures fall by u_i^2, as when features are not normalised.  A method that adapts
    each coordinate's rate sees the base problem again, apart from its constants.

    Args:
        base: the id of a formula over two coordinates at least.
        ratio: of the largest unit to the smallest, which is 1.

    References:
        LeCun, Bottou, Orr, Müller (1998). Efficient BackProp, 4.3.
        doi 10.1007/3-540-49430-8_2.
    """
    positive("ratio", ratio)
    inner = analytic(base)
    at_least("dim", inner.dim, 2)
    if inner.shift or inner.rotate:
        raise BadValue(f"`{inner.name}` moves with the seed; stretch its base and then move it")
    if inner.traits.box is not None:
        raise BadValue(f"`{inner.name}` is bound to a box; stretch one without")
    unit = [float(ratio ** (i / (inner.dim - 1))) for i in range(inner.dim)]
    units = torch.tensor(unit, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return inner.f(x / units.to(x))

    def outward(x: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(u * z for u, z in zip(unit, x, strict=True))

    sides = zip(unit, inner.intervals, strict=True)

    facts = inner.facts
    return replace(
        inner,
        f=f,
        domain=tuple((u * low, u * high) for u, (low, high) in sides),
        start_at=None if inner.start_at is None else outward(inner.start_at),
        spread=inner.spread * min(unit),
        facts=replace(
            facts,
            minimizers=tuple(outward(x) for x in facts.minimizers),
            critical_points=tuple(replace(p, x=outward(p.x)) for p in facts.critical_points),
            eigenvalues=(),
            condition=None,
            smoothness=_times(1 / min(unit) ** 2, facts.smoothness),
            strong_convexity=_times(1 / max(unit) ** 2, facts.strong_convexity),
        ),
    )


@problems.register("transform", "analytic")
def delayed(base: str | Id = "sphere", steps: int = 4) -> Analytic:
    """A problem whose gradients arrive late, as from workers that do not wait.

    f(x) = base(x), with the gradient at step t taken at the point of step t - delay.

    A rate that is safe without delay oscillates with it: on a quadratic plain descent
    diverges from about 2 sin(pi / (4 delay + 2)) / lambda_max on, and momentum earlier.
    The value scored is that of the present point.

    Args:
        base: the id of a formula.
        steps: the delay.

    References:
        Agarwal, Duchi (2011). Distributed delayed stochastic optimization. arXiv
        1104.5525; Levin, May (1976). A note on difference-delay equations.
        doi 10.1016/0040-5809(76)90043-5.
    """
    at_least("steps", steps, 1)
    inner = analytic(base)
    if inner.traits.lag:
        raise BadValue(f"`{inner.name}` is delayed already; give it the sum of both delays")
    return replace(inner, traits=replace(inner.traits, lag=steps))
