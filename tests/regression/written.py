"""The textbook's rules as optimizers: second implementations of torch's, in NumPy."""

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ravine.optimizers import Method, method
from ravine.optimizers.textbook import translate


class Written(torch.optim.Optimizer):
    """Steps every parameter by a textbook's rule, whatever torch does.

    Args:
        params: dense parameters, or groups of them.
        name: of a class of `torch.optim`.
        hyper: all its hyperparameters.
    """

    def __init__(self, params: Any, name: str, hyper: dict[str, Any]) -> None:
        self.name, self.names = name, tuple(hyper)
        super().__init__(params, hyper)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take a step of the rule."""
        loss = None if closure is None else closure()
        for group in self.param_groups:
            rule = translate(self.name, **{key: group[key] for key in self.names})
            for p in group["params"]:
                state = self.state[p]
                found, state["rule"] = rule(
                    p.double().numpy().copy(), state.get("rule"), p.grad.double().numpy().copy()
                )
                p.copy_(torch.from_numpy(found))
        return loss


def written(name: str) -> Method:
    """The textbook's form of a method of `torch.optim`, under the method's own name.

    Args:
        name: of the class.
    """
    signature = inspect.signature(getattr(torch.optim, name))
    taken = [p for p in signature.parameters.values() if p.name not in ("params", "fused")]
    usual = {p.name: p.default for p in taken if p.kind is not p.VAR_KEYWORD}
    # torch has a few zeros that are whole numbers, which the rules do not take
    usual = {key: float(v) if type(v) is int else v for key, v in usual.items()}

    def build(params: Any, **hyper: Any) -> Written:
        return Written(params, name, {**usual, **hyper})

    build.__signature__ = signature  # type: ignore[attr-defined]
    return replace(method(name.lower()), build=build)
