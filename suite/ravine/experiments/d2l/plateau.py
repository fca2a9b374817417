"""Vanishing gradients: how long a plateau holds whom (Dive into Deep Learning, 12.1)."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from ravine.engine.walk import walk
from ravine.engine.watch import Runs
from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.d2l.setting import FAMILIES, RATE, SHOWN, SOURCE, spoken, torch_settings
from ravine.experiments.d2l.training import ratios
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import first_hits, stacked
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient, pack
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic, problem
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table
from ravine.reporting.paths import paths_figure, paths_film

AVERAGING = (
    *("adam", "adamw", "amsgrad", "adamw_amsgrad", "nadam", "nadamw", "radam", "radamw"),
    *("adamax", "rmsprop", "rmsprop_centered", "rmsprop_momentum"),
)
"""Methods that divide by a running average (or maximum) of the gradient's size."""


VALUES = (0.9, 0.0, -0.9)
"""Heights on the way down tanh that the table gives."""


@experiment("A1", "Vanishing gradients", SOURCE)
def vanishing_gradient(scale: Scale, tick: Tick) -> Found:
    """On tanh from x = 4 the gradient is 0.0013, so that progress stalls for a long time.

    Deep networks were hard to train before ReLU for that reason.  Optimizers that divide by
    the gradient's size escape within tens of steps.
    """
    base, budget, early = analytic("tanh"), 4000, 600
    seeds = range(scale.choose(7, 25))
    settings = torch_settings()
    at = base.facts.targets.index(0.0)
    runs = stacked(base, settings, seeds, early)
    tick(0.3)
    # most are there soon; only the others need all steps
    late = {n: settings[n] for n, r in runs.items() if math.inf in first_hits(r, at)}
    runs |= stacked(base, late, seeds, budget)
    down = {name: first_hits(found, at) for name, found in runs.items()}
    tick(0.6)
    film = {n: walk(base, settings[n], 0, early, keep=range(early + 1)) for n in FAMILIES}
    ways = {n: way.points.numpy() for n, way in film.items()}
    said = f"{early} steps on tanh at a rate of {RATE}"
    tick(0.8)
    nets = {
        name: layer_gradients(f"deep_mlp(activation={name}, init={init})", seeds)
        for name, init in (("sigmoid", "xavier"), ("tanh", "xavier"), ("relu", "he"))
    }
    kept = {name: (rows[:, 0] / rows[:, -1]).tolist() for name, rows in nets.items()}
    starts = [float(base.start(seed)["x"]) for seed in seeds]
    flow = [plateau_time(x) / RATE for x in starts]
    slowest = [max(down[n][s] for n in AVERAGING) for s in range(len(starts))]
    descent = down["sgd"]
    return Found(
        claims=(
            exact(
                "slope",
                "At x = 4 the slope of tanh is 0.0013.",
                1 - math.tanh(4.0) ** 2,
                equals(0.0013, 0.00005),
            ),
            median(
                "descent-stalls",
                "Plain descent at a rate of 0.1 needs over 1,000 steps to get down to the middle.",
                descent,
                above(1000),
                unit="steps",
            ),
            median(
                "descent-time",
                "It needs (x / 2 + sinh(2 x) / 4) / rate steps, the time of the gradient flow, "
                "to within 2 %.",
                ratios(descent, flow),
                between(0.98, 1.02),
            ),
            median(
                "momentum",
                "Momentum of 0.9 makes that ten times fewer, 1 / (1 - 0.9), to within a tenth.",
                ratios(descent, down["heavy_ball"]),
                between(9, 11),
            ),
            median(
                "adam-leaves",
                "Adam at the same rate gets there within 100 steps.",
                down["adam"],
                below(100),
                unit="steps",
            ),
            median(
                "averaging-leaves",
                f"The slowest of {len(AVERAGING)} methods that divide by a running average of the "
                "gradient's size takes at most a tenth of plain descent's steps.",
                ratios(slowest, descent),
                below(0.1),
            ),
            median(
                "a-constant-below",
                "To divide is not enough: AdaGrad whose sum of squares begins at 0.1 takes more "
                "than a tenth of plain descent's steps.",
                ratios(down["adagrad_accumulator"], descent),
                above(0.1),
            ),
            median(
                "sigmoid-vanishes",
                "At the start of a sigmoid perceptron of 20 layers the first layer's gradient is "
                "less than a thousandth of the last one's.",
                kept["sigmoid"],
                below(1e-3),
            ),
            median(
                "relu-keeps",
                "With ReLU it is at least a tenth of the last one's.",
                kept["relu"],
                above(0.1),
            ),
            median(
                "tanh-keeps",
                "Saturating units alone are not the reason: with tanh units and Xavier's "
                "initialisation it is at least a tenth, too.",
                kept["tanh"],
                above(0.1),
            ),
        ),
        figures={
            "loss": curves_figure(
                f"tanh from x = 4 at a rate of {RATE}: descent stalls where the slope vanishes",
                Panel(_descents(runs), "steps + 1", "tanh(x)", log=("x",)),
            ),
            "layers": curves_figure(
                "Gradient by layer at the start of perceptrons of 20 layers, on 256 images",
                Panel(
                    {n: Curve(np.arange(1.0, r.shape[1] + 1), r) for n, r in nets.items()},
                    "layer, from the input on",
                    "norm of the gradient (nats)",
                    log=("y",),
                ),
            ),
            "paths": paths_figure(base, ways, said, apart=True),
        },
        tables={"steps": _steps_table(runs, base)},
        animations={"film": paths_film(base, ways, said, apart=True)},
        remark=(
            f"All {len(settings)} optimizers of torch whose runs can share a tensor, at one rate; "
            "L-BFGS, Muon and SparseAdam are left out.  Momentum takes its time to gather speed "
            "where the slope grows.  Being quick on a plateau says nothing of the rest of a run."
        ),
    )


def plateau_time(x: float) -> float:
    """How long the gradient flow on tanh takes from x down to 0: the integral of cosh^2."""
    return x / 2 + math.sinh(2 * x) / 4


def layer_gradients(id: str, seeds: Sequence[int]) -> Float[np.ndarray, "seeds layers"]:
    """Norm of the gradient by the weights of each layer, at the start of a perceptron."""
    net, rows = problem(id), []
    for seed in seeds:
        ground = surface(net, seed=seed, examples=256)
        slope = gradient(ground, pack(ground, net.start(seed)))
        weights = [place for name, place in ground.slices.items() if name.endswith(".weight")]
        rows.append([float(slope[place].double().norm()) for place in weights])
    return np.array(rows)


def _descents(runs: Mapping[str, Runs]) -> dict[str, Curve]:
    """Loss over steps, a band over seeds."""
    return {
        name: Curve(np.array(runs[name].marks) + 1.0, runs[name].trace_loss[:, 0].T)
        for name in SHOWN
        if name != "adadelta"  # it hides descent, with which it falls
    }


def _steps_table(runs: Mapping[str, Runs], base: Analytic) -> Table:
    places = [base.facts.targets.index(value) for value in VALUES]
    rows = [
        (name, *(spoken(float(np.median(first_hits(found, k)))) for k in places))
        for name, found in runs.items()
    ]
    rows.sort(key=lambda row: float(row[2].replace(",", "").replace("never", "inf")))
    columns = ("optimizer", *(f"steps to tanh(x) = {value:g}" for value in VALUES))
    footer = f"Medians over {len(next(iter(runs.values())).start[0])} seeds, at a rate of {RATE}."
    title = "Steps down from the plateau of tanh"
    return Table(title, columns, tuple(rows), footer, ("left", "right", "right", "right"))
