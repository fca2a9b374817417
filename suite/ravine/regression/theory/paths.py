"""Where a candidate goes, at hyperparameters in the words of what it claims to be."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue, Mismatch
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Method, Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import differentiate, step
from ravine.optimizers.hyperparameters import hyperparameters
from ravine.regression import scenarios
from ravine.regression.theory.law import Array, Subject, Unseen, defaults

Loss = Callable[[Float[Tensor, "..."], int], Float[Tensor, ""]]
"""Takes the point and the number of steps before."""


def takes(method: Method, key: str, value: Any) -> bool:
    """Whether a method's constructor takes a keyword, as far as that can be known."""
    if key in hyperparameters(method.build):
        return True
    try:
        scenarios.setting(method, {key: value})
    except BadValue:
        return False
    return True


def settle(subject: Subject, hyper: Mapping[str, Any]) -> Setting:
    """A candidate at given hyperparameters, and at its claim's class's defaults elsewhere.

    Args:
        subject: who; one without a claim is taken at its own defaults elsewhere.
        hyper: keywords of the claim's class.

    Raises:
        Unseen: the candidate does not take a keyword, and the value is not the claim's own.
    """
    own = {} if subject.claim is None else defaults(subject.claim)
    promised = {} if subject.claim is None else {**own, **subject.claim.fixed}
    accepted = hyperparameters(subject.method.build)
    given: dict[str, Any] = {}
    for key, value in {**own, **hyper}.items():
        if key == "betas" and key not in accepted and {"beta1", "beta2"} <= set(accepted):
            given |= {"beta1": value[0], "beta2": value[1]}
        elif takes(subject.method, key, value):
            given[key] = value
        elif key not in promised or promised[key] != value:
            raise Unseen(f"it takes no `{key}`, which would have to be {value}")
    return scenarios.setting(subject.method, given)


def path(
    subject: Subject,
    hyper: Mapping[str, Any],
    start: Array,
    loss: Loss,
    steps: int,
    box: tuple[float, float] | None = None,
) -> Array:
    """Run a candidate in the plain loop.

    A candidate that takes matrices alone gets a vector as a column.

    Args:
        subject: who.
        hyper: its hyperparameters, as in `settle`.
        start: of one parameter.
        loss: that it minimises.
        steps: how many.
        box: the point is put back into it after each step.

    Returns:
        The start and the points after each step, `[steps + 1, *shape]`.

    Raises:
        Unseen: the candidate cannot be looked at so.
        Exception: whatever the constructor or a step raises.
    """
    setting = settle(subject, hyper)
    needs = capabilities(setting)
    if needs.reason:
        raise Mismatch(needs.reason)
    x = torch.from_numpy(start).to(subject.dtype, copy=True)
    if needs.matrix_only and x.dim() != 2:
        x = x.reshape(len(x), -1)
    parameters = [x.requires_grad_()]
    optimizer = assemble(setting, parameters, steps)
    points = np.empty((steps + 1, *start.shape))
    points[0] = start
    for t in range(steps):

        def evaluate(t: int = t) -> Float[Tensor, ""]:
            return loss(x.reshape(start.shape), t)

        value = evaluate()
        differentiate(value, parameters, needs)
        step(optimizer, parameters, needs, evaluate, value)
        if box is not None:
            with torch.no_grad():
                x.clamp_(*box)
        points[t + 1] = x.detach().reshape(start.shape).numpy()
    return points


def follow(subject: Subject, hyper: Mapping[str, Any], start: Array, gradients: Array) -> Array:
    """Run a candidate on gradients that are given, wherever it goes.

    Args:
        subject: who.
        hyper: as in `path`.
        start: of one parameter.
        gradients: one a step, `[steps, *shape]`.

    Returns:
        As `path`.
    """
    return path(subject, hyper, start, tape(gradients, subject.dtype), len(gradients))


def tape(gradients: Array, dtype: torch.dtype) -> Loss:
    """The linear losses g_t'x, whose gradients are given."""
    rows = torch.from_numpy(gradients).to(dtype)
    return lambda x, t: (rows[t] * x).sum()


def bowl(*curvatures: float) -> Loss:
    """1/2 sum_i lambda_i x_i^2, for every row of a point."""
    weights = torch.tensor(curvatures, dtype=torch.float64) / 2
    return lambda x, t: (weights.to(x) * x.square()).sum()


def advances(points: Array) -> Array:
    """The way of each step, x_t - x_{t+1}, which is the rate times what the method makes of g."""
    return np.diff(points, axis=0) * -1.0


def repeated(gradient: Array, steps: int) -> Array:
    """A constant gradient, `[steps, *shape]`."""
    return np.repeat(gradient[None], steps, axis=0)


def clock(steps: int) -> Array:
    """The numbers of steps 1, 2, ..., as a column."""
    return np.arange(1.0, steps + 1).reshape(-1, 1)


SIZES = np.array([1e-7, -1e-3, 0.02, -1.0, 3.0, -40.0])
"""Gradients of either sign over some decades."""
