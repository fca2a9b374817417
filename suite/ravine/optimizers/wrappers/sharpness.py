"""Sharpness-aware minimisation: gradients from a worse place nearby."""

from collections.abc import Callable
from typing import Any

import torch

from ravine.errors import BadValue, Mismatch
from ravine.optimizers.base import Capabilities
from ravine.optimizers.composite import Composite
from ravine.optimizers.wrappers.wrapper import held, insist, number, wrapper

PLAIN = Capabilities()
"""Demands nothing."""


@wrapper("sam", base="sgd", source="Foret et al. (2021), arXiv 2010.01412")
class SharpnessAware(Composite):
    """Sharpness-aware minimisation: the base steps by the gradient at x + e.

    e = rho g / |g|, the norm over all parameters; adaptive: e = rho T^2 g / |T g| with
    T = |x| by coordinate (the paper's, without the constant that its code adds to T).  Where
    the norm is 0, so is e: at a critical point nothing is divided.  Where the base maximises
    e points downhill.  Both gradients are of the same batch, so that a step costs two
    evaluations.  The loss is that at x.

    Args:
        part: the base's optimizer.
        needs: what that demands.
        rho: length of e, relative to x where adaptive.
        adaptive: whether large coordinates are moved further.

    Raises:
        BadValue: rho is not above 0, or adaptive is neither true nor false.
        Mismatch: the base differentiates its gradients, which x + e takes with it.

    References:
        Foret, Kleiner, Mobahi, Neyshabur (2021). Sharpness-aware minimization for
        efficiently improving generalization. arXiv 2010.01412.
        Kwon, Kim, Park, Choi (2021). ASAM: adaptive sharpness-aware minimization for
        scale-invariant learning of deep neural networks. arXiv 2102.11600.

    Example:
        >>> x = torch.tensor([2.0], requires_grad=True)
        >>> def closure():
        ...     x.grad = 2 * x.detach()
        ...     return x.item() ** 2
        >>> SharpnessAware(torch.optim.SGD([x], lr=0.5), rho=1.0).step(closure)
        4.0
        >>> x.item()
        -1.0
    """

    def __init__(
        self,
        part: torch.optim.Optimizer,
        needs: Capabilities = PLAIN,
        *,
        rho: int | float = 0.05,
        adaptive: bool = False,
    ) -> None:
        insist(number(rho) and rho > 0, "rho", "above 0", rho, 0.05)
        insist(isinstance(adaptive, bool), "adaptive", "True or False", adaptive, False)
        if needs.graph:
            raise Mismatch(
                "the base differentiates its gradients, and these are taken where the "
                "parameters no longer are; wrap a first-order method"
            )
        super().__init__([part])
        self.searches, self.rho, self.adaptive = needs.closure, rho, adaptive

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Evaluate at x, climb, evaluate there, go back, and take a step of the base.

        Raises:
            BadValue: there is no closure.
        """
        if closure is None:
            raise BadValue("`sam` evaluates the loss twice in a step; give `step` a closure")

        def perturbed() -> Any:
            loss = closure()
            before = self._climb()
            closure()
            with torch.no_grad():
                for p, old in before:
                    p.copy_(old)
            return loss

        if self.searches:
            return super().step(perturbed)
        loss = perturbed()
        super().step()
        return loss

    @torch.no_grad()
    def _climb(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Move the parameters by e, and say where they were."""
        # what is maximised is worse where it is lower
        worse = [-1.0 if g.get("maximize") else 1.0 for g in self.param_groups for _ in g["params"]]
        moved = [
            (p, sign * p.grad)
            for p, sign in zip(held(self), worse, strict=True)
            if p.grad is not None
        ]
        before = [(p, p.detach().clone()) for p, _ in moved]
        if not moved:
            return before
        scales = [p.abs() if self.adaptive else torch.ones_like(p) for p, _ in moved]
        gradients = [g.to_dense() if g.is_sparse else g for _, g in moved]
        scaled = [t * g for t, g in zip(scales, gradients, strict=True)]
        length = torch.linalg.vector_norm(torch.stack(list(map(torch.linalg.vector_norm, scaled))))
        factor = torch.where(length > 0, self.rho / length, 0.0)
        for (p, _), t, tg in zip(moved, scales, scaled, strict=True):
            p.add_(factor * t * tg)
        return before
