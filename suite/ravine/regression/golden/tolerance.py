"""How far a way may be from the golden one."""

from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

DOUBLE = (1e-6, 1e-5)
"""Before the first step and from step 100 on, as a share of the way, in double precision.

Wider than its rounding, for some counters and products are kept in single precision, which
another implementation, as right, need not do."""

SINGLE = (1e-5, 1e-3)
"""In any lower precision."""


def tolerance(step: int, dtype: torch.dtype) -> float:
    """The share of the way by which a run may be off after a step.

    first (last / first)^(min(step, 100) / 100).

    Args:
        step: from 1 on.
        dtype: of the parameters.

    Example:
        >>> tolerance(100, torch.float64), tolerance(200, torch.float32)
        (1e-05, 0.001)
    """
    first, last = DOUBLE if dtype is torch.float64 else SINGLE
    share: float = first * (last / first) ** (min(step, 100) / 100)
    return float(f"{share:.2g}")


def lengths(ways: Float64[Tensor, "steps n"]) -> Float64[Tensor, " steps"]:
    """The longest way so far, step by step."""
    longest: Tensor = torch.linalg.vector_norm(ways, dim=1).cummax(0).values
    return longest


def rounding(
    steps: Sequence[int], size: Float64[Tensor, " steps"], dtype: torch.dtype
) -> Float64[Tensor, " steps"]:
    """How far additions alone may move a point: each step rounds it twice by half an ulp.

    Args:
        steps: how many there were.
        size: of the point, a bound.
        dtype: of the parameters.
    """
    ulp = torch.finfo(dtype).eps
    return torch.tensor(steps, dtype=torch.float64) * ulp * size
