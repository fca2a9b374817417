"""Whether spurious local minima stand between a network and its solution."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ravine.engine.walks import Walks, walks
from ravine.experiments.claims import above, below, equals, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, only, stretch
from ravine.landscape.lines import Line, Profile, lines, profile
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient, pack
from ravine.reporting import cells
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Buduma and Locascio (2017), Fundamentals of Deep Learning, chapter 4"

ALPHAS = np.arange(-200, 200) / 100
"""From -2 to 2 by 0.01."""

TROUBLE = 1e-3
"""Share of the loss at a start by which a local minimum must be lower than what surrounds it."""

FRESH = 1000
"""Added to a seed for a start that has nothing to do with the run."""


@experiment("E1", "No spurious minimum between a fresh start and a solution", SOURCE)
def fresh_start(scale: Scale, tick: Tick) -> Found:
    """Loss against time cannot tell a bumpy surface from a lost sense of direction.

    On the line from a fresh random initialisation of a network (alpha = 0) to the same network
    trained by SGD (alpha = 1) the test loss shows no troublesome local minimum: the hard part
    is finding the direction, not the minima.
    """
    net = network("notes_mlp(batch=64)")
    seeds = range(scale.choose(5, 10))
    steps = scale.choose(400, 3 * net.traits.budget)
    runs = walks(net, [only("sgd(lr=0.1)")], seeds, steps, tick=stretch(tick, 0.0, 0.4))
    test = surface(net, split="test", examples=scale.choose(500, None))
    ends = runs.ends[0]
    fresh = torch.stack([pack(test, net.start(FRESH + seed)) for seed in seeds])
    found = lines({"test": test}, fresh, ends, ALPHAS, listener=stretch(tick, 0.4, 0.5))
    straight = [each["test"] for each in found]
    shapes = [profile(one, tolerance=TROUBLE) for one in straight]
    slopes = gradient(surface(net, examples=scale.choose(1000, 10000)), fresh)
    ahead = steepest(fresh, ends, slopes)
    descents = lines({"test": test}, fresh, ahead, np.linspace(0, 1, 26))
    lowest = [float(each["test"].losses.min()) for each in descents]
    cosines = torch.cosine_similarity(ends - fresh, -slopes, dim=1).tolist()
    minibatch = runs.losses[0].double().numpy()
    return Found(
        claims=(
            median(
                "no-minimum-between",
                "Between the fresh start and the last tenth of the way no local minimum of the "
                "test loss is deeper than a thousandth of the loss between the ends.",
                [sum(0 < place < 0.9 for place in shape.minima) for shape in shapes],
                equals(0),
                unit="minima",
            ),
            median(
                "monotone",
                "From the fresh start to the trained network the test loss never rises by more "
                "than a thousandth of the start's.",
                [shape.rise / shape.ends[0] for shape in shapes],
                below(1e-3),
                calibrated="20-64-64-10 ReLU networks on Gaussian mixtures, from unrelated starts",
            ),
            median(
                "one-valley",
                "On all 400 points from -2 to 2 there is one local minimum of that depth.",
                [len(shape.minima) for shape in shapes],
                equals(1),
                unit="minima",
            ),
            median(
                "at-the-solution",
                "The lowest of the 400 points lies within 0.1 of the trained network.",
                [abs(shape.lowest_at - 1) for shape in shapes],
                below(0.1),
                calibrated="20-64-64-10 ReLU networks on Gaussian mixtures, minima of lines",
            ),
            median(
                "time-is-bumpy",
                "Against time the minibatch's loss looks bumpy all the same: it rises at one step "
                "in four at least.",
                (np.diff(minibatch) > 0).mean(1).tolist(),
                above(0.25),
            ),
            median(
                "direction",
                "The direction is what is hard to find: at the fresh start steepest descent is "
                "nearly at right angles to the way to the solution, with a cosine of at most 0.1.",
                cosines,
                below(0.1),
            ),
            median(
                "steepest-does-not-lead-there",
                "Straight on along steepest descent, as far as the solution is away, the lowest "
                "test loss is at least twice the solution's.",
                [low / shape.ends[1] for low, shape in zip(lowest, shapes, strict=True)],
                above(2),
            ),
        ),
        figures={
            "line": _line_figure(straight[:5]),
            "time": _time_figure(minibatch, descents, straight),
        },
        tables={"lines": _lines_table(straight, shapes, lowest, cosines, runs)},
        remark=(
            f"784-256-256-10, SGD at 0.1 in batches of 64, {steps} steps; {test.examples:,} test "
            "images.  Every line has a network and a fresh start of its own.  That lines are "
            "smooth says little: they are so from starts that have nothing to do with the run."
        ),
    )


def steepest(
    starts: Float[Tensor, "k P"], ends: Float[Tensor, "k P"], slopes: Float[Tensor, "k P"]
) -> Float[Tensor, "k P"]:
    """Points along steepest descent that are as far from the starts as the ends are."""
    far = (ends - starts).norm(dim=1, keepdim=True)
    ahead: Float[Tensor, "k P"] = starts - far * slopes / slopes.norm(dim=1, keepdim=True)
    return ahead


def _line_figure(straight: Sequence[Line]) -> Figure:
    losses, right = {}, {}
    for seed, one in enumerate(straight):
        assert one.errors is not None
        label, alphas = f"from start {FRESH + seed}", one.alphas.numpy()
        losses[label] = Curve(alphas, one.losses.numpy())
        right[label] = Curve(alphas, 100 * (1 - one.errors.numpy()))
    x = "α, from the fresh start at 0 to the trained network at 1"
    return curves_figure(
        "784-256-256-10: lines from fresh starts to networks that SGD trained",
        Panel(losses, x, "test loss (nats)", log=("y",)),
        Panel(right, x, "test accuracy (%)"),
        height=3.2,
    )


def _time_figure(
    minibatch: Float[np.ndarray, "seeds steps"],
    descents: Sequence[Mapping[str, Line]],
    straight: Sequence[Line],
) -> Figure:
    along = straight[0].alphas.numpy()
    inner = (along >= 0) & (along <= 1)
    rows = np.stack([one.losses.numpy() for one in straight])[:, inner]
    falls = np.stack([each["test"].losses.numpy() for each in descents])
    return curves_figure(
        "Loss against time, and straight ahead from a fresh start",
        Panel(
            {"minibatch, one run": Curve(np.arange(minibatch.shape[1]) * 1.0, minibatch[0])},
            "step",
            "loss of the minibatch (nats)",
            log=("y",),
        ),
        Panel(
            {
                "towards the trained network": Curve(along[inner], rows),
                "along steepest descent": Curve(descents[0]["test"].alphas.numpy(), falls),
            },
            "distance from the fresh start (of the solution's)",
            "test loss (nats)",
            log=("y",),
        ),
        columns=2,
    )


def _lines_table(
    straight: Sequence[Line],
    shapes: Sequence[Profile],
    lowest: Sequence[float],
    cosines: Sequence[float],
    runs: Walks,
) -> Table:
    rows = [
        (
            str(FRESH + seed),
            cells.decimal(one.distance),
            cells.decimal(shape.ends[0]),
            cells.decimal(shape.ends[1]),
            cells.percent(float(runs.scores["accuracy"][0, seed])),
            ", ".join(cells.fixed(place, 2) for place in shape.minima) or "none",
            cells.gap(shape.rise / shape.ends[0]),
            cells.decimal(low),
            cells.fixed(cosine),
        )
        for seed, (one, shape, low, cosine) in enumerate(
            zip(straight, shapes, lowest, cosines, strict=True)
        )
    ]
    return Table(
        "Lines from fresh starts to trained networks",
        (
            *("start", "distance", "loss at 0", "at 1", "accuracy at 1", "local minima at α"),
            *("rise", "along steepest descent", "cosine"),
        ),
        tuple(rows),
        "Test losses in nats; the accuracy is that on all 10,000 test images; `rise` between 0 "
        "and 1, as a share of the loss at 0; `along steepest descent` is the lowest loss there.",
        ("right",) * 9,
    )
