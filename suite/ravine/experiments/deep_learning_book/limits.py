"""Theoretical limits of optimization (Deep Learning, 8.2.8)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import torch
from jaxtyping import Float64

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, equals, exact
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient
from ravine.optimizers.catalogue import method
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

NESTEROV = "Nesterov (2004), doi 10.1007/978-1-4419-8853-9, theorem 2.1.7"
WOLPERT = "Wolpert, Macready (1997), doi 10.1109/4235.585893"

DIM, SMOOTHNESS = 41, 4.0

# one gradient for each step: L-BFGS takes more, and cannot be held to a bound by steps
METHODS = (
    "sgd",
    "heavy_ball",
    "nesterov",
    "adam",
    "adamw",
    "amsgrad",
    "nadam",
    "radam",
    "adamax",
    "adagrad",
    "adadelta",
    "rmsprop",
    "rmsprop_centered",
    "rmsprop_momentum",
    "rprop",
    "asgd",
    "lookahead(sgd)",
    "ema(sgd)",
    "cosine(sgd)",
    "warmup(sgd)",
)
"""First-order methods of the catalogue that share a tensor and need no further package."""

SHOWN = ("sgd", "heavy_ball", "nesterov", "adam", "adagrad", "rprop")

POINTS, VALUES = 5, 4
"""A finite domain and a finite range, whose functions can all be written down."""


@experiment("C12", "Theoretical limits", BOOK.format("8.2.8"))
def limits(scale: Scale, tick: Tick) -> Found:
    """No first-order method beats the known lower bound on the worst-case quadratic.

    And averaged over all functions no method is better than another.
    """
    worst = replace(
        analytic(f"nesterov_worst_case(dim={DIM}, smoothness={SMOOTHNESS})"), spread=0.0
    )
    lowest = worst.facts.minimum or 0.0
    steps = (DIM - 1) // 2
    k = np.arange(1, steps + 1)
    bound = SMOOTHNESS / 8 * (1 / (k + 1) - 1 / (DIM + 1))
    count = scale.choose(16, 64)
    pairs = [
        (setting, probe(setting.method))
        for name in METHODS
        for setting in trials(method(name), count)
    ]
    tick(0.5)
    (runs,) = run_grid([worst], pairs, [0], steps).runs
    gaps = runs.trace_loss[1:, :, 0].T - lowest
    owner = [setting.method.name for setting, _ in pairs]
    least = {name: np.nanmin(gaps[[o == name for o in owner]], axis=0) for name in METHODS}
    start = sum((1 - i / (DIM + 1)) ** 2 for i in range(1, DIM + 1))
    classical = 3 * SMOOTHNESS * start / (32 * (steps + 1) ** 2)
    tightest = worst.f(conjugate_gradients(worst, steps)).numpy()[1:] - lowest
    newton = walk(worst, only("newton(lr=1.0)"), 0, 1, keep=2).losses[-1] - lowest
    tick(0.8)
    every = list(product(range(VALUES), repeat=POINTS))
    convex = [f for f in every if all(np.diff(f, 2) >= 0)]
    among = {
        name: {label: _best(rule, functions) for label, rule in RULES.items()}
        for name, functions in (("all, four lines in one", every), ("the convex ones", convex))
    }
    average = np.stack(list(among["all, four lines in one"].values()))
    gains = among["the convex ones"]["away from the best"] - among["the convex ones"]["to the best"]
    at = np.arange(1.0, POINTS + 1)
    ratio = {name: float((row / bound).min()) for name, row in least.items()}
    return Found(
        claims=(
            exact(
                "bound",
                f"None of {len(METHODS)} first-order methods, at any of its settings, is below "
                "L/8 (1/(k + 1) - 1/(n + 1)) after k <= n/2 steps from the origin.",
                min(ratio.values()),
                above(1 - 1e-9),
                unit="times the bound, the least",
                source=NESTEROV,
            ),
            exact(
                "classical",
                "With n = 2 k + 1 each is above 3 L |x0 - x*|^2 / (32 (k + 1)^2).",
                min(float(row[-1]) for row in least.values()) / classical,
                above(1.0),
                unit="times the bound, the least",
                source=NESTEROV,
            ),
            exact(
                "tight",
                "The bound is tight: conjugate gradients, which know the matrix by its products, "
                "meet it at each k.",
                float(np.abs(tightest / bound - 1).max()),
                below(1e-9),
                unit="relative difference",
            ),
            exact(
                "second-order",
                "It binds first-order methods only: one step of Newton's method is at the minimum.",
                abs(newton) / bound[0],
                below(1e-9),
                unit="times the bound",
            ),
            exact(
                "no-free-lunch",
                f"Over all {len(every):,} functions from {POINTS} points to {VALUES} values, the "
                "mean of the best value after m evaluations is the same for all searches, those "
                "that go to the best and those that flee it.",
                int(np.abs(average - average[0]).max()),
                equals(0),
                unit="difference of sums",
                source=WOLPERT,
            ),
            exact(
                "structure",
                "Over the convex ones among them going to the best is better than fleeing it, at "
                "some m, and worse at none.",
                float(gains.max()) if gains.min() >= 0 else -1.0,
                above(1e-9),
                unit="difference of sums",
            ),
        ),
        figures={
            "bound": curves_figure(
                f"The worst-case quadratic of {DIM} coordinates: the least gap of any setting",
                Panel(
                    {
                        **{name: Curve(k.astype(float), least[name]) for name in SHOWN},
                        "lower bound": Curve(k.astype(float), bound),
                    },
                    "k (steps)",
                    "$f(x_k) - f^*$",
                    log=("x", "y"),
                ),
                height=4.0,
            ),
            "lunch": curves_figure(
                "Searches of five points that never look twice",
                *(
                    Panel(
                        {label: Curve(at, row / len(fs)) for label, row in rows.items()},
                        "evaluations",
                        "mean of the best value",
                        title=f"{len(fs):,} functions: {name}",
                    )
                    for (name, rows), fs in zip(among.items(), (every, convex), strict=True)
                ),
                columns=2,
            ),
        },
        tables={
            "methods": Table(
                "Least gap over the bound, over all settings and k",
                ("method", "times the bound"),
                tuple((name, f"{value:.4g}") for name, value in ratio.items()),
                align=("left", "right"),
            )
        },
        remark=(
            "The bound is on the worst function of a class, and the average is over functions most "
            "of which are noise; neither says that methods are alike on problems that one meets."
        ),
    )


def conjugate_gradients(problem: Analytic, steps: int) -> Float64[torch.Tensor, "points n"]:
    """The iterates on a quadratic, from the origin on.

    References:
        Nocedal, Wright (2006). Numerical optimization, algorithm 5.2.
    """
    ground = surface(problem)
    x = torch.zeros(problem.dim, dtype=torch.float64)
    matrix = hessians(ground, x)
    residual = gradient(ground, x)
    direction, points = -residual, [x]
    for _ in range(steps):
        image = matrix @ direction
        size = residual @ residual / (direction @ image)
        x = x + size * direction
        fresh = residual + size * image
        direction = -fresh + (fresh @ fresh) / (residual @ residual) * direction
        residual = fresh
        points.append(x)
    return torch.stack(points)


Rule = Callable[[Mapping[int, int]], int]
"""From what has been seen, value by point, to the next point."""


def _fresh(seen: Mapping[int, int]) -> list[int]:
    return [point for point in range(POINTS) if point not in seen]


def _extreme(seen: Mapping[int, int], sign: int) -> int:
    return min(seen, key=lambda point: (sign * seen[point], point))


RULES: Mapping[str, Rule] = {
    "from left to right": lambda seen: min(_fresh(seen)),
    "from right to left": lambda seen: max(_fresh(seen)),
    "to the best": lambda seen: min(
        _fresh(seen), key=lambda p: (abs(p - _extreme(seen, 1)) if seen else abs(p - 2), p)
    ),
    "away from the best": lambda seen: min(
        _fresh(seen), key=lambda p: (-abs(p - _extreme(seen, 1)) if seen else abs(p - 2), p)
    ),
}
"""Searches that never look at a point twice; two of them go by what they have seen."""


def _best(rule: Rule, functions: Sequence[Sequence[int]]) -> Float64[np.ndarray, " m"]:
    """The best value after each number of evaluations, added up over functions."""
    sums = np.zeros(POINTS)
    for function in functions:
        seen: dict[int, int] = {}
        for turn in range(POINTS):
            point = rule(seen)
            seen[point] = function[point]
            sums[turn] += min(seen.values())
    return sums
