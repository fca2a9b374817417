"""How the weights of a layer begin."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.draws import generator

INITS = ("torch", "xavier", "he", "small", "large")
"""Ways to draw weights; see `weights`."""


def weights(
    init: str, name: str, shape: tuple[int, ...], seed: int, fan_in: int, fan_out: int
) -> Float[Tensor, "..."]:
    """Initial weights, drawn by name, shape and seed.

    Uniform in +-1 / sqrt(fan_in), as torch's own layers begin (`torch`), or normal of variance
    2 / (fan_in + fan_out) (`xavier`) or 2 / fan_in (`he`), the latter's standard deviation
    divided by 5 (`small`) or multiplied by 5 (`large`).

    Args:
        init: one of `INITS`.
        name: of the parameter.
        shape: of the parameter.
        seed: of the run.
        fan_in: numbers that an output of the layer depends on.
        fan_out: outputs that a number of its input acts on.

    References:
        Glorot and Bengio (2010). Understanding the difficulty of training deep feedforward
        neural networks. AISTATS.  He et al. (2015). Delving deep into rectifiers. arXiv
        1502.01852.
    """
    draws = generator("start", name, *shape, seed)
    if init == "torch":
        drawn = (2 * draws.random(shape) - 1) / math.sqrt(fan_in)
    else:
        drawn = draws.standard_normal(shape) * _deviation(init, fan_in, fan_out)
    return torch.from_numpy(drawn.astype(np.float32))


def _deviation(init: str, fan_in: int, fan_out: int) -> float:
    if init == "xavier":
        return math.sqrt(2 / (fan_in + fan_out))
    return math.sqrt(2 / fan_in) * {"he": 1.0, "small": 0.2, "large": 5.0}[init]
