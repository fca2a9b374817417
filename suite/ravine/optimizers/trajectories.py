"""Short runs on one smooth function, seen in other coordinates, units and shapes."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import differentiate, set_mode, step

DIM = 12
"""Coordinates: enough for a matrix of four rows and three columns."""

CYCLE = 97
"""Steps after which weights repeat; a prime, so that no schedule of a method falls in step."""

Shapes = tuple[tuple[int, ...], ...]

Vector = Float64[Tensor, "12"]
Matrix = Float64[Tensor, "12 12"]


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Where a run begins, and how the function's terms count at each of its steps.

    Args:
        point: the start.
        weights: of the terms; steps beyond the last begin again.
    """

    point: Vector
    weights: Float64[Tensor, "steps 12"]


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """f(x) = sum_i w_i (cosh r_i - 1), r = M (x - minimizer).

    Convex, coupled and no quadratic, with its minimum, 0, away from the origin, whatever the
    weights.  The first coordinates matter less than the last, so that a part of them is
    unlike the whole.

    Args:
        mixing: M, seven parts the identity and three a rotation, with columns scaled from 1/2
            to 2.
        minimizer: no coordinate is near 0.
        starts: a far one, whose weights are all 1, and a near one, whose weights lie from 1/4
            to 4: from step to step gradients grow, shrink and turn, as those of minibatches.
    """

    mixing: Matrix
    minimizer: Vector
    starts: tuple[Start, ...]

    def loss(self, x: Vector, weights: Vector) -> Float64[Tensor, ""]:
        """The function's value."""
        residuals = torch.mv(self.mixing, x - self.minimizer)
        return torch.dot(weights, residuals.cosh() - 1)


@cache
def ground() -> Ground:
    """The function and the starts that every method is measured on."""
    draw = torch.Generator().manual_seed(0)
    columns = torch.logspace(-1.0, 1.0, DIM, base=2, dtype=torch.float64)
    mixing = (0.7 * torch.eye(DIM, dtype=torch.float64) + 0.3 * orthogonal(DIM, draw)) * columns
    minimizer, way = _apart(draw), _apart(draw)
    changing = 4.0 ** (2 * torch.rand(CYCLE, DIM, generator=draw, dtype=torch.float64) - 1)
    far = Start(minimizer + way, torch.ones_like(changing))
    near = Start(minimizer - 0.25 * way.flip(0), changing)
    return Ground(mixing, minimizer, (far, near))


def _apart(draw: torch.Generator) -> Vector:
    """Coordinates of either sign and a size from 0.5 to 1.5."""
    size = 0.5 + torch.rand(DIM, generator=draw, dtype=torch.float64)
    return size * (2 * torch.randint(2, (DIM,), generator=draw) - 1)


def orthogonal(n: int, draw: torch.Generator) -> Float64[Tensor, "n n"]:
    """A random orthogonal matrix."""
    q: Tensor = torch.linalg.qr(torch.randn(n, n, generator=draw, dtype=torch.float64))[0]
    return q


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The function as a method meets it: factor f(linear y + offset) + shift.

    Args:
        words: what is different, `loss / 128`; empty where nothing is.
        shapes: of the parameters that hold y, one after another.
        linear: an invertible matrix, the identity if None.
        offset: zero if None.
        factor: of the loss.
        shift: of the loss.
        seed: of the global generators.
        dtype: of the parameters; all else is computed in double precision.
    """

    words: str = ""
    shapes: Shapes = ((DIM,),)
    linear: Matrix | None = None
    offset: Vector | None = None
    factor: float = 1.0
    shift: float = 0.0
    seed: int = 0
    dtype: torch.dtype = torch.float64

    def here(self, x: Vector) -> Vector:
        """The y of an x."""
        y = x if self.offset is None else x - self.offset
        return y if self.linear is None else torch.linalg.solve(self.linear, y)

    def there(self, parameters: Sequence[Tensor]) -> Vector:
        """The x of parameters."""
        flat = [p.flatten().double() for p in parameters]
        x = flat[0] if len(flat) == 1 else torch.cat(flat)
        x = x if self.linear is None else torch.mv(self.linear, x)
        return x if self.offset is None else x + self.offset


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """Where a run was, in the coordinates of the function itself.

    Args:
        points: the start, the points after each step, and the solution of a method that
            tells it from where gradients are taken.
        finite: whether all are.
    """

    points: Float64[Tensor, "steps 12"]
    finite: bool

    @property
    def travelled(self) -> float:
        """The largest distance from the start."""
        return _longest(self.points - self.points[0]) if self.finite else math.inf


def descend(setting: Setting, start: Start, view: View, steps: int) -> Trajectory:
    """Run a method from a start, on a view of the function.

    Args:
        setting: what runs.
        start: in the coordinates of the function itself, and its weights.
        view: what the method meets.
        steps: how many; the method is told of four times as many.

    Raises:
        Exception: whatever the constructor or a step raises.
    """
    needs = capabilities(setting)
    torch.default_generator.manual_seed(view.seed)  # `torch.manual_seed` takes milliseconds
    random.seed(view.seed)
    np.random.seed(view.seed)  # noqa: NPY002
    pieces = torch.split(view.here(start.point), [math.prod(shape) for shape in view.shapes])
    parameters = [
        piece.reshape(shape).to(view.dtype, copy=True).requires_grad_()
        for piece, shape in zip(pieces, view.shapes, strict=True)
    ]
    plain = view.factor == 1 and view.shift == 0
    weights = start.weights[0]

    def evaluate() -> Tensor:
        loss = ground().loss(view.there(parameters), weights)
        return loss if plain else view.factor * loss + view.shift

    def place() -> Tensor:
        return view.there(parameters).detach().clone()

    optimizer = assemble(setting, parameters, 4 * steps)
    points = [place()]
    for at in range(steps):
        weights = start.weights[at % len(start.weights)]
        loss = evaluate()
        if not math.isfinite(loss.item()):
            break
        differentiate(loss, parameters, needs)
        step(optimizer, parameters, needs, evaluate, loss)
        points.append(place())
    if needs.modes:
        set_mode(optimizer, training=False)
        points.append(place())
    met = torch.stack(points)
    complete = len(points) == steps + 1 + needs.modes
    return Trajectory(met, complete and bool(met.isfinite().all()))


def deviation(run: Trajectory, other: Trajectory) -> float:
    """How far two runs are apart, as a share of the way that the first has gone by then.

    max_t |x'_t - x_t| / max_(s <= t) |x_s - x_0|, over the t at which the first has moved.

    Args:
        run: whose way it is a share of, finite.
        other: infinitely far where it is not finite.
    """
    if not other.finite:
        return math.inf
    apart = torch.linalg.vector_norm(other.points - run.points, dim=1)
    way = torch.linalg.vector_norm(run.points - run.points[0], dim=1).cummax(0).values
    moved = way > 0
    return float((apart[moved] / way[moved]).max())


def _longest(ways: Float64[Tensor, "steps 12"]) -> float:
    return float(torch.linalg.vector_norm(ways, dim=1).max())
