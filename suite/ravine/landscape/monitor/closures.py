"""The loss that a training loop is about to descend, as a surface around its module."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from ravine.errors import BadValue
from ravine.landscape.surface import Part, Surface, pack
from ravine.problems.base import Data, Point
from ravine.problems.networks.model import Moments

Closure = Callable[[], Float[Tensor, ""]]
"""Evaluates the loss of one batch by calling the module; it does no more."""


def closure_surface(module: nn.Module, closure: Closure) -> tuple[Surface, Float[Tensor, " P"]]:
    """What a closure evaluates, as a function of the parameters, and where these stand now.

    Every evaluation puts tensors of its own in the place of the module's parameters and
    buffers, and begins with the random numbers that were next when the surface was made; so
    it has the same dropout masks and running moments as the loop's own evaluation, and
    neither parameters, gradients, buffers nor random states change.  Counters and caches that
    the module keeps as plain attributes are beyond its reach, as are generators that the
    closure carries itself.

    Args:
        module: whatever the closure calls; parameters that need no gradient stay as they are.
        closure: returns the loss, and takes no step and no gradient.

    Raises:
        BadValue: no parameter of the module needs a gradient.
    """
    owned = {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
    if not owned:
        raise BadValue("no parameter of the module needs a gradient; there is nothing to monitor")
    kept = {n: b.detach().clone() for n, b in module.named_buffers()}
    held, state = _Held(module, closure), states(module)

    def mean(point: Point, data: Data, moments: Moments | None) -> Float[Tensor, "*stack"]:
        del data, moments
        name, first = next(iter(owned.items()))
        stack = point[name].shape[: point[name].dim() - first.dim()]
        flat = {n: p.reshape(-1, *owned[n].shape) for n, p in point.items()}
        found = [
            once({n: p[i] for n, p in flat.items()}) for i in range(len(next(iter(flat.values()))))
        ]
        return torch.stack(found).view(stack)

    def once(point: Point) -> Float[Tensor, ""]:
        given = {f"module.{n}": p.to(owned[n].dtype) for n, p in point.items()}
        given |= {f"module.{n}": b.clone() for n, b in kept.items()}
        # fused attention has no second derivative
        with replayed(state, module), sdpa_kernel(SDPBackend.MATH):
            found = functional_call(held, given)
        return _scalar(found)

    ground = Surface(
        name=type(module).__name__,
        shapes={n: tuple(p.shape) for n, p in owned.items()},
        parts=(Part({}),),
        mean=mean,
        dtype=torch.promote_types(torch.float32, next(iter(owned.values())).dtype),
        split="train",
        stacked=False,
    )
    return ground, pack(ground, owned).clone()


def where(module: nn.Module, ground: Surface) -> Float[Tensor, " P"]:
    """The point where a module stands, on a surface that was made of it."""
    return pack(ground, {n: p.detach() for n, p in module.named_parameters() if n in ground.shapes})


def states(module: nn.Module) -> tuple[Any, ...]:
    """The random states that an evaluation may draw from: torch's, NumPy's, Python's."""
    devices = sorted({p.device.index or 0 for p in module.parameters() if p.is_cuda})
    cuda = [(d, torch.cuda.get_rng_state(d)) for d in devices]
    # code that augments a batch may still draw from NumPy's global state
    return torch.get_rng_state(), cuda, np.random.get_state(), random.getstate()  # noqa: NPY002


@contextmanager
def replayed(state: tuple[Any, ...], module: nn.Module) -> Iterator[None]:
    """Draw from given states within, and go on from the present ones afterwards."""
    present = states(module)
    _restore(state)
    try:
        yield
    finally:
        _restore(present)


def _restore(state: tuple[Any, ...]) -> None:
    cpu, cuda, numpy, python = state
    torch.set_rng_state(cpu)
    for device, kept in cuda:
        torch.cuda.set_rng_state(kept, device)
    np.random.set_state(numpy)  # noqa: NPY002
    random.setstate(python)


class _Held(nn.Module):
    """A closure as a module, so that `functional_call` reaches what the closure calls."""

    def __init__(self, module: nn.Module, closure: Closure) -> None:
        super().__init__()
        self.module = module
        self.closure = closure

    def forward(self) -> Any:
        return self.closure()


def _scalar(found: Any) -> Float[Tensor, ""]:
    if not (isinstance(found, Tensor) and found.numel() == 1):
        said = f"shape {list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise BadValue(
            f"the closure that the monitor looks at must return the loss as a tensor of one "
            f"number, got {said}; return the mean loss of the batch"
        )
    if torch.is_grad_enabled() and not found.requires_grad:
        raise BadValue(
            "the closure's loss does not depend on the module's parameters; call the module in "
            "it, and neither `.item()` nor `.detach()`"
        )
    return found.reshape(())
