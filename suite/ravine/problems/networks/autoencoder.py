"""Autoencoders of MNIST's images."""

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.catalogue import problems, short_id
from ravine.problems.networks.criteria import BINARY_CROSS_ENTROPY
from ravine.problems.networks.images import ImageSupply, image_supply
from ravine.problems.networks.layers import ACTIVATIONS
from ravine.problems.networks.network import Network, network
from ravine.problems.networks.perceptron import Perceptron


@problems.register("network", "mnist", "deep")
def mnist_autoencoder(
    widths: tuple[int, ...] = (128, 64, 30), activation: str = "sigmoid", batch: int = 128
) -> Network:
    """Deep autoencoder of MNIST's images, as a classic test of optimizers in a small size.

    Pixels between 0 and 1 go in and are to come out: the error of an image is
    sum_i log(1 + e^(o_i)) - t_i o_i over its 784 pixels t_i, which are the inputs too, and not
    normalised.  The layers after the code mirror those before it; the code itself is linear.
    Weights begin as `xavier`.  The budget is one epoch.  Whatever the image, to answer with the
    mean of all has the error 206, a plateau that sigmoid units leave late.

    The classic has `widths=(1000, 500, 250, 30)`; there, each step is nine times as long.

    Args:
        widths: units of the hidden layers down to the code, which is the last.
        activation: `tanh`, `sigmoid`, `relu` or `gelu`.
        batch: images in a minibatch.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Hinton and Salakhutdinov (2006). Reducing the dimensionality of data with neural
        networks. Science 313. doi 10.1126/science.1127647.
    """
    if not (
        isinstance(widths, tuple)
        and widths
        and all(type(width) is int and width > 0 for width in widths)
    ):
        raise BadValue(
            f"`widths` must be positive whole numbers, the last of them the code's, got {widths}; "
            f"use (128, 64, 30)"
        )
    arguments.choice("activation", activation, ACTIVATIONS)
    images, _ = image_supply(batch)
    supply = ImageSupply(batch_size=batch, copy=True)
    half = (*supply.example, *widths)
    model = Perceptron(
        sizes=(*half, *half[-2::-1]), activation=activation, init="xavier", code=len(widths)
    )
    given = {"widths": widths, "activation": activation, "batch": batch}
    id = short_id(mnist_autoencoder, given)
    return network(model, supply, BINARY_CROSS_ENTROPY, images.epoch, id)
