"""Convolutional networks: LeNet, and deep ones with and without skip connections."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.base import Point
from ravine.problems.catalogue import problems, short_id
from ravine.problems.networks.criteria import CROSS_ENTROPY
from ravine.problems.networks.images import ImageSupply, image_supply
from ravine.problems.networks.initial import INITS, weights
from ravine.problems.networks.layers import IN_PLACE, linear
from ravine.problems.networks.maps import (
    Maps,
    batch_norm,
    convolve,
    features,
    layer_norm,
    shrink,
    spread,
)
from ravine.problems.networks.model import Moments, Record
from ravine.problems.networks.network import Network, network

SIDE = 28
"""Pixels along the side of an image."""

CLASSES = 10
"""Classes that images are told apart by."""

POOLINGS: Mapping[str, Callable[[Tensor, int], Tensor]] = MappingProxyType(
    {"max": functional.max_pool2d, "average": functional.avg_pool2d}
)
"""What becomes of 2 x 2 neighbours."""

LENET: Mapping[str, tuple[int, ...]] = MappingProxyType(
    {
        "0": (6, 1, 5, 5),
        "1": (16, 6, 5, 5),
        "2": (120, 400),
        "3": (84, 120),
        "4": (CLASSES, 84),
    }
)
"""Weights of LeNet-5: two convolutions and three matrices."""

NORMS = ("none", "batch", "layer")
"""What follows the product of a convolution."""

CALIBRATED = 2_000
"""Images over which moments are recomputed: 32,000 positions of the smallest maps."""

STAGES = 3
"""Parts of a deep network, each with maps of half the side and twice the channels."""


@dataclass(frozen=True, kw_only=True)
class LeNet:
    """Two convolutions, each followed by pooling, and three fully connected layers.

    28 x 28 images, padded to 32 x 32; 6 and 16 channels, kernels of 5 x 5; 120, 84 and 10
    units.  Against the original of 1998: every map of the second convolution sees all six of
    the first, pooling has no coefficients, and the outputs are linear, under cross-entropy.

    Weights and biases begin as those of `torch.nn`, uniform in +-1 / sqrt(fan_in).

    Args:
        activation: a name in `layers.ACTIVATIONS`.
        pooling: a name in `POOLINGS`.
    """

    activation: str = "relu"
    pooling: str = "max"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`0.weight` [6, 1, 5, 5], `0.bias` [6], ... from the input on."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, shape in LENET.items():
            shapes[f"{layer}.weight"] = shape
            shapes[f"{layer}.bias"] = shape[:1]
        return shapes

    @property
    def normalised(self) -> bool:
        """Never."""
        return False

    @property
    def smooth(self) -> bool:
        """Whether neither activation nor pooling has a kink."""
        return self.activation != "relu" and self.pooling != "max"

    @property
    def width(self) -> int:
        """The first convolution's maps, a few times."""
        return 3 * 6 * SIDE**2

    def start(self, seed: int) -> Point:
        """Initial parameters, drawn by layer, shape and seed."""
        point: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            kernel = LENET[name.partition(".")[0]]
            fan_in = math.prod(kernel[1:])
            point[name] = weights("torch", name, shape, seed, fan_in, kernel[0])
        return point

    def outputs(
        self,
        point: Point,
        inputs: Float[Tensor, "seeds batch 1 28 28"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings 10 batch"]:
        """Outputs of every network for every image; see `Model`."""
        del moments, record
        activate, pool = IN_PLACE[self.activation], POOLINGS[self.pooling]
        x = spread(inputs)
        for layer, padding in (("0", 2), ("1", 0)):
            x = convolve(x, point[f"{layer}.weight"], point[f"{layer}.bias"], padding=padding)
            x = pool(activate(x), 2)
        h = features(x, point["0.bias"])
        for layer in ("2", "3"):
            h = linear(h, point[f"{layer}.weight"], point[f"{layer}.bias"], activate)
        return linear(h, point["4.weight"], point["4.bias"])


@dataclass(frozen=True, kw_only=True)
class DeepConvolution:
    """A residual network for small images, or its twin without skip connections.

    A convolution of stride 2; three stages of `blocks` blocks on maps of 14, 7 and 4 pixels
    with `channels`, twice and four times as many channels; the mean over each map; one matrix.
    A block is two 3 x 3 convolutions, h = norm(W2 * relu(norm(W1 * x))), and gives
    relu(x + h), or relu(h) without skip connections.  The first convolution of a stage has
    stride 2, and x is then sampled at every second pixel and padded by channels of zeros, so
    that both twins have the same parameters.

    Without normalisation h is divided by sqrt(number of blocks), under which the variance of
    activations stays bounded at any depth.  A convolution that is normalised by its batch has
    no bias, which the normalisation would remove; other biases begin at zero, or as those of
    `torch.nn` with `init="torch"`.  Normalisation begins with gain 1 and shift 0.

    Args:
        blocks: in each stage.
        channels: of the first stage.
        norm: one of `NORMS`.
        skip: whether there are skip connections.
        init: one of `initial.INITS`.

    References:
        He, Zhang, Ren and Sun (2016). Deep residual learning for image recognition. CVPR.
        arXiv 1512.03385, section 4.2, at half its sizes.  Hayou et al. (2021). Stable ResNet.
        arXiv 2010.12859.
    """

    blocks: int
    channels: int = 8
    norm: str = "none"
    skip: bool = False
    init: str = "he"

    @property
    def last(self) -> int:
        """The number of the matrix at the end, and of convolutions before it."""
        return 2 * STAGES * self.blocks + 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`0.weight` [out, in, 3, 3], `0.norm.weight` [out], ... from the input on."""
        shapes: dict[str, tuple[int, ...]] = {}
        fan_in = 1
        for layer in range(self.last):
            fan_out = self.channels * 2 ** self._stage(layer)
            shapes[f"{layer}.weight"] = (fan_out, fan_in, 3, 3)
            if self.norm != "batch":
                shapes[f"{layer}.bias"] = (fan_out,)
            if self.norm != "none":
                shapes[f"{layer}.norm.weight"] = shapes[f"{layer}.norm.bias"] = (fan_out,)
            fan_in = fan_out
        shapes[f"{self.last}.weight"] = (CLASSES, fan_in)
        shapes[f"{self.last}.bias"] = (CLASSES,)
        return shapes

    @property
    def normalised(self) -> bool:
        """Whether channels are normalised by their batch."""
        return self.norm == "batch"

    @property
    def smooth(self) -> bool:
        """Never: rectified units have a kink."""
        return False

    @property
    def width(self) -> int:
        """The first stage's maps, a few times."""
        return 4 * self.channels * (SIDE // 2) ** 2

    def start(self, seed: int) -> Point:
        """Initial parameters, drawn by layer, shape and seed."""
        shapes = self.shapes
        point: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            layer, _, part = name.partition(".")
            kernel = shapes[f"{layer}.weight"]
            fan_in, fan_out = math.prod(kernel[1:]), kernel[0] * math.prod(kernel[2:])
            if part in ("norm.weight", "norm.bias"):
                point[name] = torch.full(shape, float(part == "norm.weight"))
            elif part == "bias" and self.init != "torch":
                point[name] = torch.zeros(shape)
            else:
                point[name] = weights(self.init, name, shape, seed, fan_in, fan_out)
        return point

    def outputs(
        self,
        point: Point,
        inputs: Float[Tensor, "seeds batch 1 28 28"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings 10 batch"]:
        """Outputs of every network for every image; see `Model`."""

        def layer(x: Maps, number: int, stride: int) -> Maps:
            weight, bias = point[f"{number}.weight"], point.get(f"{number}.bias")
            x = convolve(x, weight, bias, stride=stride, padding=1)
            if self.norm == "none":
                return x
            gain, shift = (point[f"{number}.norm.{part}"] for part in ("weight", "bias"))
            if self.norm == "layer":
                return layer_norm(x, gain, shift)
            return batch_norm(x, gain, shift, str(number), moments, record)

        weight, bias = point[f"{self.last}.weight"], point[f"{self.last}.bias"]
        networks = weight.shape[0] * weight.shape[1]
        damping = math.sqrt(STAGES * self.blocks) if self.norm == "none" else 1.0
        x = torch.relu_(layer(spread(inputs), 0, 2))
        for first in range(1, self.last, 2):
            narrows = self._stage(first) > self._stage(first - 1)
            h = torch.relu_(layer(x, first, 2 if narrows else 1))
            h = layer(h, first + 1, 1)
            if self.skip:
                h = torch.add(shrink(x, networks) if narrows else x, h, alpha=1 / damping)
            x = torch.relu_(h)
        return linear(features(x.mean((2, 3), keepdim=True), bias), weight, bias)

    def _stage(self, layer: int) -> int:
        return max(layer - 1, 0) // (2 * self.blocks)


@problems.register("network", "mnist", "convolution")
def lenet(activation: str = "relu", pooling: str = "max", batch: int = 64) -> Network:
    """LeNet-5 on MNIST, in its modern form.

    Args:
        activation: `relu`, `tanh`, `sigmoid` or `gelu`.
        pooling: `max` or `average`.
        batch: images in a minibatch; the budget is 400 steps.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        LeCun, Bottou, Bengio and Haffner (1998). Gradient-based learning applied to document
        recognition. Proceedings of the IEEE 86(11). doi 10.1109/5.726791.
    """
    arguments.choice("activation", activation, IN_PLACE)
    arguments.choice("pooling", pooling, POOLINGS)
    given = {"activation": activation, "pooling": pooling, "batch": batch}
    model = LeNet(activation=activation, pooling=pooling)
    return network(model, _images(batch), CROSS_ENTROPY, 400, short_id(lenet, given))


@problems.register("network", "mnist", "convolution", "deep")
def deep_conv(
    depth: int = 14,
    width: int = 8,
    norm: str = "none",
    skip: bool = False,
    init: str = "he",
    batch: int = 32,
) -> Network:
    """Deep convolutional network on MNIST, with or without normalisation and skip connections.

    Args:
        depth: layers with weights, 6 n + 2 for n blocks in each of three stages.
        width: channels of the first stage; the others have twice and four times as many.
        norm: `none`, `batch` or `layer`.
        skip: whether there are skip connections.
        init: `torch`, `xavier`, `he`, `small` or `large`; see `initial.weights`.
        batch: images in a minibatch; the budget is 400 steps.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        He, Zhang, Ren and Sun (2016). Deep residual learning for image recognition. CVPR.
        arXiv 1512.03385.
    """
    given = {
        "depth": depth,
        "width": width,
        "norm": norm,
        "skip": skip,
        "init": init,
        "batch": batch,
    }
    arguments.choice("norm", norm, NORMS)
    arguments.choice("init", init, INITS)
    model = _deep(depth, width, norm, skip, init)
    return network(model, _images(batch), CROSS_ENTROPY, 400, short_id(deep_conv, given))


@problems.register("network", "mnist", "convolution", "deep")
def mnist_resnet(depth: int = 14, width: int = 8, batch: int = 32) -> Network:
    """Residual network with batch normalisation on MNIST.

    Args:
        depth: as in `deep_conv`.
        width: as in `deep_conv`.
        batch: as in `deep_conv`.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        He, Zhang, Ren and Sun (2016). Deep residual learning for image recognition. CVPR.
        arXiv 1512.03385.
    """
    model = _deep(depth, width, "batch", True, "he")
    id = short_id(mnist_resnet, {"depth": depth, "width": width, "batch": batch})
    return network(model, _images(batch), CROSS_ENTROPY, 400, id)


@problems.register("network", "mnist", "convolution", "deep")
def mnist_plain_conv(depth: int = 14, width: int = 8, batch: int = 32) -> Network:
    """The twin of `mnist_resnet` without skip connections, from the same start.

    Args:
        depth: as in `deep_conv`.
        width: as in `deep_conv`.
        batch: as in `deep_conv`.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        He, Zhang, Ren and Sun (2016). Deep residual learning for image recognition. CVPR.
        arXiv 1512.03385.
    """
    model = _deep(depth, width, "batch", False, "he")
    id = short_id(mnist_plain_conv, {"depth": depth, "width": width, "batch": batch})
    return network(model, _images(batch), CROSS_ENTROPY, 400, id)


def _deep(depth: int, width: int, norm: str, skip: bool, init: str) -> DeepConvolution:
    arguments.whole("width", width, 1)
    if type(depth) is not int or depth < 8 or depth % 6 != 2:
        raise BadValue(
            f"`depth` must be 6 n + 2 layers for n blocks in each stage, got {depth}; use 8, "
            f"14 or 20"
        )
    if type(skip) is not bool:
        raise BadValue(f"`skip` must be true or false, got {skip}")
    blocks = (depth - 2) // (2 * STAGES)
    return DeepConvolution(blocks=blocks, channels=width, norm=norm, skip=skip, init=init)


def _images(batch: int) -> ImageSupply:
    supply, _ = image_supply(batch)
    return replace(supply, example=(1, SIDE, SIDE), calibrated=CALIBRATED)
