"""Elementary operations whose bits do not depend on the shape they are computed in.

A stacked run must equal the run done alone bit for bit.  Sums, and a few functions whose
vectorised and scalar code differ in the last bit, do depend on shape and position; these
are the replacements.  `exp, log, log1p, sin, cos, tanh, atan, erf, sqrt, square`, `x**3`,
`abs`, and + - * / are safe as they are; `sigmoid, softplus, cosh, atan2, x**4, x**1.5`
and `sum` are not.
"""

from functools import reduce
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class _Total(torch.autograd.Function):
    """Pairwise sum over the last dimension by elementwise additions."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        while (n := x.shape[-1]) > 1:
            half = n // 2
            pairs = x[..., :half] + x[..., half : 2 * half]
            x = torch.cat([pairs, x[..., 2 * half :]], -1) if n % 2 else pairs
        return x[..., 0].clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.size = inputs[0].shape[-1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return grad.unsqueeze(-1).expand(*grad.shape, ctx.size)


def total(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
    """Sum over the last dimension, in an order that depends on n alone.

    Up to eight terms are added from left to right, more of them pairwise.

    Example:
        >>> total(torch.tensor([1.0, 2.0, 3.0])).item()
        6.0
    """
    if x.shape[-1] <= 8:
        return reduce(torch.add, x.unbind(-1))
    result: Tensor = _Total.apply(x)  # type: ignore[no-untyped-call]
    return result


def product(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
    """Product over the last dimension, from left to right."""
    return reduce(torch.mul, x.unbind(-1))


def sigmoid(x: Float[Tensor, "*stack"]) -> Float[Tensor, "*stack"]:
    """The logistic function 1 / (1 + e^-x), written so that it never overflows.

    Example:
        >>> sigmoid(torch.tensor(0.0)).item()
        0.5
    """
    return 0.5 * (1 + torch.tanh(0.5 * x))


def softplus(x: Float[Tensor, "*stack"]) -> Float[Tensor, "*stack"]:
    """log(1 + e^x), stable for large |x|.

    Example:
        >>> round(softplus(torch.tensor(0.0)).item(), 6)
        0.693147
    """
    return torch.log1p(torch.exp(-x.abs())) + x.clamp(min=0)


def power(x: Float[Tensor, "*stack"], exponent: float) -> Float[Tensor, "*stack"]:
    """|x| ** exponent for exponent > 1, with gradient 0 at x = 0.

    Example:
        >>> round(power(torch.tensor(-4.0), 1.5).item(), 5)
        8.0
    """
    size = x.abs()
    # log(0) would make 0 * inf in the gradient; the mask keeps both branches finite
    safe = torch.where(size == 0, torch.ones_like(size), size)
    return torch.where(size == 0, torch.zeros_like(size), torch.exp(exponent * torch.log(safe)))


def weighted(
    matrix: Float[Tensor, "*#stack n n"], x: Float[Tensor, "*#stack n"]
) -> Float[Tensor, "*stack n"]:
    """The product A x by multiply and `total`; a matrix product rounds by batch shape."""
    return total(matrix * x.unsqueeze(-2))
