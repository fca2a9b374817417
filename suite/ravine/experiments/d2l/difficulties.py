"""Optimization and deep learning: the difficulties (Dive into Deep Learning, 12.1)."""

import numpy as np

from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import first_hits, only, stacked
from ravine.problems.catalogue import analytic
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.paths import paths_figure, paths_film

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.1, d2l.ai"


@experiment("A1", "Vanishing gradients", SOURCE)
def vanishing_gradient(scale: Scale, tick: Tick) -> Found:
    """On tanh from x = 4 the gradient is 0.0013, so that progress stalls for a long time.

    Deep networks were hard to train before ReLU for that reason.  Optimizers that divide by
    the gradient's size escape.
    """
    problem = analytic("tanh")
    budget = scale.choose(2000, 20_000)
    names = ("sgd(lr=0.1)", "sgd(lr=0.1, momentum=0.9)", "rmsprop(lr=0.1)", "adam(lr=0.1)")
    settings = {name: only(name) for name in names}
    runs = stacked(problem, settings, range(scale.choose(7, 25)), budget)
    escapes = {name: first_hits(found, 0) for name, found in runs.items()}
    tick(0.5)
    ways = {
        name: walk(problem, s, 0, budget, keep=range(budget + 1)).points.numpy()
        for name, s in settings.items()
    }
    curves = {
        name: Curve(np.arange(1, len(way) + 1), np.tanh(way[:, 0])) for name, way in ways.items()
    }
    slope = 1 - np.tanh(4.0) ** 2
    return Found(
        claims=(
            exact("slope", "At x = 4 the slope is 0.0013.", slope, below(0.00135)),
            median(
                "descent-stalls",
                "Plain descent at a rate of 0.1 needs over 1,000 steps to leave.",
                escapes["sgd(lr=0.1)"],
                above(1000),
                unit="steps",
            ),
            median(
                "adam-leaves",
                "Adam at the same rate leaves within 100 steps.",
                escapes["adam(lr=0.1)"],
                below(100),
                unit="steps",
            ),
        ),
        figures={
            "loss": curves_figure(
                "tanh from x = 4: descent stalls where the slope vanishes",
                Panel(curves, "steps + 1", "tanh(x)", log=("x",)),
            ),
            "paths": paths_figure(problem, ways, "Paths on tanh"),
        },
        animations={"film": paths_film(problem, ways, "Paths on tanh")},
    )
