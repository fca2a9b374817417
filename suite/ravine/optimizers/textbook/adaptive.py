"""Rules that give every coordinate a rate of its own, by the size of its past gradients.

Every rule takes the point x, its state (None before the first step), the gradient g at x
and the learning rate, and returns the next point and state.  The published formulas have
their constant inside the root, torch's outside, except AdaDelta's; see `root`.
"""

from typing import NamedTuple

import numpy as np

from ravine.optimizers.textbook.rule import Array, root


class Sum(NamedTuple):
    """The number of steps taken, and the sum of squared gradients."""

    t: int
    s: Array


class Averages(NamedTuple):
    """Averages of squared gradients and of gradients, and the velocity."""

    s: Array
    m: Array
    v: Array


class Deltas(NamedTuple):
    """Averages of squared gradients and of squared steps."""

    s: Array
    d: Array


def adagrad(
    x: Array,
    state: Sum | None,
    g: Array,
    lr: float,
    eps: float = 1e-6,
    lr_decay: float = 0.0,
    eps_inside: bool = True,
) -> tuple[Array, Sum]:
    """AdaGrad: s <- s + g^2,  x <- x - lr g / sqrt(s + eps).

    A coordinate's rate never increases, so late in a run it may be too small.  A sum that
    shall begin elsewhere than at 0 is given by the state `Sum(0, s)`.

    Args:
        eps: keeps the root from 0.
        lr_decay: the rate is lr / (1 + lr_decay (t - 1)) in step t.
        eps_inside: False for sqrt(s) + eps.

    References:
        Duchi, Hazan, Singer (2011). Adaptive subgradient methods for online learning and
        stochastic optimization. JMLR 12.
    """
    t, s = state or Sum(0, np.zeros_like(x))
    s = s + g**2
    return x - lr / (1 + lr_decay * t) * g / root(s, eps, eps_inside), Sum(t + 1, s)


def rmsprop(
    x: Array,
    state: Averages | None,
    g: Array,
    lr: float,
    gamma: float = 0.9,
    eps: float = 1e-6,
    momentum: float = 0.0,
    centered: bool = False,
    eps_inside: bool = True,
) -> tuple[Array, Averages]:
    """RMSProp: s <- gamma s + (1 - gamma) g^2,  x <- x - lr g / sqrt(s + eps).

    With gamma = 1 the average stays 0 and the step is lr g / sqrt(eps), which blows up.
    The average is not corrected for its start at 0.

    Args:
        gamma: weight of the past in the average.
        eps: keeps the root from 0.
        momentum: v <- momentum v + g / root, x <- x - lr v.
        centered: s less the square of the gradient's average, which is its variance.
        eps_inside: False for sqrt(s) + eps.

    References:
        Tieleman, Hinton (2012). Lecture 6.5, RMSProp. Neural networks for machine
        learning, Coursera.
        Graves (2013). Generating sequences with recurrent neural networks. arXiv
        1308.0850, equations 38 to 41 (centered, with momentum).
    """
    s, m, v = state or Averages(*(np.zeros_like(x) for _ in Averages._fields))
    s = gamma * s + (1 - gamma) * g**2
    m = gamma * m + (1 - gamma) * g
    v = momentum * v + g / root(s - m**2 if centered else s, eps, eps_inside)
    return x - lr * v, Averages(s, m, v)


def adadelta(
    x: Array,
    state: Deltas | None,
    g: Array,
    lr: float = 1.0,
    rho: float = 0.9,
    eps: float = 1e-6,
) -> tuple[Array, Deltas]:
    """AdaDelta: s <- rho s + (1 - rho) g^2,  step = sqrt((d + eps) / (s + eps)) g,  x <- x - step.

    d <- rho d + (1 - rho) step^2.  It has no learning rate, and its first steps are as
    small as sqrt(eps).

    Args:
        lr: what torch multiplies the step by, 1 in the paper; d does not see it.
        rho: weight of the past in both averages.
        eps: keeps both roots from 0; it decides how large the first steps are.

    References:
        Zeiler (2012). ADADELTA: an adaptive learning rate method. arXiv 1212.5701.
    """
    s, d = state or Deltas(np.zeros_like(x), np.zeros_like(x))
    s = rho * s + (1 - rho) * g**2
    step = np.sqrt((d + eps) / (s + eps)) * g
    return x - lr * step, Deltas(s, rho * d + (1 - rho) * step**2)
