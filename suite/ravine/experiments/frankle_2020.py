"""Frankle, Dziugaite, Roy and Carbin (2020): when two runs end in one valley."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, only, stretch
from ravine.landscape.lines import Line, lines, profile
from ravine.landscape.sources import surface
from ravine.reporting.curves import Curve, Panel, curves_figure

SOURCE = "Frankle, Dziugaite, Roy and Carbin (2020), arXiv 1912.05671"

ADAM = "adam(lr=0.0012)"
"""As in the paper."""

ALPHAS = tuple(i / 24 for i in range(25))


@experiment("linear-mode-connectivity", "Two orders of the same examples", SOURCE)
def orders(scale: Scale, tick: Tick) -> Found:
    """Two runs from one start, in different orders of minibatches, end in one valley.

    On MNIST error does not rise on the straight way between them, even if they part at the
    start; between runs from different starts it does.
    """
    subject = network(f"mnist_mlp(widths={scale.choose('(100,50)', '(300,100)')},batch=60)")
    count = scale.choose(5, 15)
    trunk, length = (0, 20, 100), scale.choose(250, 3000)
    setting = only(ADAM)
    ground = {
        split: surface(subject, split=split, examples=scale.choose(1500, 10000))
        for split in ("train", "test")
    }
    parted = walks(subject, [setting], range(count), trunk[-1], keep=trunk).points[0]
    tick(0.1)
    # two children of every point: what differs is the order of their minibatches alone
    begun = parted.transpose(0, 1).repeat_interleave(2, 1).flatten(0, 1)
    seeds = [1000 + run for run in range(len(begun))]
    ends = walks(
        subject,
        [setting],
        seeds,
        length,
        starts=begun,
        tick=stretch(tick, 0.1, 0.5),
    ).ends[0]
    pairs = ends.view(len(trunk), count, 2, -1)
    other = pairs[0, :, 0].roll(-1, 0)
    a = torch.cat([*pairs[:, :, 0], pairs[0, :, 0]])
    b = torch.cat([*pairs[:, :, 1], other])
    found = lines(ground, a, b, ALPHAS, listener=lambda share: tick(0.6 + 0.4 * share))
    kinds = [f"parted after {step} steps" for step in trunk] + ["different starts"]
    ways = {kind: found[k * count : (k + 1) * count] for k, kind in enumerate(kinds)}
    loss = {kind: [profile(way["train"]).height for way in every] for kind, every in ways.items()}
    error = {
        kind: [100 * profile(way["test"], "error").height for way in every]
        for kind, every in ways.items()
    }
    first, apart = kinds[0], kinds[-1]
    return Found(
        claims=(
            median(
                "one-valley",
                "The training loss rises by at most 0.01 nats between two runs from one start.",
                loss[first],
                below(1e-2),
                unit="nats",
                calibrated="20-64-64-10 ReLU networks on Gaussian mixtures, barrier 0.0002",
            ),
            median(
                "stable",
                "Test error rises by less than 2 points between them, the paper's bound of "
                "stability.",
                error[first],
                below(2),
                unit="points",
            ),
            median(
                "different-starts",
                "Between runs from different starts test error rises by more than 2 points.",
                error[apart],
                above(2),
                unit="points",
            ),
            median(
                "far-lower",
                "The barrier in the loss from one start is at most a tenth of that between two.",
                [x / y for x, y in zip(loss[first], loss[apart], strict=True)],
                below(0.1),
            ),
            median(
                "later-is-closer",
                f"Runs that part after {trunk[-1]} steps end nearer to each other than those that "
                "part at the start.",
                (_apart(pairs[-1]) / _apart(pairs[0])).tolist(),
                below(1),
            ),
            median(
                "still-apart",
                "Runs from one start end at different points all the same: at least a tenth of "
                "the norm apart.",
                (_apart(pairs[0]) / pairs[0, :, 0].norm(dim=-1)).tolist(),
                above(0.1),
            ),
        ),
        figures={
            "ways": curves_figure(
                "From one run to another",
                Panel(
                    {kind: _curve([w["train"] for w in every]) for kind, every in ways.items()},
                    "alpha",
                    "training loss (nats)",
                    log=("y",),
                ),
                Panel(
                    {
                        kind: _curve([w["test"] for w in every], error=True)
                        for kind, every in ways.items()
                    },
                    "alpha",
                    "test error (%)",
                ),
                columns=2,
            ),
            "instability": curves_figure(
                "Instability: how far test error rises between two runs that part",
                Panel(
                    {
                        "one start": Curve(
                            np.array(trunk, float), np.array([error[k] for k in kinds[:-1]]).T
                        )
                    },
                    "steps before they part",
                    "rise of test error (points)",
                    levels={
                        "stable below": 2.0,
                        "different starts": float(np.median(error[apart])),
                    },
                ),
            ),
        },
        remark=(
            f"Perceptrons {subject.name} with Adam at the paper's rate, {length} steps; the paper "
            "trains 300-100 to the end.  Adam's averages begin anew where runs part.  ResNets on "
            "CIFAR-10 are not stable from the start in the paper; nothing here says otherwise."
        ),
    )


def _apart(pairs: Float[Tensor, "seeds two P"]) -> Float[Tensor, " seeds"]:
    length: Tensor = torch.linalg.vector_norm(pairs[:, 0] - pairs[:, 1], dim=-1)
    return length


def _curve(ways: list[Line], error: bool = False) -> Curve:
    rows = [100 * way.errors if error and way.errors is not None else way.losses for way in ways]
    return Curve(np.array(ALPHAS), torch.stack(rows).numpy())
