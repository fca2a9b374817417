"""The smallest deep linear network, (w1 w2 - 1)^2 / 2, whose lines have closed forms."""

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial import Polynomial

from ravine.landscape.barriers import barrier
from ravine.landscape.lines import line
from ravine.landscape.operators import dense, hessian
from ravine.landscape.sources import surface
from ravine.problems.catalogue import problem
from ravine.problems.draws import generator


def chain_error(lines: int = 20) -> float:
    """How far (w1 w2 - 1)^2 / 2 on lines to a minimum is from the quartic in alpha."""
    ground = surface(problem("linear_chain(depth=2)"))
    alphas = np.linspace(-2, 2, 81)
    worst = 0.0
    for draw in range(lines):
        random = generator("factored line", draw)
        a, s = random.normal(size=2), random.uniform(0.5, 2.0)
        b = np.array([s, 1 / s])
        found = line(ground, torch.from_numpy(a), torch.from_numpy(b), alphas)
        wanted = quartic(a, b)(found.alphas.numpy())
        error = np.abs(found.losses.numpy() - wanted) / (1 + np.abs(wanted))
        worst = max(worst, float(error.max()))
    return worst


def quartic(a: Float[np.ndarray, " two"], b: Float[np.ndarray, " two"]) -> Polynomial:
    """(w1 w2 - 1)^2 / 2 on a + alpha (b - a), multiplied out."""
    first, second = (Polynomial([x, y - x]) for x, y in zip(a, b, strict=True))
    found: Polynomial = (first * second - 1) ** 2 / 2
    return found


def hyperbola_error() -> float:
    """How far barriers between minima of (w1 w2 - 1)^2 / 2 are from their closed form."""
    ground = surface(problem("linear_chain(depth=2)"))
    worst = 0.0
    for s, r in ((0.5, 2.0), (1.0, 3.0), (2.0, 0.25), (1.0, -1.0), (0.5, -2.0)):
        ends = torch.tensor([[s, 1 / s], [r, 1 / r]], dtype=torch.float64)
        height = barrier(ground, *ends).loss.height
        wanted = ((s - r) ** 2 / (4 * s * r)) ** 2 / 2
        worst = max(worst, abs(height / wanted - 1))
    return worst


def saddle_error() -> float:
    """How far the eigenvalues of its Hessian at zero are from -1 and 1."""
    ground = surface(problem("linear_chain(depth=2)"))
    found = torch.linalg.eigvalsh(dense(hessian(ground, torch.zeros(2, dtype=torch.float64))))
    return float((found - torch.tensor([-1.0, 1.0])).abs().max())
