"""The surface of a formula."""

from jaxtyping import Float
from torch import Tensor

from ravine.landscape.surface import Part, Surface
from ravine.problems.base import Data, Point, Problem
from ravine.problems.networks.model import Moments


def of_formula(problem: Problem, seed: int | None) -> Surface:
    """A formula without noise, in its own coordinates or in those of a seed's instance."""
    data: Data = {} if seed is None else {n: t[0] for n, t in problem.instance([seed]).items()}

    def mean(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, "*stack"]:
        del moments
        return problem.value(point, data)

    start = problem.start(0)
    return Surface(
        name=problem.name,
        shapes=problem.shapes,
        parts=(Part(data),),
        mean=mean,
        width=4 * sum(p.numel() for p in start.values()),
        smooth=problem.traits.smooth,
        dtype=next(iter(start.values())).dtype,
    )
