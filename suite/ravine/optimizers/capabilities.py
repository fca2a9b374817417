"""What a method can step on, found by trying it on tiny parameters."""

import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch, RavineError
from ravine.optimizers.base import Capabilities, Layout, Method, Setting
from ravine.optimizers.driving import differentiate, has_modes, set_mode, step
from ravine.optimizers.layouts import construct, join_alone
from ravine.optimizers.space import trials

__all__ = ["TINY", "Capabilities", "capabilities", "one_line", "take", "undisturbed"]

TINY = ((5,), (4, 3))
"""Shapes on which a method is tried: a vector, then a matrix."""

PATIENCE = 32
"""Steps after which a method must have moved; some fill a memory or warm up first."""

FORMS = (
    Capabilities(),
    Capabilities(matrix_only=True),
    Capabilities(sparse_only=True),
    Capabilities(graph=True),
    Capabilities(graph=True, matrix_only=True),
    Capabilities(closure=True),
    Capabilities(closure=True, matrix_only=True),
    Capabilities(closure=True, sparse_only=True),
    Capabilities(closure=True, graph=True),
    Capabilities(closure=True, graph=True, matrix_only=True),
)
"""What is tried in this order, the least demanding first."""


def capabilities(subject: Method | Setting) -> Capabilities:
    """Find what a method demands by trying it, the least demanding first.

    A list of parameters, groups, a model, named parameters; a vector, a matrix; a dense, a
    sparse gradient, one with a graph; a closure: the first on which steps raise nothing and
    move the parameters.  It says nothing about how well the method descends.  Global random
    generators, the gradient mode and warning filters stay as they are.

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
        for distributed, layout, form in _attempts():
            needs = replace(form, layout=layout, distributed=distributed)
            shape = TINY[needs.matrix_only]
            try:
                optimizer, point = take(setting, shape, needs, steps=2)
                _insist_on_movement(setting, shape, needs, point)
            except Exception as error:
                # the first try is the plainest, so its error tells the most
                reason = reason or one_line(error)
                if not distributed and "process group" in one_line(error):
                    reason = one_line(error)
            else:
                if distributed and "process group" not in (reason or ""):
                    break
                again = take(setting, shape, needs, steps=2, seed=1)[1]
                return replace(
                    needs,
                    modes=has_modes(optimizer),
                    random=not torch.equal(point, again),
                    single_only=not _takes_double(setting, shape, needs),
                )
    return Capabilities(reason=reason)


def _insist_on_movement(
    setting: Setting, shape: tuple[int, ...], needs: Capabilities, point: Float[Tensor, "..."]
) -> None:
    """A method whose steps raise nothing and change nothing cannot be said to run."""
    start = take(setting, shape, needs, steps=0)[1]
    if torch.equal(start, point) and torch.equal(start, take(setting, shape, needs, PATIENCE)[1]):
        raise Mismatch(f"its first {PATIENCE} steps leave the parameters where they are")


def _takes_double(setting: Setting, shape: tuple[int, ...], needs: Capabilities) -> bool:
    try:
        point = take(setting, shape, needs, steps=2, dtype=torch.float64)[1]
    except Exception:
        return False
    return point.dtype is torch.float64


def _attempts() -> Iterator[tuple[bool, Layout, Capabilities]]:
    return ((d, layout, form) for d, layout, form in product((False, True), Layout, FORMS))


def take(
    setting: Setting,
    shape: tuple[int, ...],
    needs: Capabilities,
    steps: int,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> tuple[torch.optim.Optimizer, Float[Tensor, "..."]]:
    """Take steps over one parameter, from where |x|² / 2 has a random linear term each time.

    Args:
        setting: what is built.
        shape: of the parameter.
        needs: the form of gradients and constructor, and whether a closure is passed.
        steps: how many.
        seed: of the global generator, which the method may draw from.
        dtype: of the parameter.

    Returns:
        The optimizer, and the parameter where it ended.

    Raises:
        Exception: whatever the constructor or the step raises.
    """
    draw = torch.Generator().manual_seed(0)
    torch.manual_seed(seed)

    def normal() -> Float[Tensor, "..."]:
        return torch.randn(shape, generator=draw, dtype=dtype, device="cpu")

    x = normal().requires_grad_()
    if needs.distributed:
        join_alone()
    optimizer = construct(setting, [x], needs.layout, steps=1000)
    set_mode(optimizer, training=True)
    for _ in range(steps):
        tilt = normal()

        def evaluate(tilt: Tensor = tilt) -> Float[Tensor, ""]:
            return (x.square() / 2 + tilt * x).sum()

        differentiate(evaluate(), [x], needs)
        step(optimizer, [x], needs, evaluate)
    return optimizer, x.detach()


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
    """Print an error as `TypeError: its message`, on one line without a full stop.

    An error of this package is a sentence already, and is printed as it is.
    """
    message = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, RavineError):
        return message
    return f"{type(error).__name__}: {message}" if message else type(error).__name__
