"""Lines and planes on which first layers are computed once: chosen, tried, evaluated."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.landscape.sharing.stage import Graphs, Stage
from ravine.landscape.surface import LIVE_FLOATS, Surface, unpack, weighted_parts
from ravine.problems.base import Data, Point
from ravine.problems.networks.model import Moments

Way = Literal["auto", "shared", "plain"]
WAYS = ("auto", "shared", "plain")
"""How points are evaluated: with first layers shared where that is worth it, always, never."""

Components = tuple[Float[Tensor, " P"], ...]
"""Theta and one or two directions."""

Coefficients = tuple[float, ...]
"""One for each direction."""

Scores = Mapping[str, Float64[Tensor, "scores points"]]
"""What is measured at every point, by surface; a loss before all else."""

Score = Callable[[Surface, Point, Data, Moments | None], Sequence[Float[Tensor, "*stack"]]]
"""What is measured over one part of a surface's data, a loss first."""

WORTH = 4_000_000
"""Multiplications for each point that must be saved; fewer are faster done in a stack."""

AT_ALL = 10_000_000_000
"""The same over all points; fewer take less time than finding out what can be shared."""

ROUNDING = 10_000
"""Units of rounding, of 1 + |loss|, by which a point may differ from its plain evaluation."""

FLIPS = 2
"""Answers that rounding may turn from right to wrong."""


_Recomputed = Callable[[Point], Moments]


@dataclass(frozen=True, eq=False)
class _Job:
    """One part of a surface's data: its share of all, how it is computed, by which moments."""

    surface: str
    share: float
    stage: Stage
    moments: object


@dataclass(frozen=True, eq=False)
class Sharing:
    """Surfaces on theta + sum_i c_i d_i, whose first layers are computed once.

    Args:
        moments: of batch normalisation, where they are recomputed for each point; those that
            several surfaces have in common once.
        jobs: the parts of all surfaces.
    """

    moments: Mapping[object, Stage]
    jobs: Sequence[_Job]

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Of the moments and of all parts."""
        return (*self.moments.values(), *(job.stage for job in self.jobs))

    @property
    def shared(self) -> str:
        """The weights whose products are shared."""
        found = (name for s in self.stages for (name, _), p in s.products.items() if p)
        return ", ".join(dict.fromkeys(found))

    def scout(self) -> None:
        """Find out what can be shared."""
        given = {key: stage.scout(None) for key, stage in self.moments.items()}
        for job in self.jobs:
            job.stage.scout(given.get(job.moments))
            if sum(stage.numbers for stage in self.stages) > LIVE_FLOATS:
                raise MemoryError("the products of its first layers do not fit into 256 MB")

    def trace(self, held: Sequence[float]) -> None:
        """Spare all stages their Python."""
        given, graphs = {}, Graphs()
        for key, stage in self.moments.items():
            stage.row(*held)
            given[key] = stage.compute(0.0, None)
            stage.trace(None, graphs)
        for job in self.jobs:
            job.stage.trace(given.get(job.moments), graphs)

    def row(self, first: Sequence[float], *held: float) -> Scores:
        """Scores where the first coefficient varies and the others are held.

        Points go through a part of the data one after another, which keeps its products and
        activations in cache.
        """
        found: dict[str, Tensor] = {}
        with torch.no_grad():
            given: dict[object, Sequence[Moments | None]] = {}
            for key, stage in self.moments.items():
                stage.row(*held)
                given[key] = [stage.compute(a, None) for a in first]
            for job in self.jobs:
                job.stage.row(*held)
                moments = given.get(job.moments, [None] * len(first))
                for i, (a, own) in enumerate(zip(first, moments, strict=True)):
                    values = job.stage.compute(a, own)
                    if job.surface not in found:
                        shape = (len(values), len(first))
                        found[job.surface] = torch.zeros(shape, dtype=torch.float64)
                    for total, value in zip(found[job.surface], values, strict=True):
                        total[i] += job.share * float(value)
        return found


def cell(
    components: Components, *coefficients: float | Float[Tensor, " n 1"]
) -> Float[Tensor, "*n P"]:
    """Theta + sum_i c_i d_i, from theta itself."""
    found, *directions = components
    for coefficient, direction in zip(coefficients, directions, strict=True):
        found = found + coefficient * direction
    return found


def share(
    surfaces: Mapping[str, Surface],
    components: Components,
    score: Score,
    trials: Sequence[Coefficients],
    plain: Callable[[Coefficients], Scores],
    points: int,
    *,
    always: bool = False,
) -> tuple[Sharing | None, str]:
    """Surfaces on a line or a plane with shared first layers, and what is shared, or why nothing.

    Whether it is right is not believed but tried.  In float32 it differs from the plain
    evaluation by rounding.

    Args:
        surfaces: by name, of one problem.
        components: theta and its directions.
        score: what is taken of each.
        trials: points that are compared with the plain evaluation.
        plain: that evaluation, at one point.
        points: how many there will be.
        always: share whatever can be, even where it is not worth it.
    """
    reason = ""
    for traced in (True, False):
        sharing = _sharing(surfaces, components, score, always)
        try:
            with torch.no_grad():
                sharing.scout()
                saved = sum(stage.saved for stage in sharing.stages)
                small = saved < WORTH or saved * points < AT_ALL
                if not saved or (small and not always):
                    return None, "sharing its first layers between so few points is not worth it"
                if traced:
                    sharing.trace(trials[0][1:])
                reason = _differs(surfaces, sharing, trials, plain, components[0].dtype)
        except MemoryError as error:
            return None, str(error)
        except Exception as error:
            reason = f"its layers cannot be told apart ({type(error).__name__})"
        if not reason:
            return sharing, sharing.shared
    return None, reason


def alike(one: float, other: float, dtype: torch.dtype) -> bool:
    """Whether two losses differ by no more than rounding does, or are the same infinity."""
    if not math.isfinite(one) or not math.isfinite(other):
        return str(one) == str(other)
    return abs(one - other) <= ROUNDING * torch.finfo(dtype).eps * (1 + abs(other))


def _sharing(
    surfaces: Mapping[str, Surface], components: Components, score: Score, always: bool
) -> Sharing:
    moments: dict[object, Stage] = {}
    jobs = []
    for name, surface in surfaces.items():
        parts = [unpack(surface, component) for component in components]
        recomputed = surface.moments
        if recomputed is not None and recomputed not in moments:

            def again(
                point: Point, _: Data, given: Moments | None, taken: _Recomputed = recomputed
            ) -> Moments:
                del given
                return taken(point)

            moments[recomputed] = Stage(parts, again, {}, always)
        scored = partial(score, surface)
        for part, weight in weighted_parts(surface):
            jobs.append(_Job(name, weight, Stage(parts, scored, part.data, always), recomputed))
    return Sharing(moments, jobs)


def _differs(
    surfaces: Mapping[str, Surface],
    sharing: Sharing,
    trials: Sequence[Coefficients],
    plain: Callable[[Coefficients], Scores],
    dtype: torch.dtype,
) -> str:
    for trial in trials:
        found, wanted = sharing.row(trial[:1], *trial[1:]), plain(trial)
        for name, surface in surfaces.items():
            (one, *shares), (other, *right) = (s[name][:, 0].tolist() for s in (found, wanted))
            if not alike(one, other, dtype):
                return f"shared, its first layers give a loss of {one:.6g} instead of {other:.6g}"
            if any(
                abs(a - b) > FLIPS / surface.examples + ROUNDING * torch.finfo(dtype).eps
                for a, b in zip(shares, right, strict=True)
            ):
                return "shared, its first layers give other answers"
    return ""
