"""Multilayer perceptrons of any depth, with or without normalisation and skip connections."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.base import Point
from ravine.problems.catalogue import problems, short_id
from ravine.problems.networks.criteria import CROSS_ENTROPY
from ravine.problems.networks.images import image_supply
from ravine.problems.networks.initial import weights
from ravine.problems.networks.layers import ACTIVATIONS, IN_PLACE, batch_norm, layer_norm, linear
from ravine.problems.networks.model import Moments, Record
from ravine.problems.networks.network import Network, network

NORMS = ("none", "batch", "layer")
"""What follows the product of a hidden layer."""


@dataclass(frozen=True, kw_only=True)
class Perceptron:
    """Fully connected layers: h_0 = W_0 x + b_0, then h_l = W_l a(norm(h_(l-1))) + b_l.

    With skip connections, layers between hidden layers of one width give
    h_(l-1) + (W_l a(norm(h_(l-1))) + b_l) / sqrt(count of such layers) instead: what is added
    has mean zero over the draw of W_l, so that from `he` weights under ReLU the mean of h^2
    grows about e-fold in all, at any depth.  (Sums behind the ReLU, whose outputs have a mean
    of their own, would grow as an exponential of the square root of the depth.)  The
    parameters are those of the network without skips.  Layers that are normalised by their
    batch have no bias, which the normalisation would remove.

    Weights begin as `initial.weights` says, uniform with such biases for `torch`, else with
    zero biases; normalisation begins with gain 1 and shift 0.

    Args:
        sizes: features from the input to the output.
        activation: a, a name in `ACTIVATIONS`.
        bias: whether layers add a vector to their product.
        norm: one of `NORMS`.
        skip: whether there are skip connections.
        init: one of `INITS`.
        code: position in `sizes` of a hidden layer that is left linear and without norm, as
            in an autoencoder; 0 for none.

    References:
        He, Zhang, Ren and Sun (2016). Identity mappings in deep residual networks. arXiv
        1603.05027.  Hayou et al. (2021). Stable ResNet. arXiv 2010.12859.
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
    def depth(self) -> int:
        """Layers with weights."""
        return len(self.sizes) - 1

    @property
    def normalised(self) -> bool:
        """Whether any layer is normalised by its batch."""
        return "batch" in map(self._norm, range(self.depth))

    @property
    def smooth(self) -> bool:
        """Whether no activation has a kink."""
        return self.activation != "relu" or not any(map(self._hidden, range(self.depth)))

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
            elif part == "bias" and self.init != "torch":
                point[name] = torch.zeros(shape)
            else:
                fan_in, fan_out = self.sizes[int(layer)], self.sizes[int(layer) + 1]
                point[name] = weights(self.init, name, shape, seed, fan_in, fan_out)
        return point

    def outputs(
        self,
        point: Point,
        inputs: Float[Tensor, "seeds batch features"],
        moments: Moments | None = None,
        record: Record | None = None,
    ) -> Float[Tensor, "seeds settings outputs batch"]:
        """Outputs of every network for every example; see `Model`."""
        x = h = inputs.transpose(1, 2).unsqueeze(1)
        scale = 1 / math.sqrt(max(1, sum(map(self._skips, range(self.depth)))))
        for layer in range(self.depth):
            norm, hidden = self._norm(layer), self._hidden(layer)
            weight, bias = point[f"{layer}.weight"], point.get(f"{layer}.bias")
            alone = hidden and norm == "none" and not self.skip
            product = linear(x, weight, bias, IN_PLACE[self.activation] if alone else None)
            h = torch.add(h, product, alpha=scale) if self._skips(layer) else product
            if norm != "none":
                gain, shift = (point[f"{layer}.norm.{part}"] for part in ("weight", "bias"))
                activation = IN_PLACE[self.activation]
                x = (
                    batch_norm(h, gain, shift, str(layer), moments, record, activation)
                    if norm == "batch"
                    else layer_norm(h, gain, shift, activation)
                )
            else:
                x = ACTIVATIONS[self.activation](h) if hidden and not alone else h
        return x

    def _hidden(self, layer: int) -> bool:
        """Whether the layer is normalised and activated."""
        return layer < self.depth - 1 and layer + 1 != self.code

    def _norm(self, layer: int) -> str:
        return self.norm if self._hidden(layer) else "none"

    def _skips(self, layer: int) -> bool:
        inner = 0 < layer < self.depth - 1
        return self.skip and inner and self.sizes[layer] == self.sizes[layer + 1]


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
