"""The ground under a run: a loss as a function of one point, over fixed data.

A surface needs a problem and nothing else: no optimizer, no engine, no store.  Its points
are flat vectors, stacked at will; whatever is measured of a landscape (a product with the
Hessian, a line, a plane, a critical point) is measured of a surface.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.base import Data, Point
from ravine.problems.networks.model import Moments

LIVE_FLOATS = 2**26
"""Numbers that the activations of one evaluation may take up at once: 256 MB of float32."""

WITH_GRADIENT = 4
"""Times as many are held where a gradient is taken."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some of a surface's data, evaluated at once.

    Args:
        data: what the loss needs beside the point, without a dimension for seeds.
        examples: how many there are; 1 for a formula.
    """

    data: Data
    examples: int = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A loss over fixed data, as a function of a point alone.

    f(x) = sum_p n_p loss_p(x) / sum_p n_p over the parts p of the data with n_p examples
    each.  Nothing of the problem or of a user's module is ever changed.

    Args:
        name: of the problem.
        shapes: of each parameter, by name; a flat point has them in this order.
        parts: the data.
        mean: the mean loss of every stacked point over one part; takes parameters
            `[*stack, *shape]`, the part's data, and moments.
        moments: the moments by which batch normalisation is done at given parameters, where
            they are recomputed for each point; None where nothing is, or none are needed.
        errors: the loss of every single example of a part, at one point without a stack;
            None for a formula.  Takes what `mean` takes.
        outputs: the network's outputs on a part, at one point without a stack, as one
            tensor; None for a formula.
        criterion: the mean loss over a part, from such outputs and the part's data.
        accuracy: share of right answers of every stacked point on a part; None without.
        both: `mean` and `accuracy` from one evaluation; None without.
        width: numbers that one example takes up at once in a forward pass.
        smooth: twice differentiable.
        dtype: of the parameters the problem begins with.
        batch_norm: how batch normalisation is done, in words; empty without any.
        split: which data: `train`, `test`, or empty for a formula.
        stacked: whether points are evaluated together; else one after another.
    """

    name: str
    shapes: Mapping[str, tuple[int, ...]]
    parts: tuple[Part, ...]
    mean: Callable[[Point, Data, Moments | None], Float[Tensor, "*stack"]]
    moments: Callable[[Point], Moments] | None = None
    errors: Callable[[Point, Data, Moments | None], Float[Tensor, " examples"]] | None = None
    outputs: Callable[[Point, Data, Moments | None], Float[Tensor, "..."]] | None = None
    criterion: Callable[[Float[Tensor, "..."], Data], Float[Tensor, ""]] | None = None
    accuracy: Callable[[Point, Data, Moments | None], Float[Tensor, "*stack"]] | None = None
    both: Callable[[Point, Data, Moments | None], tuple[Tensor, Tensor]] | None = None
    width: int = 1
    smooth: bool = True
    dtype: torch.dtype = torch.float64
    batch_norm: str = ""
    split: str = ""
    stacked: bool = True

    @property
    def size(self) -> int:
        """P, the number of coordinates."""
        return sum(map(math.prod, self.shapes.values()))

    @property
    def examples(self) -> int:
        """Over all parts."""
        return sum(part.examples for part in self.parts)

    @property
    def slices(self) -> Mapping[str, slice]:
        """Where each parameter lies in a flat point."""
        places, first = {}, 0
        for name, shape in self.shapes.items():
            places[name] = slice(first, first + math.prod(shape))
            first += math.prod(shape)
        return places


def pack(surface: Surface, point: Point) -> Float[Tensor, "*stack P"]:
    """Parameters `[*stack, *shape]` as flat points `[*stack, P]`.

    Raises:
        BadValue: a parameter is missing or has another shape.
    """
    rows = []
    for name, shape in surface.shapes.items():
        if name not in point:
            raise BadValue(
                f"`{surface.name}` has a parameter `{name}` that the point lacks; give "
                f"{', '.join(surface.shapes)}"
            )
        tensor, dims = point[name], len(shape)
        if tuple(tensor.shape[tensor.dim() - dims :]) != shape:
            raise BadValue(
                f"`{name}` must have the shape {list(shape)}, got {list(tensor.shape)}; give the "
                f"parameters of `{surface.name}`"
            )
        rows.append(tensor.reshape(*tensor.shape[: tensor.dim() - dims], -1))
    return torch.cat(rows, -1)


def unpack(surface: Surface, x: Float[Tensor, "*stack P"]) -> dict[str, Tensor]:
    """Flat points as parameters `[*stack, *shape]`, views of them.

    Raises:
        BadValue: the points have another number of coordinates.
    """
    if x.shape[-1] != surface.size:
        raise BadValue(
            f"a point of `{surface.name}` has {surface.size} coordinates, got {x.shape[-1]}; give "
            f"as many"
        )
    return {
        name: x[..., where].reshape(*x.shape[:-1], *surface.shapes[name])
        for name, where in surface.slices.items()
    }


def loss(surface: Surface, x: Float[Tensor, "*stack P"]) -> Float[Tensor, "*stack"]:
    """F at every point, added up in float64, without a gradient.

    Points are taken in blocks that hold their activations to 256 MB.  A point whose loss is
    not a number keeps what it is.
    """
    return _scored(surface, x, surface.mean)


def accuracy(surface: Surface, x: Float[Tensor, "*stack P"]) -> Float[Tensor, "*stack"]:
    """Share of right answers at every point.

    Raises:
        BadValue: nothing is right or wrong on this surface.
    """
    if surface.accuracy is None:
        raise BadValue(
            f"`{surface.name}` has no accuracy; ask for its loss, or give the problem an accuracy"
        )
    return _scored(surface, x, surface.accuracy)


def loss_and_gradient(
    surface: Surface, x: Float[Tensor, "*stack P"]
) -> tuple[Float[Tensor, "*stack"], Float[Tensor, "*stack P"]]:
    """F and its gradient at every point; the gradient in the dtype of the points.

    Moments of batch normalisation that are recomputed for each point are held fixed in the
    derivative; to differentiate through them, use a surface by the policy `batch`.
    """
    flat = x.detach().reshape(-1, x.shape[-1])
    values = torch.zeros(len(flat), dtype=torch.float64, device=x.device)
    gradients = torch.zeros(flat.shape, dtype=torch.float64, device=x.device)
    for block in blocks(surface, len(flat), gradient=True):
        leaf = flat[block].clone().requires_grad_()
        point = unpack(surface, leaf)
        moments = moments_at(surface, point)
        for part, weight in weighted_parts(surface):
            found = surface.mean(point, part.data, moments)
            (slope,) = torch.autograd.grad(found.sum(), leaf)
            values[block] += weight * found.detach().double()
            gradients[block] += weight * slope.double()
    return values.view(x.shape[:-1]), gradients.to(x.dtype).view(x.shape)


def gradient(surface: Surface, x: Float[Tensor, "*stack P"]) -> Float[Tensor, "*stack P"]:
    """The gradient of f at every point; see `loss_and_gradient`."""
    return loss_and_gradient(surface, x)[1]


def weighted_parts(surface: Surface) -> Iterator[tuple[Part, float]]:
    """The parts with their shares of the examples."""
    total = surface.examples
    for part in surface.parts:
        yield part, part.examples / total


def moments_at(surface: Surface, point: Point) -> Moments | None:
    """The moments of batch normalisation at given parameters, without a gradient."""
    if surface.moments is None:
        return None
    with torch.no_grad():
        return surface.moments({name: p.detach() for name, p in point.items()})


def blocks(surface: Surface, count: int, *, gradient: bool = False) -> Sequence[slice]:
    """Points in blocks that hold their activations to `LIVE_FLOATS`."""
    largest = max(part.examples for part in surface.parts)
    each = largest * surface.width * (WITH_GRADIENT if gradient else 1) + surface.size
    size = max(1, LIVE_FLOATS // each)
    return [slice(first, min(first + size, count)) for first in range(0, count, size)]


def _scored(
    surface: Surface,
    x: Float[Tensor, "*stack P"],
    score: Callable[[Point, Data, Moments | None], Float[Tensor, "*stack"]],
) -> Float[Tensor, "*stack"]:
    flat = x.detach().reshape(-1, x.shape[-1])
    values = torch.zeros(len(flat), dtype=torch.float64, device=x.device)
    with torch.no_grad():
        for block in blocks(surface, len(flat)):
            point = unpack(surface, flat[block])
            moments = moments_at(surface, point)
            for part, weight in weighted_parts(surface):
                values[block] += weight * score(point, part.data, moments).double()
    return values.view(x.shape[:-1])
