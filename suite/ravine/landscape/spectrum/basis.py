"""Orthonormal rows, kept orthogonal to rounding."""

import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.landscape.operators import Operator
from ravine.problems.draws import generator


def against(v: Float64[Tensor, "... P"], basis: Float64[Tensor, "j P"]) -> Float64[Tensor, "... P"]:
    """What of v is orthogonal to orthonormal rows, by two passes of Gram and Schmidt.

    One pass leaves an error that grows with |v| over what is left; after a second it is at
    the level of rounding.

    References:
        Giraud, Langou, Rozloznik and van den Eshof (2005). Rounding error analysis of the
        classical Gram-Schmidt orthogonalization process. Numerische Mathematik 101.
    """
    for _ in range(2):
        v = v - (v @ basis.T) @ basis
    return v


def directions(size: int, count: int, *key: str | int) -> Float64[Tensor, "count P"]:
    """Gaussian vectors that depend on the key alone."""
    return torch.from_numpy(generator(*key).standard_normal((count, size)))


def rounding(operator: Operator) -> float:
    """The relative error of a product below which nothing can be told."""
    return 10 * float(torch.finfo(operator.dtype).eps)
