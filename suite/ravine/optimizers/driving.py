"""How any optimizer is driven: gradients in the form it takes, closures, and modes."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.optimizers.base import Capabilities

Loss = Callable[[], Float[Tensor, ""]]
"""Evaluates the loss at the parameters as they are."""


def differentiate(
    loss: Float[Tensor, ""], parameters: Sequence[Float[Tensor, "..."]], needs: Capabilities
) -> None:
    """Put the gradient of a loss into `.grad`, in the form that a method takes.

    Args:
        loss: evaluated at the parameters.
        parameters: leaves; gradients that they hold are replaced.  The gradient by one that
            the loss does not depend on is zero.
        needs: whether gradients carry a graph, or are sparse tensors.
    """
    found = torch.autograd.grad(
        loss,
        list(parameters),
        create_graph=needs.graph,
        allow_unused=True,
        materialize_grads=True,
    )
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.grad = formed(gradient, parameter, needs)


def formed(
    gradient: Float[Tensor, "..."], parameter: Float[Tensor, "..."], needs: Capabilities
) -> Float[Tensor, "..."]:
    """A gradient in the form that a method takes.

    Zero entries are left out of a sparse gradient, and a constant gradient gets a graph
    through which its derivative is zero.
    """
    if needs.sparse_only:
        return gradient.to_sparse()
    if needs.graph and not gradient.requires_grad:
        return gradient + 0 * parameter
    return gradient


def step(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Float[Tensor, "..."]],
    needs: Capabilities,
    evaluate: Loss,
    loss: Float[Tensor, ""] | None = None,
) -> Any:
    """Take a step from gradients that are in place.

    Args:
        optimizer: what steps.
        parameters: all it steps on.
        needs: whether it is given a closure.
        evaluate: the loss, for a closure.
        loss: of the gradients in place; a closure returns it as long as neither the point
            nor its gradients have changed, which spares an evaluation.

    Returns:
        What the optimizer's `step` returned.

    Raises:
        Exception: whatever the optimizer raises.
    """
    # whatever a step does to the gradient mode ends with it
    with torch.enable_grad():
        if not needs.closure:
            optimizer.step()
            return None
        return optimizer.step(closure(optimizer, parameters, needs, evaluate, loss))


def closure(
    optimizer: torch.optim.Optimizer,
    parameters: Sequence[Float[Tensor, "..."]],
    needs: Capabilities,
    evaluate: Loss,
    loss: Float[Tensor, ""] | None,
) -> Callable[[], Any]:
    """What reevaluates the loss and its gradients where the optimizer has put the point."""
    known = None
    if loss is not None:
        point = [p.detach().clone() for p in parameters]
        held = [(p.grad, None if p.grad is None else p.grad._version) for p in parameters]
        known = (loss, point, held)

    def again() -> Tensor:
        nonlocal known
        if known is not None:
            value, point, held = known
            same = all(torch.equal(p, q) for p, q in zip(parameters, point, strict=True))
            kept = all(
                p.grad is g and g is not None and g._version == version
                for p, (g, version) in zip(parameters, held, strict=True)
            )
            known = None
            if same and kept:
                return value
        optimizer.zero_grad()
        with torch.enable_grad():
            fresh = evaluate()
            differentiate(fresh, parameters, needs)
        return fresh

    return again


def set_mode(optimizer: torch.optim.Optimizer, training: bool) -> None:
    """Put an optimizer that has modes, or its parts, into one of them.

    In training its parameters are where gradients are to be taken; outside of it they are
    the solution, which for an averaging method is another point.
    """
    switch = getattr(optimizer, "train" if training else "eval", None)
    if callable(switch):
        # a wrapper may hand the call to an optimizer that has no modes
        with suppress(AttributeError):
            switch()
        return
    for part in getattr(optimizer, "parts", ()):
        set_mode(part, training)


def has_modes(optimizer: torch.optim.Optimizer) -> bool:
    """Whether an optimizer, or a part of it, tells training from evaluation."""
    own = all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))
    return own or any(map(has_modes, getattr(optimizer, "parts", ())))
