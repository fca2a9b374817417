"""Surfaces of problems: of a formula, of a network of the catalogue, of a user's module."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import vmap

from ravine.errors import BadValue
from ravine.landscape.surface import Part, Surface
from ravine.problems import arguments
from ravine.problems.base import Data, Point, Problem
from ravine.problems.modules.module import ModuleProblem
from ravine.problems.modules.passes import flat, like, stack_of
from ravine.problems.modules.regime import POLICIES
from ravine.problems.modules.scoring import moments as module_moments
from ravine.problems.modules.trial import LIVE_TENSORS
from ravine.problems.networks.model import Moments, Supply
from ravine.problems.networks.network import Network

Split = Literal["train", "test"]

EXAMPLES = 2048
"""Training examples of a network's surface unless told otherwise."""

PART = 2048
"""Examples in a part, where batch normalisation does not ask for minibatches."""


def surface(
    problem: Problem,
    *,
    seed: int | None = None,
    split: Split = "train",
    examples: int | None = EXAMPLES,
    batch_norm: str = "recomputed",
    anchor: Point | None = None,
) -> Surface:
    """The ground that a problem's runs cross, over fixed data.

    A formula is taken without noise, in its own coordinates or in those of a seed's
    instance.  A network is evaluated as in `eval()`, without dropout, over the first
    examples of an epoch, in the order of the seed, or over all test examples.

    Batch normalisation follows one of three policies: `recomputed` for each point over
    training inputs, `batch` by the moments of each minibatch, `frozen` at those of the
    `anchor` (or at a module's own running moments, without one).

    Args:
        problem: a formula, a network or a user's module.
        seed: of the instance and of the order of examples; None for a formula's own
            coordinates, and for 0 in a network.
        split: which examples of a network.
        examples: how many of them at most, None for an epoch.
        batch_norm: `recomputed`, `batch` or `frozen`.
        anchor: parameters whose moments are kept, `[*shape]` each.

    Raises:
        BadValue: an argument is outside its domain.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.surface import loss
        >>> loss(surface(problem("rosenbrock")), torch.tensor([[1.0, 1.0], [0.0, 0.0]])).tolist()
        [0.0, 1.0]
    """
    arguments.choice("split", split, ("train", "test"))
    arguments.choice("batch_norm", batch_norm, POLICIES)
    if examples is not None:
        arguments.whole("examples", examples, 1)
    if isinstance(problem, Network):
        return _of_network(problem, seed or 0, split, examples, batch_norm, anchor)
    if isinstance(problem, ModuleProblem):
        return _of_module_problem(problem, seed or 0, split, examples, batch_norm, anchor)
    return _of_formula(problem, seed)


def module_surface(
    module: nn.Module,
    data: Any,
    criterion: Callable[[Any, Tensor], Any],
    *,
    accuracy: Callable[[Any, Tensor], Any] | None = None,
    batch_norm: str = "recomputed",
    name: str = "",
) -> tuple[Surface, Float[Tensor, " P"]]:
    """The ground around a user's own module, and the point where the module stands.

    The module is copied; it is never run, and neither its parameters nor its buffers change.

    Args:
        module: any `nn.Module` that takes a batch of inputs.
        data: (inputs, targets), or a `Dataset` of such pairs; all of it is used.
        criterion: the mean loss over a batch, from outputs and targets.
        accuracy: share of right answers, from the same.
        batch_norm: see `surface`; `frozen` keeps the module's own running moments.
        name: what it is called, the module's class by default.

    Raises:
        BadValue: the data cannot be read, or the module cannot be evaluated.

    Example:
        >>> line = nn.Linear(1, 1, bias=False)
        >>> x = torch.tensor([[1.0], [2.0]])
        >>> ground, here = module_surface(line, (x, 3 * x), nn.functional.mse_loss)
        >>> ground.size, here.shape
        (1, torch.Size([1]))
    """
    from ravine.landscape.surface import pack
    from ravine.problems.modules.examples import examples as read

    private = copy.deepcopy(module)
    held = read(data, None, 1)
    pair = (held.inputs, held.targets)
    problem = ModuleProblem(
        lambda: copy.deepcopy(private),
        pair,
        criterion,
        test=pair if accuracy is not None else None,
        accuracy=accuracy,
        batch_size=len(held.inputs),
        batch_norm=batch_norm,
        name=name or type(module).__name__,
        smooth=True,
    )
    ground = surface(problem, examples=None, batch_norm=batch_norm)
    return ground, pack(ground, problem.start(0))


def _of_formula(problem: Problem, seed: int | None) -> Surface:
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


def _of_network(
    problem: Network,
    seed: int,
    split: Split,
    examples: int | None,
    batch_norm: str,
    anchor: Point | None,
) -> Surface:
    normalised = problem.model.normalised
    policy = batch_norm if normalised else ""
    parts = _parts(problem.supply, seed, split, examples, policy == "batch")
    fixed = _anchored(problem.moments, policy, anchor, problem.name)

    def mean(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, "*stack"]:
        outputs, targets = problem.answers(point, data, moments or fixed)
        return (
            problem.criterion.errors(outputs, targets)[0]
            .mean(-1)
            .view(stack_of(point, problem.shapes))
        )

    def errors(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, " examples"]:
        outputs, targets = problem.answers(point, data, moments or fixed)
        return problem.criterion.errors(outputs, targets)[0, 0]

    def outputs(point: Point, data: Data, moments: Moments | None) -> Tensor:
        return problem.answers(point, data, moments or fixed)[0]

    def criterion(outputs: Tensor, data: Data) -> Float[Tensor, ""]:
        return problem.criterion.errors(outputs, _targets(data, outputs)[None]).mean()

    def right(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, "*stack"]:
        assert problem.criterion.right is not None
        outputs, targets = problem.answers(point, data, moments or fixed)
        share = problem.criterion.right(outputs, targets)[0].double().mean(-1)
        return share.view(stack_of(point, problem.shapes))

    def both(point: Point, data: Data, moments: Moments | None) -> tuple[Tensor, Tensor]:
        assert problem.criterion.right is not None
        outputs, targets = problem.answers(point, data, moments or fixed)
        stack = stack_of(point, problem.shapes)
        loss = problem.criterion.errors(outputs, targets)[0].mean(-1).view(stack)
        share = problem.criterion.right(outputs, targets)[0].double().mean(-1).view(stack)
        return loss, share

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


def _of_module_problem(
    problem: ModuleProblem,
    seed: int,
    split: Split,
    examples: int | None,
    batch_norm: str,
    anchor: Point | None,
) -> Surface:
    found = problem.findings
    passes = replace(found.passes, batch_norm=batch_norm)
    measured = replace(found, passes=replace(found.passes, batch_norm="recomputed"))
    policy = batch_norm if found.normalised else ""
    by_batch = found.normalised if policy == "batch" else frozenset()
    parts = _parts(problem.supply, seed, split, examples, policy == "batch")
    shapes, constants = problem.shapes, problem.instance([seed])

    def own(count: int) -> Data:
        return {n: c.expand(count, *c.shape[1:]) for n, c in constants.items()}

    def moments(point: Point) -> Moments:
        networks = flat(point, shapes)
        count = len(next(iter(networks.values())))
        return module_moments(measured, problem.supply, networks, own(count))

    # without an anchor, `frozen` means the module's own running moments
    fixed = None if anchor is None else _anchored(moments, policy, anchor, problem.name)

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
        shared = given if given is not None else _spread(fixed, count)

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
        chosen = given if given is not None else _spread(fixed, 1)
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
        loss: Tensor = passes.criterion(outputs, _targets(data, outputs))
        return loss

    def errors(point: Point, data: Data, given: Moments | None) -> Float[Tensor, " examples"]:
        answered = outputs(point, data, given)
        targets = _targets(data, answered)
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


def _parts(
    supply: Supply, seed: int, split: Split, examples: int | None, minibatches: bool
) -> tuple[Part, ...]:
    """The data of a network: an epoch's beginning, or the test set."""
    if split == "test":
        inputs, targets = supply.test()
        if not len(inputs):
            raise BadValue("there are no test examples; give the problem some, or take `train`")
        count = len(inputs) if examples is None else min(examples, len(inputs))
        whole = {"inputs": inputs[:count], "targets": targets[:count]}
        return tuple(_cut(whole, count, count if minibatches else PART))
    batches = list(_batches(supply, seed, examples))
    whole = {n: torch.cat([b[n] for b in batches]) for n in ("inputs", "targets")}
    count = len(whole["inputs"]) if examples is None else min(examples, len(whole["inputs"]))
    return tuple(_cut(whole, count, len(batches[0]["inputs"]) if minibatches else PART))


def _batches(supply: Supply, seed: int, examples: int | None) -> Iterator[Data]:
    """The minibatches of a seed's first epoch, until there are enough examples."""
    epoch = getattr(supply, "epoch", None)
    if epoch is None and examples is None:
        raise BadValue(
            "this problem draws its examples anew at every step; say how many by `examples`"
        )
    held = step = 0
    while (epoch is None or step < epoch) and (examples is None or held < examples):
        batch = supply.batch([seed], step)
        yield {n: batch[n][0] for n in ("inputs", "targets")}
        held, step = held + len(batch["inputs"][0]), step + 1


def _cut(whole: Data, count: int, size: int) -> Iterator[Part]:
    for first in range(0, count, size):
        last = min(first + size, count)
        yield Part({n: t[first:last] for n, t in whole.items()}, last - first)


def _anchored(
    moments: Callable[[Point], Moments], policy: str, anchor: Point | None, name: str
) -> Moments | None:
    """The moments of the policy `frozen`, with a dimension of one network."""
    if policy != "frozen":
        return None
    if anchor is None:
        raise BadValue(
            f"`batch_norm=frozen` keeps the moments of a point of `{name}`; give `anchor`"
        )
    with torch.no_grad():
        return moments({n: p.detach()[None] for n, p in anchor.items()})


def _spread(moments: Moments | None, count: int) -> Moments:
    """The same moments for every network."""
    return {
        layer: (mean.expand(count, *mean.shape[1:]), variance.expand(count, *variance.shape[1:]))
        for layer, (mean, variance) in (moments or {}).items()
    }


def _targets(data: Data, outputs: Tensor) -> Tensor:
    return like(data["targets"], {"outputs": outputs})
