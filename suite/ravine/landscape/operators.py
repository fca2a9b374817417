"""Symmetric matrices that are known by their products alone: Hessian, Gauss-Newton, Fisher."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
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
from ravine.problems.draws import generator

Held = TypeVar("Held")

DENSE = 5000
"""Coordinates up to which a dense matrix is built: 200 MB of float64."""

VECTORISED = 2**17
"""Numbers that the activations may take up for blocks of vectors to go through them at once.

Below it a block of 16 took a twelfth to two thirds of the time of 16 single products; above
it the products themselves take the time.
"""

TOGETHER = 16
"""Vectors that go at once; more are no faster."""


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

    def multiply(held: tuple[Tensor, Tensor], v: Tensor, block: bool) -> Tensor:
        leaf, slope = held
        if not slope.requires_grad:  # f is linear here
            return torch.zeros_like(v)
        return _pull(slope, leaf, v, block)

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

    def multiply(held: tuple[Tensor, ...], v: Tensor, block: bool) -> Tensor:
        leaf, found, apart, slope, probe, pulled = held
        if not slope.requires_grad:
            return torch.zeros_like(v)
        # J v as the derivative of J' u by u, which is linear in u
        pushed = _pull(pulled, probe, v, block)
        return _pull(found, leaf, _pull(slope, apart, pushed, block), block)

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

    def multiply(held: tuple[Tensor, ...], v: Tensor, block: bool) -> Tensor:
        leaf, found, probe, pulled = held
        return _pull(found, leaf, _pull(pulled, probe, v, block) / len(found), block)

    moments = moments_at(surface, unpack(surface, x))
    return _by_parts(surface, x.dtype, "empirical Fisher", graph, multiply)


def restrict(operator: Operator, slices: Sequence[slice]) -> Operator:
    """The principal block of a matrix at some coordinates, as an operator of those alone.

    A product costs as much as one with the whole matrix.

    Args:
        operator: the whole.
        slices: ranges of coordinates, as in `operator.slices`; they must not overlap.

    Example:
        >>> whole = of_matrix(torch.arange(9.0).view(3, 3))
        >>> restrict(whole, [slice(0, 1), slice(2, 3)])(torch.tensor([1.0, 0.0])).tolist()
        [0.0, 6.0]
    """
    chosen = torch.cat([torch.arange(operator.size)[s] for s in slices])

    def product(rows: Float[Tensor, "k p"]) -> Float[Tensor, "k p"]:
        padded = rows.new_zeros(len(rows), operator.size)
        padded[:, chosen] = rows
        return operator(padded)[:, chosen]

    return Operator(size=len(chosen), product=product, dtype=operator.dtype, name=operator.name)


def asymmetry(operator: Operator, pairs: int = 4, seed: int = 0) -> float:
    """The largest |u'Hv - v'Hu| / (|u| |Hv| + |v| |Hu|) over random pairs of vectors.

    It is at the level of rounding where the products are those of a symmetric matrix; a
    derivative that was cut off, or randomness within the loss, shows here.
    """
    draws = torch.from_numpy(
        generator("asymmetry", seed).standard_normal((2 * pairs, operator.size))
    )
    images = operator(draws.to(operator.dtype)).double()
    u, v, Hu, Hv = draws[::2], draws[1::2], images[::2], images[1::2]
    gaps = ((u * Hv).sum(-1) - (v * Hu).sum(-1)).abs()
    scales = u.norm(dim=-1) * Hv.norm(dim=-1) + v.norm(dim=-1) * Hu.norm(dim=-1)
    return float((gaps / scales.clamp_min(torch.finfo(torch.float64).tiny)).max())


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

    One backward pass for each coordinate, or for many at once, serves all points.

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
    apart: list[str] = []
    for block in blocks(surface, len(flat), gradient=True):
        leaf = flat[block].clone().requires_grad_()
        point = unpack(surface, leaf)
        moments = moments_at(surface, point)
        for part, weight in weighted_parts(surface):
            mean = surface.mean(point, part.data, moments)
            (slope,) = torch.autograd.grad(mean.sum(), leaf, create_graph=True)
            if not slope.requires_grad:  # f is linear here
                continue
            units = torch.eye(size, dtype=slope.dtype, device=slope.device)
            live = len(leaf) * part.examples * surface.width * WITH_GRADIENT
            rows = _images(
                partial(_pull, slope, leaf),
                units[:, None].expand(size, *leaf.shape),
                LIVE_FLOATS // (live + leaf.numel()) if live <= VECTORISED else 1,
                apart,
            )
            matrices[block] += weight * rows.transpose(0, 1).double()
    matrices = (matrices + matrices.mT) / 2
    return matrices.to(x.dtype).view(*x.shape, size)


def _by_parts(
    surface: Surface,
    dtype: torch.dtype,
    name: str,
    graph: Callable[[Part], Held],
    multiply: Callable[[Held, Tensor, bool], Tensor],
) -> Operator:
    """An operator that is a weighted mean over the parts of a surface's data."""
    live = surface.examples * surface.width * WITH_GRADIENT
    kept = [graph(part) for part in surface.parts] if live <= LIVE_FLOATS else None
    # a function that vmap cannot take is a fact of the surface, found out once
    apart: list[str] = []

    def images_of(held: Held, rows: Tensor, live: int) -> Tensor:
        size = min(TOGETHER, LIVE_FLOATS // (live + surface.size))
        size = size if live <= VECTORISED * WITH_GRADIENT else 1
        return _images(partial(multiply, held), rows, size, apart)

    def product(rows: Float[Tensor, "k P"]) -> Float[Tensor, "k P"]:
        def of(i: int, part: Part) -> Float[Tensor, "k P"]:
            held = graph(part) if kept is None else kept[i]
            return images_of(held, rows, part.examples * surface.width * WITH_GRADIENT)

        if len(surface.parts) == 1:
            return of(0, surface.parts[0])
        images = torch.zeros(rows.shape, dtype=torch.float64, device=rows.device)
        for i, (part, weight) in enumerate(weighted_parts(surface)):
            images += weight * of(i, part).double()
        return images.to(dtype)

    return Operator(
        size=surface.size, product=product, dtype=dtype, name=name, slices=dict(surface.slices)
    )


def _images(
    multiply: Callable[[Tensor, bool], Tensor], rows: Tensor, size: int, apart: list[str]
) -> Tensor:
    """The image of every row, `size` of them at once where torch can take them together.

    Args:
        multiply: of one row, or of a block of them.
        rows: `[k, ...]`.
        size: of a block.
        apart: why torch cannot; filled where it is found out.
    """
    if len(rows) > 1 and size > 1 and not apart:
        try:
            with warnings.catch_warnings():
                # torch warns where it goes through a block one by one, slowly
                warnings.simplefilter("error", UserWarning)
                return torch.cat([multiply(some, True) for some in torch.split(rows, size)])
        except (RuntimeError, UserWarning) as error:
            apart.append(str(error))
    return torch.stack([multiply(row, False) for row in rows])


def _pull(outputs: Tensor, inputs: Tensor, v: Tensor, block: bool) -> Tensor:
    """The pull-back v' J of one v, or of every row of a block; the graph is kept."""
    (image,) = torch.autograd.grad(
        outputs, inputs, v, retain_graph=True, is_grads_batched=block, materialize_grads=True
    )
    return image
