"""The surface of a network of the catalogue."""

import math

from jaxtyping import Float
from torch import Tensor

from ravine.landscape.sources.examples import Split, parts_of, targets_of
from ravine.landscape.sources.moments import anchored, spread
from ravine.landscape.surface import Surface
from ravine.problems.base import Data, Point
from ravine.problems.modules.passes import stack_of
from ravine.problems.networks.model import Moments
from ravine.problems.networks.network import Network


def of_network(
    problem: Network,
    seed: int,
    split: Split,
    examples: int | None,
    batch_norm: str,
    anchor: Point | None,
) -> Surface:
    """A network of the catalogue over some of its examples; see `sources.surface`."""
    normalised = problem.model.normalised
    policy = batch_norm if normalised else ""
    parts = parts_of(problem.supply, seed, split, examples, policy == "batch")
    fixed = anchored(problem.moments, policy, anchor, problem.name)

    def answers(
        point: Point, data: Data, moments: Moments | None
    ) -> tuple[tuple[int, ...], Tensor, Tensor]:
        stack = stack_of(point, problem.shapes)
        given = moments
        if moments is None and fixed is not None:
            given = spread(fixed, math.prod(stack), 1)
        return stack, *problem.answers(point, data, given)

    def mean(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, "*stack"]:
        stack, found, targets = answers(point, data, moments)
        return problem.criterion.errors(found, targets)[0].mean(-1).view(stack)

    def errors(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, " examples"]:
        _, found, targets = answers(point, data, moments)
        return problem.criterion.errors(found, targets)[0, 0]

    def outputs(point: Point, data: Data, moments: Moments | None) -> Tensor:
        return answers(point, data, moments)[1]

    def criterion(outputs: Tensor, data: Data) -> Float[Tensor, ""]:
        return problem.criterion.errors(outputs, targets_of(data, outputs)[None]).mean()

    def both(point: Point, data: Data, moments: Moments | None) -> tuple[Tensor, Tensor]:
        assert problem.criterion.right is not None
        stack, found, targets = answers(point, data, moments)
        loss = problem.criterion.errors(found, targets)[0].mean(-1).view(stack)
        share = problem.criterion.right(found, targets)[0].double().mean(-1).view(stack)
        return loss, share

    def right(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, "*stack"]:
        assert problem.criterion.right is not None
        stack, found, targets = answers(point, data, moments)
        return problem.criterion.right(found, targets)[0].double().mean(-1).view(stack)

    return Surface(
        name=problem.name,
        shapes=problem.shapes,
        parts=parts,
        mean=mean,
        moments=problem.moments if policy == "recomputed" else None,
        errors=errors,
        outputs=outputs,
        criterion=criterion,
        accuracy=None if problem.criterion.right is None else right,
        both=None if problem.criterion.right is None else both,
        width=problem.model.width,
        smooth=problem.traits.smooth,
        dtype=next(iter(problem.start(0).values())).dtype,
        batch_norm=policy,
        split=split,
    )
