"""What a tuned reference reached on each network; written by `benchmarks/reference.py`."""

from collections.abc import Mapping
from types import MappingProxyType

REFERENCE_TARGETS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "mnist_softmax": (0.522, 0.387, 0.331, 0.308),
        "mnist_mlp": (0.415, 0.296, 0.207, 0.147),
    }
)
"""Smoothed training losses after an eighth, a quarter, a half and all of the budget: medians
of 20 reruns of tuned AdamW, by id without default arguments (torch 2.13)."""
