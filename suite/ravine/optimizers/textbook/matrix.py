"""Rules for matrices: their state or their step is that of a matrix, not of its entries.

Every rule takes the point x, its state (None before the first step), the gradient g at x
and the learning rate, and returns the next point and state.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from ravine.optimizers.textbook.first_order import Velocity
from ravine.optimizers.textbook.rule import Array

Matrix = Float64[np.ndarray, "rows columns"]


class Factors(NamedTuple):
    """The number of steps taken, and averages of g^2 over rows and over columns.

    For a vector both are the average of each entry.
    """

    t: int
    rows: Float64[np.ndarray, "..."]
    columns: Float64[np.ndarray, "..."]


def adafactor(
    x: Array,
    state: Factors | None,
    g: Array,
    lr: float = 1e-2,
    decay_power: float = -0.8,
    eps1: float = 1e-30,
    eps2: float = 1e-3,
    clip: float = 1.0,
    weight_decay: float = 0.0,
    eps_inside: bool = True,
) -> tuple[Array, Factors]:
    """Adafactor: Adam's second moment of a matrix as the product of its row and column sums.

    With b = 1 - t^decay_power: R <- b R + (1 - b) (g^2 + eps1) 1,
    C <- b C + (1 - b) 1' (g^2 + eps1), V = R C / sum(R), U = g / sqrt(V),
    x <- x - max(eps2, rms(x)) min(lr, 1 / sqrt(t)) U / max(1, rms(U) / clip).
    A vector keeps V for each entry; of more dimensions the last two are factored.

    Args:
        lr: largest relative step, 0.01 in the paper.
        decay_power: how fast the averages slow down, below 0.
        eps1: keeps V from 0.
        eps2: the size that a point near 0 is taken to have.
        clip: largest root mean square of the step before it is scaled.
        weight_decay: decoupled, times lr; the paper has none.
        eps_inside: False adds no eps1 to g^2, but takes at least eps1 for the mean of R
            and at least eps1^2 for V.

    References:
        Shazeer, Stern (2018). Adafactor: adaptive learning rates with sublinear memory
        cost. arXiv 1804.04235, algorithms 4 to 6.
    """
    squares = g**2 + eps1 if eps_inside else g**2
    t = 1 if state is None else state.t + 1
    new = float(t**decay_power)
    matrix = x.ndim > 1
    rows = squares.mean(-1, keepdims=True) if matrix else squares
    columns = squares.mean(-2, keepdims=True) if matrix else squares
    if state is not None:
        rows = (1 - new) * state.rows + new * rows
        columns = (1 - new) * state.columns + new * columns
    floor = 0.0 if eps_inside else eps1
    mean = np.maximum(rows.mean(-2, keepdims=True), floor) if matrix else rows
    v = np.maximum(rows * columns / mean if matrix else rows, floor**2)
    u = g / np.sqrt(v)
    length = max(eps2, _rms(x)) * min(lr, 1 / np.sqrt(t))
    step = length * u / max(1.0, _rms(u) / clip)
    return x - step - lr * weight_decay * x, Factors(t, rows, columns)


def _rms(x: Float64[np.ndarray, "..."]) -> float:
    return float(np.sqrt(np.mean(x**2)))


def newton_schulz(
    x: Matrix,
    steps: int = 5,
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    eps: float = 1e-7,
    eps_floor: bool = False,
) -> Matrix:
    """Bring all singular values of a matrix near 1.

    X <- a X + b (X X') X + c (X X')^2 X, from X = x / (|x| + eps).  Each singular value s
    becomes a s + b s^3 + c s^5, and the singular vectors stay.  Five steps with Muon's
    coefficients bring all values from 0.002 to 1 between 0.68 and 1.21, and none to 1.

    Args:
        steps: how often.
        coefficients: a, b, c.
        eps: keeps the norm (Frobenius) from 0.
        eps_floor: max(|x|, eps) in place of |x| + eps.

    References:
        Jordan et al. (2024). Muon: an optimizer for hidden layers in neural networks.
        https://kellerjordan.github.io/posts/muon/.
    """
    a, b, c = coefficients
    norm = float(np.linalg.norm(x))
    x = x / (max(norm, eps) if eps_floor else norm + eps)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def muon(
    x: Matrix,
    state: Velocity | None,
    g: Matrix,
    lr: float,
    mu: float = 0.95,
    nesterov: bool = True,
    steps: int = 5,
    coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
    eps: float = 1e-7,
    eps_floor: bool = False,
) -> tuple[Matrix, Velocity]:
    """Muon: momentum whose singular values are brought near 1.

    B <- mu B + g,  x <- x - lr NS(g + mu B), NS as in `newton_schulz`.
    The rate is often multiplied by sqrt(max(1, rows / columns)), or by
    0.2 sqrt(max(rows, columns)) to equal Adam's steps; that is the caller's.

    Args:
        mu: how much of the last momentum is kept.
        nesterov: False for NS(B).
        steps: as in `newton_schulz`, like what follows.

    References:
        Jordan et al. (2024), as above.
        Liu et al. (2025). Muon is scalable for LLM training. arXiv 2502.16982.
    """
    v = g if state is None else mu * state.v + g
    ahead = g + mu * v if nesterov else v
    return x - lr * newton_schulz(ahead, steps, coefficients, eps, eps_floor), Velocity(v)
