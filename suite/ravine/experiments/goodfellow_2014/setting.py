"""The networks and runs whose lines are looked at, and what is measured of lines and paths."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ravine.engine.walks import Walks
from ravine.landscape.lines import Line
from ravine.landscape.residual import Projection, projection

SOURCE = "Goodfellow, Vinyals and Saxe (2014), arXiv 1412.6544"

NETWORK = "mnist_mlp(widths=(64, 64), batch=64)"

OPTIMIZERS = {
    "SGD": "sgd(lr=0.1)",
    "momentum": "sgd(lr=0.05, momentum=0.9)",
    "Adam": "adam(lr=0.001)",
    "RMSprop": "rmsprop(lr=0.001)",
    "Adadelta": "adadelta(lr=1.0)",
}

MIXTURES = "20-64-64-10 ReLU networks on Gaussian mixtures, five optimizers"

INSTEAD = (
    "A 784-64-64-10 ReLU network on MNIST stands in for the paper's maxout networks with dropout"
)


def stacked_losses(found: Sequence[Line], rows: int) -> Float[np.ndarray, "rows columns alphas"]:
    """Losses of lines of one grid, so many rows of them."""
    values: Float[np.ndarray, "n alphas"] = np.stack([one.losses.numpy() for one in found])
    return values.reshape(rows, -1, values.shape[-1])


def rises(losses: Float[np.ndarray, "*stack alphas"]) -> Float[np.ndarray, "*stack"]:
    """The most by which a value lies above one before it."""
    highest: Float[np.ndarray, "*stack"] = (losses - np.minimum.accumulate(losses, axis=-1)).max(-1)
    return highest


def sides(runs: Walks) -> list[list[Projection]]:
    """The path of every run, seen from its own line."""
    return [[projection(path) for path in row] for row in runs.points]


def residual_share(way: Projection) -> float:
    """How far a path gets from its line, as a share of the line's length."""
    return float(way.residuals.max()) / way.length
