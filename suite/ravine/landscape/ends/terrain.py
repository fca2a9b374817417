"""What is far, high and steep on a problem, so that its ends can be judged by it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, loss, loss_and_gradient, pack
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.draws import generator

SAMPLE = 256
"""Points of the domain that say how steep it is."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Terrain:
    """A surface with its scales.

    Args:
        surface: f, in the formula's own coordinates, which the facts speak of.
        width: of the domain, by coordinate; of the weights, for a network.
        slope: half of the domain is steeper, in units of f over the width.
        lowest: the lowest value; where it is not known, the lowest that was seen in the domain.
        known: whether it is.
        box: [low, high] of every coordinate that runs are held to; None without.
    """

    surface: Surface
    width: Float[Tensor, " P"]
    slope: float
    lowest: float
    known: bool
    box: Float[Tensor, "P 2"] | None = None


def terrains(
    problem: Problem, x: Float[Tensor, "runs P"], seeds: Sequence[int]
) -> Iterator[tuple[Terrain, Int64[Tensor, " some"], Float[Tensor, "some P"]]]:
    """The ground under the ends of a problem's runs.

    A formula has one ground for all seeds, whose shifts and rotations are undone.  A network
    is taken over its training examples; where seeds differ in more than their order, each
    has its own.

    Args:
        problem: a formula or a network.
        x: ends, finite.
        seeds: of the runs.

    Yields:
        The terrain, the positions of its runs, and their ends in its coordinates.
    """
    every = torch.arange(len(x))
    distinct = sorted(set(seeds))
    if isinstance(problem, Analytic):
        place = {seed: i for i, seed in enumerate(distinct)}
        rows = torch.tensor([place[seed] for seed in seeds])
        data = {n: t[rows] for n, t in problem.instance(distinct).items()}
        yield _of_formula(problem), every, problem.locate(x, data)
        return
    alike = not problem.instance(distinct[:1])
    for seed in [0] if alike else distinct:
        mine = every if alike else every[torch.tensor([s == seed for s in seeds])]
        yield _of_network(problem, seed, x[mine], distinct), mine, x[mine]


def _of_formula(problem: Analytic) -> Terrain:
    ground = surface(problem)
    low, high = torch.tensor(problem.intervals, dtype=torch.float64).unbind(-1)
    draws = torch.from_numpy(generator("terrain", problem.dim).random((SAMPLE, problem.dim)))
    values, slopes = loss_and_gradient(ground, low + (high - low) * draws)
    box = problem.traits.box
    return _terrain(
        problem,
        ground,
        high - low,
        values,
        slopes,
        None if box is None else torch.tensor(box, dtype=torch.float64).expand(problem.dim, 2),
    )


def _of_network(
    problem: Problem, seed: int, x: Float[Tensor, "some P"], seeds: Sequence[int]
) -> Terrain:
    """Without a domain, weights reach as far as those of half of the runs."""
    ground = surface(problem, seed=seed)
    size = 2 * x.abs().amax(-1).median().clamp(min=1e-12)
    starts = torch.stack([pack(ground, problem.start(s)) for s in seeds]).to(ground.dtype)
    values, slopes = loss_and_gradient(ground, starts)
    seen = torch.cat([values, loss(ground, x.to(ground.dtype))])
    return _terrain(problem, ground, size.double().expand(ground.size), seen, slopes, None)


def _terrain(
    problem: Problem,
    ground: Surface,
    width: Float[Tensor, " P"],
    values: Float[Tensor, " seen"],
    slopes: Float[Tensor, "sample P"],
    box: Float[Tensor, "P 2"] | None,
) -> Terrain:
    facts = problem.facts
    lengths = (slopes.double() * width).norm(dim=-1)
    seen = [*values[values.isfinite()].tolist(), math.inf]
    return Terrain(
        surface=ground,
        width=width,
        slope=float(lengths[lengths.isfinite()].median().nan_to_num()),
        lowest=min(seen) if facts.minimum is None else facts.minimum,
        known=facts.minimum is not None,
        box=box,
    )
