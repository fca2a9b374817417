"""The surface of a user's module."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap

from ravine.errors import BadValue
from ravine.landscape.sources.examples import Split, parts_of, targets_of
from ravine.landscape.sources.moments import anchored, spread
from ravine.landscape.surface import Surface
from ravine.problems.base import Data, Point
from ravine.problems.modules.module import ModuleProblem
from ravine.problems.modules.passes import flat, like, stack_of
from ravine.problems.modules.scoring import moments as module_moments
from ravine.problems.modules.trial import LIVE_TENSORS
from ravine.problems.networks.model import Moments


def of_module(
    problem: ModuleProblem,
    seed: int,
    split: Split,
    examples: int | None,
    batch_norm: str,
    anchor: Point | None,
) -> Surface:
    """A user's module over some of its examples; see `sources.surface`."""
    found = problem.findings
    passes = replace(found.passes, batch_norm=batch_norm)
    measured = replace(found, passes=replace(found.passes, batch_norm="recomputed"))
    policy = batch_norm if found.normalised else ""
    by_batch = found.normalised if policy == "batch" else frozenset()
    parts = parts_of(problem.supply, seed, split, examples, policy == "batch")
    shapes, constants = problem.shapes, problem.instance([seed])

    def own(count: int) -> Data:
        return {n: c.expand(count, *c.shape[1:]) for n, c in constants.items()}

    def moments(point: Point) -> Moments:
        networks = flat(point, shapes)
        count = len(next(iter(networks.values())))
        return module_moments(measured, problem.supply, networks, own(count))

    # without an anchor, `frozen` means the module's own running moments
    fixed = None if anchor is None else anchored(moments, policy, anchor, problem.name)

    def answers(p: Point, c: Data, data: Data, m: Moments) -> Any:
        regime = passes.regime(moments=m, by_batch=by_batch)
        return passes.outputs(p, c, data["inputs"], regime)

    def each(
        score: Callable[[Any, Tensor], Any], point: Point, data: Data, given: Moments | None
    ) -> Float[Tensor, "..."]:
        networks = flat(point, shapes)
        stack = stack_of(point, shapes)
        count = len(next(iter(networks.values())))
        targets = like(data["targets"], networks)
        shared = given if given is not None else spread(fixed, count, 0)

        def one(p: Point, c: Data, m: Moments, t: Tensor) -> Tensor:
            return torch.as_tensor(score(answers(p, c, data, m), t))

        if count == 1 or problem.alone is not None:
            singles = [
                one(
                    {n: p[i] for n, p in networks.items()},
                    {n: c[0] for n, c in constants.items()},
                    {n: (m[0][i], m[1][i]) for n, m in shared.items()},
                    targets.clone(),
                )
                for i in range(count)
            ]
            return torch.stack(singles).view((*stack, *singles[0].shape))
        # torch's rules for losses want targets with all dimensions of the outputs
        every = targets.expand(count, *targets.shape)
        found = vmap(one)(networks, own(count), shared, every)
        return found.view((*stack, *found.shape[1:]))

    def mean(point: Point, data: Data, given: Moments | None) -> Float[Tensor, "*stack"]:
        return each(passes.criterion, point, data, given)

    def single(point: Point, data: Data, given: Moments | None) -> Any:
        chosen = given if given is not None else spread(fixed, 1, 0)
        m = {n: (a[0], b[0]) for n, (a, b) in chosen.items()}
        return answers(point, {n: c[0] for n, c in constants.items()}, data, m)

    def outputs(point: Point, data: Data, given: Moments | None) -> Tensor:
        found = single(point, data, given)
        if not isinstance(found, Tensor):
            raise BadValue(
                f"`{problem.name}` returns a {type(found).__name__} and no tensor; take its "
                f"Hessian instead"
            )
        return found

    def criterion(outputs: Tensor, data: Data) -> Float[Tensor, ""]:
        loss: Tensor = passes.criterion(outputs, targets_of(data, outputs))
        return loss

    def errors(point: Point, data: Data, given: Moments | None) -> Float[Tensor, " examples"]:
        answered = outputs(point, data, given)
        targets = targets_of(data, answered)
        count = range(len(answered))
        return torch.stack([passes.criterion(answered[i, None], targets[i, None]) for i in count])

    def right(point: Point, data: Data, given: Moments | None) -> Float[Tensor, "*stack"]:
        assert problem.accuracy is not None
        return each(problem.accuracy, point, data, given).double()

    def both(point: Point, data: Data, given: Moments | None) -> tuple[Tensor, Tensor]:
        def score(answered: Any, targets: Tensor) -> Tensor:
            assert problem.accuracy is not None
            pair = (passes.criterion(answered, targets), problem.accuracy(answered, targets))
            return torch.stack([torch.as_tensor(value).double() for value in pair])

        loss, share = each(score, point, data, given).unbind(-1)
        return loss, share

    return Surface(
        name=problem.name or passes.template.name,
        shapes=shapes,
        parts=parts,
        mean=mean,
        moments=moments if policy == "recomputed" else None,
        errors=errors,
        outputs=outputs,
        criterion=criterion,
        accuracy=None if problem.accuracy is None else right,
        both=None if problem.accuracy is None else both,
        width=_width(problem, parts[0].data, constants),
        smooth=problem.smooth,
        dtype=next(iter(problem.start(seed).values())).dtype,
        batch_norm=policy,
        split=split,
        stacked=problem.alone is None,
    )


def _width(problem: ModuleProblem, data: Data, constants: Data) -> int:
    """Numbers that an example takes up; tried here where there was no evaluation before."""
    if problem.findings.width > 1:
        return problem.findings.width
    passes, some = problem.findings.passes, data["inputs"][:64]
    regime = passes.regime(by_batch=problem.findings.normalised)
    with torch.no_grad():
        own = {n: c[0] for n, c in constants.items()}
        passes.outputs(problem.start(0), own, some, regime)
    return LIVE_TENSORS * -(-regime.largest // len(some))
