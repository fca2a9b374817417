"""The path of a run beside its straight line."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.run import checkpoints
from ravine.engine.walks import Walks, walks
from ravine.experiments.claims import above, below, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.goodfellow_2014.setting import (
    INSTEAD,
    MIXTURES,
    NETWORK,
    OPTIMIZERS,
    SOURCE,
    residual_share,
    sides,
)
from ravine.experiments.running import network, only, stretch
from ravine.landscape.lines import lines
from ravine.landscape.residual import Projection, residual_surface
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.reporting.landscape.trajectories import residual_figure, residual_table

PATHS = ("SGD", "momentum", "Adam")
"""Whose paths are looked at beside their lines."""


@experiment("D4", "A path beside its straight line", SOURCE)
def beside_the_line(scale: Scale, tick: Tick) -> Found:
    """A path leaves its straight line, and no obstacle is seen between the two.

    The path is shown by its projection onto the line from start to end and its distance from
    the line, on the surface of the loss over both.
    """
    net = network(NETWORK)
    steps = scale.choose(400, 3 * net.traits.budget)
    runs = walks(
        net,
        [only(OPTIMIZERS[name]) for name in PATHS],
        range(scale.choose(5, 10)),
        steps,
        keep=[*checkpoints(steps, 8), *range(0, steps, steps // 8)],
        tick=stretch(tick, 0.0, 0.4),
    )
    ground = surface(net, examples=scale.choose(500, 5000))
    ways = sides(runs)
    every = [way for row in ways for way in row]
    ratios = np.array([[residual_share(way) for way in row] for row in ways])
    feet = torch.stack([line_points(x, way) for x, way in zip(_flat(runs), every, strict=True)])
    asides = lines(
        {"train": ground},
        feet[:, 1:-1].flatten(0, 1),
        _flat(runs)[:, 1:-1].flatten(0, 1),
        np.linspace(0, 1, 9),
        listener=stretch(tick, 0.4, 0.3),
    )
    cross = np.stack([each["train"].losses.numpy() for each in asides])
    first = loss(ground, runs.starts[0]).numpy()
    over = cross.max(1) - np.maximum(cross[:, 0], cross[:, -1])
    bumps = over.reshape(*ratios.shape, -1).max(-1) / first
    grid = scale.choose(21, 41)
    shown = [
        residual_surface(
            ground, runs.points[k, 0], name, runs.steps, grid=grid,
            listener=stretch(tick, 0.7 + 0.1 * k, 0.1),
        )
        for k, name in enumerate(PATHS)
    ]  # fmt: skip
    return Found(
        claims=(
            exact(
                "ends",
                "The projection goes from 0 to 1, and at both ends the path is on the line, to "
                "1e-10 of the distance.",
                max(_ends_error(way) for way in every),
                below(1e-10),
            ),
            exact(
                "pythagoras",
                "The squares of the way along the line and of the residual add up to that of the "
                "distance from the start, to 1e-10.",
                max(pythagoras_error(way) for way in every),
                below(1e-10),
            ),
            median(
                "leaves",
                "The path leaves the line by at least a tenth of the distance between its ends, "
                "whichever of three optimizers runs.",
                ratios.min(0).tolist(),
                above(0.1),
            ),
            median(
                "not-far",
                "It stays within 0.6 of that distance.",
                ratios.max(0).tolist(),
                below(0.6),
                calibrated=MIXTURES,
            ),
            median(
                "no-obstacle",
                "Nothing stands between path and line: straight across, the loss never rises above "
                "the higher of the two by more than a thousandth of the start's.",
                bumps.max(0).tolist(),
                below(1e-3),
            ),
            exact(
                "true-loss",
                "Where the surface runs through a point of the path it shows the point's own loss, "
                "to 1e-5 of it.",
                max(_under_error(one.losses, one.under, one.on_surface) for one in shown),
                below(1e-5),
            ),
        ),
        figures={
            name.lower(): residual_figure(one) for name, one in zip(PATHS, shown, strict=True)
        },
        tables={"paths": residual_table(shown)},
        remark=(
            f"{INSTEAD}; {steps} steps of 64 images, the loss over {ground.examples:,} training "
            "images.  No plane holds a path that turns: the surface is ruled, with a direction "
            "of its own at every projection, so that it runs through the path's points."
        ),
    )


def pythagoras_error(way: Projection) -> float:
    """By how much projection and residual miss the distance from the start, squared."""
    along, whole = (way.projections * way.length).square(), way.distances.square()
    return float((along + way.residuals.square() - whole).abs().max()) / way.length**2


def line_points(x: Float[Tensor, "T P"], way: Projection) -> Float[Tensor, "T P"]:
    """The point of the line that is nearest to each of a path."""
    return torch.lerp(x[0], x[-1], way.projections.to(x.dtype).unsqueeze(-1))


def _flat(runs: Walks) -> Float[Tensor, "runs kept P"]:
    return runs.points.flatten(0, 1)


def _ends_error(way: Projection) -> float:
    along = max(abs(float(way.projections[0])), abs(float(way.projections[-1]) - 1))
    return max(along, float(way.residuals[[0, -1]].max()) / way.length)


def _under_error(
    losses: Float[Tensor, " T"], under: Float[Tensor, " T"], places: Sequence[int]
) -> float:
    at = list(places)
    return float((under[at] / losses[at] - 1).abs().max())
