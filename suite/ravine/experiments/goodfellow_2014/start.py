"""The line from a start to a solution."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from matplotlib.figure import Figure

from ravine.engine.run import checkpoints
from ravine.engine.walks import Walks, walks
from ravine.experiments.claims import above, below, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.goodfellow_2014.factored import chain_error, saddle_error
from ravine.experiments.goodfellow_2014.setting import (
    INSTEAD,
    MIXTURES,
    NETWORK,
    OPTIMIZERS,
    SOURCE,
    residual_share,
    rises,
    sides,
    stacked_losses,
)
from ravine.experiments.running import network, only, stretch
from ravine.landscape.lines import BETWEEN, lines, profile
from ravine.landscape.residual import Projection
from ravine.landscape.sources import surface
from ravine.reporting import cells
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table


@experiment("D1", "The line from a start to a solution", SOURCE)
def start_to_solution(scale: Scale, tick: Tick) -> Found:
    """On theta(alpha) = theta0 + alpha (theta* - theta0) the loss falls smoothly.

    On MNIST it does so without wild oscillation, though the real path does not follow the line.
    """
    net = network(NETWORK)
    steps = scale.choose(400, 3 * net.traits.budget)
    runs = walks(
        net,
        [only(id) for id in OPTIMIZERS.values()],
        range(scale.choose(5, 10)),
        steps,
        keep=checkpoints(steps, 14),
        tick=stretch(tick, 0.0, 0.6),
    )
    ground = surface(net, examples=scale.choose(1000, None))
    found = lines(
        {"train": ground},
        runs.starts.flatten(0, 1),
        runs.ends.flatten(0, 1),
        BETWEEN,
        listener=stretch(tick, 0.6, 0.4),
    )
    straight = [each["train"] for each in found]
    losses = stacked_losses(straight, len(OPTIMIZERS))
    ways = sides(runs)
    ratios = np.array([[residual_share(way) for way in row] for row in ways])
    hills = np.array([len(profile(one).maxima) for one in straight]).reshape(losses.shape[:2])
    bends = np.diff(losses, 2).min(-1)
    return Found(
        claims=(
            median(
                "monotone",
                "On 51 points from the start to the end of a run the loss never rises by more "
                "than a thousandth of the start's, whichever of five optimizers ran.",
                (rises(losses) / losses[:, :, 0]).max(0).tolist(),
                below(1e-3),
                calibrated=MIXTURES,
            ),
            median(
                "monotone-plain",
                "With plain SGD alone the loss never rises by more than a thousandth of the "
                "start's.",
                (rises(losses[0]) / losses[0, :, 0]).tolist(),
                below(1e-3),
                calibrated=MIXTURES,
            ),
            median(
                "no-oscillation",
                "It does not oscillate: between the ends of the five lines there is no local "
                "maximum.",
                hills.sum(0).tolist(),
                equals(0),
                unit="maxima",
            ),
            median(
                "nearly-convex",
                "It is nearly convex: no second difference of three neighbouring points is below "
                "-0.011.",
                bends.min(0).tolist(),
                above(-0.011),
                unit="nats",
                calibrated=MIXTURES,
            ),
            median(
                "path-leaves",
                "The real path does not follow the line: whichever optimizer runs, it gets aside "
                "by at least a tenth of the distance between the ends.",
                ratios.min(0).tolist(),
                above(0.1),
            ),
            exact(
                "factored-quartic",
                "In the factored model (w1 w2 - 1)^2 / 2 the loss on any such line is the quartic "
                "that multiplying out gives, to 1e-12 of it.",
                chain_error(),
                below(1e-12),
            ),
            exact(
                "factored-saddle",
                "That model is not convex: at zero its Hessian has the eigenvalues -1 and 1.",
                saddle_error(),
                below(1e-12),
            ),
        ),
        figures={
            "line": _start_figure(losses, ways, runs.steps),
        },
        tables={"lines": _start_table(losses, ratios, hills, runs)},
        remark=(
            f"{INSTEAD}, trained for {steps} steps of 64 images.  A smooth line says nothing of "
            "what a run meets: it does not go there."
        ),
    )


def _start_figure(
    losses: Float[np.ndarray, "settings seeds alphas"],
    ways: Sequence[Sequence[Projection]],
    steps: Sequence[int],
) -> Figure:
    alphas, at = np.array(BETWEEN), np.array(steps) + 1.0
    asides = [np.stack([(way.residuals / way.length).numpy() for way in row]) for row in ways]
    return curves_figure(
        "From start to solution: the loss on the straight line, and how far the path goes aside",
        Panel(
            {name: Curve(alphas, rows) for name, rows in zip(OPTIMIZERS, losses, strict=True)},
            "α, from 0 at the start to 1 at the end",
            "training loss (nats)",
        ),
        Panel(
            {name: Curve(at, rows) for name, rows in zip(OPTIMIZERS, asides, strict=True)},
            "step + 1",
            "distance from the line (of its length)",
            log=("x",),
        ),
        columns=2,
    )


def _start_table(
    losses: Float[np.ndarray, "settings seeds alphas"],
    ratios: Float[np.ndarray, "settings seeds"],
    hills: Int[np.ndarray, "settings seeds"],
    runs: Walks,
) -> Table:
    worst = (rises(losses) / losses[:, :, 0]).max(1)
    rows = [
        (
            name,
            OPTIMIZERS[name],
            cells.decimal(float(np.median(losses[k, :, 0]))),
            cells.decimal(float(np.median(losses[k, :, -1]))),
            cells.percent(float(runs.scores["accuracy"][k].median())),
            cells.gap(float(worst[k])),
            str(hills[k].sum()),
            cells.decimal(float(np.diff(losses[k], 2).min())),
            cells.fixed(float(np.median(ratios[k])), 2),
        )
        for k, name in enumerate(OPTIMIZERS)
    ]
    return Table(
        "Lines from start to solution",
        (
            *("optimizer", "setting", "loss at 0", "at 1", "test accuracy", "rise"),
            *("local maxima", "second difference", "aside"),
        ),
        tuple(rows),
        "Medians over seeds; the largest rise as a share of the loss at 0, all local maxima, and "
        "the smallest second difference of all seeds; `aside` is the largest distance of the path "
        "from its line, as a share of the line's length.",
        ("left", "left", *("right",) * 7),
    )
