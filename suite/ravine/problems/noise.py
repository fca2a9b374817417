"""Families of gradient noise, over any problem that is a formula.

Noise is a draw for every (problem, seed, step), shared by all settings.  It acts on the
gradient alone, g -> quantise(multiplier * g + offset), while the loss stays exact, so
progress is measured without noise.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.base import Data
from ravine.problems.draws import CHUNK, generator

Sampler = Callable[[np.random.Generator, int, int], np.ndarray]
"""Takes a generator, a number of steps and n; returns `[steps, n]`."""


@dataclass(frozen=True, kw_only=True)
class Noise:
    """What happens to the gradient at every step.

    Args:
        multiplier: draws of the factor, None for 1.
        offset: draws of the term added, None for 0.
        memory: the offset is the mean of this many successive draws, times the root of
            their number (autocorrelated noise of unchanged variance).
        quantum: the gradient is rounded to multiples of this, 0 for no rounding.
    """

    multiplier: Sampler | None = None
    offset: Sampler | None = None
    memory: int = 1
    quantum: float = 0.0

    def draw(self, name: str, seeds: Sequence[int], step: int, dim: int) -> Data:
        """The draws of one step for every seed, `[seeds, n]`."""
        chunk, row = divmod(step, CHUNK)
        block = _block(self, name, tuple(seeds), chunk, dim)
        return {part: values[row] for part, values in block.items()}


@lru_cache(maxsize=256)
def _block(
    noise: Noise, name: str, seeds: tuple[int, ...], chunk: int, dim: int
) -> dict[str, Float[Tensor, "chunk seeds n"]]:
    block: dict[str, Tensor] = {}
    for part, sampler in (("multiplier", noise.multiplier), ("offset", noise.offset)):
        if sampler is None:
            continue
        drawn = [_sequence(noise, sampler, part, name, seed, chunk, dim) for seed in seeds]
        # coordinates outermost in memory: the layout the stacked points have
        stacked = torch.from_numpy(np.stack(drawn, 1)).movedim(-1, 0).contiguous()
        block[part] = stacked.movedim(0, -1)
    return block


def _sequence(
    noise: Noise, sampler: Sampler, part: str, name: str, seed: int, chunk: int, dim: int
) -> np.ndarray:
    def fresh(c: int) -> np.ndarray:
        return np.asarray(sampler(generator(part, name, seed, c), CHUNK, dim), dtype=np.float64)

    if part == "multiplier" or noise.memory == 1:
        return fresh(chunk)
    before = fresh(chunk - 1)[-(noise.memory - 1) :]
    padded = np.concatenate([before, fresh(chunk)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, noise.memory, axis=0)
    return np.asarray(windows.mean(-1) * np.sqrt(noise.memory))


class _Disturbance(torch.autograd.Function):
    """Identity forward; backward disturbs the gradient once, and what is derived from it not."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, multiplier: Tensor | None, offset: Tensor | None, quantum: float
    ) -> Tensor:
        ctx.parts = (multiplier, offset, quantum)
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        parts, ctx.parts = ctx.parts, None
        if parts is not None:
            grad = _Disturbed.apply(grad, *parts)  # type: ignore[no-untyped-call]
        return grad, None, None, None


class _Disturbed(torch.autograd.Function):
    """Multiplies, adds and rounds; its derivative is the identity."""

    @staticmethod
    def forward(
        ctx: Any, grad: Tensor, multiplier: Tensor | None, offset: Tensor | None, quantum: float
    ) -> Tensor:
        del ctx
        if multiplier is not None:
            grad = multiplier * grad
        if offset is not None:
            grad = grad + offset
        if quantum:
            grad = torch.round(grad / quantum) * quantum
        return grad

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None, None]:
        del ctx
        return grad, None, None, None


def disturb(x: Float[Tensor, "*stack n"], noise: Noise, data: Data) -> Float[Tensor, "*stack n"]:
    """Pass x on unchanged, with the noise waiting for its gradient."""
    disturbed: Tensor = _Disturbance.apply(  # type: ignore[no-untyped-call]
        x, data.get("multiplier"), data.get("offset"), noise.quantum
    )
    return disturbed
