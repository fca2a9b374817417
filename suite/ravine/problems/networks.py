"""Networks over images: every setting and every seed in a few batched matrix products.

Activations are kept with the batch as their last dimension, [seeds, settings, features,
batch].  The first layer's input is the same for all settings of a seed, so the settings
join its output features, and one product for each seed serves them all.  With weights
that lie in memory seeds first, [seeds, settings, out, in], no product needs a copy, nor
does its gradient.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ravine.errors import BadValue
from ravine.problems.base import Data, Facts, Goal, Point, Problem, Traits
from ravine.problems.catalogue import problems
from ravine.problems.datasets import MNIST_TRAINING, Images, images_from, mnist
from ravine.problems.draws import generator
from ravine.registry import Id, Value

ACTIVATIONS = MappingProxyType({"relu": torch.relu, "tanh": torch.tanh})
"""What stands between two layers, by name."""

REFERENCE_TARGETS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {
        "mnist_softmax": (0.522, 0.387, 0.331, 0.308),
        "mnist_mlp": (0.415, 0.296, 0.207, 0.147),
    }
)
"""Smoothed training losses after an eighth, a quarter, a half and all of the budget: medians
of 20 reruns of tuned AdamW, by id without default arguments, as `python
benchmarks/reference.py mnist_softmax mnist_mlp` measured them with torch 2.13 (test accuracies
at the end 0.918 and 0.959)."""

_LIVE_FLOATS = 2**26
"""Numbers that the activations of an evaluation may take up at once: 256 MB of float32."""


@dataclass(frozen=True, kw_only=True)
class Network(Problem):
    """A multilayer perceptron that classifies images by softmax and cross-entropy.

    With W and b of each layer and an activation a between layers,
    logits(x) = W_L a( ... a(W_1 x + b_1) ... ) + b_L and
    loss = mean over the minibatch of [ logsumexp(logits) - logits[label] ].

    There is no dropout, no normalisation layer and no augmentation.  Stacked products may
    round differently from single ones; they agree to rounding, not to the bit.

    Args:
        widths: features of each hidden layer, none for softmax regression.
        activation: `relu` or `tanh`.
        bias: whether layers add a vector to their product.
        batch_size: images in a minibatch.
        data: folder in MNIST's format, empty for the bundled MNIST.
        count: training images.
        pixels: input features.
        classes: output features.
        name: canonical id, filled by the registry.
    """

    widths: tuple[int, ...]
    activation: str = "relu"
    bias: bool = True
    batch_size: int = 128
    data: str = ""
    count: int = MNIST_TRAINING
    pixels: int = 784
    classes: int = 10
    facts: Facts = field(default_factory=Facts)
    traits: Traits = field(default_factory=Traits)
    name: str = ""
    version: int = 1

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """`0.weight` [out, in], `0.bias` [out], `1.weight`, ... from the input on."""
        sizes = (self.pixels, *self.widths, self.classes)
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            shapes[f"{layer}.weight"] = (fan_out, fan_in)
            if self.bias:
                shapes[f"{layer}.bias"] = (fan_out,)
        return shapes

    def start(self, seed: int) -> Point:
        """Uniform in +-1 / sqrt(fan_in), weights and biases, as `torch.nn.Linear` begins."""
        point: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            fan_in = self.shapes[f"{name.partition('.')[0]}.weight"][1]
            draw = generator("start", name, *shape, seed).random(shape)
            point[name] = torch.from_numpy(((2 * draw - 1) / math.sqrt(fan_in)).astype(np.float32))
        return point

    def instance(self, seeds: Sequence[int]) -> Data:
        """Nothing: seeds differ in their start and in the order of their minibatches."""
        del seeds
        return {}

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """Minibatches without replacement: `images` [seeds, batch, pixels], `labels`.

        Every epoch is a new permutation of the training images, cut into full batches;
        the images left over at its end are not used in that epoch.  All networks with
        one batch size see the same minibatches.
        """
        epoch, part = divmod(step, self.count // self.batch_size)
        chosen = slice(part * self.batch_size, (part + 1) * self.batch_size)
        index = torch.cat([_permutation(self.count, seed, epoch)[chosen] for seed in seeds])
        images = _load(self.data)
        stack = (len(seeds), self.batch_size)
        return {
            "images": images.train_images.index_select(0, index).view(*stack, -1),
            "labels": images.train_labels.index_select(0, index).view(stack),
        }

    def loss(self, point: Point, data: Data) -> Float[Tensor, "*stack"]:
        """Mean cross-entropy of the minibatch for every stacked network.

        Args:
            point: parameters, `[*stack, *shape]`; float64 parameters see the images in
                float64.
            data: `images` [*seeds, batch, pixels] and `labels` [*seeds, batch].
        """
        weight = point["0.weight"]
        stack, seeds = weight.shape[:-2], data["images"].shape[:-2]
        # [seeds, batch, ...], and the same dimensions of the stack as [settings, seeds]
        images = data["images"].to(weight).reshape(-1, *data["images"].shape[-2:])
        labels = data["labels"].to(weight.device).reshape(len(images), 1, -1)
        settings = math.prod(stack[: len(stack) - len(seeds)])
        logits = self._logits(point, images, settings)
        errors = functional.cross_entropy(
            logits.flatten(0, 1),
            labels.expand(-1, settings, -1).flatten(0, 1),
            reduction="none",
        )
        return errors.mean(-1).view(-1, settings).t().reshape(stack)

    def evaluate(self, point: Point, data: Data) -> Mapping[str, Float[Tensor, "*stack"]]:
        """Cross-entropy and share of right answers over all test images.

        `data` is not used.  Activations are held to 256 MB by taking the images in parts.
        """
        del data
        images = _load(self.data)
        weight = point["0.weight"]
        stack = weight.shape[:-2]
        networks, size = math.prod(stack), len(images.test_labels)
        widest = 3 * max((*self.widths, self.classes)) * weight.element_size() // 4
        part = max(1, _LIVE_FLOATS // (networks * widest))
        total = weight.new_zeros(networks)
        right = weight.new_zeros(networks)
        with torch.no_grad():
            for first in range(0, size, part):
                inputs = images.test_images[None, first : first + part].to(weight)
                targets = images.test_labels[first : first + part].to(weight.device)
                targets = targets.expand(networks, -1)
                logits = self._logits(point, inputs, networks)[0]
                total += functional.cross_entropy(logits, targets, reduction="none").sum(-1)
                right += (logits.argmax(1) == targets).sum(-1)
        return {"test_loss": (total / size).view(stack), "accuracy": (right / size).view(stack)}

    def _logits(
        self, point: Point, images: Float[Tensor, "seeds batch pixels"], settings: int
    ) -> Float[Tensor, "seeds {settings} classes batch"]:
        """Logits of a stack whose last dimensions are the seeds of `images`."""
        seeds = len(images)
        # one matrix for each seed, holding the features of all settings
        features = images.transpose(1, 2)
        for layer in range(len(self.widths) + 1):
            if layer:
                features = ACTIVATIONS[self.activation](features)
                features = features.view(seeds * settings, -1, features.shape[-1])
            weight = _seeds_first(point[f"{layer}.weight"], settings, seeds, 2)
            weight = weight.reshape(len(features), -1, weight.shape[-1])
            if self.bias:
                bias = _seeds_first(point[f"{layer}.bias"], settings, seeds, 1)
                features = torch.baddbmm(bias.reshape(len(features), -1, 1), weight, features)
            else:
                features = torch.bmm(weight, features)
        return features.view(seeds, settings, self.classes, -1)


def _seeds_first(
    parameter: Float[Tensor, "..."], settings: int, seeds: int, dims: int
) -> Float[Tensor, "{seeds} {settings} ..."]:
    shape = parameter.shape[parameter.dim() - dims :]
    return parameter.reshape(settings, seeds, *shape).transpose(0, 1)


def _load(data: str) -> Images:
    return images_from(data) if data else mnist()


@lru_cache(maxsize=256)
def _permutation(count: int, seed: int, epoch: int) -> Int[Tensor, "{count}"]:
    order = generator("permutation", count, seed, epoch).permutation(count)
    return torch.from_numpy(order.astype(np.int32))  # half the memory of int64


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
        activation: `relu` or `tanh`.
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
    if activation not in ACTIVATIONS:
        raise BadValue(
            f"`activation` must be one of {', '.join(ACTIVATIONS)}, got {activation}; use relu"
        )
    given = {"widths": widths, "activation": activation, "batch": batch, "data": data}
    return _network(_short_id(mnist_mlp, given), widths, activation, True, batch, data)


@problems.register("network", "mnist")
def mnist_softmax(batch: int = 128, bias: bool = True) -> Network:
    """Softmax regression on MNIST, a convex problem.

    Args:
        batch: images in a minibatch, as in `mnist_mlp`.
        bias: False leaves one matrix as the only parameter.

    Raises:
        BadValue: an argument is outside its domain.
    """
    id = _short_id(mnist_softmax, {"batch": batch, "bias": bias})
    return _network(id, (), "relu", bias, batch, "")


def _network(
    id: str, widths: tuple[int, ...], activation: str, bias: bool, batch: int, data: str
) -> Network:
    count, pixels, classes = MNIST_TRAINING, 784, 10
    if data:
        images = images_from(data)
        count, pixels = images.train_images.shape
        classes = int(max(images.train_labels.max(), images.test_labels.max())) + 1
    if type(batch) is not int or not 1 <= batch <= count:
        raise BadValue(
            f"`batch` must be a whole number from 1 to the {count} training images, got "
            f"{batch}; use 128"
        )
    return Network(
        widths=widths,
        activation=activation,
        bias=bias,
        batch_size=batch,
        data=data,
        count=count,
        pixels=pixels,
        classes=classes,
        facts=Facts(
            goal=Goal.REFERENCE,
            targets=REFERENCE_TARGETS.get(id, ()),
            source="targets: this package's own runs of a tuned reference",
        ),
        traits=Traits(
            stochastic=True,
            noisy_value=True,
            smooth=activation != "relu" or not widths,
            budget=count // batch,
        ),
        name=id,
    )


def _short_id(factory: Callable[..., Problem], given: Mapping[str, Value]) -> str:
    """The id without default arguments, one for each problem however it was written."""
    defaults = inspect.signature(factory).parameters
    return str(
        Id(
            factory.__name__,
            kwargs=tuple((k, v) for k, v in given.items() if v != defaults[k].default),
        )
    )
