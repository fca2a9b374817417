"""Who minimises: the types every method is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from inspect import signature
from math import inf
from types import MappingProxyType
from typing import Any

import torch

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


class Layout(StrEnum):
    """In what form an optimizer's constructor takes the parameters."""

    PARAMETERS = "parameters"
    FLAGGED = "groups of matrices and others"
    """Matrices in a group with `use_muon=True`, all else in one with `use_muon=False`."""
    MODEL = "a model"
    NAMED = "named parameters"
    SPLIT = "matrices, then all parameters"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a method demands of whoever drives it, and of a problem.

    Args:
        closure: `step` evaluates the loss again through a closure.
        graph: gradients carry a graph, for the step differentiates them.
        sparse_only: gradients must be sparse tensors.
        matrix_only: a parameter must have two dimensions.
        modes: it tells training from evaluation (`train()`, `eval()`).
        random: its steps draw random numbers.
        single_only: it cannot step on double precision, in which formulas are run.
        distributed: it needs a process group, if only of one process.
        layout: in what form its constructor takes the parameters.
        reason: why the method cannot step at all, None if it can.
    """

    closure: bool = False
    graph: bool = False
    sparse_only: bool = False
    matrix_only: bool = False
    modes: bool = False
    random: bool = False
    single_only: bool = False
    distributed: bool = False
    layout: Layout = Layout.PARAMETERS
    reason: str | None = None

    @property
    def demands(self) -> tuple[str, ...]:
        """All of it in words, for people.

        Example:
            >>> Capabilities(closure=True, layout=Layout.MODEL).demands
            ('a closure', 'a model')
        """
        words = {
            "a closure": self.closure,
            "gradients with a graph": self.graph,
            "sparse gradients": self.sparse_only,
            "a matrix": self.matrix_only,
            "training and evaluation modes": self.modes,
            "random numbers": self.random,
            "single precision": self.single_only,
            "a process group": self.distributed,
            str(self.layout): self.layout is not Layout.PARAMETERS,
        }
        return tuple(word for word, asked in words.items() if asked)


LEARNING_RATE = Knob("lr", 1e-7, 10.0)
"""The same decades for every method, whatever its name."""


RULES: Mapping[str, Callable[[int], int]] = MappingProxyType(
    {
        **dict.fromkeys(("steps", "total_steps", "num_iterations", "max_steps"), lambda n: n),
        "num_data": lambda n: 60_000,
    }
)
"""Required arguments that no user should have to give, and their value for a run of n steps:
the length of the run, and the number of training examples, which is MNIST's."""


@cache
def _required(build: Build) -> tuple[str, ...]:
    parameters = signature(build).parameters.values()
    return tuple(p.name for p in parameters if p.name in RULES and p.default is p.empty)


def ruled(build: Build, steps: int) -> dict[str, int]:
    """Fill the arguments of a constructor that are required and have a rule.

    Example:
        >>> ruled(lambda params, num_iterations, lr=0.1: None, 300)
        {'num_iterations': 300}
    """
    return {name: RULES[name](steps) for name in _required(build)}


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

    def optimizer(self, *parameters: Any, steps: int = 1000) -> torch.optim.Optimizer:
        """Call the constructor; `ravine.optimizers.assembly.assemble` makes any method of it.

        Args:
            parameters: in the form that the constructor takes.
            steps: length of the run, for methods that plan ahead.

        Raises:
            Exception: whatever the constructor raises; the engine turns it into a reason.
        """
        return self.method.build(*parameters, **{**ruled(self.method.build, steps), **self.hyper})
