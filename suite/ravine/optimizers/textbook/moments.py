"""Adam and its kin: averages of the gradient and of its square, corrected for their start at 0.

Every rule takes the point x, its state (None before the first step), the gradient g at x
and the learning rate, and returns the next point and state.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from ravine.optimizers.textbook.rule import Array


class Moments(NamedTuple):
    """The number of steps taken, the averages of g and of g^2, and what a variant adds.

    `extra` is AMSGrad's largest v so far, NAdam's product of momenta, and nothing elsewhere.
    """

    t: int
    m: Array
    v: Array
    extra: Array


def _average(
    x: Array, state: Moments | None, g: Array, beta1: float, beta2: float
) -> tuple[int, Array, Array]:
    """Step t + 1,  beta1 m + (1 - beta1) g,  beta2 v + (1 - beta2) g^2."""
    t, m, v = (0, np.zeros_like(x), np.zeros_like(x)) if state is None else state[:3]
    return t + 1, beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2


def adam(
    x: Array,
    state: Moments | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    eps_before: bool = False,
) -> tuple[Array, Moments]:
    """Adam: averages of the gradient over the root of averages of its square.

    m <- beta1 m + (1 - beta1) g,  v <- beta2 v + (1 - beta2) g^2,  m^ = m / (1 - beta1^t),
    v^ = v / (1 - beta2^t),  x <- x - lr m^ / (sqrt(v^) + eps).
    With beta1 = 0 it is RMSProp whose average is corrected for its start.

    Args:
        beta1: weight of the past in the average of g.
        beta2: weight of the past in the average of g^2.
        eps: keeps the root from 0.
        eps_before: sqrt(v) + eps is corrected instead of sqrt(v): the paper's second form,
            with its eps-hat; equal to eps / sqrt(1 - beta2^t) in the first form.

    References:
        Kingma, Ba (2015). Adam: a method for stochastic optimization. arXiv 1412.6980.
    """
    t, m, v = _average(x, state, g, beta1, beta2)
    correction = np.sqrt(1 - beta2**t)
    scale = (np.sqrt(v) + eps) / correction if eps_before else np.sqrt(v) / correction + eps
    return x - lr * m / (1 - beta1**t) / scale, Moments(t, m, v, np.zeros(0))


def lazy_adam(
    x: Array,
    state: Moments | None,
    g: Array,
    touched: Bool[np.ndarray, "*shape"],
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
) -> tuple[Array, Moments]:
    """Lazy Adam: where a sparse gradient has no entry, neither the averages nor x change.

    Only the count of steps goes on everywhere, so a coordinate that was seldom touched is
    corrected too little for its start.  The constant is that of `eps_before`.

    Args:
        touched: where the sparse gradient has an entry, 0 or not.

    References:
        Kingma, Ba (2015), as in `adam`; the lazy form is `LazyAdam` of TensorFlow Addons and
        `SparseAdam` of torch.
    """
    state = state or Moments(0, np.zeros_like(x), np.zeros_like(x), np.zeros(0))
    new, (t, m, v, _) = adam(x, state, g, lr, beta1, beta2, eps, eps_before=True)
    m, v = np.where(touched, m, state.m), np.where(touched, v, state.v)
    return np.where(touched, new, x), Moments(t, m, v, np.zeros(0))


def adamw(
    x: Array,
    state: Moments | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    decay: float = 1e-5,
) -> tuple[Array, Moments]:
    """AdamW: Adam's step, and apart from it x shrinks.

    x <- x - lr m^ / (sqrt(v^) + eps) - decay x.  The decay is not seen by the
    averages, unlike a penalty added to the gradient.

    Args:
        decay: share of x taken off in a step; the paper's lambda times its schedule.
            torch's `weight_decay` is multiplied by the rate first: decay = lr weight_decay.

    References:
        Loshchilov, Hutter (2019). Decoupled weight decay regularization. arXiv 1711.05101.
    """
    new, state = adam(x, state, g, lr, beta1, beta2, eps)
    return new - decay * x, state


def amsgrad(
    x: Array,
    state: Moments | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 0.0,
    corrected: bool = False,
) -> tuple[Array, Moments]:
    """AMSGrad: Adam with the largest second moment so far.

    u <- max(u, v),  x <- x - lr m / sqrt(u).  With a constant lr a coordinate's
    own rate never increases; corrected, it may.

    Args:
        eps: added to the root, 0 in the paper, where a gradient of 0 from the start is 0 / 0.
        corrected: m and u are divided by 1 - beta1^t and 1 - beta2^t as in Adam, u after
            the maximum is taken; the paper leaves the correction out.

    References:
        Reddi, Kale, Kumar (2018). On the convergence of Adam and beyond. arXiv 1904.09237.
    """
    t, m, v = _average(x, state, g, beta1, beta2)
    largest = v if state is None else np.maximum(state.extra, v)
    first, second = (1 - beta1**t, 1 - beta2**t) if corrected else (1.0, 1.0)
    step = lr * (m / first) / (np.sqrt(largest / second) + eps)
    return x - step, Moments(t, m, v, largest)


def adamax(
    x: Array,
    state: Moments | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 0.0,
) -> tuple[Array, Moments]:
    """Adamax: Adam in the largest-value norm, u <- max(beta2 u, |g| + eps),  x <- x - lr m^ / u.

    Args:
        eps: 0 in the paper, where a gradient of 0 from the start is 0 / 0.

    References:
        Kingma, Ba (2015). Adam. arXiv 1412.6980, algorithm 2.
    """
    t, m, _ = _average(x, state, g, beta1, beta2)
    u = np.maximum(beta2 * (np.zeros_like(x) if state is None else state.v), np.abs(g) + eps)
    return x - lr * m / (1 - beta1**t) / u, Moments(t, m, u, np.zeros(0))


def nadam(
    x: Array,
    state: Moments | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    psi: float = 0.004,
    scheduled: bool = True,
) -> tuple[Array, Moments]:
    """NAdam: Adam with Nesterov's momentum, whose weight mu_t rises.

    mu_t = beta1 (1 - 0.96^(t psi) / 2),  m <- mu_t m + (1 - mu_t) g,
    m^ = mu_{t+1} m / (1 - mu_1 ... mu_{t+1}) + (1 - mu_t) g / (1 - mu_1 ... mu_t),
    x <- x - lr m^ / (sqrt(v^) + eps).

    Args:
        psi: how fast mu_t rises from beta1 / 2 to beta1.
        scheduled: False averages g with beta1 in place of mu_t and keeps all else, as torch
            does; its correction then is that of another average.

    References:
        Dozat (2016). Incorporating Nesterov momentum into Adam. ICLR workshop,
        openreview OM0jvwB8jIp57ZJjtNEZ.
    """
    t = 1 if state is None else state.t + 1
    mu, following = (beta1 * (1 - 0.5 * 0.96 ** (k * psi)) for k in (t, t + 1))
    t, m, v = _average(x, state, g, mu if scheduled else beta1, beta2)
    product = mu * (np.ones(1) if state is None else state.extra)
    ahead = following * m / (1 - product * following) + (1 - mu) * g / (1 - product)
    return x - lr * ahead / (np.sqrt(v / (1 - beta2**t)) + eps), Moments(t, m, v, product)


def radam(
    x: Array,
    state: Moments | None,
    g: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 0.0,
    tractable: float = 4.0,
) -> tuple[Array, Moments]:
    """RAdam: Adam times r_t once its second moment rests on enough steps, momentum before that.

    With n = 2 / (1 - beta2) - 1 and n_t = n - 2 t beta2^t / (1 - beta2^t): where
    n_t > tractable, x <- x - lr r m^ sqrt(1 - beta2^t) / (sqrt(v) + eps),
    r^2 = (n_t - 4) (n_t - 2) n / ((n - 4) (n - 2) n_t); else x <- x - lr m^.

    Args:
        eps: 0 in the paper, where a gradient of 0 from the start is 0 / 0.
        tractable: 4 in the paper, above which the variance exists; 5 in torch, so that the
            momentum steps last a little longer.

    References:
        Liu et al. (2020). On the variance of the adaptive learning rate and beyond.
        arXiv 1908.03265, algorithm 2.
    """
    t, m, v = _average(x, state, g, beta1, beta2)
    n = 2 / (1 - beta2) - 1
    now = n - 2 * t * beta2**t / (1 - beta2**t)
    step = lr * m / (1 - beta1**t)
    if now > tractable:
        r = np.sqrt((now - 4) * (now - 2) * n / ((n - 4) * (n - 2) * now))
        step = step * r * np.sqrt(1 - beta2**t) / (np.sqrt(v) + eps)
    return x - step, Moments(t, m, v, np.zeros(0))
