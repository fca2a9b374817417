"""How smooth the ground is along the gradient: Santurkar's three measures, and the step itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.walk import Walk
from ravine.errors import BadValue
from ravine.landscape.sources import surface
from ravine.landscape.surface import Part, Surface, loss_and_gradient
from ravine.problems.base import Problem

SPAN = (0.5, 4.0)
"""The shortest and the longest step that is tried, in learning rates."""

COUNT = 8
"""Steps that are tried between them, evenly spaced on a log scale."""


@dataclass(frozen=True, slots=True)
class Smoothness:
    """What is met along the gradient g of one point x, on one and the same batch.

    Args:
        rates: r, of the steps x - r g that were tried.
        loss: f(x).
        gradient_norm: |g|.
        losses: f(x - r g) for every rate.
        changes: |grad f(x - r g) - g| for every rate.
    """

    rates: tuple[float, ...]
    loss: float
    gradient_norm: float
    losses: tuple[float, ...]
    changes: tuple[float, ...]

    @property
    def loss_range(self) -> float:
        """Largest less smallest loss along the way."""
        return max(self.losses) - min(self.losses)

    @property
    def predictiveness(self) -> float:
        """Largest change of the gradient along the way; small where the gradient predicts well."""
        return max(self.changes)

    @property
    def beta(self) -> float:
        """Largest change of the gradient over the distance it took: an effective smoothness."""
        if self.gradient_norm == 0:
            return 0.0
        return max(
            change / (rate * self.gradient_norm)
            for change, rate in zip(self.changes, self.rates, strict=True)
        )


MEASURES = ("loss_range", "predictiveness", "beta")
"""The three properties of `Smoothness`, in the order of the paper's figure."""


@dataclass(frozen=True, slots=True, eq=False)
class Path:
    """Smoothness along a run, each time on the batch of that very step.

    Args:
        problem: canonical id.
        setting: canonical id of the optimizer.
        seed: of the run.
        rate: the learning rate that the tried steps are multiples of.
        batch_norm: how batch normalisation is done; empty without any.
        steps: of the run, at which it was measured.
        measures: at each of them.
        diverged: the step at which the run left all bounds; None if it did not.
    """

    problem: str
    setting: str
    seed: int
    rate: float
    batch_norm: str
    steps: tuple[int, ...]
    measures: tuple[Smoothness, ...]
    diverged: int | None = None

    def frame(self) -> pl.DataFrame:
        """A row for each step: `problem`, `seed`, `step`, `loss`, and the three measures."""
        return pl.DataFrame(
            {
                "problem": self.problem,
                "seed": self.seed,
                "step": self.steps,
                "loss": [m.loss for m in self.measures],
                "gradient_norm": [m.gradient_norm for m in self.measures],
                **{name: [getattr(m, name) for m in self.measures] for name in MEASURES},
            }
        )


def rates_around(rate: float, span: tuple[float, float] = SPAN, count: int = COUNT) -> list[float]:
    """Log-spaced multiples of a learning rate.

    Example:
        >>> rates_around(0.1, count=4)
        [0.05, 0.1, 0.2, 0.4]
    """
    if not (rate > 0 and 0 < span[0] < span[1] and count > 1):
        raise BadValue(
            f"steps need a positive rate, a rising span and a count of 2 or more, got {rate}, "
            f"{span} and {count}"
        )
    ratio = (span[1] / span[0]) ** (1 / (count - 1))
    return [float(f"{rate * span[0] * ratio**i:.12g}") for i in range(count)]


def smoothness(surface: Surface, x: Float[Tensor, " P"], rates: Sequence[float]) -> Smoothness:
    """Range of the loss, change of the gradient, and effective beta along the gradient of a point.

    All steps start at x and go along the gradient there; they are one stack.  Nothing is
    trained, so nothing has to be restored.

    Args:
        surface: f, the loss on one batch.
        x: the point.
        rates: positive step sizes, r in x - r g.

    Raises:
        BadValue: there is no rate, or one is not positive.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> bowl = surface(problem("sphere(dim=2)"))
        >>> found = smoothness(bowl, torch.tensor([1.0, 0.0], dtype=torch.float64), [0.1, 0.2])
        >>> f"{found.beta:.6f}, {found.predictiveness:.6f}"
        '2.000000, 0.800000'

    References:
        Santurkar, Tsipras, Ilyas and Madry (2018). How does batch normalization help
        optimization? arXiv 1805.11604.
    """
    if not rates or min(rates) <= 0:
        raise BadValue(f"`rates` must be positive step sizes, got {list(rates)}; give such")
    value, slope = loss_and_gradient(surface, x)
    lengths = torch.tensor(rates, dtype=torch.float64, device=x.device)
    tried = (x - lengths[:, None] * slope).to(x.dtype)
    losses, slopes = loss_and_gradient(surface, tried)
    changes = torch.linalg.vector_norm((slopes - slope).double(), dim=-1)
    return Smoothness(
        rates=tuple(float(r) for r in rates),
        loss=value.item(),
        gradient_norm=torch.linalg.vector_norm(slope.double()).item(),
        losses=tuple(losses.tolist()),
        changes=tuple(changes.tolist()),
    )


def batch_surfaces(problem: Problem, seed: int = 0) -> Callable[[int], Surface]:
    """The loss that each step of a run descends, as a surface: its own batch, noise and dropout.

    Batch normalisation is done by the moments of the batch, through which derivatives go.

    Args:
        problem: a formula, a network or a user's module.
        seed: of the run.

    Returns:
        From a step to its surface.
    """
    whole = surface(problem, seed=seed)
    instance = {name: t[0] for name, t in problem.instance([seed]).items()}

    def at(step: int) -> Surface:
        data = dict(instance)
        if problem.traits.stochastic:
            data |= {name: t[0] for name, t in problem.batch([seed], step).items()}
        return replace(
            whole,
            parts=(Part(data, len(data["inputs"]) if "inputs" in data else 1),),
            mean=lambda point, data, moments: problem.loss(point, data),
            moments=None,
            errors=None,
            outputs=None,
            criterion=None,
            accuracy=None,
            batch_norm="batch" if whole.batch_norm else "",
        )

    return at


def smoothness_along(
    problem: Problem,
    way: Walk,
    rate: float,
    *,
    span: tuple[float, float] = SPAN,
    count: int = COUNT,
    listener: Callable[[float], None] = lambda share: None,
) -> Path:
    """The three measures at every point that a run kept, on the batch of that step.

    Args:
        problem: what was minimised.
        way: from `ravine.engine.walk.walk`; a point at which it had diverged is left out.
        rate: the run's learning rate.
        span: shortest and longest step, in learning rates.
        count: how many are tried.
        listener: told the share that is done.

    Raises:
        BadValue: the rate is not positive, or the span is empty.
    """
    rates, at = rates_around(rate, span, count), batch_surfaces(problem, way.seed)
    kept = [i for i, step in enumerate(way.steps) if step != way.diverged]
    measures, grounds = [], ""
    for done, i in enumerate(kept):
        ground = at(way.steps[i])
        measures.append(smoothness(ground, way.points[i], rates))
        grounds = ground.batch_norm
        listener((done + 1) / len(kept))
    return Path(
        problem=way.problem,
        setting=way.setting,
        seed=way.seed,
        rate=rate,
        batch_norm=grounds,
        steps=tuple(way.steps[i] for i in kept),
        measures=tuple(measures),
        diverged=way.diverged,
    )
