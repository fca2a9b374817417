"""What hyperparameters are refused, and that some of those that are taken descend."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import one_line
from ravine.optimizers.driving import differentiate, step
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.optimizers.space import trials
from ravine.regression.contracts.tape import Seen, Subject, begin, seed

OUTSIDE: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "weight_decay": (-1.0,),
        "eps": (-1.0,),
        "momentum": (-1.0,),
        "betas": ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9)),
        "rho": (-1.0,),
    }
)
"""By the name of a hyperparameter, values that it cannot have."""

PATIENCE = 500
"""Steps within which a bowl's loss must be halved."""

TRIALS = 16
"""Learning rates that are tried."""


LOST = 1e3
"""Factor over the loss at the start from which nothing comes back in time."""


def refuses_rate(subject: Subject) -> Seen | None:
    """A negative learning rate is refused where the optimizer is built."""
    if "lr" not in hyperparameters(subject.setting.method.build):
        raise Mismatch("it has no learning rate")
    return Seen("lr=-1.0 taken") if _takes(subject, "lr", -1.0) else None


def refuses(subject: Subject) -> Seen | None:
    """A hyperparameter that no formula allows is refused where the optimizer is built."""
    accepted = hyperparameters(subject.setting.method.build)
    tried = [
        (name, value)
        for name, values in OUTSIDE.items()
        for value in values
        if name in accepted and isinstance(accepted[name].default, type(value) | int)
    ]
    if not tried:
        raise Mismatch("it has no hyperparameter whose domain is known")
    taken = [f"{name}={value} taken" for name, value in tried if _takes(subject, name, value)]
    return Seen(", ".join(taken)) if taken else None


def _takes(subject: Subject, name: str, value: Any) -> bool:
    wrong = subject.changed({name: value})
    begin(subject)
    try:
        begin(wrong)
    except Exception:
        return False
    return True


def descends(subject: Subject) -> Seen | None:
    """At one of sixteen rates, the loss of a bowl is halved within 500 steps."""
    method = subject.setting.method
    settings = trials(method, TRIALS if method.knobs else 1)
    # rates that are neither tiny nor huge first, for they need the fewest steps
    order = sorted(range(len(settings)), key=lambda k: abs(k - 0.7 * len(settings)))
    errors = []
    for setting in (settings[k] for k in order):
        try:
            if _halves(subject, setting):
                return None
        except Exception as error:
            errors.append(one_line(error))
    blamed = f"; it raised {errors[0]}" if errors else ""
    return Seen(f"it at none of {len(settings)} settings{blamed}")


def _halves(subject: Subject, setting: Setting) -> bool:
    run = begin(Subject(setting, subject.needs, subject.dtype))
    # as far from the origin as the start: some stay on a sphere, and some decays are bounds
    goals = [torch.full_like(p, 1.5) for p in run.parameters]

    def bowl() -> Float[Tensor, ""]:
        terms = [(p - goal).square().sum() for p, goal in zip(run.parameters, goals, strict=True)]
        return torch.stack(terms).sum()

    start = bowl().item()
    for at in range(PATIENCE):
        loss = bowl()
        if not loss.item() <= LOST * start:
            return False
        if loss.item() <= start / 2:
            return True
        seed(at + 1)
        differentiate(loss, run.parameters, subject.needs)
        step(run.optimizer, run.parameters, subject.needs, bowl, loss)
    return False
