"""Symmetric matrices that are known by their products alone: Hessian, Gauss-Newton, Fisher."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.surface import (
    LIVE_FLOATS,
    WITH_GRADIENT,
    Part,
    Surface,
    blocks,
    moments_at,
    unpack,
    weighted_parts,
)

Held = TypeVar("Held")

DENSE = 5000
"""Coordinates up to which a dense matrix is built: 200 MB of float64."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Operator:
    """A symmetric linear map of flat vectors.

    Args:
        size: P, coordinates.
        product: from a block of vectors `[k, P]` to their images `[k, P]`.
        dtype: of the vectors.
        name: which matrix it is.
        slices: where each parameter lies, by name; empty where there are none.
    """

    size: int
    product: Callable[[Float[Tensor, "k P"]], Float[Tensor, "k P"]]
    dtype: torch.dtype = torch.float64
    name: str = "matrix"
    slices: dict[str, slice] = field(default_factory=dict)

    def __call__(self, v: Float[Tensor, "*k P"]) -> Float[Tensor, "*k P"]:
        """A v for every vector of the block."""
        rows = v.detach().to(self.dtype).reshape(-1, self.size)
        return self.product(rows).reshape(v.shape)


def of_matrix(matrix: Float[Tensor, "P P"], name: str = "matrix") -> Operator:
    """A dense symmetric matrix as an operator.

    Example:
        >>> of_matrix(torch.diag(torch.tensor([1.0, 2.0])))(torch.ones(2)).tolist()
        [1.0, 2.0]
    """
    return Operator(size=len(matrix), product=lambda v: v @ matrix.T, dtype=matrix.dtype, name=name)


def hessian(surface: Surface, x: Float[Tensor, " P"]) -> Operator:
    """The Hessian of f at one point: H v = d/de grad f(x + e v), by double backward.

    The graph of the gradient is built once and kept where its activations fit into 256 MB,
    so that a product costs one backward pass through it; else it is built for each block of
    vectors.  Parts are weighted by their examples.  Moments of batch normalisation that are
    recomputed for each point are held fixed.

    Args:
        surface: f.
        x: the point.

    Raises:
        BadValue: the surface is not twice differentiable in torch.

    References:
        Pearlmutter (1994). Fast exact multiplication by the Hessian. Neural Computation 6(1).
    """

    def graph(part: Part) -> tuple[Tensor, Tensor]:
        leaf = x.detach().clone().requires_grad_()
        mean = surface.mean(unpack(surface, leaf), part.data, moments)
        (slope,) = torch.autograd.grad(mean, leaf, create_graph=True)
        return leaf, slope

    def multiply(held: tuple[Tensor, Tensor], v: Tensor) -> Tensor:
        leaf, slope = held
        if not slope.requires_grad:  # f is linear here
            return torch.zeros_like(v)
        (image,) = torch.autograd.grad(slope, leaf, v, retain_graph=True, materialize_grads=True)
        return image

    moments = moments_at(surface, unpack(surface, x))
    return _by_parts(surface, x.dtype, "Hessian", graph, multiply)


def gauss_newton(surface: Surface, x: Float[Tensor, " P"]) -> Operator:
    """The generalised Gauss-Newton matrix J' H_out J of a network's mean loss at one point.

    J is the Jacobian of the outputs, H_out the Hessian of the criterion in them.  For cross
    entropy, and for half the squared error, it is the Fisher information of the model's own
    predictions.

    Raises:
        BadValue: the surface is no network, or its outputs are not one tensor.

    References:
        Schraudolph (2002). Fast curvature matrix-vector products. Neural Computation 14(7).
        Martens (2020). New insights and perspectives on the natural gradient. arXiv 1412.1193.
    """
    outputs, criterion = surface.outputs, surface.criterion
    if outputs is None or criterion is None:
        raise BadValue(f"`{surface.name}` has no outputs to differentiate; take its Hessian")

    def graph(part: Part) -> tuple[Tensor, ...]:
        leaf = x.detach().clone().requires_grad_()
        found = outputs(unpack(surface, leaf), part.data, moments)
        apart = found.detach().requires_grad_()
        (slope,) = torch.autograd.grad(criterion(apart, part.data), apart, create_graph=True)
        probe = torch.zeros_like(found, requires_grad=True)
        (pulled,) = torch.autograd.grad(found, leaf, probe, create_graph=True)
        return leaf, found, apart, slope, probe, pulled

    def multiply(held: tuple[Tensor, ...], v: Tensor) -> Tensor:
        leaf, found, apart, slope, probe, pulled = held
        # J v as the derivative of J' u by u, which is linear in u
        (pushed,) = torch.autograd.grad(pulled, probe, v, retain_graph=True)
        if not slope.requires_grad:
            return torch.zeros_like(v)
        (bent,) = torch.autograd.grad(slope, apart, pushed, retain_graph=True)
        (image,) = torch.autograd.grad(found, leaf, bent, retain_graph=True)
        return image

    moments = moments_at(surface, unpack(surface, x))
    return _by_parts(surface, x.dtype, "Gauss-Newton", graph, multiply)


def fisher(surface: Surface, x: Float[Tensor, " P"]) -> Operator:
    """The empirical Fisher matrix 1/n sum_i g_i g_i' of the examples' own gradients.

    It is taken at the given targets, not at targets drawn from the model; for the latter and
    cross entropy see `gauss_newton`.

    Raises:
        BadValue: the surface has no examples.

    References:
        Kunstner, Balles and Hennig (2019). Limitations of the empirical Fisher approximation.
        arXiv 1905.12558.
    """
    errors = surface.errors
    if errors is None:
        raise BadValue(f"`{surface.name}` is no mean over examples; take its Hessian")

    def graph(part: Part) -> tuple[Tensor, ...]:
        leaf = x.detach().clone().requires_grad_()
        found = errors(unpack(surface, leaf), part.data, moments)
        probe = torch.zeros_like(found, requires_grad=True)
        (pulled,) = torch.autograd.grad(found, leaf, probe, create_graph=True)
        return leaf, found, probe, pulled

    def multiply(held: tuple[Tensor, ...], v: Tensor) -> Tensor:
        leaf, found, probe, pulled = held
        (pushed,) = torch.autograd.grad(pulled, probe, v, retain_graph=True)
        (image,) = torch.autograd.grad(found, leaf, pushed / len(found), retain_graph=True)
        return image

    moments = moments_at(surface, unpack(surface, x))
    return _by_parts(surface, x.dtype, "empirical Fisher", graph, multiply)


def dense(operator: Operator) -> Float[Tensor, "P P"]:
    """The whole matrix, made symmetric.

    Raises:
        BadValue: it would have more than `DENSE` rows.
    """
    if operator.size > DENSE:
        raise BadValue(
            f"a matrix of {operator.size} rows is too large to be built (at most {DENSE}); ask "
            f"for its extreme eigenvalues instead"
        )
    matrix = operator(torch.eye(operator.size, dtype=operator.dtype))
    return (matrix + matrix.T) / 2


def hessians(surface: Surface, x: Float[Tensor, "*stack P"]) -> Float[Tensor, "*stack P P"]:
    """The dense Hessian of f at every point of a stack, made symmetric.

    One backward pass for each coordinate serves all points.

    Raises:
        BadValue: a matrix would have more than `DENSE` rows.
    """
    size = surface.size
    if size > DENSE:
        raise BadValue(
            f"a matrix of {size} rows is too large to be built (at most {DENSE}); ask for its "
            f"extreme eigenvalues instead"
        )
    flat = x.detach().reshape(-1, size)
    matrices = torch.zeros(len(flat), size, size, dtype=torch.float64)
    for block in blocks(surface, len(flat), gradient=True):
        leaf = flat[block].clone().requires_grad_()
        point = unpack(surface, leaf)
        moments = moments_at(surface, point)
        for part, weight in weighted_parts(surface):
            mean = surface.mean(point, part.data, moments)
            (slope,) = torch.autograd.grad(mean.sum(), leaf, create_graph=True)
            for i in range(size if slope.requires_grad else 0):
                (row,) = torch.autograd.grad(
                    slope[:, i].sum(), leaf, retain_graph=True, materialize_grads=True
                )
                matrices[block, i] += weight * row.double()
    matrices = (matrices + matrices.mT) / 2
    return matrices.to(x.dtype).view(*x.shape, size)


def _by_parts(
    surface: Surface,
    dtype: torch.dtype,
    name: str,
    graph: Callable[[Part], Held],
    multiply: Callable[[Held, Tensor], Tensor],
) -> Operator:
    """An operator that is a weighted mean over the parts of a surface's data."""
    live = surface.examples * surface.width * WITH_GRADIENT
    kept = [graph(part) for part in surface.parts] if live <= LIVE_FLOATS else None

    def product(rows: Float[Tensor, "k P"]) -> Float[Tensor, "k P"]:
        images = torch.zeros(rows.shape, dtype=torch.float64)
        for i, (part, weight) in enumerate(weighted_parts(surface)):
            held = graph(part) if kept is None else kept[i]
            for row, image in zip(rows, images, strict=True):
                image += weight * multiply(held, row).double()
        return images.to(dtype)

    return Operator(
        size=surface.size, product=product, dtype=dtype, name=name, slices=dict(surface.slices)
    )
