"""Multilayer perceptrons of any depth, with or without normalisation and skip connections."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.base import Point
from ravine.problems.catalogue import problems, short_id
from ravine.problems.draws import generator
from ravine.problems.networks.criteria import CROSS_ENTROPY
from ravine.problems.networks.images import image_supply
from ravine.problems.networks.layers import ACTIVATIONS, batch_norm, layer_norm, linear
from ravine.problems.networks.model import Moments, Record
from ravine.problems.networks.network import Network, network

NORMS = ("none", "batch", "layer")
"""What follows the product of a hidden layer."""

INITS = ("torch", "xavier", "he", "small", "large")
"""How weights are drawn; see `Perceptron`."""


@dataclass(frozen=True, kw_only=True)
class Perceptron:
    """Fully connected layers: h_l = a(norm(W_l h_(l-1) + b_l)), outputs W_L h_(L-1) + b_L.

    With skip connections, every hidden layer whose input is as wide as its output gives
    h_(l-1) + h_l / sqrt(count of such layers) instead, a scale under which the variance of
    activations stays bounded at any depth.  A layer that is normalised by its batch has no bias,
    which the normalisation would remove.

    Initial weights are uniform in +-1 / sqrt(fan_in) with such biases (`torch`, as
    `torch.nn.Linear` begins), or normal with zero biases and variance 2 / (fan_in + fan_out)
    (`xavier`) or 2 / fan_in (`he`), the latter's standard deviation divided by 5 (`small`) or
    multiplied by 5 (`large`).  Normalisation begins with gain 1 and shift 0.

    Args:
        sizes: features from the input to the output.
        activation: a name in `ACTIVATIONS`.
        bias: whether layers add a vector to their product.
        norm: one of `NORMS`.
        skip: whether there are skip connections.
        init: one of `INITS`.
        code: position of a hidden layer that is left linear and without norm, as in an
            autoencoder; 0 for none.

    References:
        Glorot and Bengio (2010). Understanding the difficulty of training deep feedforward
        neural networks. AISTATS.  He et al. (2015). Delving deep into rectifiers. arXiv
        1502.01852.  Hayou et al. (2021). Stable ResNet. arXiv 2010.12859.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    bias: bool = True
    norm: str = "none"
    skip: bool = False
    init: str = "torch"
    code: int = 0

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`0.weight` [out, in], `0.bias` [out], `0.norm.weight` [out], ... from the input on."""
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(self.sizes)):
            norm = self._norm(layer)
            shapes[f"{layer}.weight"] = (fan_out, fan_in)
            if self.bias and norm != "batch":
                shapes[f"{layer}.bias"] = (fan_out,)
            if norm != "none":
                shapes[f"{layer}.norm.weight"] = shapes[f"{layer}.norm.bias"] = (fan_out,)
        return shapes

    @property
    def normalised(self) -> bool:
        """Whether hidden layers are normalised by their batch."""
        return self.norm == "batch" and len(self.sizes) > 2

    @property
    def smooth(self) -> bool:
        """Whether no activation has a kink."""
        return self.activation != "relu" or len(self.sizes) == 2

    @property
    def width(self) -> int:
        """A few times the widest layer."""
        return 3 * max(self.sizes[1:])

    def start(self, seed: int) -> Point:
        """Initial parameters, drawn by layer, shape and seed."""
        point: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            layer, _, part = name.partition(".")
            if part in ("norm.weight", "norm.bias"):
                point[name] = torch.full(shape, float(part == "norm.weight"))
            elif self.init == "torch":
                fan_in = self.sizes[int(layer)]
                draw = generator("start", name, *shape, seed).random(shape)
                drawn = (2 * draw - 1) / math.sqrt(fan_in)
                point[name] = torch.from_numpy(drawn.astype(np.float32))
            elif part == "bias":
                point[name] = torch.zeros(shape)
            else:
                draw = generator("start", name, *shape, seed).standard_normal(shape)
                scaled = draw * _deviation(self.init, shape[1], shape[0])
                point[name] = torch.from_numpy(scaled.astype(np.float32))
        return point

    def outputs(
        self,
        point: Point,
        inputs: Float[Tensor, "seeds batch features"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings outputs batch"]:
        """Outputs of every network for every example; see `Model`."""
        x = inputs.transpose(1, 2).unsqueeze(1)
        last = len(self.sizes) - 2
        skips = sum(map(self._skips, range(last)))
        for layer in range(last + 1):
            before = x
            x = linear(x, point[f"{layer}.weight"], point.get(f"{layer}.bias"))
            norm = self._norm(layer)
            if norm != "none":
                gain, shift = (point[f"{layer}.norm.{part}"] for part in ("weight", "bias"))
                x = (
                    batch_norm(x, gain, shift, str(layer), moments, record)
                    if norm == "batch"
                    else layer_norm(x, gain, shift)
                )
            if layer < last and not (self.code and layer == self.code):
                x = ACTIVATIONS[self.activation](x)
            if self._skips(layer):
                x = torch.add(before, x, alpha=1 / math.sqrt(skips))
        return x

    def _norm(self, layer: int) -> str:
        plain = layer == len(self.sizes) - 2 or (self.code and layer == self.code)
        return "none" if plain else self.norm

    def _skips(self, layer: int) -> bool:
        hidden = 0 < layer < len(self.sizes) - 2
        return self.skip and hidden and self.sizes[layer] == self.sizes[layer + 1]


def _deviation(init: str, fan_in: int, fan_out: int) -> float:
    if init == "xavier":
        return math.sqrt(2 / (fan_in + fan_out))
    return math.sqrt(2 / fan_in) * {"he": 1.0, "small": 0.2, "large": 5.0}[init]


@problems.register("network", "mnist")
def mnist_mlp(
    widths: int | tuple[int, ...] = (128,),
    activation: str = "relu",
    batch: int = 128,
    data: str = "",
) -> Network:
    """Multilayer perceptron on MNIST, or on a folder of images in its format.

    Args:
        widths: features of each hidden layer; one number for one layer.
        activation: `relu`, `tanh`, `sigmoid` or `gelu`.
        batch: images in a minibatch; the budget is one epoch of full batches, the
            remainder dropped.
        data: folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz], such as
            torchvision writes for Fashion-MNIST; empty for the bundled MNIST.

    Raises:
        BadValue: an argument is outside its domain.
        StoreError: the folder does not hold such files.
    """
    widths = widths if isinstance(widths, tuple) else (widths,)
    if not all(type(width) is int and width > 0 for width in widths):
        raise BadValue(f"`widths` must be positive whole numbers, got {widths}; use (128,)")
    arguments.choice("activation", activation, ACTIVATIONS)
    supply, classes = image_supply(batch, data)
    model = Perceptron(sizes=(*supply.example, *widths, classes), activation=activation)
    given = {"widths": widths, "activation": activation, "batch": batch, "data": data}
    return network(model, supply, CROSS_ENTROPY, supply.epoch, short_id(mnist_mlp, given))


@problems.register("network", "mnist", "convex")
def mnist_softmax(batch: int = 128, bias: bool = True) -> Network:
    """Softmax regression on MNIST, a convex problem.

    Args:
        batch: images in a minibatch, as in `mnist_mlp`.
        bias: False leaves one matrix as the only parameter.

    Raises:
        BadValue: an argument is outside its domain.
    """
    supply, classes = image_supply(batch)
    model = Perceptron(sizes=(*supply.example, classes), bias=bias)
    id = short_id(mnist_softmax, {"batch": batch, "bias": bias})
    return network(model, supply, CROSS_ENTROPY, supply.epoch, id)


@problems.register("network", "mnist")
def notes_mlp(batch: int = 128) -> Network:
    """Two hidden layers of 256 rectified units on MNIST, a standard of textbooks.

    Args:
        batch: images in a minibatch; the budget is one epoch of full batches.

    Raises:
        BadValue: `batch` is outside its domain.

    References:
        Buduma and Locascio (2017). Fundamentals of Deep Learning, chapter 4. O'Reilly.
    """
    supply, classes = image_supply(batch)
    model = Perceptron(sizes=(*supply.example, 256, 256, classes))
    id = short_id(notes_mlp, {"batch": batch})
    return network(model, supply, CROSS_ENTROPY, supply.epoch, id)
