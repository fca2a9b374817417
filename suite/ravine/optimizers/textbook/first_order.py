"""Rules that move every coordinate at one common rate, or by a sign.

Every rule takes the point x, its state (None before the first step), the gradient g at x
and the learning rate, and returns the next point and state.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ravine.optimizers.textbook.rule import Array


class Velocity(NamedTuple):
    """A weighted sum of past gradients or steps, of the point's shape."""

    v: Array


class Signs(NamedTuple):
    """The last gradient that counted, and each coordinate's step length."""

    g: Array
    step: Array


class Mean(NamedTuple):
    """The number of steps taken, and the mean of the points after the burn-in."""

    t: int
    mean: Array


def gradient_descent(x: Array, state: None, g: Array, lr: float) -> tuple[Array, None]:
    """Gradient descent: x <- x - lr g.

    On a quadratic it converges for lr < 2 / lambda_max, and for no larger one.

    References:
        Cauchy (1847). Méthode générale pour la résolution des systèmes d'équations
        simultanées. Comptes rendus 25.

    Example:
        >>> gradient_descent(np.array([1.0]), None, np.array([2.0]), lr=0.25)[0]
        array([0.5])
    """
    return x - lr * g, state


def momentum(
    x: Array,
    state: Velocity | None,
    g: Array,
    lr: float,
    gamma: float = 0.9,
    dampening: float = 0.0,
    rate_outside: bool = False,
) -> tuple[Array, Velocity]:
    """Polyak's heavy ball: v <- gamma v + lr g,  x <- x - v.

    A constant gradient is amplified by 1 / (1 - gamma) in the end.

    Args:
        gamma: how much of the last step is kept.
        dampening: the gradient counts (1 - dampening) times, except in the first step.
        rate_outside: v <- gamma v + g, x <- x - lr v, as torch has it: the same while the
            rate is constant; when the rate changes, steps already in v change with it.

    References:
        Polyak (1964). Some methods of speeding up the convergence of iteration methods.
        doi:10.1016/0041-5553(64)90137-5.
    """
    push = g if rate_outside else lr * g
    v = push if state is None else gamma * state.v + (1 - dampening) * push
    return x - (lr * v if rate_outside else v), Velocity(v)


def nesterov(
    x: Array,
    state: Velocity | None,
    g: Array,
    lr: float,
    gamma: float = 0.9,
    rate_outside: bool = False,
) -> tuple[Array, Velocity]:
    """Nesterov's momentum at the point looked ahead to.

    v <- gamma v + lr g,  x <- x - gamma v - lr g.  The point it holds is
    y = x - gamma v of `nesterov_lookahead`, whose gradient it needs.

    Args:
        gamma: how much of the last step is kept.
        rate_outside: as in `momentum`.

    References:
        Bengio, Boulanger-Lewandowski, Pascanu (2013). Advances in optimizing recurrent
        networks. arXiv 1212.0901, section 3.5.
    """
    push = g if rate_outside else lr * g
    v = push if state is None else gamma * state.v + push
    step = gamma * v + push
    return x - (lr * step if rate_outside else step), Velocity(v)


def nesterov_lookahead(
    x: Array,
    state: Velocity | None,
    gradient: Callable[[Array], Array],
    lr: float,
    gamma: float = 0.9,
) -> tuple[Array, Velocity]:
    """Nesterov's momentum as published: v <- gamma v + lr f'(x - gamma v),  x <- x - v.

    Args:
        gradient: f', which is asked at the point that the momentum alone would lead to.
        gamma: how much of the last step is kept.

    References:
        Nesterov (1983). A method of solving a convex programming problem with convergence
        rate O(1/k^2). Soviet Mathematics Doklady 27.
        Sutskever, Martens, Dahl, Hinton (2013). On the importance of initialization and
        momentum in deep learning. ICML, equations 3 and 4.
    """
    carried = np.zeros_like(x) if state is None else gamma * state.v
    v = carried + lr * gradient(x - carried)
    return x - v, Velocity(v)


def lion(
    x: Array,
    state: Velocity | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
) -> tuple[Array, Velocity]:
    """Lion: the sign of a momentum.

    x <- x - lr (sign(beta1 m + (1 - beta1) g) + weight_decay x),
    m <- beta2 m + (1 - beta2) g.

    Args:
        beta1: weight of the past in the step.
        beta2: weight of the past in the average.
        weight_decay: decoupled, times the rate.

    References:
        Chen et al. (2023). Symbolic discovery of optimization algorithms. arXiv 2302.06675.
    """
    m = np.zeros_like(x) if state is None else state.v
    step = np.sign(beta1 * m + (1 - beta1) * g) + weight_decay * x
    return x - lr * step, Velocity(beta2 * m + (1 - beta2) * g)


def rprop(
    x: Array,
    state: Signs | None,
    g: Array,
    lr: float,
    shrink: float = 0.5,
    grow: float = 1.2,
    smallest: float = 1e-6,
    largest: float = 50.0,
) -> tuple[Array, Signs]:
    """iRprop-: a step length for each coordinate, which grows while the gradient keeps its sign.

    With a = sign(g_t g_{t-1}): step <- step * (grow if a > 0, shrink if a < 0), within
    [smallest, largest]; where a < 0, g is taken for 0; x <- x - sign(g) step.  The Rprop of
    1993 also takes the last step back where a < 0; this one, which torch has, does not.

    Args:
        lr: the first step length.
        shrink: factor after a change of sign, below 1.
        grow: factor while the sign stays, above 1.
        smallest: least step length.
        largest: greatest step length.

    References:
        Riedmiller, Braun (1993). A direct adaptive method for faster backpropagation
        learning: the RPROP algorithm. doi:10.1109/ICNN.1993.298623.
        Igel, Hüsken (2000). Improving the Rprop learning algorithm. NC 2000.
    """
    last, step = state or Signs(np.zeros_like(x), np.full_like(x, lr))
    agreement = np.sign(g * last)
    factor = np.where(agreement > 0, grow, np.where(agreement < 0, shrink, 1.0))
    step = np.clip(step * factor, smallest, largest)
    g = np.where(agreement < 0, 0.0, g)
    return x - np.sign(g) * step, Signs(g, step)


def asgd(
    x: Array,
    state: Mean | None,
    g: Array,
    lr: float,
    decay: float = 1e-4,
    power: float = 0.75,
    start: float = 0.0,
) -> tuple[Array, Mean]:
    """Averaged gradient descent: descent at a falling rate, and the mean of its points.

    lr_t = lr / (1 + decay lr (t - 1))^power,  x <- (1 - decay lr_t) x - lr_t g,
    mean <- mean + (x - mean) / max(1, t - start), t counted from 1.  The mean is the result;
    descent itself does not see it.

    Args:
        decay: pull towards the origin, and how soon the rate falls.
        power: how fast the rate falls, between 1/2 and 1 for the theory.
        start: steps that the mean leaves out.

    References:
        Polyak, Juditsky (1992). Acceleration of stochastic approximation by averaging.
        doi:10.1137/0330046.
        Bottou (2010). Large-scale machine learning with stochastic gradient descent.
        COMPSTAT, doi:10.1007/978-3-7908-2604-3_16.
    """
    t, mean = (1, x) if state is None else (state.t + 1, state.mean)
    rate = lr / (1 + decay * lr * (t - 1)) ** power
    x = (1 - decay * rate) * x - rate * g
    return x, Mean(t, mean + (x - mean) / max(1.0, t - start))
