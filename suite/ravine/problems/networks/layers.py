"""Layers over a stack of networks, with the batch as the last dimension.

Activations are `[seeds, settings, features, batch]`.  What all networks of a seed share,
as their input, has one setting, and one product for each seed then serves them all.
With weights that lie in memory seeds first, no product needs a copy, nor does its gradient.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ravine.problems.networks.model import Moments, Record

Activations = Float[Tensor, "seeds settings features batch"]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": functional.gelu}
)
"""What stands between two layers, by name."""

EPSILON = 1e-5
"""What normalisation adds to a variance, as in `torch.nn`."""


def linear(
    x: Float[Tensor, "seeds some inputs batch"],
    weight: Float[Tensor, "seeds settings outputs inputs"],
    bias: Float[Tensor, "seeds settings outputs"] | None = None,
) -> Float[Tensor, "seeds settings outputs batch"]:
    """W x + b for every network; x has one setting, shared by all, or one for each."""
    seeds, settings, outputs, inputs = weight.shape
    if x.shape[1] == 1:
        matrices = weight.reshape(seeds, settings * outputs, inputs)
        vectors = None if bias is None else bias.reshape(seeds, -1, 1)
    else:
        matrices = weight.reshape(seeds * settings, outputs, inputs)
        vectors = None if bias is None else bias.reshape(seeds * settings, -1, 1)
    columns = x.reshape(len(matrices), inputs, -1)
    product = (
        torch.bmm(matrices, columns)
        if vectors is None
        else torch.baddbmm(vectors, matrices, columns)
    )
    return product.view(seeds, settings, outputs, -1)


def batch_norm(
    x: Activations,
    gain: Float[Tensor, "seeds settings features"],
    shift: Float[Tensor, "seeds settings features"],
    name: str,
    moments: Moments | None = None,
    record: Record | None = None,
) -> Activations:
    """Gain (x - mean) / sqrt(variance + eps) + shift, by the moments of the batch or by others.

    The variance is the biased one, of the batch itself.

    References:
        Ioffe and Szegedy (2015). Batch normalization. arXiv 1502.03167.
    """
    flat = x.reshape(1, -1, x.shape[-1])
    if record is not None:
        variance, mean = torch.var_mean(x.detach(), dim=-1, correction=0)
        record[name] = (mean, variance)
    result = functional.batch_norm(
        flat,
        None if moments is None else moments[name][0].reshape(-1),
        None if moments is None else moments[name][1].reshape(-1),
        gain.reshape(-1),
        shift.reshape(-1),
        training=moments is None,
        eps=EPSILON,
    )
    return result.view_as(x)


def layer_norm(
    x: Activations,
    gain: Float[Tensor, "seeds settings features"],
    shift: Float[Tensor, "seeds settings features"],
) -> Activations:
    """Each example normalised by the mean and variance of its own features.

    References:
        Ba, Kiros and Hinton (2016). Layer normalization. arXiv 1607.06450.
    """
    variance, mean = torch.var_mean(x, dim=2, correction=0, keepdim=True)
    scale = gain.unsqueeze(-1) * torch.rsqrt(variance + EPSILON)
    return (x - mean) * scale + shift.unsqueeze(-1)
