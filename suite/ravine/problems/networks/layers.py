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

IN_PLACE: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"relu": torch.relu_, "tanh": torch.tanh_, "sigmoid": torch.sigmoid_, "gelu": functional.gelu}
)
"""The same, written over what a layer has just made; GELU's gradient needs its input."""

EPSILON = 1e-5
"""What normalisation adds to a variance, as in `torch.nn`."""


def linear(
    x: Float[Tensor, "seeds some inputs batch"],
    weight: Float[Tensor, "seeds settings outputs inputs"],
    bias: Float[Tensor, "seeds settings outputs"] | None = None,
    activation: Callable[[Tensor], Tensor] | None = None,
) -> Float[Tensor, "seeds settings outputs batch"]:
    """a(W x + b) for every network; x has one setting, shared by all, or one for each.

    Args:
        x: inputs.
        weight: W.
        bias: b, zero by default.
        activation: a, the identity by default; may work in place.
    """
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
    # before the view: in place on a view, autograd would copy
    result = product if activation is None else activation(product)
    return result.view(seeds, settings, outputs, -1)


def batch_norm(
    x: Activations,
    gain: Float[Tensor, "seeds settings features"],
    shift: Float[Tensor, "seeds settings features"],
    name: str,
    moments: Moments | None = None,
    record: Record | None = None,
    activation: Callable[[Tensor], Tensor] | None = None,
) -> Activations:
    """a(gain (x - mean) / sqrt(variance + eps) + shift), by the batch's moments or by others.

    The variance is the biased one, of the batch itself.

    Args:
        x: what is normalised.
        gain: gain.
        shift: shift.
        name: of the layer, in `moments` and `record`.
        moments: mean and variance to use; None for those of this very batch.
        record: filled with the moments of this batch.
        activation: a, the identity by default; may work in place.

    References:
        Ioffe and Szegedy (2015). Batch normalization. arXiv 1502.03167.
    """
    flat, weight, bias = x.reshape(1, -1, x.shape[-1]), gain.reshape(-1), shift.reshape(-1)
    if record is not None:
        variance, mean = torch.var_mean(x.detach(), dim=-1, correction=0)
        record[name] = (mean, variance)
    if moments is None:
        # one group for each feature is the same formula, by a kernel that is twice as fast
        result = functional.group_norm(flat, flat.shape[1], weight, bias, EPSILON)
    else:
        mean, variance = (moment.reshape(-1) for moment in moments[name])
        result = functional.batch_norm(flat, mean, variance, weight, bias, eps=EPSILON)
    if activation is not None:
        result = activation(result)
    return result.view_as(x)


def layer_norm(
    x: Activations,
    gain: Float[Tensor, "seeds settings features"],
    shift: Float[Tensor, "seeds settings features"],
    activation: Callable[[Tensor], Tensor] | None = None,
) -> Activations:
    """Each example normalised by the mean and variance of its own features, then activated.

    References:
        Ba, Kiros and Hinton (2016). Layer normalization. arXiv 1607.06450.
    """
    rows = functional.layer_norm(x.transpose(2, 3), (x.shape[2],), eps=EPSILON)
    result = torch.addcmul(shift.unsqueeze(-1), rows.transpose(2, 3), gain.unsqueeze(-1))
    return result if activation is None else activation(result)
