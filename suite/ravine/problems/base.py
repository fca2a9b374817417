"""What is minimised: the types every problem is made of.

A problem is a loss over a *stack* of points: every parameter may carry leading stack
dimensions, and the loss has one value for every point of the stack.  What differs
between seeds (start, shift, rotation, noise, minibatch) is data, stacked over seeds.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from jaxtyping import Float, Shaped
from torch import Tensor

Point = Mapping[str, Float[Tensor, "..."]]
"""Parameters by name; each tensor is `[*stack, *shape]`."""

Data = Mapping[str, Shaped[Tensor, "..."]]
"""What the loss needs beside the point; each tensor is `[*seeds, ...]`."""


class Kind(StrEnum):
    """What a critical point is."""

    MINIMUM = "minimum"
    SADDLE = "saddle"
    MAXIMUM = "maximum"
    DEGENERATE = "degenerate"


class Goal(StrEnum):
    """What reaching a target means on a problem."""

    MINIMUM = "minimum"
    """A relative gap: (f(x) - f*) / (f(x0) - f*) is at most the target."""
    ESCAPE = "escape"
    """A value on a surface without a minimum: f(x) is at most the target."""
    BASIN = "basin"
    """Below a local minimum's value, so that only better basins remain."""
    REFERENCE = "reference"
    """The smoothed training loss that a tuned reference reached."""


GAPS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
"""Relative gaps that a deterministic problem with a known minimum is held to."""

NOISY_GAPS = (1e-1, 1e-2, 1e-3)
"""Relative gaps under gradient noise, where a constant rate keeps a floor."""


@dataclass(frozen=True, slots=True)
class CriticalPoint:
    """A point of zero gradient: where, how high, and of which kind."""

    x: tuple[float, ...]
    value: float
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a problem, never guessed; every fact is tested.

    Args:
        minimum: the lowest value f* (of the expected loss), None where there is none.
        minimizers: points where it is attained; empty where not listed.
        critical_points: points of zero gradient with value and kind.
        complete: the critical points are all there are in the problem's domain.
        eigenvalues: of the Hessian at the first minimizer, ascending; empty if unknown.
        condition: largest over smallest nonzero Hessian eigenvalue there.
        smoothness: Lipschitz constant L of the gradient, if there is one.
        strong_convexity: m > 0 such that f - m |x|^2 / 2 is convex.
        goal: what a target means here.
        targets: descending; relative gaps for `Goal.MINIMUM`, else values of the loss.
        source: where the facts come from.
    """

    minimum: float | None = None
    minimizers: tuple[tuple[float, ...], ...] = ()
    critical_points: tuple[CriticalPoint, ...] = ()
    complete: bool = False
    eigenvalues: tuple[float, ...] = ()
    condition: float | None = None
    smoothness: float | None = None
    strong_convexity: float | None = None
    goal: Goal = Goal.MINIMUM
    targets: tuple[float, ...] = GAPS
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What an engine and a method must know of a problem before they meet it.

    Args:
        stochastic: the gradient differs from step to step at the same point.
        noisy_value: `loss` with a batch is only an estimate; `value` is scored, or the
            smoothed estimate where the goal is `Goal.REFERENCE`.
        box: every step is followed by a projection onto [low, high] of each coordinate.
        lag: the gradient is taken at the point of so many steps ago.
        smooth: twice differentiable wherever the facts speak of it.
        budget: steps a run gets unless the user says otherwise.
        unstacked: why a network's runs are evaluated one by one; empty where they share
            batched products.
    """

    stochastic: bool = False
    noisy_value: bool = False
    box: tuple[tuple[float, float], ...] | None = None
    lag: int = 0
    smooth: bool = True
    budget: int = 1000
    unstacked: str = ""


class Problem(ABC):
    """Something to minimise, over any stack of points at once.

    Attributes:
        name: the canonical id, `rosenbrock(dim=10)`.
        facts: what is known.
        traits: what an engine must know.
        version: raised by hand when the problem's meaning changes, so that stored runs of
            the old meaning are not taken for new ones.
    """

    name: str
    facts: Facts
    traits: Traits
    version: int

    @property
    @abstractmethod
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Shape of each parameter by name, without stack dimensions."""

    @abstractmethod
    def start(self, seed: int) -> Point:
        """The point where a run with this seed begins; float64 or float32, `[*shape]`."""

    @abstractmethod
    def instance(self, seeds: Sequence[int]) -> Data:
        """What differs between seeds and not between steps; each tensor `[seeds, ...]`."""

    @abstractmethod
    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """What differs between steps, a pure function of (problem, seed, step)."""

    @abstractmethod
    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """The training loss of every stacked point.

        Args:
            point: parameters, `[*stack, *shape]`.
            data: instance and batch together; `[*seeds, ...]`, where seeds are the last
                stack dimensions (none for a single point and a single seed's data).
        """

    def value(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """The loss that is scored, without the noise of a batch."""
        return self.loss(point, data)

    @property
    def scored_apart(self) -> bool:
        """Whether `value` has to be evaluated beside `loss`, to score a run."""
        noisy = self.traits.noisy_value and self.facts.goal is not Goal.REFERENCE
        return noisy or self.traits.lag > 0

    def evaluate(self, point: Point, data: Data) -> Mapping[str, Float[Tensor, "*stack"]]:
        """What is measured once at the end of a run (test loss, accuracy); may be empty."""
        del point, data
        return {}
