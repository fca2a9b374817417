"""Products of small matrices whose bits do not depend on how many are stacked.

`torch.matmul` rounds by the shape of the stack.  So does the gradient of a product that is
broadcast by hand, for autograd sums it over the broadcast dimension.  Here both ways are
elementwise products and `total`.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.arithmetic import total


class _Product(torch.autograd.Function):
    """A B, with gradients G B' and A' G by the same rule."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor, b: Tensor) -> Tensor:
        return total(a.unsqueeze(-2) * b.mT.unsqueeze(-3))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        left, right = ctx.needs_input_grad
        return (
            multiply(grad, b.mT) if left else None,
            multiply(a.mT, grad) if right else None,
        )


def multiply(
    a: Float[Tensor, "*#stack i j"], b: Float[Tensor, "*#stack j k"]
) -> Float[Tensor, "*stack i k"]:
    """The matrix product A B.

    Memory is that of all i * j * k products at once, so it is for small matrices.  A factor
    that lacks stack dimensions of the other is taken as a constant and must not need a
    gradient.

    Args:
        a: left factors.
        b: right factors.

    Example:
        >>> multiply(torch.eye(2), torch.tensor([[1.0], [2.0]])).flatten().tolist()
        [1.0, 2.0]
    """
    result: Tensor = _Product.apply(a, b)  # type: ignore[no-untyped-call]
    return result
