"""Derivatives of any order along directions, by repeated reverse differentiation."""

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.landscape.surface import Surface, blocks, moments_at, unpack, weighted_parts


def along(
    surface: Surface, x: Float[Tensor, "rows P"], v: Float[Tensor, "rows P"], order: int
) -> tuple[Float[Tensor, "rows P"], ...]:
    """The derivatives D^r f(x)[v, ..., v, .] for r = 1, ..., order, each with one open slot.

    The first is the gradient, the second H v; D^r f [v, ..., v] is the product of the r-th
    with v.  Each row has a point and a direction of its own.  Every order about doubles the
    graph of the one before.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> x = torch.tensor([[2.0]], dtype=torch.float64)
        >>> [d.item() for d in along(surface(problem("cubic")), x, torch.ones_like(x), 4)]
        [12.0, 12.0, 6.0, 0.0]
    """
    found = [torch.zeros(x.shape, dtype=torch.float64) for _ in range(order)]
    parts = [piece for block in blocks(surface, len(x), gradient=True) for piece in _cut(block)]
    for block in parts:
        leaf, way = x[block].detach().clone().requires_grad_(), v[block].detach().to(x.dtype)
        point = unpack(surface, leaf)
        moments = moments_at(surface, point)
        for part, weight in weighted_parts(surface):
            scalar = surface.mean(point, part.data, moments).sum()
            for r in range(order):
                if not scalar.requires_grad:  # all further derivatives are zero
                    break
                (slope,) = torch.autograd.grad(
                    scalar, leaf, create_graph=r + 1 < order, materialize_grads=True
                )
                found[r][block] += weight * slope.detach().double()
                scalar = (slope * way).sum()
    return tuple(found)


def _cut(block: slice, pieces: int = 4) -> list[slice]:
    """Smaller blocks, for graphs of higher order hold more than one of the gradient."""
    size = max(1, -(-(block.stop - block.start) // pieces))
    return [slice(i, min(i + size, block.stop)) for i in range(block.start, block.stop, size)]
