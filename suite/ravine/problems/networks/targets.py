"""What a tuned reference reached on each network, as `benchmarks/reference.py` measured it."""

from collections.abc import Mapping
from types import MappingProxyType

REFERENCE_TARGETS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "mnist_softmax": (0.522, 0.387, 0.331, 0.308),
        "mnist_mlp": (0.415, 0.296, 0.207, 0.147),
        "notes_mlp": (0.392, 0.249, 0.168, 0.125),
        "recurrent_memory": (1.5, 1.17, 0.81, 0.536),
        "recurrent_adding": (0.17, 0.167, 0.121, 0.0262),
        "char_transformer": (2.93, 2.65, 2.48, 2.25),
        "lenet": (0.509, 0.233, 0.151, 0.111),
        "mnist_plain_conv": (1.12, 0.515, 0.29, 0.198),
        "mnist_resnet": (1.3, 0.626, 0.288, 0.181),
        "deep_plain_20": (1.15, 0.606, 0.389, 0.285),
        "deep_norm_20": (1.43, 0.782, 0.443, 0.319),
        "deep_skip_20": (0.496, 0.308, 0.222, 0.168),
        "deep_norm_skip_20": (0.351, 0.243, 0.179, 0.138),
        "mnist_autoencoder": (209.0, 206.0, 199.0, 174.0),
        "deep_mlp": (1.15, 0.606, 0.389, 0.285),
    }
)
"""Smoothed training losses after an eighth, a quarter, a half and all of the budget: medians
of 20 reruns of tuned AdamW, by id without default arguments (torch 2.13)."""
