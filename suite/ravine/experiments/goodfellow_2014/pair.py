"""The line between two solutions."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.goodfellow_2014.factored import hyperbola_error
from ravine.experiments.goodfellow_2014.setting import (
    INSTEAD,
    MIXTURES,
    NETWORK,
    OPTIMIZERS,
    SOURCE,
)
from ravine.experiments.running import network, only, stretch
from ravine.landscape.lines import Line, lines, profile
from ravine.landscape.sources import surface
from ravine.reporting import cells
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table


@experiment("D2", "The line between two solutions", SOURCE)
def between_solutions(scale: Scale, tick: Tick) -> Found:
    """On the straight line between two solutions there are two local minima, both good."""
    net = network(NETWORK)
    pairs = scale.choose(5, 15)
    runs = walks(
        net,
        [only(OPTIMIZERS["momentum"])],
        range(2 * pairs),
        scale.choose(700, 3 * net.traits.budget),
        tick=stretch(tick, 0.0, 0.7),
    )
    grounds = {
        "train": surface(net, examples=scale.choose(1000, None)),
        "test": surface(net, split="test", examples=scale.choose(1000, None)),
    }
    ends = runs.ends[0]
    found = lines(
        grounds,
        ends[0::2],
        ends[1::2],
        np.linspace(-1, 2, 151),
        listener=stretch(tick, 0.7, 0.3),
    )
    shapes = [profile(each["train"]) for each in found]
    places = [shape.minima for shape in shapes]
    right = [accuracies_at(each["test"], p) for each, p in zip(found, places, strict=True)]
    off = hyperbola_error()
    return Found(
        claims=(
            median(
                "barrier",
                "Between the solutions of two starts the training loss rises above the chord of "
                "the ends by at least 0.5.",
                [shape.height for shape in shapes],
                above(0.5),
                unit="nats",
                calibrated=MIXTURES,
            ),
            median(
                "two-minima",
                "On the line from -1 to 2 it has two local minima, no more and no fewer.",
                [len(p) for p in places],
                equals(2),
                unit="minima",
                calibrated=MIXTURES,
            ),
            median(
                "at-the-ends",
                "All of them lie within 0.1 of the solutions, at 0 and 1.",
                [max(map(_from_an_end, p), default=np.inf) for p in places],
                below(0.1),
                calibrated=MIXTURES,
            ),
            median(
                "both-good",
                "Both are good: the worse of them answers at least nine test images of ten right.",
                [min(r, default=0.0) for r in right],
                above(0.9),
            ),
            median(
                "alike",
                "One is as good as the other, to within two points of accuracy.",
                [100 * float(np.ptp(r)) for r in right],
                below(2),
                unit="points",
            ),
            exact(
                "hyperbola",
                "In the factored model (w1 w2 - 1)^2 / 2 all points of a hyperbola are minima, and "
                "between (s, 1/s) and (r, 1/r) the line has a barrier of "
                "((s - r)^2 / (4 s r))^2 / 2, to 1e-12 of it.",
                off,
                below(1e-12),
            ),
        ),
        figures={
            "line": _pairs_figure(found),
        },
        tables={"pairs": _pairs_table(found, right)},
        remark=(
            f"{INSTEAD}, trained by momentum.  A barrier on the straight line does not part two "
            "basins: a curved way, or another order of the units, may have none; the factored "
            "model's minima hang together, and lines between them have barriers."
        ),
    )


def accuracies_at(one: Line, places: Sequence[float]) -> list[float]:
    """Shares of right answers at some alphas of a line."""
    assert one.errors is not None
    found = {float(a): 1 - float(e) for a, e in zip(one.alphas, one.errors, strict=True)}
    return [found[place] for place in places]


def _from_an_end(alpha: float) -> float:
    return min(abs(alpha), abs(alpha - 1))


def _pairs_figure(found: Sequence[Mapping[str, Line]]) -> Figure:
    alphas = found[0]["train"].alphas.numpy()
    every = {name: [each[name] for each in found] for name in ("train", "test")}
    losses = {name: np.stack([one.losses.numpy() for one in each]) for name, each in every.items()}
    right = {
        name: np.stack([100 * (1 - one.errors.numpy()) for one in each if one.errors is not None])
        for name, each in every.items()
    }
    x = "α, from one solution at 0 to the other at 1"
    return curves_figure(
        f"Between the solutions of two starts: medians and ranges of {len(found)} pairs",
        Panel({n: Curve(alphas, f) for n, f in losses.items()}, x, "loss (nats)", log=("y",)),
        Panel({n: Curve(alphas, f) for n, f in right.items()}, x, "accuracy (%)"),
        columns=2,
    )


def _pairs_table(found: Sequence[Mapping[str, Line]], right: Sequence[Sequence[float]]) -> Table:
    rows = []
    for k, (each, shares) in enumerate(zip(found, right, strict=True)):
        train, test = profile(each["train"]), profile(each["test"])
        rows.append(
            (
                str(k + 1),
                cells.decimal(each["train"].distance),
                " and ".join(cells.decimal(end) for end in train.ends),
                cells.decimal(train.height),
                cells.fixed(train.at, 2),
                cells.decimal(test.height),
                ", ".join(cells.fixed(place, 2) for place in train.minima),
                ", ".join(cells.percent(share) for share in shares),
            )
        )
    return Table(
        "Lines between the solutions of two starts",
        (
            *("pair", "distance", "training loss at the ends", "barrier", "at α"),
            *("barrier in the test loss", "local minima at α", "test accuracy there"),
        ),
        tuple(rows),
        "Losses in nats; local minima of the training loss for α from -1 to 2.",
        ("right",) * 8,
    )
