"""Newton's method and its saddle-free variant, by the dense Hessian of all parameters."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.optimizers.catalogue import register

LARGEST = 2000
"""Parameters up to which a dense Hessian is built: 32 MB in double precision."""

ROWS = 128
"""Rows of the Hessian that are differentiated at once."""


def hessian(
    parameters: Sequence[Float[Tensor, "..."]], gradients: Sequence[Float[Tensor, "..."]]
) -> Float[Tensor, "n n"]:
    """Differentiate gradients again: H_ij = d g_i / d x_j, made symmetric.

    All parameters are taken as one vector, in their order.  A gradient without a graph is
    a constant, and its rows are 0.  Rows are differentiated many at once; where the graph
    holds an operation that cannot be batched, one by one.  The graph is kept.

    Args:
        parameters: what the gradients are taken by.
        gradients: one for each parameter, of its shape.

    Returns:
        The mean of the matrix and its transpose, which differ by rounding where the second
        derivatives are continuous.

    Raises:
        RuntimeError: an operation in the graph has no second derivative.

    Example:
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> loss = x[0] ** 2 * x[1]
        >>> hessian([x], torch.autograd.grad(loss, [x], create_graph=True))
        tensor([[4., 2.],
                [2., 0.]])
    """
    n = sum(p.numel() for p in parameters)
    blocks = [
        _rows(gradient, parameters) if gradient.requires_grad else p.new_zeros(p.numel(), n)
        for p, gradient in zip(parameters, gradients, strict=True)
    ]
    found = torch.cat(blocks)
    return (found + found.T) / 2


def _rows(
    gradient: Float[Tensor, "..."], parameters: Sequence[Float[Tensor, "..."]]
) -> Float[Tensor, "rows n"]:
    units = torch.eye(gradient.numel(), dtype=gradient.dtype, device=gradient.device)
    units = units.reshape(-1, *gradient.shape)
    try:
        batches = torch.split(units, ROWS)
        return torch.cat([_product(gradient, parameters, batch, True) for batch in batches])
    except RuntimeError:
        return torch.stack([_product(gradient, parameters, u, False) for u in units])


def _product(
    gradient: Float[Tensor, "..."],
    parameters: Sequence[Float[Tensor, "..."]],
    units: Float[Tensor, "..."],
    batched: bool,
) -> Float[Tensor, "*rows n"]:
    found = torch.autograd.grad(
        gradient,
        parameters,
        units,
        retain_graph=True,
        allow_unused=True,
        is_grads_batched=batched,
    )
    rows = units.shape[:1] if batched else ()
    zeros = (p.new_zeros(*rows, *p.shape) for p in parameters)
    flat = [(z if h is None else h).reshape(*rows, -1) for h, z in zip(found, zeros, strict=True)]
    return torch.cat(flat, -1)


class _SecondOrder(torch.optim.Optimizer, ABC):
    """Takes the Hessian, and leaves to a subclass what its eigenvalues become."""

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        damping: float = 0.0,
        largest: int = LARGEST,
    ) -> None:
        if not lr >= 0:
            raise BadValue(f"`lr` must not be negative, not {lr}; try 1.0")
        if not damping >= 0:
            raise BadValue(f"`damping` must not be negative, not {damping}; try 0.0")
        super().__init__(params, {"lr": lr, "damping": damping, "largest": largest})
        self._check_size([p for group in self.param_groups for p in group["params"]])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step over all parameters that have a gradient, and detach the gradients.

        Args:
            closure: evaluates the loss and sets gradients with a graph.

        Raises:
            BadValue: no gradient has a graph, there are too many parameters, or groups
                differ in what is one for all.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        chosen = [
            (p, group["lr"], p.grad)
            for group in self.param_groups
            for p in group["params"]
            if p.grad is not None and p.numel()
        ]
        if not chosen:
            return loss
        parameters, rates, gradients = zip(*chosen, strict=True)
        self._check(parameters, gradients)
        curvature = hessian(parameters, gradients)
        g = torch.cat([gradient.detach().reshape(-1) for gradient in gradients])
        direction = self._direction(curvature, g)
        parts = torch.split(direction, [p.numel() for p in parameters])
        for p, lr, part in zip(parameters, rates, parts, strict=True):
            p.sub_(lr * part.reshape(p.shape))
            # a gradient holds its graph, which holds the parameter, which holds the gradient
            p.grad = p.grad.detach()
        return loss

    def _check(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        name = type(self).__name__
        for key in ("damping", "largest"):
            values = {group[key] for group in self.param_groups}
            if len(values) > 1:
                raise BadValue(
                    f"`{name}` needs one `{key}` for all groups, not {sorted(values)}; "
                    f"give it to the optimizer instead of a group"
                )
        self._check_size(parameters)
        if not any(gradient.requires_grad for gradient in gradients):
            raise BadValue(
                f"`{name}` needs a gradient with a graph, and none of these has one; call "
                f"`loss.backward(create_graph=True)` (a linear loss has no graph to give)"
            )

    def _check_size(self, parameters: Sequence[Tensor]) -> None:
        n, largest = sum(p.numel() for p in parameters), self.param_groups[0]["largest"]
        if n > largest:
            raise BadValue(
                f"`{type(self).__name__}` builds a dense Hessian for at most {largest} "
                f"parameters, not {n}; take a first-order method, or raise `largest` if "
                f"{8 * n * n / 1e9:.1f} GB and n^3 operations a step are affordable"
            )

    def _direction(
        self, curvature: Float[Tensor, "n n"], g: Float[Tensor, "n"]
    ) -> Float[Tensor, "n"]:
        if not (curvature.isfinite().all() and g.isfinite().all()):
            return torch.full_like(g, torch.nan)
        values, vectors = torch.linalg.eigh(curvature)
        inverse = self._inverse(values, self.param_groups[0]["damping"])
        direction: Tensor = vectors @ (inverse * (vectors.T @ g))
        return direction

    @abstractmethod
    def _inverse(self, values: Float[Tensor, "n"], damping: float) -> Float[Tensor, "n"]:
        """What eigenvalues are multiplied by, instead of their reciprocals."""


def _pseudo_inverse(values: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Reciprocals, and 0 for what is 0 to rounding beside the largest."""
    size = values.abs()
    least = len(values) * torch.finfo(values.dtype).eps * size.max()
    return torch.where(size > least, 1 / values, 0.0)


@register("second-order", source="Nocedal, Wright (2006), chapter 3")
class Newton(_SecondOrder):
    """Newton's method: x <- x - lr (H + damping I)^-1 g, H the dense Hessian.

    It is attracted by every critical point, saddles and maxima included.  Eigenvalues below
    n eps of the largest count as 0, and it does not move along them.  It needs gradients
    with a graph, as `loss.backward(create_graph=True)` leaves them; where the Hessian is
    not finite, neither is the step.

    Args:
        params: parameters or groups, which are one vector to it; `lr` may differ by group.
        lr: share of the step taken.
        damping: added to every eigenvalue.
        largest: parameters up to which it builds a Hessian, of 8 n^2 bytes.

    Raises:
        BadValue: a hyperparameter is negative.

    References:
        Nocedal, Wright (2006). Numerical optimization, chapter 3.
        doi:10.1007/978-0-387-40065-5.

    Example:
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> loss = x[0] ** 2 + 100 * x[1] ** 2
        >>> (x.grad,) = torch.autograd.grad(loss, [x], create_graph=True)
        >>> Newton([x]).step()
        >>> x.tolist()
        [0.0, 0.0]
    """

    def _inverse(self, values: Float[Tensor, "n"], damping: float) -> Float[Tensor, "n"]:
        return _pseudo_inverse(values + damping)


@register(
    "second-order", name="saddle_free_newton", source="Dauphin et al. (2014), arXiv 1406.2572"
)
class SaddleFreeNewton(_SecondOrder):
    """Saddle-free Newton: x <- x - lr |H|^-1 g, with the absolute values of H's eigenvalues.

    A saddle repels it as quickly as a minimum attracts it.  Without damping it does not
    move along eigenvalues below n eps of the largest.  It needs gradients with a graph, as
    `loss.backward(create_graph=True)` leaves them; where the Hessian is not finite, neither
    is the step.

    Args:
        params: parameters or groups, which are one vector to it; `lr` may differ by group.
        lr: share of the step taken.
        damping: absolute eigenvalues below it are raised to it, so that no step is longer
            than lr |g| / damping.
        largest: parameters up to which it builds a Hessian, of 8 n^2 bytes.

    Raises:
        BadValue: a hyperparameter is negative.

    References:
        Dauphin et al. (2014). Identifying and attacking the saddle point problem in
        high-dimensional non-convex optimization. arXiv 1406.2572.

    Example:
        >>> x = torch.tensor([3.0, 4.0], requires_grad=True)
        >>> loss = x[0] ** 2 - x[1] ** 2
        >>> (x.grad,) = torch.autograd.grad(loss, [x], create_graph=True)
        >>> SaddleFreeNewton([x]).step()
        >>> x.tolist()
        [0.0, 8.0]
    """

    def _inverse(self, values: Float[Tensor, "n"], damping: float) -> Float[Tensor, "n"]:
        size = values.abs()
        return 1 / size.clamp(min=damping) if damping else _pseudo_inverse(size)
