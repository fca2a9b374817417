"""Averages of the iterates as the solution."""

from collections.abc import Callable
from typing import Any

import torch

from ravine.optimizers.composite import Composite
from ravine.optimizers.driving import set_mode
from ravine.optimizers.wrappers.wrapper import count_step, held, insist, number, wrapper


@wrapper("ema", base="adam", source="Polyak, Juditsky (1992), doi:10.1137/0330046")
class Averaged(Composite):
    """An average of the base's iterates, which is the solution; x runs on unchanged.

    After t steps a <- a + w (x - a) with w = (1 - decay) / (1 - decay^t): the exponential
    average without weight on the start.  With decay = 1, w = 1 / t, the plain average of
    all iterates.  Only the last loss of a run is that of the average: `eval()` puts it into
    the parameters, and `train()` takes it out again, as for the base where that has modes.

    Args:
        part: the base's optimizer.
        decay: of the weights, a step.

    Raises:
        BadValue: decay is outside [0, 1].

    References:
        Polyak, Juditsky (1992). Acceleration of stochastic approximation by averaging. SIAM
        Journal on Control and Optimization 30. doi:10.1137/0330046.

    Example:
        >>> x = torch.tensor([3.0], requires_grad=True)
        >>> optimizer = Averaged(torch.optim.SGD([x], lr=1.0), decay=1)
        >>> for _ in range(3):
        ...     x.grad = torch.ones(1)
        ...     optimizer.step()
        >>> optimizer.eval()
        >>> x.item()
        1.0
    """

    def __init__(self, part: torch.optim.Optimizer, *, decay: int | float = 0.99) -> None:
        insist(number(decay) and 0 <= decay <= 1, "decay", "from 0 to 1", decay, 0.99)
        super().__init__([part])
        self.decay = decay

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step of the base, and average.

        Raises:
            RuntimeError: the parameters are the average.
        """
        if any("iterate" in self.state[p] for p in held(self)):
            raise RuntimeError("the parameters are the average; call `train()` before `step()`")
        loss = super().step(closure)
        t = count_step(self) + 1
        weight = 1 / t if self.decay == 1 else (1 - self.decay) / (1 - self.decay**t)
        with torch.no_grad():
            for p in held(self):
                state = self.state[p]
                if "average" not in state:
                    state["average"] = p.detach().clone()
                state["average"].lerp_(p, weight)
        return loss

    def eval(self) -> None:
        """Put the average into the parameters."""
        set_mode(self.parts[0], training=False)
        with torch.no_grad():
            for p in held(self):
                state = self.state[p]
                if "average" in state and "iterate" not in state:
                    state["iterate"] = p.detach().clone()
                    p.copy_(state["average"])

    def train(self) -> None:
        """Put the iterate back into the parameters."""
        with torch.no_grad():
            for p in held(self):
                if "iterate" in self.state[p]:
                    p.copy_(self.state[p].pop("iterate"))
        set_mode(self.parts[0], training=True)
