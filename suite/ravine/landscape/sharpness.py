"""How sharp the ground is around a point: curvature, worst case in a ball and in a box.

Each measure is taken in three geometries, d = T u with T diagonal: `plain` (T = 1), and two
that move with the point, `elementwise` (T = |x|) and `filterwise` (T = the norm of the filter
that a coordinate belongs to).  A ReLU network whose layers are rescaled against each other
computes the same function; its plain sharpness takes any value, the scaled ones stay.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.operators import Operator, hessian
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.spectrum.trace import trace
from ravine.landscape.surface import Surface, loss, loss_and_gradient
from ravine.problems.draws import generator

INVARIANT = {"plain": "none", "elementwise": "units", "filterwise": "layers"}
"""The rescalings of a ReLU network that a geometry does not see."""

RANDOM_STARTS = 4
"""Of an ascent, beside those along the gradient and the leading eigenvector."""

SMALLEST_STEP = 2.0**-12
"""An ascent has ended where no step down to this share of the radius leads higher."""


@dataclass(frozen=True, slots=True)
class Ascent:
    """The highest point found within a ball or a box around a point.

    Args:
        radius: of the ball, or half the side of the box, in the geometry's own lengths.
        rise: f there less f(x); at least 0, and a lower bound of the true maximum.
        starts: ascents that were made as one stack.
        spread: of the rises that the starts reached, lowest to highest.
        iterations: of all of them.
        converged: every ascent ended by itself.
    """

    radius: float
    rise: float
    starts: int
    spread: tuple[float, float]
    iterations: int
    converged: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Sharpness in one geometry d = T u.

    Args:
        geometry: `plain`, `elementwise` or `filterwise`.
        invariant: to which rescalings of a ReLU network it is: none, those of whole `layers`, or
            of single `units`.
        eigenvalue: the largest of T H T.
        residual: of the eigenvalue.
        converged: of the eigenvalue.
        trace: of T H T over P, the mean curvature in the directions T e_i.
        trace_error: its standard error; 0 where it is exact.
        trace_converged: the error is as small against the trace as was asked for.
        one_step: f(x + radius T^2 g / |T g|) - f(x), the step of SAM or ASAM.
        ball: highest rise for |u| at most the radius.
        box: highest rise for |u_i| at most epsilon; in the plain geometry Keskar's box,
            |d_i| at most epsilon (|x_i| + 1).
        keskar: 100 times the box's rise over 1 + f(x), in percent.
    """

    geometry: str
    invariant: str
    eigenvalue: float
    residual: float
    converged: bool
    trace: float
    trace_error: float
    trace_converged: bool
    one_step: float
    ball: Ascent
    box: Ascent
    keskar: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness:
    """How sharp a surface is around one point, in three geometries.

    Args:
        name: of the problem.
        split: which data.
        batch_norm: how batch normalisation is done; empty without any.
        loss: f(x).
        gradient_norm: |grad f(x)|.
        seed: of all draws.
        measures: one for each geometry; see `Measures`.
    """

    name: str
    split: str
    batch_norm: str
    loss: float
    gradient_norm: float
    seed: int
    measures: tuple[Measures, ...]


def sharpness(
    surface: Surface,
    x: Float[Tensor, " P"],
    *,
    radius: float = 0.05,
    scaled_radius: float = 0.5,
    epsilon: float = 1e-3,
    trace_tol: float = 0.1,
    most: int = 128,
    iterations: int = 100,
    tol: float = 1e-3,
    seed: int = 0,
    listener: Callable[[float], None] = lambda share: None,
) -> Sharpness:
    """Largest eigenvalue, trace, and highest rise in a ball and in a box, at one point.

    Rises are maxima that an ascent found, hence lower bounds.  Elementwise scaling is
    invariant to every rescaling of a ReLU network's units, filterwise scaling to those of
    whole layers; neither is to a shift of weights that a normalisation ignores.

    Args:
        surface: f.
        x: the point.
        radius: rho of the plain ball.
        scaled_radius: rho of the scaled ones, a length relative to the parameters.
        epsilon: half the side of the boxes, relative to the parameters.
        trace_tol: standard error of the trace, relative to it.
        most: products with the Hessian that a trace takes at most.
        iterations: of an ascent at most.
        tol: of the eigenvalue's residual, relative to the eigenvalue.
        seed: of all random directions.
        listener: told the share that is done.

    Raises:
        BadValue: a radius is not positive.

    References:
        Keskar et al. (2017). On large-batch training for deep learning. arXiv 1609.04836.
        Dinh et al. (2017). Sharp minima can generalize for deep nets. arXiv 1703.04933.
        Foret et al. (2021). Sharpness-aware minimization. arXiv 2010.01412.
        Kwon et al. (2021). ASAM: adaptive sharpness-aware minimization. arXiv 2102.11600.
    """
    for name, length in (
        ("radius", radius),
        ("scaled_radius", scaled_radius),
        ("epsilon", epsilon),
    ):
        if not 0 < length < np.inf:
            raise BadValue(f"`{name}` must be positive and finite, got {length}; give such")
    value, slope = loss_and_gradient(surface, x)
    bend, measures = hessian(surface, x), []
    geometries = scales(surface, x)
    for done, (geometry, scale) in enumerate(geometries.items()):
        matrix = scaled(bend, scale)
        top = extreme(matrix, largest=1, tol=tol, seed=seed)
        mean = trace(matrix, rtol=trace_tol, seed=seed, most=most)
        rho = radius if geometry == "plain" else scaled_radius
        # a box of relative size; Keskar's adds 1 so that zeros move, too
        sides = x.abs() + 1 if geometry == "plain" else scale
        box = ascend(surface, x, sides, epsilon, "box", top.vectors[0], iterations, seed)
        measures.append(
            Measures(
                geometry=geometry,
                invariant=INVARIANT[geometry],
                eigenvalue=top.values[0],
                residual=top.residuals[0],
                converged=top.converged[0],
                trace=mean.value / surface.size,
                trace_error=mean.error / surface.size,
                trace_converged=mean.converged,
                one_step=one_step(surface, x, scale, rho),
                ball=ascend(surface, x, scale, rho, "ball", top.vectors[0], iterations, seed),
                box=box,
                keskar=100 * box.rise / (1 + value.item()),
            )
        )
        listener((done + 1) / len(geometries))
    return Sharpness(
        name=surface.name,
        split=surface.split,
        batch_norm=surface.batch_norm,
        loss=value.item(),
        gradient_norm=torch.linalg.vector_norm(slope.double()).item(),
        seed=seed,
        measures=tuple(measures),
    )


def scales(surface: Surface, x: Float[Tensor, " P"]) -> Mapping[str, Float[Tensor, " P"]]:
    """The diagonal T of each geometry at a point.

    A filter is a row of a parameter with two or more dimensions, its first being the outputs;
    coordinates of all other parameters are filters of their own.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> bowl = surface(problem("sphere(dim=2)"))
        >>> [t.tolist() for t in scales(bowl, torch.tensor([3.0, -4.0])).values()]
        [[1.0, 1.0], [3.0, 4.0], [3.0, 4.0]]
    """
    filters = x.abs()
    for name, where in surface.slices.items():
        shape = surface.shapes[name]
        if len(shape) > 1:
            rows = x[where].view(shape[0], -1)
            norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
            filters[where] = norms.expand_as(rows).flatten()
    return {"plain": torch.ones_like(x), "elementwise": x.abs(), "filterwise": filters}


def scaled(operator: Operator, scale: Float[Tensor, " P"]) -> Operator:
    """T A T for the diagonal T."""
    return Operator(
        size=operator.size,
        product=lambda v: scale * operator(scale * v),
        dtype=operator.dtype,
        name=f"scaled {operator.name}",
    )


def one_step(
    surface: Surface, x: Float[Tensor, " P"], scale: Float[Tensor, " P"], radius: float
) -> float:
    """How far one step of length `radius` up the gradient leads, in a geometry T.

    f(x + radius T^2 g / |T g|) - f(x); 0 where the gradient is.
    """
    value, slope = loss_and_gradient(surface, x)
    steep = scale * slope
    length = torch.linalg.vector_norm(steep)
    if length == 0:
        return 0.0
    return (loss(surface, x + radius * scale * steep / length) - value).item()


def ascend(
    surface: Surface,
    x: Float[Tensor, " P"],
    scale: Float[Tensor, " P"],
    radius: float,
    within: str,
    leading: Float[Tensor, " P"],
    iterations: int = 100,
    seed: int = 0,
) -> Ascent:
    """The highest f(x + T u) with u in a ball or a box, by projected ascent from many starts.

    All starts are one stack: along the gradient, both ways along a leading direction, and
    random ones on the boundary.  Steps are as long as the ball is wide at first; one that does
    not lead higher is halved.

    Args:
        surface: f.
        x: the point.
        scale: T, the geometry.
        radius: bound of |u|.
        within: `ball`, by the 2-norm, or `box`, by the largest |u_i|.
        leading: a direction of u to begin with.
        iterations: at most.
        seed: of the random starts.
    """
    ball = within == "ball"

    def whole(u: Float[Tensor, "k P"]) -> Float[Tensor, "k P"]:
        """The point of the boundary that rises most under each slope u."""
        if not ball:
            return radius * u.sign()
        return radius * torch.nn.functional.normalize(u, dim=-1, eps=torch.finfo(u.dtype).tiny)

    def inside(u: Float[Tensor, "k P"]) -> Float[Tensor, "k P"]:
        if not ball:
            return u.clamp(-radius, radius)
        return u.renorm(2, 0, radius)

    def climb(u: Float[Tensor, "k P"]) -> tuple[Tensor, Tensor]:
        values, slopes = loss_and_gradient(surface, x + scale * u)
        return values - base, (scale * slopes).nan_to_num(0.0)

    base, slope = loss_and_gradient(surface, x)
    drawn = generator("ascent", seed, within).standard_normal((RANDOM_STARTS, len(x)))
    ways = [scale * slope, leading, -leading, *torch.from_numpy(drawn).to(x)]
    u = whole(torch.stack([w.to(x) for w in ways]))
    rises, slopes = climb(u)
    steps = torch.full((len(u), 1), 2.0, dtype=x.dtype)
    used = 0
    moving = torch.ones(len(u), dtype=torch.bool)
    while used < iterations and bool(moving.any()):
        tried = inside(u[moving] + steps[moving] * whole(slopes[moving]))
        higher, there = climb(tried)
        gained = higher > rises[moving] + 1e-5 * rises[moving].abs()
        at = moving.nonzero()[:, 0]
        u[at[gained]], rises[at[gained]], slopes[at[gained]] = (
            tried[gained],
            higher[gained],
            there[gained],
        )
        steps[at[~gained]] /= 2
        moving = steps[:, 0] > SMALLEST_STEP
        used += 1
    reached = rises.nan_to_num(-torch.inf)
    return Ascent(
        radius=radius,
        rise=max(0.0, reached.max().item()),
        starts=len(u),
        spread=(reached.min().item(), reached.max().item()),
        iterations=used,
        converged=not bool(moving.any()),
    )
