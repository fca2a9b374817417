"""What a method can step on, found by trying it on tiny parameters."""

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.optimizers.base import Method, Setting
from ravine.optimizers.space import trials

TINY = ((5,), (4, 3))
"""Shapes on which a method is tried: a vector, then a matrix."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a method demands of a problem.

    Args:
        closure: `step` evaluates the loss again through a closure.
        sparse_only: gradients must be sparse tensors.
        matrix_only: parameters must have two dimensions.
        reason: why the method cannot step at all, None if it can.
    """

    closure: bool = False
    sparse_only: bool = False
    matrix_only: bool = False
    reason: str | None = None


_TRIED = (
    Capabilities(),
    Capabilities(matrix_only=True),
    Capabilities(sparse_only=True),
    Capabilities(closure=True),
    Capabilities(closure=True, matrix_only=True),
)


def capabilities(subject: Method | Setting) -> Capabilities:
    """Find what a method demands by trying it, the least demanding first.

    A vector with a dense gradient, a matrix, a sparse gradient, a closure: the first on
    which two steps raise nothing.  It says nothing about how well the method descends.
    Global random generators, the gradient mode and warning filters stay as they are.

    Args:
        subject: a method, or a setting, whose method is tried.

    Returns:
        The demands; found once for each method.
    """
    return _find(subject.method if isinstance(subject, Setting) else subject)


@cache
def _find(method: Method) -> Capabilities:
    (setting,) = trials(method, 1)
    reason = None
    with undisturbed():
        for demands in _TRIED:
            try:
                step(setting, TINY[demands.matrix_only], demands, steps=2)
            except Exception as error:
                # the first try is the plainest, so its error tells the most
                reason = reason or one_line(error)
            else:
                return demands
    return Capabilities(reason=reason)


def step(
    setting: Setting, shape: tuple[int, ...], demands: Capabilities, steps: int
) -> torch.optim.Optimizer:
    """Take steps over one parameter with random gradients, and return the optimizer.

    A closure evaluates the bowl |x|² / 2 instead, since a line search needs a function.

    Args:
        setting: what is built.
        shape: of the parameter.
        demands: whether gradients are sparse and whether a closure is passed.
        steps: how many.

    Raises:
        Exception: whatever the constructor or the step raises.
    """
    draw = torch.Generator().manual_seed(0)

    def normal() -> Float[Tensor, "..."]:
        return torch.randn(shape, generator=draw, dtype=torch.float32, device="cpu")

    x = normal().requires_grad_()
    optimizer = setting.optimizer([x])
    closure = _bowl(x, optimizer)
    for _ in range(steps):
        if demands.closure:
            optimizer.step(closure)  # type: ignore[arg-type]  # torch says float
        else:
            x.grad = normal().to_sparse() if demands.sparse_only else normal()
            optimizer.step()
    return optimizer


def _bowl(
    x: Float[Tensor, "..."], optimizer: torch.optim.Optimizer
) -> Callable[[], Float[Tensor, ""]]:
    def closure() -> Float[Tensor, ""]:
        optimizer.zero_grad()
        loss = x.square().sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    return closure


@contextmanager
def undisturbed() -> Iterator[None]:
    """Leave global generators, gradient mode and warning filters as they were."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with (
            warnings.catch_warnings(),
            torch.random.fork_rng(devices=[]),
            torch.inference_mode(mode=False),
            torch.enable_grad(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002


def one_line(error: BaseException) -> str:
    """Print an error as `TypeError: its message`, on one line without a full stop."""
    message = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
