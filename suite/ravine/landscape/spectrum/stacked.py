"""Extreme eigenvalues of many Hessians at once: one product serves a whole stack of points."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.landscape.surface import Surface, moments_at, unpack, weighted_parts
from ravine.problems import arguments
from ravine.problems.draws import generator

USED_UP = 100
"""Units of rounding, of the largest entry, below which a next direction is none."""

Products = Callable[[Float[Tensor, "k P"]], Float[Tensor, "k P"]]
"""From one vector for each of k symmetric matrices to their images."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Extremes:
    """The smallest and the largest eigenvalue of each of k matrices.

    Args:
        smallest: Ritz values; infinite where a product was not finite.
        largest: likewise.
        residual: the larger |A v - value v| of the two.
    """

    smallest: Float[Tensor, " k"]
    largest: Float[Tensor, " k"]
    residual: Float[Tensor, " k"]


def hessians_products(surface: Surface, x: Float[Tensor, "k P"]) -> Products:
    """Products with the Hessians at k points, one backward pass for all of them.

    The graphs of all gradients are held, so that a stack must be small.
    """
    leaf = x.detach().clone().requires_grad_()
    point = unpack(surface, leaf)
    moments = moments_at(surface, point)
    whole = torch.zeros_like(leaf)
    for part, weight in weighted_parts(surface):
        # points do not meet in their losses, so that the sum's gradient is that of each
        value = surface.mean(point, part.data, moments).sum()
        whole = whole + weight * torch.autograd.grad(value, leaf, create_graph=True)[0]

    def product(v: Float[Tensor, "k P"]) -> Float[Tensor, "k P"]:
        (found,) = torch.autograd.grad(whole, leaf, v, retain_graph=True)
        return found

    return product


def extremes(products: Products, like: Float[Tensor, "k P"], steps: int) -> Extremes:
    """Lanczos's method on k matrices side by side, from one random direction.

    Every new vector is made orthogonal to all before it, twice.  There are no restarts: all
    matrices take as many steps, and the residuals tell what they were worth.

    Args:
        products: with the matrices.
        like: gives the stack's shape and dtype.
        steps: of the method, at most the dimension.
    """
    arguments.whole("steps", steps, 1)
    count, size = like.shape
    arguments.at_most("steps", steps, size)
    q = torch.from_numpy(generator("extremes", size).standard_normal(size)).to(like)
    q = (q / q.norm()).expand(count, -1)
    basis = like.new_zeros(count, steps, size)
    matrix = torch.zeros(count, steps, steps, dtype=torch.float64)
    length = torch.zeros(count, dtype=torch.float64)
    live = torch.ones(count, dtype=torch.bool)
    for j in range(steps):
        basis[:, j] = q
        rest = products(q)
        # a space that is used up gets a value from within the spectrum, which changes no end
        seen = (q * rest).sum(1, dtype=torch.float64)
        matrix[:, j, j] = torch.where(live, seen, matrix[:, 0, 0])
        own = basis[:, : j + 1]
        for _ in range(2):
            rest = rest - torch.bmm(own.mT, torch.bmm(own, rest[:, :, None]))[..., 0]
        length = rest.double().norm(dim=1)
        live &= ~(length <= USED_UP * torch.finfo(q.dtype).eps * matrix.flatten(1).abs().amax(1))
        length = torch.where(live, length, 0.0)
        if j + 1 < steps:
            matrix[:, j, j + 1] = matrix[:, j + 1, j] = length
        inverse = torch.where(live, 1 / length, 0.0).to(rest)
        q = torch.where(live[:, None], rest * inverse[:, None], 0.0)
    ends = torch.full((3, count), torch.inf, dtype=torch.float64)
    sound = matrix.flatten(1).isfinite().all(1)
    values, vectors = torch.linalg.eigh(matrix[sound])
    ends[0, sound], ends[1, sound] = values[:, 0], values[:, -1]
    ends[2, sound] = length[sound] * vectors[:, -1, [0, -1]].abs().amax(1)
    return Extremes(smallest=ends[0], largest=ends[1], residual=ends[2])
