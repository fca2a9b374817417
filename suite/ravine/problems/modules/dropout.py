"""Dropout whose masks are a pure function of (seed, step, place, element).

A mask depends on a key, which travels with the batch, and on nothing else: all settings of
a seed see the same one, stacked or alone, and no generator carries a state.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from ravine.problems.draws import CHUNK, generator

Key = Int32[Tensor, "2"]
"""Two random words for a (seed, step)."""

GOLDEN = (0x9E3779B9, 0x85EBCA6B)
"""Odd multipliers that spread the number of a place over a word."""

SELU_LIMIT = -1.7580993408473766
"""-lambda alpha of self-normalising networks: what alpha dropout puts for a dropped value."""


def keys(seeds: Sequence[int], step: int) -> Int32[Tensor, "seeds 2"]:
    """The keys of a step.

    Example:
        >>> torch.equal(keys([3, 5], 100)[1], keys([5], 100)[0])
        True
    """
    chunk, row = divmod(step, CHUNK)
    return torch.from_numpy(np.stack([_words(seed, chunk)[row] for seed in seeds]))


@lru_cache(maxsize=256)
def _words(seed: int, chunk: int) -> np.ndarray:
    limits = np.iinfo(np.int32)
    draw = generator("dropout", seed, chunk)
    return draw.integers(limits.min, limits.max, (CHUNK, 2), dtype=np.int32, endpoint=True)


def bits(key: Key, place: int, shape: Sequence[int]) -> Int32[Tensor, "..."]:
    """A random word for every element: mix(mix(i + k0) ^ k1), k being the key moved by `place`.

    Args:
        key: of a seed and a step.
        place: which of the draws of a forward pass.
        shape: of what is returned.
    """
    first, second = (_signed(place * word) for word in GOLDEN)
    index = torch.arange(math.prod(shape), dtype=torch.int32, device=key.device)
    words = _mix(_mix(index + _mix(key[0] ^ first)) ^ _mix(key[1] ^ second))
    return words.view(tuple(shape))


def _mix(x: Int32[Tensor, "..."]) -> Int32[Tensor, "..."]:
    """The hash `lowbias32`, in arithmetic modulo 2^32.

    References:
        Wellons (2018). Prospecting for hash functions. https://nullprogram.com/blog/2018/07/31/
    """
    x = (x ^ ((x >> 16) & 0xFFFF)) * 0x7FEB352D
    x = (x ^ ((x >> 15) & 0x1FFFF)) * _signed(0x846CA68B)
    return x ^ ((x >> 16) & 0xFFFF)


def _signed(word: int) -> int:
    """A word of 32 bits as torch's int32 holds it."""
    return (word + 2**31) % 2**32 - 2**31


def kept(key: Key, place: int, shape: Sequence[int], p: float) -> Tensor:
    """Which elements are kept, each with probability 1 - p up to 2^-32; bool, of `shape`."""
    threshold = round(p * 2**32) - 2**31
    if threshold >= 2**31:
        return torch.zeros(tuple(shape), dtype=torch.bool, device=key.device)
    return bits(key, place, shape) >= threshold


def dropout(
    x: Float[Tensor, "..."], p: float, key: Key, place: int, leading: int | None = None
) -> Float[Tensor, "..."]:
    """Give x / (1 - p) where x is kept, else 0.

    Args:
        x: what is dropped.
        p: probability of an element to be dropped.
        key: of a seed and a step.
        place: which of the draws of a forward pass.
        leading: how many dimensions a mask tells apart, all if None; the rest are dropped
            together, as whole channels are.

    References:
        Srivastava et al. (2014). Dropout. JMLR 15.
    """
    if p == 0.0:
        return x
    mask = kept(key, place, _masked(x, leading), p).to(x.dtype)
    return x * (mask / (1 - p) if p < 1.0 else mask)


def alpha_dropout(
    x: Float[Tensor, "..."], p: float, key: Key, place: int, leading: int | None = None
) -> Float[Tensor, "..."]:
    """Dropped values become SELU's lower limit; an affine map then restores mean and variance.

    a (x or limit) - a p limit, with a = ((1 - p) (1 + p limit^2))^(-1/2).

    References:
        Klambauer et al. (2017). Self-normalizing neural networks. arXiv 1706.02515.
    """
    if p == 0.0:
        return x
    if p == 1.0:
        return x * 0.0
    mask = kept(key, place, _masked(x, leading), p)
    scale = 1 / math.sqrt((1 - p) * (1 + p * SELU_LIMIT**2))
    return scale * (torch.where(mask, x, SELU_LIMIT) - p * SELU_LIMIT)


def _masked(x: Tensor, leading: int | None) -> tuple[int, ...]:
    leading = x.dim() if leading is None else leading
    return (*x.shape[:leading], *[1] * (x.dim() - leading))
