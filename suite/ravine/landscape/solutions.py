"""Where many runs ended: how good, how far apart, and in how many parameters they differ."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.surface import Surface, accuracy, loss
from ravine.landscape.trajectory import Components, components

THRESHOLDS = tuple(float(t) for t in np.geomspace(1e-4, 1.0, 33))
"""From a ten-thousandth to the whole, eight in a decade."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solutions:
    """The ends of runs by optimizer and start.

    The share of parameters that differ between two solutions depends on when two numbers
    are called different; no single share means anything without its threshold.

    Args:
        surface: name of the problem.
        optimizers: of each solution.
        seeds: of each solution's start.
        losses: on the surface's examples.
        accuracies: on the same; None where nothing is right or wrong.
        test_losses: on the test examples; None without any.
        test_accuracies: on the same.
        norms: of each solution.
        distances: between any two.
        cosines: of the angles between any two, seen from zero; not a number for zero itself.
        thresholds: t, ascending.
        relative: share of parameters with |a - b| > t max(|a|, |b|).
        absolute: share with |a - b| > t m, m the largest |w| of the two solutions.
        map: principal components about the mean, which are also the classical
            multidimensional scaling of the distances.
    """

    surface: str
    optimizers: tuple[str, ...]
    seeds: tuple[int, ...]
    losses: Float[Tensor, " n"]
    accuracies: Float[Tensor, " n"] | None
    test_losses: Float[Tensor, " n"] | None
    test_accuracies: Float[Tensor, " n"] | None
    norms: Float[Tensor, " n"]
    distances: Float[Tensor, "n n"]
    cosines: Float[Tensor, "n n"]
    thresholds: Float[Tensor, " t"]
    relative: Float[Tensor, "n n t"]
    absolute: Float[Tensor, "n n t"]
    map: Components


@dataclass(frozen=True, slots=True)
class Spread:
    """Whether a number tells the optimizers apart more than the starts of one do.

    Args:
        means: of each optimizer.
        between: variance of the optimizers' means; not a number for a single one.
        within: variance of an optimizer's own values over starts, pooled; not a number where
            no optimizer has two.
    """

    means: dict[str, float]
    between: float
    within: float

    @property
    def ratio(self) -> float:
        """Between over within; infinite where the starts make no difference at all."""
        if self.within == 0:
            return math.inf if self.between > 0 else math.nan
        return self.between / self.within


def solutions(
    surface: Surface,
    points: Float[Tensor, "n P"],
    optimizers: Sequence[str],
    seeds: Sequence[int],
    *,
    test: Surface | None = None,
    thresholds: Sequence[float] = THRESHOLDS,
    listener: Callable[[float], None] = lambda share: None,
) -> Solutions:
    """Compare the ends of runs with each other.

    Args:
        surface: the loss that was minimised.
        points: the ends, in one space: the same parameters in the same order.
        optimizers: of each.
        seeds: of the start of each.
        test: the same problem on test examples.
        thresholds: see `Solutions`.
        listener: told the share of pairs that are done.

    Raises:
        BadValue: there are fewer than two solutions, or labels do not fit.

    References:
        Im, Tao and Branson (2016). An empirical analysis of the optimization of deep network
        loss surfaces. arXiv 1612.04010.
    """
    n = len(points)
    if n < 2 or len(optimizers) != n or len(seeds) != n:
        raise BadValue(
            f"solutions need two points at least, and an optimizer and a seed for each; got {n} "
            f"points, {len(optimizers)} optimizers, {len(seeds)} seeds"
        )
    marks = torch.tensor(sorted(thresholds), dtype=torch.float64)
    norms = torch.stack([x.double().norm() for x in points])
    distances = torch.zeros(n, n, dtype=torch.float64)
    cosines = torch.ones(n, n, dtype=torch.float64)
    relative, absolute = torch.zeros(2, n, n, len(marks), dtype=torch.float64)
    cosines.diagonal()[norms == 0] = math.nan
    for i in range(n):
        a = points[i].double()
        for j in range(i):
            b = points[j].double()
            apart, larger = (a - b).abs(), torch.maximum(a.abs(), b.abs())
            distances[i, j] = distances[j, i] = apart.norm()
            cosines[i, j] = cosines[j, i] = a @ b / (norms[i] * norms[j])
            relative[i, j] = relative[j, i] = _shares(apart, larger, marks)
            absolute[i, j] = absolute[j, i] = _shares(apart, larger.max(), marks)
        listener((i + 1) * (i + 2) / (n * (n + 1)))
    grounds = [ground for ground in (surface, test) if ground is not None]
    values = [loss(ground, points) for ground in grounds]
    right = [None if ground.accuracy is None else accuracy(ground, points) for ground in grounds]
    return Solutions(
        surface=surface.name,
        optimizers=tuple(optimizers),
        seeds=tuple(seeds),
        losses=values[0],
        accuracies=right[0],
        test_losses=values[1] if test is not None else None,
        test_accuracies=right[1] if test is not None else None,
        norms=norms,
        distances=distances,
        cosines=cosines,
        thresholds=marks,
        relative=relative,
        absolute=absolute,
        map=components(points, "mean"),
    )


def spread(solutions: Solutions, values: Float[Tensor, " n"]) -> Spread:
    """The variance of a number between optimizers, and between the starts of one.

    Args:
        solutions: their optimizers.
        values: one for each solution, such as its norm.
    """
    groups: dict[str, list[float]] = {}
    for optimizer, value in zip(solutions.optimizers, values.tolist(), strict=True):
        groups.setdefault(optimizer, []).append(value)
    means = {name: float(np.mean(group)) for name, group in groups.items()}
    freedom = sum(len(group) - 1 for group in groups.values())
    squares = sum(float(np.square(np.subtract(g, np.mean(g))).sum()) for g in groups.values())
    return Spread(
        means=means,
        between=float(np.var(list(means.values()), ddof=1)) if len(means) > 1 else math.nan,
        within=squares / freedom if freedom else math.nan,
    )


def kinds_of_pairs(solutions: Solutions) -> dict[str, list[tuple[int, int]]]:
    """All pairs, by what their two solutions have in common.

    Example:
        of two optimizers from two starts: 2 pairs of one start, 2 of one optimizer, 2 of
        neither.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for i in range(len(solutions.seeds)):
        for j in range(i):
            start = "same" if solutions.seeds[i] == solutions.seeds[j] else "other"
            who = "same" if solutions.optimizers[i] == solutions.optimizers[j] else "other"
            found.setdefault(f"{start} start, {who} optimizer", []).append((j, i))
    return found


def _shares(
    apart: Float[Tensor, " P"], unit: Float[Tensor, "..."], thresholds: Float[Tensor, " t"]
) -> Float[Tensor, " t"]:
    return torch.stack([(apart > t * unit).double().mean() for t in thresholds])
