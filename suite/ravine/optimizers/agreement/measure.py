"""How far apart two methods run on one smooth function, from the same starts."""

import io
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.optimizers.agreement.amend import amended
from ravine.optimizers.agreement.base import VECTOR, Algorithm, Difference, Member, Shapes
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities, undisturbed
from ravine.optimizers.catalogue import method
from ravine.optimizers.driving import differentiate, set_mode, step

STEPS = 100

SAME = 1e-10
"""A deviation up to this is the rounding of double precision; single precision leaves more."""

Vector = Float64[Tensor, " n"]


@dataclass(frozen=True, slots=True, eq=False)
class Landscape:
    """f(x) = sum_i (r_i^2 / 2 + r_i^4 / 4), r = M (x - minimizer).

    Args:
        mixing: M, with singular values from 0.5 to 1.5; diagonal if coordinates are apart.
        minimizer: not the origin.
        starts: a far one and a near one.
    """

    mixing: Float64[Tensor, "n n"]
    minimizer: Vector
    starts: tuple[Vector, Vector]

    def loss(self, x: Vector) -> Float64[Tensor, ""]:
        """The function's value."""
        squares = torch.mv(self.mixing, x - self.minimizer).square()
        return torch.dot(squares, squares + 2) / 4


@cache
def landscape(n: int, separable: bool = False) -> Landscape:
    """The function of n coordinates that all methods run on."""
    draw = torch.Generator().manual_seed(n)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=draw, dtype=torch.float64)

    mixing = torch.diag(torch.linspace(0.5, 1.5, n, dtype=torch.float64))
    if not separable:
        mixing = torch.linalg.qr(normal(n, n))[0] @ mixing @ torch.linalg.qr(normal(n, n))[0]
    minimizer, way = normal(n) + 0.5, normal(n)
    return Landscape(mixing, minimizer, (minimizer + way, minimizer - 0.25 * way))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far another method was from a reference.

    Args:
        reference: id of a method with all hyperparameters fixed.
        other: id of another.
        deviation: the largest distance between them after the same number of steps, as a
            share of the longest way that the reference was from its start; the larger of
            both starts; infinite where either is not finite.
        first: the first step after which the share exceeds `SAME`, 0 if none does.
    """

    reference: str
    other: str
    deviation: float
    first: int

    @property
    def same(self) -> bool:
        """Whether they differ by rounding alone."""
        return self.deviation <= SAME


def agreement(
    reference: str,
    other: str,
    shapes: Shapes = VECTOR,
    separable: bool = False,
    steps: int = STEPS,
) -> Agreement:
    """Run two methods from the same starts and compare their solutions after every step.

    A method that tells its solution from the point where gradients are taken is compared by
    its solution.  It says nothing of what hyperparameters that are not given would do.

    Args:
        reference: id of a method with all hyperparameters fixed.
        other: id of another.
        shapes: of the parameters.
        separable: whether the function is a sum over coordinates.
        steps: how many.

    Raises:
        Exception: whatever a constructor or a step raises.

    Example:
        >>> found = agreement("sgd(lr=0.01)", "sgd(lr=0.01, momentum=0.5)")
        >>> found.same, found.first
        (False, 2)
    """
    return _compared(reference, other, shapes, separable, steps, _remembered)


def measured(algorithm: Algorithm, member: Member, steps: int = STEPS) -> Agreement:
    """Compare an implementation with its algorithm's reference.

    Args:
        algorithm: what is implemented.
        member: the implementation.
        steps: how many.

    Raises:
        Exception: whatever a constructor or a step raises.
    """
    return agreement(algorithm.reference, member.id, algorithm.shapes, algorithm.separable, steps)


def restored(algorithm: Algorithm, member: Member, steps: int = STEPS) -> Agreement:
    """Compare an implementation with the reference once its named difference is undone.

    Args:
        algorithm: what is implemented.
        member: an implementation with a difference.
        steps: how many.

    Raises:
        BadValue: it has none, or the source that it names is another by now.
        Exception: whatever a constructor or a step raises.
    """
    difference = member.difference
    if difference is None:
        raise BadValue(f"`{member.id}` has no difference to undo; choose one that has")
    reference = difference.reference or algorithm.reference
    other = difference.other or member.id
    changed = bool(difference.amendments) or difference.double
    with _undone(difference):
        return _compared(
            reference,
            other,
            algorithm.shapes,
            algorithm.separable,
            steps,
            run if changed else _remembered,
        )


@contextmanager
def _undone(difference: Difference) -> Iterator[None]:
    default = torch.get_default_dtype()
    with amended(difference.amendments):
        try:
            torch.set_default_dtype(torch.float64 if difference.double else default)
            yield
        finally:
            torch.set_default_dtype(default)


def run(
    id: str,
    shapes: Shapes,
    separable: bool = False,
    start: int = 0,
    steps: int = STEPS,
    nudge: float = 0.0,
) -> Float64[Tensor, "points n"]:
    """Where a method's solution was: at the start, and after each step.

    Args:
        id: a method with all hyperparameters fixed.
        shapes: of the parameters.
        separable: whether the function is a sum over coordinates.
        start: 0 for the far one, 1 for the near one.
        steps: how many.
        nudge: how far each coordinate of the start is moved, to see how errors grow.

    Raises:
        Exception: whatever the constructor or a step raises.
    """
    sizes = [math.prod(shape) for shape in shapes]
    place = landscape(sum(sizes), separable)
    begin = place.starts[start] + nudge
    parameters = [
        piece.reshape(shape).clone().requires_grad_()
        for piece, shape in zip(torch.split(begin, sizes), shapes, strict=True)
    ]

    def evaluate() -> Float64[Tensor, ""]:
        return place.loss(torch.cat([p.flatten() for p in parameters]))

    with redirect_stdout(io.StringIO()), undisturbed():  # some announce what they do
        setting = Setting(method(id))
        needs = capabilities(setting)
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002
        optimizer = assemble(setting, parameters, steps)

        def solution() -> Vector:
            if needs.modes:
                set_mode(optimizer, training=False)
            point = torch.cat([p.detach().flatten() for p in parameters])
            if needs.modes:
                set_mode(optimizer, training=True)
            return point

        points = [begin]
        for _ in range(steps):
            loss = evaluate()
            differentiate(loss, parameters, needs)
            step(optimizer, parameters, needs, evaluate, loss)
            points.append(solution())
    return torch.stack(points)


_remembered = cache(run)


def _compared(
    reference: str,
    other: str,
    shapes: Shapes,
    separable: bool,
    steps: int,
    source: Callable[..., Float64[Tensor, "points n"]],
) -> Agreement:
    found = [
        _apart(*(source(id, shapes, separable, start, steps) for id in (reference, other)))
        for start in (0, 1)
    ]
    firsts = [first for _, first in found if first]
    return Agreement(reference, other, max(d for d, _ in found), min(firsts, default=0))


def _apart(a: Float64[Tensor, "points n"], b: Float64[Tensor, "points n"]) -> tuple[float, int]:
    way = torch.linalg.vector_norm(a - a[0], dim=1).max()
    share = (torch.linalg.vector_norm(a - b, dim=1) / way).nan_to_num(nan=math.inf)
    seen = (share > SAME).nonzero()
    return float(share.max()), int(seen[0]) if len(seen) else 0
