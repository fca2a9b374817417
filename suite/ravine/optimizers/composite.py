"""Optimizers made of other optimizers."""

from collections.abc import Callable, Sequence
from typing import Any

import torch


class Composite(torch.optim.Optimizer):
    """An optimizer whose groups are those of its parts, the same dictionaries.

    A change of a group's learning rate is seen by the part.  Its state dictionary holds
    those of its parts beside its own.

    Args:
        parts: optimizers over different parameters, or one optimizer that is wrapped.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = tuple(parts)
        groups = [group for part in self.parts for group in part.param_groups]
        super().__init__(groups, {})

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Take a step with every part; the first alone is given the closure."""
        for part in self.parts[1:]:
            part.step()
        first = self.parts[0]
        return first.step() if closure is None else first.step(closure)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parts."""
        for part in self.parts:
            part.zero_grad(set_to_none)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Hand a further group to the first part, and take it over from there."""
        if any(param_group is group for part in self.parts for group in part.param_groups):
            super().add_param_group(param_group)
            return
        self.parts[0].add_param_group(param_group)
        self.param_groups.append(self.parts[0].param_groups[-1])

    def __getstate__(self) -> dict[str, Any]:
        # torch's own leaves out all that a subclass has beside groups and state
        return dict(vars(self))

    def state_dict(self) -> dict[str, Any]:
        """The own state, and under `parts` those of the parts."""
        return {**super().state_dict(), "parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        own = {key: value for key, value in state_dict.items() if key != "parts"}
        super().load_state_dict(own)
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        # loading makes new groups; they are to stay the same as those of the parts
        self.param_groups = [group for part in self.parts for group in part.param_groups]


class Fused(torch.optim.Optimizer):
    """An optimizer that updates inside `fused_backward`, driven by gradients as others are.

    The backward pass it is given is that of sum(p * gradient), whose gradient is the one at
    hand.

    Args:
        inner: an optimizer with `fused_backward(loss, lr)`.
    """

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner = inner
        super().__init__(inner.param_groups, {})

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Hand the gradients of all parameters to the inner optimizer."""
        loss = None if closure is None else closure()
        moved = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        gradients = [p.grad.detach().clone() for p in moved]
        for p in moved:
            p.grad = None
        if moved:
            with torch.enable_grad():
                terms = [(p * g).sum() for p, g in zip(moved, gradients, strict=True)]
                linear = torch.stack(terms).sum()
            fused: Any = self.inner
            fused.fused_backward(linear, self.param_groups[0]["lr"])
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The inner optimizer's."""
        return self.inner.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self.inner.load_state_dict(state_dict)
        self.param_groups = self.inner.param_groups
