"""Lookahead: slow weights that follow the fast ones of another optimizer."""

from collections.abc import Callable
from typing import Any

import torch

from ravine.optimizers.composite import Composite
from ravine.optimizers.wrappers.wrapper import count_step, held, insist, number, wrapper


@wrapper("lookahead", base="adamw", source="Zhang et al. (2019), arXiv 1907.08610")
class Lookahead(Composite):
    """Lookahead: after every k steps of the base, slow <- slow + alpha (x - slow), x <- slow.

    The slow weights begin where x does.  The base keeps its state, such as momentum, when x
    is moved.  The loss is that of x, which is the slow weights after every k-th step.

    Args:
        part: the base's optimizer.
        k: steps of the base between two of the slow weights.
        alpha: share of the way that the slow weights go.

    Raises:
        BadValue: k is no whole number from 1 up, or alpha is outside (0, 1].

    References:
        Zhang, Lucas, Hinton, Ba (2019). Lookahead optimizer: k steps forward, 1 step back.
        arXiv 1907.08610.

    Example:
        >>> x = torch.tensor([8.0], requires_grad=True)
        >>> optimizer = Lookahead(torch.optim.SGD([x], lr=1.0), k=2, alpha=0.5)
        >>> for _ in range(2):
        ...     x.grad = torch.ones(1)
        ...     optimizer.step()
        >>> x.item()
        7.0
    """

    def __init__(
        self, part: torch.optim.Optimizer, *, k: int = 5, alpha: int | float = 0.5
    ) -> None:
        whole = isinstance(k, int) and number(k)
        insist(whole and k >= 1, "k", "a whole number from 1 up", k, 5)
        insist(number(alpha) and 0 < alpha <= 1, "alpha", "above 0 and at most 1", alpha, 0.5)
        super().__init__([part])
        self.k, self.alpha = k, alpha

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step of the base, and after every k-th one of the slow weights."""
        for p in held(self):
            if "slow" not in self.state[p]:
                self.state[p]["slow"] = p.detach().clone()
        loss = super().step(closure)
        if (count_step(self) + 1) % self.k == 0:
            with torch.no_grad():
                for p in held(self):
                    slow = self.state[p]["slow"]
                    p.copy_(slow.lerp_(p, self.alpha))
        return loss
