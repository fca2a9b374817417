"""Moments of batch normalisation that stay where they were at one point."""

from collections.abc import Callable

import torch

from ravine.errors import BadValue
from ravine.problems.base import Point
from ravine.problems.networks.model import Moments


def anchored(
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


def spread(moments: Moments | None, count: int, dim: int) -> Moments:
    """The moments of one network for so many, along a dimension."""
    return {
        layer: (
            mean.repeat_interleave(count, dim),
            variance.repeat_interleave(count, dim),
        )
        for layer, (mean, variance) in (moments or {}).items()
    }
