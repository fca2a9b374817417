"""Gradient descent and its rate (Dive into Deep Learning, 12.3 and 12.4)."""

from functools import partial

import numpy as np

from ravine.experiments.claims import above, equals, exact, median
from ravine.experiments.d2l.training import (
    gap,
    slide,
    threshold,
    train,
    turning,
)
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers.textbook import Rule, gradient_descent
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.problems.regression import ROWS, table
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.paths import paths_figure

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.3, 12.4, d2l.ai"


def _rate(lr: float) -> Rule:
    return partial(gradient_descent, lr=lr)


@experiment("B1", "Gradient descent and its rate", SOURCE)
def descent(scale: Scale, tick: Tick) -> Found:
    """Too small a rate does not arrive, a good one does, and too large a one diverges.

    On a quadratic the border is exactly 2 / lambda_max.  The path of descent is smooth and
    that of stochastic descent zigzags.
    """
    seeds = range(scale.choose(9, 99))
    bowl = analytic("wide_bowl")
    rates = {"too small, 0.05": 0.05, "good, 0.2": 0.2, "too large, 1.1": 1.1}
    lines = {label: _line(lr) for label, lr in rates.items()}
    exact_way = slide(bowl, _rate(0.1), 20)
    steep_way = slide(bowl, _rate(0.45), 20)
    noisy = [
        slide(bowl, _rate(0.1), 20, generator("descent", seed).standard_normal((20, 2)))
        for seed in seeds
    ]
    tick(0.3)
    border = threshold(lambda lr: _heights(slide(bowl, _rate(lr), 60)), 0.1, 0.9)

    def regression(lr: float) -> np.ndarray:
        return np.asarray(gap(train({"": _rate(lr)}, [0], 120, ROWS)[""])[0])

    sharpness = float(np.linalg.eigvalsh(table().hessian.numpy())[-1])
    border_table = threshold(regression, 0.1, 2.0)
    tick(0.6)
    slow = {"": _rate(0.005)}
    single = train(slow, seeds, ROWS, 1)[""]
    whole = train(slow, seeds, ROWS, ROWS)[""]
    smooth = turning(exact_way).item()
    return Found(
        claims=(
            exact(
                "too-small",
                "From x = 10 on x^2, ten steps at a rate of 0.05 leave x at 3.4868.",
                lines["too small, 0.05"][-1],
                equals(3.486784, 1e-6),
            ),
            exact(
                "good",
                "At 0.2 they arrive, at 0.0605.",
                lines["good, 0.2"][-1],
                equals(0.060466, 1e-6),
            ),
            exact(
                "too-large",
                "At 1.1 they go away, to 61.917.",
                lines["too large, 1.1"][-1],
                equals(61.917364, 1e-6),
            ),
            exact(
                "border",
                "On x1^2 + 2 x2^2, whose largest curvature is 4, descent converges below a "
                "rate of 2 / 4 = 0.5, and above it does not.",
                border,
                equals(0.5, 1e-6),
            ),
            exact(
                "border-of-regression",
                "So it does in linear regression on five features: the border times the largest "
                "curvature is 2.",
                border_table * sharpness,
                equals(2.0, 1e-5),
            ),
            median(
                "noise-zigzags",
                "On x1^2 + 2 x2^2 at a rate of 0.1, with noise of variance 1 on the gradient, "
                "the path turns by a larger angle in all than without.",
                [turning(way).item() / smooth for way in noisy],
                above(1),
            ),
            median(
                "single-examples-zigzag",
                "In linear regression a path by single examples turns by a larger angle in all "
                "than one by all examples, at the same rate and number of steps.",
                (turning(single) / turning(whole)).tolist(),
                above(1),
            ),
            median(
                "large-rate-zigzags",
                "Above 1 / lambda_max descent without noise zigzags too: at 0.45 its path turns "
                "by a larger angle in all than the noisy one at 0.1.",
                [turning(steep_way).item() / turning(way).item() for way in noisy],
                above(1),
            ),
        ),
        figures={
            "paths": paths_figure(
                bowl,
                {
                    "descent at 0.1": exact_way,
                    "stochastic at 0.1": noisy[0],
                    "descent at 0.45": steep_way,
                    "descent at 0.52": slide(bowl, _rate(0.52), 20),
                },
                "Paths of 20 steps on x1² + 2 x2²",
            ),
            "rates": curves_figure(
                "x² from x = 10: a rate too small, a good one, and one too large",
                Panel(
                    {label: Curve(np.arange(11.0), np.abs(x)) for label, x in lines.items()},
                    "steps",
                    "|x|",
                    log=("y",),
                ),
            ),
        },
        remark=(
            "That descent is smoother than stochastic descent is true of rates below "
            "1 / lambda_max, at which no coordinate changes its sign."
        ),
    )


def _line(lr: float) -> np.ndarray:
    """Ten steps down x^2 from x = 10."""
    way = [np.array([10.0])]
    for _ in range(10):
        way.append(gradient_descent(way[-1], None, 2 * way[-1], lr)[0])
    return np.concatenate(way)


def _heights(way: np.ndarray) -> np.ndarray:
    """x1^2 + 2 x2^2 along a path, in logarithms, so that it neither under- nor overflows."""
    return np.asarray(np.log(way[:, 0] ** 2 + 2 * way[:, 1] ** 2 + 1e-300))
