"""Images in minibatches, without replacement, for networks that classify or copy them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.base import Data
from ravine.problems.datasets import (
    MNIST_MEAN,
    MNIST_SD,
    MNIST_TRAINING,
    Images,
    images_from,
    mnist,
)
from ravine.problems.draws import generator

CALIBRATION = 10_000
"""Training images, the first ones, over which moments are recomputed unless said otherwise."""


@dataclass(frozen=True, kw_only=True)
class ImageSupply:
    """Images of a folder in MNIST's format, or the bundled MNIST.

    Every epoch is a new permutation of the training images, cut into full batches; the
    images left over at its end are not used in that epoch.  All supplies with one batch
    size draw the same minibatches.  There is no augmentation.

    Args:
        batch_size: images in a minibatch.
        data: folder, empty for the bundled MNIST.
        count: training images.
        example: the shape in which a model takes an image: (pixels,) or (1, height, width).
        copy: inputs are the pixels themselves, in [0, 1], and so are the targets, instead of
            classes; for MNIST.
        calibrated: training images, the first ones, over which moments are recomputed.
    """

    batch_size: int = 128
    data: str = ""
    count: int = MNIST_TRAINING
    example: tuple[int, ...] = (784,)
    copy: bool = False
    calibrated: int = CALIBRATION

    @property
    def epoch(self) -> int:
        """Full batches in an epoch."""
        return self.count // self.batch_size

    def batch(self, seeds: Sequence[int], step: int) -> Data:
        """`inputs` [seeds, batch, *example] and `targets`, classes [seeds, batch] or pixels."""
        epoch, part = divmod(step, self.epoch)
        chosen = slice(part * self.batch_size, (part + 1) * self.batch_size)
        index = torch.cat([permutation(self.count, seed, epoch)[chosen] for seed in seeds])
        images = load(self.data)
        stack = (len(seeds), self.batch_size)
        inputs = images.train_images.index_select(0, index).view(*stack, *self.example)
        if self.copy:
            inputs = pixels(inputs)
            return {"inputs": inputs, "targets": inputs.flatten(2)}
        return {"inputs": inputs, "targets": images.train_labels.index_select(0, index).view(stack)}

    def calibration(self) -> Float[Tensor, "count *example"]:
        """The first training images."""
        return load(self.data).train_images[: self.calibrated].view(-1, *self.example)

    def test(self) -> tuple[Float[Tensor, "count *example"], Shaped[Tensor, "count ..."]]:
        """All test images, with their classes or pixels."""
        images = load(self.data)
        if self.copy:
            targets = pixels(images.test_images)
            return targets.view(-1, *self.example), targets
        return images.test_images.view(-1, *self.example), images.test_labels


def pixels(images: Float[Tensor, "*images"]) -> Float[Tensor, "*images"]:
    """Normalised pixels of MNIST back on the scale from 0 to 1, where they are k / 255."""
    return (images * MNIST_SD + MNIST_MEAN).mul_(255.0).round_().div_(255.0)


def image_supply(batch: int, data: str = "") -> tuple[ImageSupply, int]:
    """The supply of a folder, and how many classes it has.

    Args:
        batch: images in a minibatch.
        data: folder with {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]; empty for the
            bundled MNIST.

    Raises:
        BadValue: `batch` is not between 1 and the number of training images.
        StoreError: the folder does not hold such files.
    """
    count, width, classes = MNIST_TRAINING, 784, 10
    if data:
        images = images_from(data)
        count, width = images.train_images.shape
        classes = int(max(images.train_labels.max(), images.test_labels.max())) + 1
    if type(batch) is not int or not 1 <= batch <= count:
        raise BadValue(
            f"`batch` must be a whole number from 1 to the {count} training images, got "
            f"{batch}; use 128"
        )
    return ImageSupply(batch_size=batch, data=data, count=count, example=(width,)), classes


def load(data: str) -> Images:
    """The images of a folder, or MNIST where its name is empty."""
    return images_from(data) if data else mnist()


@lru_cache(maxsize=256)
def permutation(count: int, seed: int, epoch: int) -> Int[Tensor, "{count}"]:
    """The order in which an epoch of a seed goes through `count` training examples."""
    order = generator("permutation", count, seed, epoch).permutation(count)
    return torch.from_numpy(order.astype(np.int32))  # half the memory of int64
