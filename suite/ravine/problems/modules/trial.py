"""Finds by trying how a user's module can be run, and what is wrong with it."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ravine.errors import BadValue, RavineError
from ravine.problems.base import Data
from ravine.problems.modules.dropout import keys
from ravine.problems.modules.passes import (
    CONSTANT,
    Passes,
    like,
    one_by_one,
    outputs_of_each,
    together,
)
from ravine.problems.modules.regime import Regime
from ravine.problems.modules.template import Numbers, line
from ravine.problems.networks.model import Record, Supply

AGREES = 1e-3
"""Relative difference up to which stacked and single losses and gradients are the same."""

ROUNDED = 1e-3
"""Share of all that is compared, below which a tensor may consist of rounding errors."""

TINY = 1e-30
"""What keeps a difference of nothing from nothing a number."""

APART = 0.01
"""Relative distance between the two networks of a seed on which stacking is tried."""

FEW = 64
"""Examples, at most, on which evaluation is tried."""

LIVE_TENSORS = 4
"""Tensors as large as the largest that a pass without gradients may hold at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Findings:
    """What was found of a module, its criterion and its data.

    Args:
        passes: how one network is evaluated.
        alone: why networks are evaluated one by one; None where they are stacked.
        drops: whether a pass in training needs a key of dropout.
        normalised: batch-normalisation layers that use the moments of a batch in training.
        width: numbers that an example takes up at once in a pass without gradients.
    """

    passes: Passes
    alone: str | None
    drops: bool
    normalised: frozenset[str]
    width: int


def examine(passes: Passes, supply: Supply, accuracy: Callable[..., Any] | None) -> Findings:
    """Run two networks of two seeds in every way that a comparison will.

    Args:
        passes: of the module, before anything is known of it.
        supply: the examples.
        accuracy: what is counted on test examples, if anything.

    Raises:
        BadValue: something fails, or no loss is defined that can be minimised.
    """
    drawn = [passes.template.draw(seed) for seed in (0, 1)]
    data = _batch(passes, supply, [own for _, own in drawn])
    single = {name: value[0] for name, value in data.items()}
    parameters = {n: p.requires_grad_() for n, p in drawn[0][0].items()}
    passes, regime = _train(passes, parameters, single)
    passes, width, alone = _evaluate(passes, supply, accuracy, drawn, frozenset(regime.normalised))
    if passes.draws:
        alone = "it draws random numbers by other means than the dropout of torch.nn.functional"
    return Findings(
        passes=passes,
        alone=alone or _reason(passes, [start for start, _ in drawn], data),
        drops=passes.draws or regime.masks > 0,
        normalised=frozenset(regime.normalised),
        width=width,
    )


def _batch(passes: Passes, supply: Supply, own: list[Numbers]) -> Data:
    """The first batch of two seeds, with keys of dropout and constants."""
    data = dict(supply.batch([0, 1], 0))
    lacking = [name for name in ("inputs", "targets") if name not in data]
    example = tuple(supply.example)
    if lacking or data["inputs"].shape[0] != 2 or data["inputs"].shape[2:] != example:
        got = {name: list(value.shape) for name, value in data.items()}
        raise BadValue(
            f"`data.batch` must give `inputs` [seeds, batch, *{list(example)}] and `targets` "
            f"[seeds, batch, ...], got {got} for two seeds; mend the supply"
        )
    for name in passes.template.own:
        data[CONSTANT + name] = torch.stack([constants[name] for constants in own])
    return {**data, "dropout": keys([0, 1], 0)}


def _train(passes: Passes, parameters: Numbers, data: Data) -> tuple[Passes, Regime]:
    """Evaluate one network twice, and insist on a loss that can be minimised."""
    name = passes.template.name
    before = {n: t.clone() for n, t in passes.template.shared.items()}
    own = {n: t.clone() for n, t in data.items() if n.startswith(CONSTANT)}
    key = data["dropout"]
    with torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        regime = passes.regime(key)
        loss = _attempt(passes, parameters, data, regime)
        draws = not torch.equal(state, torch.get_rng_state())
    changed = [n for n, t in before.items() if not _same(t, passes.template.shared[n])]
    changed += [n.removeprefix(CONSTANT) for n, t in own.items() if not _same(t, data[n])]
    if changed:
        raise BadValue(
            f"`{name}` changes its buffer `{changed[0]}` as it runs, but a loss must depend on "
            f"parameters and batch alone; leave that out in training"
        )
    if not isinstance(loss, Tensor) or loss.dim() or not loss.is_floating_point():
        shape = list(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise BadValue(
            f"`criterion` must return a scalar tensor for a batch, got {shape}; reduce it, as "
            f"by .mean()"
        )
    if not bool(loss.isfinite()):
        raise BadValue(
            f"`{name}` starts with a loss of {loss.item()}; scale its data or its first parameters"
        )
    _insist_on_gradients(name, loss, parameters)
    passes = replace(passes, draws=draws, attends=regime.attended)
    again = _attempt(passes, parameters, data, passes.regime(key))
    third = _attempt(passes, parameters, data, passes.regime(key))
    if not abs(again.item() - third.item()) <= 1e-6 * abs(third.item()):
        raise BadValue(
            f"`{name}` gives another loss each time ({again.item():.7g}, {third.item():.7g}) for "
            f"the same parameters and batch; keep no state, and draw by torch alone"
        )
    return passes, regime


def _attempt(passes: Passes, parameters: Numbers, data: Data, regime: Regime) -> Any:
    try:
        return passes.train(parameters, data, regime)
    except RavineError:
        raise
    except Exception as error:
        raise BadValue(
            f"`{passes.template.name}` or its criterion fails on a batch of inputs "
            f"{list(data['inputs'].shape)} and targets {list(data['targets'].shape)}: "
            f"{line(error)}; make module, criterion and data fit"
        ) from error


def _insist_on_gradients(name: str, loss: Tensor, parameters: Numbers) -> None:
    if not loss.requires_grad:
        raise BadValue(
            f"`criterion` of `{name}` has no gradient; compute it from the outputs by torch "
            f"operations, without .item() or .detach()"
        )
    found = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    gradients = dict(zip(parameters, found, strict=True))
    unused = [n for n, g in gradients.items() if g is None]
    if unused:
        raise BadValue(
            f"`{name}` does not use its parameter `{unused[0]}`; leave it out, or set its "
            f"requires_grad to False"
        )
    sparse = [n for n, g in gradients.items() if g.is_sparse]
    if sparse:
        raise BadValue(
            f"`{name}` has a sparse gradient by `{sparse[0]}`, and a stack has none; make its "
            f"layer with sparse=False"
        )
    odd = [n for n, g in gradients.items() if not g.isfinite().all()]
    if odd:
        raise BadValue(
            f"`{name}` starts with a gradient by `{odd[0]}` that is not finite; mend it (code "
            f"that runs again in the backward pass, as checkpoints do, cannot be run here)"
        )


def _reason(passes: Passes, starts: list[Numbers], data: Data) -> str | None:
    """Why two networks of two seeds cannot be evaluated together; None if they can."""
    shapes = passes.template.shapes
    point = {}
    for name in shapes:
        pair = torch.stack([start[name].detach() for start in starts])
        # two networks of a seed differ, or a mix-up between them would not show
        point[name] = torch.stack([pair, pair * (1 + APART)]).requires_grad_()
    single = one_by_one(passes.loss, point, data, shapes, 2)
    wanted = torch.autograd.grad(single.sum(), list(point.values()))
    try:
        with _no_slow_loops():
            stacked = together(passes.loss, point, data, shapes, 2)
            found = torch.autograd.grad(stacked.sum(), list(point.values()))
    except Exception as error:
        return _cannot(error)
    off = max(_apart(stacked.detach(), single.detach()), _apart(found, wanted))
    return None if off <= AGREES else _differ(off)


@contextmanager
def _no_slow_loops() -> Iterator[None]:
    """Raise where torch would loop over the stack itself, of which it warns."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "There is a performance drop")
        yield


def _apart(ours: Any, wanted: Any) -> float:
    """The largest relative difference between the tensors of two trees.

    A tensor that is small beside the others, as the gradient of a bias that batch
    normalisation removes, may be made of rounding errors alone.
    """
    pairs = [
        (one.double(), two.double())
        for one, two in zip(pytree.tree_leaves(ours), pytree.tree_leaves(wanted), strict=True)
        if isinstance(one, Tensor) and one.numel()
    ]
    size = torch.stack([two.norm() for _, two in pairs]).norm()
    off = [(one - two).norm() / (two.norm() + ROUNDED * size + TINY) for one, two in pairs]
    return float(torch.stack(off).nan_to_num(torch.inf).max())


def _differ(off: float) -> str:
    return f"stacked and single networks differ by {off:.1g} of their size"


def _cannot(error: Exception) -> str:
    said = line(error).partition(". ")[0].rstrip(".")
    return f"torch.func.vmap cannot run it ({said})"


def _evaluate(
    passes: Passes,
    supply: Supply,
    accuracy: Callable[..., Any] | None,
    drawn: list[tuple[Numbers, Numbers]],
    normalised: frozenset[str],
) -> tuple[Passes, int, str | None]:
    """Try evaluation; whether it draws, what an example takes up, and what forbids a stack."""
    parameters = {n: torch.stack([d[0][n].detach() for d in drawn]) for n in drawn[0][0]}
    inputs, targets = (like(part[:FEW], parameters) for part in supply.test())
    if not len(inputs):
        return passes, 1, None
    constants = {CONSTANT + n: torch.stack([d[1][n] for d in drawn]) for n in passes.template.own}
    regimes: list[Regime] = []

    def outputs(parameters: Numbers, constants: Numbers) -> Any:
        record: Record = {}
        regimes.append(passes.regime(record=record, by_batch=normalised))
        return passes.outputs(parameters, constants, inputs, regimes[-1])

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        state = torch.get_rng_state()
        try:
            singly = list(outputs_of_each(outputs, parameters, constants, stacked=False))
            shares = [score(passes.criterion, accuracy, one, targets)[1] for one in singly]
        except RavineError:
            raise
        except Exception as error:
            raise BadValue(
                f"`{passes.template.name}`, its criterion or its accuracy fails on test examples: "
                f"{line(error)}; make them fit"
            ) from error
        if accuracy is not None and not all(0.0 <= share <= 1.0 for share in shares):
            raise BadValue(
                f"`accuracy` must return the share of right answers, between 0 and 1, got "
                f"{shares[0]}; divide by the number of examples, or leave it out"
            )
        if not torch.equal(state, torch.get_rng_state()):
            passes = replace(passes, draws=True)
        try:
            with _no_slow_loops():
                stacked = list(outputs_of_each(outputs, parameters, constants, stacked=True))
            off = _apart(stacked, singly)
            reason = None if off <= AGREES else _differ(off)
        except Exception as error:
            reason = _cannot(error)
    width = LIVE_TENSORS * -(-max(regime.largest for regime in regimes) // len(inputs))
    return passes, width, reason


def score(
    criterion: Callable[..., Any],
    accuracy: Callable[..., Any] | None,
    outputs: Any,
    targets: Tensor,
) -> tuple[float, float]:
    """Loss and accuracy of one network on some examples, NaN for no accuracy."""
    loss = float(criterion(outputs, targets))
    return loss, torch.nan if accuracy is None else float(accuracy(outputs, targets))


def _same(one: Tensor, two: Tensor) -> bool:
    return torch.equal(one.nan_to_num(), two.nan_to_num())
