"""Groups of parameters, each with hyperparameters of its own."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.base import Layout
from ravine.optimizers.capabilities import one_line
from ravine.optimizers.driving import set_mode
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.optimizers.layouts import join_alone
from ravine.regression.contracts.tape import (
    LENGTH,
    STEPS,
    Run,
    Seen,
    Subject,
    advance,
    begin,
    parting,
    places,
    plain,
    seed,
)

HALF = STEPS // 2

Groups = Sequence[dict[str, Any]]


def groups_alike(subject: Subject) -> Seen | None:
    """Parameters in two groups are all stepped, as in one."""
    run = _grouped(subject, ({}, {}))
    start = run.parameters
    before = [p.detach().clone() for p in start]
    path = advance(run, STEPS)
    if still := _still(run, before):
        return still
    return None if _coupled(subject) else parting(plain(subject), path)


def groups_apart(subject: Subject) -> Seen | None:
    """Each group has a rate of its own: one of zero stays, one of half the rate is no other's."""
    rate = _rate(subject)
    still = _grouped(subject, ({}, {"lr": 0.0}))
    before = [p.detach().clone() for p in still.parameters]
    advance(still, STEPS)
    first, second = (not torch.equal(p, q) for p, q in zip(still.parameters, before, strict=True))
    if not first:
        return Seen("no step of a group beside one with a rate of 0")
    if second and not subject.decays():
        return Seen("a step at a rate of 0")
    if _coupled(subject):
        return None
    mixed = advance(_grouped(subject, ({}, {"lr": rate / 2})), STEPS)
    whole, half = plain(subject), advance(_grouped(subject, ({"lr": rate / 2},)), STEPS)
    size = still.parameters[0].numel()
    return parting(torch.cat([whole[:, :size], half[:, size:]], 1), mixed)


def groups_added(subject: Subject) -> Seen | None:
    """A group that is added on the way is stepped, and the first goes on as it would."""
    _grouped(subject, ({}, {}))  # not every constructor takes groups
    first, second = places(subject)
    alone = Run(subject, [first], _optimizer(subject, [{"params": [first]}]))
    advance(alone, HALF)
    alone.optimizer.add_param_group({"params": [second]})
    set_mode(alone.optimizer, training=True)
    both = Run(subject, [first, second], alone.optimizer, alone.at)
    before = [p.detach().clone() for p in both.parameters]
    path = advance(both, HALF)
    if still := _still(both, before):
        return still
    if _coupled(subject):
        return None
    apart = plain(subject)[HALF:, : first.numel()]
    return parting(apart, path[:, : first.numel()])


def follows_rate(subject: Subject) -> Seen | None:
    """A scheduler's change of the rate shows in the very next step."""
    _rate(subject)
    manual, scheduled, usual = begin(subject), begin(subject), plain(subject)
    try:
        schedule = torch.optim.lr_scheduler.LambdaLR(
            scheduled.optimizer, lambda step: 1.0 if step < HALF else 0.5
        )
    except Exception as error:
        return Seen(f"no scheduler that takes it: {one_line(error)}")
    first = advance(manual, HALF)
    for group in manual.optimizer.param_groups:
        group["lr"] /= 2
    path = torch.cat([first, advance(manual, HALF)])
    if parting(usual[:HALF], path[:HALF]):
        return Seen("another path before the rate was changed")
    if torch.equal(usual[HALF], path[HALF]):
        return Seen("the same step at half the rate")
    return parting(path, advance(scheduled, STEPS, after=lambda run: schedule.step()))


def _rate(subject: Subject) -> float:
    rate = begin(subject).optimizer.param_groups[0].get("lr")
    if "lr" not in hyperparameters(subject.setting.method.build) or not isinstance(rate, float):
        raise Mismatch("it has no learning rate")
    return rate


def _grouped(subject: Subject, options: Groups) -> Run:
    """A run whose parameters are in as many groups as there are options, or all in one."""
    parameters = places(subject)
    shares = [parameters] if len(options) == 1 else [[p] for p in parameters]
    groups = [{"params": held, **own} for held, own in zip(shares, options, strict=True)]
    return Run(subject, parameters, _optimizer(subject, groups))


def _optimizer(subject: Subject, groups: Groups) -> torch.optim.Optimizer:
    if subject.needs.layout is not Layout.PARAMETERS:
        raise Mismatch(f"its constructor takes {subject.needs.layout}, not groups")
    if subject.needs.distributed:
        join_alone()
    seed(0)
    try:
        optimizer = subject.setting.optimizer(list(groups), steps=4 * LENGTH)
    except Exception as error:
        if len(groups) == 1 and len(groups[0]) == 1:
            raise
        raise Mismatch(f"its constructor refuses groups: {one_line(error)}") from None
    set_mode(optimizer, training=True)
    return optimizer


@lru_cache(maxsize=64)
def _coupled(subject: Subject) -> bool:
    """Whether a parameter's path depends on what other parameters there are."""
    first = places(subject)[0]
    alone = advance(Run(subject, [first], _optimizer(subject, [{"params": [first]}])), STEPS)
    return parting(alone, plain(subject)[:, : first.numel()]) is not None


def _still(run: Run, before: Sequence[Float[Tensor, "..."]]) -> Seen | None:
    for number, (p, old) in enumerate(zip(run.parameters, before, strict=True), 1):
        if torch.equal(p, old):
            return Seen(f"no step of group {number}")
    return None
