"""Laws of descent at one common rate: plain, with momentum, and with weight decay."""

import math

import numpy as np
import torch
from torch import Tensor

from ravine.problems.catalogue import analytic
from ravine.problems.formulas.rates import (
    gradient_descent_rate,
    heavy_ball_rate,
    nesterov_rate,
)
from ravine.problems.formulas.theory import expected_loss
from ravine.regression.theory.law import Array, Finding, Law, Subject, agree, claims
from ravine.regression.theory.paths import (
    SIZES,
    advances,
    bowl,
    clock,
    follow,
    path,
    repeated,
)

CURVATURES = (1.0, 10.0)
SHARE = 1e-3
"""How far below and above its threshold a rate is tried."""

COUPLED = ("SGD", "Adam", "NAdam", "RAdam", "Adamax", "Adagrad", "RMSprop", "Adadelta", "ASGD")
"""Whose weight decay is that of a penalty."""

POLYAK = "Polyak (1964), doi:10.1016/0041-5553(64)90137-5"
LESSARD = "Lessard, Recht, Packard (2016), arXiv 1408.3595, section 2.2"


def _descent(subject: Subject, lr: float, steps: int, **hyper: float | bool) -> Array:
    start = np.ones(len(CURVATURES))
    return path(subject, {"lr": lr, **hyper}, start, bowl(*CURVATURES), steps)


def radius(points: Array) -> float:
    """The factor by which each coordinate shrinks in a step in the end, the largest of them.

    The last points of each are fitted by x_{t+1} = b x_t - c x_{t-1}, and it is the largest
    modulus of the roots of z^2 - b z + c.

    Example:
        >>> round(radius(0.5 ** np.arange(9.0)[:, None]), 12)
        0.5
    """
    found = 0.0
    for x in points[-9:].T:
        x = x / (np.abs(x).max() or 1.0)
        rows = np.stack([x[1:-1], -x[:-2]], 1)
        (b, c), _, rank, _ = np.linalg.lstsq(rows, x[2:], rcond=1e-9)
        if rank < 2:  # one root is seen alone, x_{t+1} = b x_t
            b, c = float(x[1:] @ x[:-1] / (x[:-1] @ x[:-1] or 1.0)), 0.0
        found = max(found, float(np.abs(np.roots([1.0, -b, c])).max()))
    return found


def _threshold(subject: Subject, lr: float, words: str, **hyper: float | bool) -> Finding:
    """Just below a rate the error shrinks in the end, just above it grows."""
    below, above = (
        radius(_descent(subject, lr * (1 + side), 30, **hyper)) for side in (-SHARE, SHARE)
    )
    return Finding(
        holds=below < 1 < above,
        expected=f"convergence exactly for lr < {words}",
        seen=f"the error times {below:.6f} a step at {1 - SHARE} of it, {above:.6f} at {1 + SHARE}",
        n=2,
    )


def _rate(subject: Subject, lr: float, wanted: float, **hyper: float | bool) -> Finding:
    found = radius(_descent(subject, lr, 30, **hyper))
    off = abs(found / wanted - 1)
    return Finding(
        holds=off < (1e-6 if subject.double else 1e-3),
        expected=f"an error times {wanted:.9f} a step in the end",
        seen=f"times {found:.9f}",
        size=off,
    )


def _descent_threshold(subject: Subject) -> Finding:
    """2 / lambda_max, and every step tells."""
    limit, shrinks = 2 / max(CURVATURES), []
    for side in (-SHARE, SHARE):
        sizes = np.abs(_descent(subject, limit * (1 + side), 20)[:, -1])
        shrinks.append(float(np.mean(sizes[1:] < sizes[:-1])))
    return Finding(
        holds=shrinks == [1.0, 0.0],
        expected="every step to shrink the error for lr < 2 / lambda_max, and none above",
        seen=f"{shrinks[0]:.0%} of the steps at {1 - SHARE} of it, {shrinks[1]:.0%} at {1 + SHARE}",
        n=2,
    )


def _descent_rate(subject: Subject) -> Finding:
    return _rate(subject, 0.15, gradient_descent_rate(0.15, CURVATURES))


def _heavy_ball_threshold(subject: Subject) -> Finding:
    return _threshold(
        subject, 2 * 1.6 / max(CURVATURES), "2 (1 + momentum) / lambda_max", momentum=0.6
    )


def _heavy_ball_rate(subject: Subject) -> Finding:
    """At 0.25 both curvatures turn, so that it is the root of the momentum."""
    return _rate(subject, 0.25, heavy_ball_rate(0.25, 0.6, CURVATURES), momentum=0.6)


def _nesterov_threshold(subject: Subject) -> Finding:
    """2 (1 + b) / (1 + 2 b), where the root of z^2 - (1 + b) (1 - a) z + b (1 - a) is -1."""
    limit = 2 * 1.6 / 2.2 / max(CURVATURES)
    words = "2 (1 + momentum) / (1 + 2 momentum) / lambda_max"
    return _threshold(subject, limit, words, momentum=0.6, nesterov=True)


def _nesterov_rate(subject: Subject) -> Finding:
    wanted = nesterov_rate(0.09, 0.6, CURVATURES)
    return _rate(subject, 0.09, wanted, momentum=0.6, nesterov=True)


def _amplified(subject: Subject) -> Finding:
    """The step tends to lr g / (1 - momentum), and lacks momentum^t of it."""
    g, t = repeated(SIZES, 80), clock(80)
    hyper = {"lr": 0.1, "momentum": 0.8}
    found = advances(follow(subject, hyper, np.zeros(len(SIZES)), g))
    wanted = 0.1 * g * (1 - 0.8**t) / 0.2
    return agree(subject, found, wanted, "steps of lr g (1 - momentum^t) / (1 - momentum)")


def _dampened(subject: Subject) -> Finding:
    g, t = repeated(SIZES, 20), clock(20) - 1
    hyper = {"lr": 0.1, "momentum": 0.8, "dampening": 0.3}
    found = advances(follow(subject, hyper, np.zeros(len(SIZES)), g))
    wanted = 0.1 * g * (0.8**t + 0.7 * (1 - 0.8**t) / 0.2)
    words = "all of the first gradient and a share 1 - dampening of the later ones in the sum"
    return agree(subject, found, wanted, words)


def _shrinks(subject: Subject) -> Finding:
    start, t = np.linspace(-2, 3, 6), np.arange(21.0)[:, None]
    hyper = {"lr": 0.5, "weight_decay": 0.2}
    found = follow(subject, hyper, start, np.zeros((20, 6)))
    return agree(subject, found, start * 0.9**t, "x (1 - lr weight_decay)^t without a gradient")


def _penalty(subject: Subject) -> Finding:
    random = np.random.default_rng(0)
    g, start = random.normal(size=(12, 6)), random.normal(size=6)
    rate = {"lr": 0.1}
    rows = torch.from_numpy(g).to(subject.dtype)

    def penalised(x: Tensor, t: int) -> Tensor:
        return (rows[t] * x).sum() + 0.15 * x.square().sum()

    wanted = path(subject, {**rate, "weight_decay": 0.0}, start, penalised, 12)
    found = follow(subject, {**rate, "weight_decay": 0.3}, start, g)
    words = "the path of the loss with weight_decay |x|^2 / 2 added"
    # the way, so that a start far away hides nothing
    return agree(subject, found[1:] - start, wanted[1:] - start, words)


def _noisy(subject: Subject) -> Finding:
    """E f after 1, 3, 10 and 30 steps, over 400 seeds."""
    seeds, lr, marks = range(400), 0.8, (1, 3, 10, 30)
    problem = analytic("noisy_quadratic(dim=4, batch=2)")
    start = np.stack([problem.start(seed)["x"].numpy() for seed in seeds])

    def loss(x: Tensor, t: int) -> Tensor:
        return problem.loss({"x": x}, problem.batch(seeds, t)).sum()

    points = path(subject, {"lr": lr}, start, loss, marks[-1])
    wanted = np.array([expected_loss(row, lr, marks[-1], batch=2) for row in start.tolist()])
    scores = []
    for mark in marks:
        off = problem.f(torch.from_numpy(points[mark])).numpy() - wanted[:, mark]
        scores.append(abs(float(off.mean() / (off.std(ddof=1) / math.sqrt(len(off))))))
    return Finding(
        holds=max(scores) < 6,
        expected="the expected loss at steps 1, 3, 10 and 30, within 6 standard errors",
        seen=f"a mean up to {max(scores):.1f} standard errors away",
        size=max(scores),
        n=len(seeds),
        chance=1e-6,
    )


SGD = claims("SGD")

LAWS = (
    Law(
        name="gradient descent converges below 2 / lambda_max and not above",
        source="Polyak (1987), Introduction to Optimization, 1.4",
        applies=SGD,
        test=_descent_threshold,
    ),
    Law(
        name="gradient descent's rate on a quadratic",
        source="Polyak (1987), Introduction to Optimization, 1.4",
        applies=SGD,
        test=_descent_rate,
    ),
    Law(
        name="the heavy ball's threshold",
        source=f"{POLYAK}; {LESSARD}",
        applies=SGD,
        test=_heavy_ball_threshold,
    ),
    Law(
        name="the heavy ball's rate on a quadratic",
        source=POLYAK,
        applies=SGD,
        test=_heavy_ball_rate,
    ),
    Law(
        name="Nesterov's threshold",
        source=LESSARD,
        applies=SGD,
        test=_nesterov_threshold,
    ),
    Law(
        name="Nesterov's rate on a quadratic",
        source=LESSARD,
        applies=SGD,
        test=_nesterov_rate,
    ),
    Law(
        name="momentum amplifies a constant gradient by 1 / (1 - momentum)",
        source=POLYAK,
        applies=SGD,
        test=_amplified,
    ),
    Law(
        name="dampening spares the first gradient",
        source="torch.optim.SGD",
        applies=SGD,
        test=_dampened,
    ),
    Law(
        name="weight decay alone shrinks geometrically",
        source="Hanson, Pratt (1988), Comparing biases for minimal network construction",
        applies=SGD,
        test=_shrinks,
    ),
    Law(
        name="weight decay is a quadratic penalty",
        source="Loshchilov, Hutter (2019), arXiv 1711.05101, section 2",
        applies=claims(*COUPLED),
        test=_penalty,
    ),
    Law(
        name="the noisy quadratic's expected loss",
        source="Zhang et al. (2019), arXiv 1907.04164, equation 3",
        applies=SGD,
        test=_noisy,
    ),
)
