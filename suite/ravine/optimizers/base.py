"""Who minimises: the types every method is made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.registry import Id, parse

Hyper = Mapping[str, Any]
"""Hyperparameters by name."""

Build = Callable[..., torch.optim.Optimizer]
"""Takes parameters (tensors or groups) and hyperparameters, returns an optimizer."""


class Scale(StrEnum):
    """How a knob's range is covered."""

    LOG = "log"
    LINEAR = "linear"
    COMPLEMENT = "complement"
    """Log-spaced in 1 - value, for averaging factors near 1."""


@dataclass(frozen=True, slots=True)
class Knob:
    """A hyperparameter that is tuned, and its range.

    Args:
        name: the keyword of the optimizer's constructor.
        low: smallest value.
        high: largest value.
        scale: how the range is covered.

    Raises:
        BadValue: the range is empty, or its scale cannot cover it.
    """

    name: str
    low: float
    high: float
    scale: Scale = Scale.LOG

    def __post_init__(self) -> None:
        if not -inf < self.low < self.high < inf:
            rule = "both ends must be finite, and the low end less than the high end"
        elif self.scale is Scale.LOG and self.low <= 0:
            rule = "a log scale needs a low end above 0"
        elif self.scale is Scale.COMPLEMENT and self.high >= 1:
            rule = "a complement scale needs a high end below 1"
        else:
            return
        raise BadValue(
            f"`{self.name}` cannot be tuned from {self.low} to {self.high} on the {self.scale} "
            f"scale: {rule}; write `{self.name}=tune(low, high)` or add `scale=linear`"
        )


LEARNING_RATE = Knob("lr", 1e-7, 10.0)
"""The same decades for every method, whatever its name."""


@dataclass(frozen=True, slots=True)
class Method:
    """An optimizer and what about it is fixed and what is tuned.

    Args:
        name: canonical id with the fixed hyperparameters, `sgd(momentum=0.9)`.
        build: the constructor.
        knobs: what is tuned; empty when everything is fixed.
        fixed: hyperparameters that every setting has.
        source: paper or module.
    """

    name: str
    build: Build
    knobs: tuple[Knob, ...] = (LEARNING_RATE,)
    # a mapping has no hash; leaving it out keeps methods and settings usable as keys
    fixed: Hyper = field(default_factory=dict, hash=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A method with a value for every knob.

    Args:
        method: the method.
        values: knob values by name, in the order of the method's knobs.
    """

    method: Method
    values: tuple[tuple[str, float], ...] = ()

    @property
    def name(self) -> str:
        """The method's id with the knob values in it, unique: `adam(lr=0.01)`.

        The id reads back as a method without knobs that builds the same optimizer.
        """
        id = parse(self.method.name)
        # a value takes the place of the `tune` that asked for it
        hyper = {**dict(id.kwargs), **dict(self.values)}
        return str(Id(id.name, id.args, tuple(hyper.items())))

    @property
    def hyper(self) -> dict[str, Any]:
        """All hyperparameters, fixed and tuned."""
        return {**self.method.fixed, **dict(self.values)}

    def optimizer(self, parameters: Iterable[Float[Tensor, "..."]]) -> torch.optim.Optimizer:
        """Build the optimizer over these parameters.

        Raises:
            Exception: whatever the constructor raises; the engine turns it into a reason.
        """
        return self.method.build(list(parameters), **self.hyper)
