"""The path of a run in two dimensions."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, between, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.li_2018 import SOURCE
from ravine.experiments.running import network, only, stretch
from ravine.landscape.sources import surface
from ravine.landscape.trajectory import Components, components, trajectories
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.landscape.trajectories import plane_figure

WALKS = "Antognini, Sohl-Dickstein (2018), arXiv 1806.08805"

CHECKPOINTS = 100
SHOWN = 10
"""Components whose shares are drawn."""

CALIBRATED = "20-64-64-10 ReLU networks on Gaussian mixtures, five optimizers"


@experiment("paths-in-two-components", "A run's path in two dimensions", SOURCE)
def path_components(scale: Scale, tick: Tick) -> Found:
    """The path of a run lies nearly in a plane: that of its first two principal components.

    Two random directions hold almost nothing of it, so that a picture along them shows a run
    that does not move.
    """
    seeds, every = range(scale.choose(5, 15)), scale.choose(3, 30)
    net = network(f"mnist_mlp(widths={scale.choose('(32,)', '(256, 256)')})")
    steps = every * CHECKPOINTS
    kept = range(0, steps + 1, every)
    told = stretch(tick, 0.0, 0.5)
    ways = walks(net, [only("sgd(lr=0.1)")], seeds, steps, keep=kept, tick=told).points[0]
    held = [components(way) for way in ways]
    tick(0.6)
    size = ways.shape[-1]
    drawn = [components(random_walk(seed, size)) for seed in seeds]
    tick(0.8)
    cells = scale.choose(17, 41)
    ground = surface(net, examples=scale.choose(256, 4096))
    shown = trajectories(ground, [ways[0]], ["sgd"], [list(kept)], grid=cells)
    return Found(
        claims=(
            median(
                "two-components",
                "Two principal components hold at least 0.4 of the squared distances of a path "
                "from its end.",
                [one.held for one in held],
                above(0.4),
                calibrated=CALIBRATED,
            ),
            median(
                "paper-range",
                "They hold 40 to 90 % of the variance about the path's mean, as in the paper.",
                [float(one.centred[:2].sum()) for one in held],
                between(0.4, 0.9),
            ),
            median(
                "two-random",
                "Two random directions hold at most ten times 2 / P, with P parameters.",
                [one.by_chance / (2 / size) for one in held],
                below(10),
                unit="of 2 / P",
                calibrated=CALIBRATED,
            ),
            median(
                "walk-as-well",
                "Of a random walk of as many steps two components hold at least 0.4 too: a high "
                "share alone says nothing of training.",
                [one.held for one in drawn],
                above(0.4),
                source=WALKS,
            ),
        ),
        figures={
            "path": plane_figure(shown),
            "shares": curves_figure(
                f"What components hold of paths of {CHECKPOINTS} steps, {len(seeds)} seeds",
                Panel(
                    {
                        "training": _shares(held),
                        "random walk": _shares(drawn),
                        "random directions": Curve(_COUNTS, _COUNTS / size),
                    },
                    "components",
                    "share of the squared distances\nfrom the end",
                ),
            ),
        },
        remark=(
            f"A rectified perceptron of {size:,} parameters on the real MNIST, {steps:,} steps at "
            f"a constant rate, of which {CHECKPOINTS} are kept, stands in for residual networks "
            "on CIFAR-10 over 300 epochs with rates that fall.  The 40 to 90 % were first held "
            "against distances from the end, with the same verdict."
        ),
    )


_COUNTS = np.arange(1.0, SHOWN + 1)


def random_walk(seed: int, size: int) -> Float[Tensor, "T size"]:
    """As many normal steps as there are checkpoints, from the origin on."""
    draw = generator("walk", seed).standard_normal((CHECKPOINTS, size), dtype=np.float32)
    return torch.cat([torch.zeros(1, size), torch.from_numpy(draw).cumsum(0)])


def _shares(found: Sequence[Components]) -> Curve:
    rows: Float64[np.ndarray, "seeds shown"] = np.stack(
        [one.uncentred[:SHOWN].numpy().cumsum() for one in found]
    )
    return Curve(_COUNTS, rows)
