"""Two-dimensional layers over a stack of networks, as one network of many groups.

Maps are `[batch, channels, height, width]`; their channels are those of all networks, by
seed, setting and channel.  A grouped convolution then serves the whole stack, and what all
networks of a seed share, as their images, is one group for each seed.  Maps lie in memory
channels last, in which torch's grouped convolutions are fastest.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ravine.problems.networks.layers import EPSILON, Activations
from ravine.problems.networks.model import Moments, Record

Maps = Float[Tensor, "batch _ _ _"]


def spread(images: Float[Tensor, "seeds batch colours height width"]) -> Maps:
    """Images of every seed as the maps that a first layer takes."""
    return _channels_last(images.transpose(0, 1).flatten(1, 2))


def convolve(
    x: Maps,
    weight: Float[Tensor, "seeds settings outputs inputs kernel kernel"],
    bias: Float[Tensor, "seeds settings outputs"] | None = None,
    stride: int = 1,
    padding: int = 0,
) -> Maps:
    """Cross-correlation of every network's maps with its kernels, as `torch.nn.Conv2d`.

    Args:
        x: maps of every network, or of every seed, shared by its networks.
        weight: kernels.
        bias: added to each output channel.
        stride: step of the kernel.
        padding: zeros on each side.
    """
    product = functional.conv2d(
        x,
        weight.flatten(0, 2),
        None if bias is None else bias.flatten(),
        stride=stride,
        padding=padding,
        groups=x.shape[1] // weight.shape[3],
    )
    return _channels_last(product)


def batch_norm(
    x: Maps,
    gain: Float[Tensor, "seeds settings channels"],
    shift: Float[Tensor, "seeds settings channels"],
    name: str,
    moments: Moments | None = None,
    record: Record | None = None,
) -> Maps:
    """Each channel normalised by its moments over examples and positions, or by others.

    The variance is the biased one, of the batch itself; see `layers.batch_norm`.
    """
    if record is not None:
        variance, mean = torch.var_mean(x.detach(), dim=(0, 2, 3), correction=0)
        record[name] = (mean.view(gain.shape), variance.view(gain.shape))
    return functional.batch_norm(
        x,
        None if moments is None else moments[name][0].flatten(),
        None if moments is None else moments[name][1].flatten(),
        gain.flatten(),
        shift.flatten(),
        training=moments is None,
        eps=EPSILON,
    )


def layer_norm(
    x: Maps,
    gain: Float[Tensor, "seeds settings channels"],
    shift: Float[Tensor, "seeds settings channels"],
) -> Maps:
    """Each example normalised over channels and positions, with a gain for each channel.

    References:
        Wu and He (2018). Group normalization. arXiv 1803.08494 (its case of one group).
    """
    networks = gain.shape[0] * gain.shape[1]
    return functional.group_norm(x, networks, gain.flatten(), shift.flatten(), EPSILON)


def shrink(x: Maps, networks: int) -> Maps:
    """Every second pixel, and as many channels of zeros again behind those of each network.

    References:
        He et al. (2016). Deep residual learning for image recognition. arXiv 1512.03385,
        section 3.3, shortcut A.
    """
    small = x[..., ::2, ::2]
    small = small.reshape(len(x), networks, -1, *small.shape[2:])
    return functional.pad(small, (0, 0, 0, 0, 0, small.shape[2])).flatten(1, 2)


def features(x: Maps, bias: Float[Tensor, "seeds settings outputs"]) -> Activations:
    """Every network's maps in one vector for each example, channel by channel.

    Args:
        x: maps of every network.
        bias: of any layer, for the numbers of seeds and settings.
    """
    return x.reshape(len(x), *bias.shape[:2], -1).permute(1, 2, 3, 0)


def _channels_last(x: Maps) -> Maps:
    return x.contiguous(memory_format=torch.channels_last)
