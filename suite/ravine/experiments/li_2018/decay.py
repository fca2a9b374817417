"""Batch size, weight decay, and which solution looks sharp."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.li_2018 import SOURCE
from ravine.experiments.running import network, only, stretch
from ravine.landscape.lines import lines
from ravine.landscape.planes.directions import Scale as Norm
from ravine.landscape.planes.directions import random
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, loss
from ravine.problems.networks.images import ImageSupply
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

RATE = 0.1
DECAYS = (0.0, 5e-3)
SMALL, LARGE = "small batches", "large batches"
BATCHES = {SMALL: 120, LARGE: 6}
"""Batches in an epoch; each of the paper's large ones holds 16 % of the data."""

LEVEL = float(np.log(10) / 2)
"""Half the loss of guessing: a minimum is as wide as the loss stays below it."""

REACHES: Mapping[Norm, tuple[float, float]] = {"none": (1e-3, 1.0), "filter": (3e-2, 3.0)}
"""The shortest and the longest distance at which the loss is taken."""

UNITS: Mapping[Norm, str] = {"none": "lengths of the direction", "filter": "filter norms"}
TITLES: Mapping[Norm, str] = {"none": "not normalised", "filter": "normalised by filter"}

MOMENTS = 300
"""Images over which moments of batch normalisation are recomputed."""

ALPHAS = tuple(i / 20 for i in range(-10, 31))


@dataclass(frozen=True, slots=True, eq=False)
class Solutions:
    """Where runs of one batch size and one decay ended, and how wide that looks.

    Args:
        points: the ends.
        errors: on test images, percent.
        losses: on training images.
        norms: of all matrices of weights.
        curves: loss over distances along a direction, by its normalisation; means over both
            signs.
    """

    points: Float[Tensor, "seeds P"]
    errors: Float64[np.ndarray, " seeds"]
    losses: Float64[np.ndarray, " seeds"]
    norms: Float64[np.ndarray, " seeds"]
    curves: Mapping[Norm, Float64[np.ndarray, "seeds distances"]]

    def widths(self, kind: Norm) -> Float64[np.ndarray, " seeds"]:
        """Of every minimum."""
        return np.array([width(distances(kind, len(row)), row) for row in self.curves[kind]])


@experiment("weight-decay-flip", "Weight decay decides which minimum looks sharp", SOURCE)
def weight_decay(scale: Scale, tick: Tick) -> Found:
    """Which of two minima looks sharp depends on weight decay, unless directions are normalised.

    Small batches seem to end in the wider minimum without weight decay, and in the sharper one
    with it, for they shrink the weights more often.  Along directions that are scaled, filter by
    filter, to the weights, small batches end in the wider minimum both times, as their lower
    test error would have it.
    """
    count, epochs = scale.choose(2400, 24000), scale.choose(12, 40)
    seeds, scanned = range(scale.choose(5, 10)), scale.choose(30, 60)
    settings = [only(f"step_decay(nesterov(weight_decay={decay}), lr={RATE})") for decay in DECAYS]
    ground = surface(subject(count, count), examples=scale.choose(300, 2000))
    found: dict[tuple[str, float], Solutions] = {}
    for k, (name, parts) in enumerate(BATCHES.items()):
        net, told = subject(count, count // parts), stretch(tick, 0.4 * k, 0.3)
        runs = walks(net, settings, seeds, epochs * parts, tick=told)
        for ends, right, decay in zip(runs.ends, runs.scores["accuracy"], DECAYS, strict=True):
            found[name, decay] = solutions(ground, ends, right, seeds, scanned)
        tick(0.4 * (k + 1))
    between = {decay: _between(ground, found, decay) for decay in DECAYS}
    off, on = DECAYS

    def ratio(kind: Norm, decay: float) -> list[float]:
        wide, narrow = (found[name, decay].widths(kind) for name in (SMALL, LARGE))
        ratios: list[float] = (wide / narrow).tolist()
        return ratios

    def gap(decay: float) -> list[float]:
        gaps: list[float] = (found[LARGE, decay].errors - found[SMALL, decay].errors).tolist()
        return gaps

    said = "of that of large batches"
    return Found(
        claims=(
            median(
                "naive-without",
                "Without weight decay the minimum of small batches looks wider along directions "
                "that are not normalised.",
                ratio("none", off),
                above(1),
                unit=said,
            ),
            median(
                "naive-with",
                "With weight decay it looks narrower along them: the order is turned round.",
                ratio("none", on),
                below(1),
                unit=said,
            ),
            median(
                "naive-moves",
                "Weight decay lowers that ratio of widths at least: it narrows the minimum of "
                "small batches more.",
                np.divide(ratio("none", on), ratio("none", off)).tolist(),
                below(1),
                unit="of the ratio without",
            ),
            median(
                "line-without",
                "On the line through both solutions the loss rises less behind that of small "
                "batches, without weight decay.",
                beyond(between[off]).tolist(),
                below(1),
                unit="of the rise behind that of large batches",
            ),
            median(
                "line-with",
                "With weight decay it rises more there: on this line the order is turned round.",
                beyond(between[on]).tolist(),
                above(1),
                unit="of the rise behind that of large batches",
            ),
            median(
                "filter-without",
                "Along filter-normalised directions the minimum of small batches looks wider "
                "without weight decay.",
                ratio("filter", off),
                above(1),
                unit=said,
            ),
            median(
                "filter-with",
                "Along them it does so with weight decay, too: the order stays.",
                ratio("filter", on),
                above(1),
                unit=said,
            ),
            median(
                "error-without",
                "Without weight decay the test error of small batches is lower.",
                gap(off),
                above(0),
                unit="points",
            ),
            median(
                "error-with",
                "With weight decay it is, too.",
                gap(on),
                above(0),
                unit="points",
            ),
            median(
                "weights-shrink",
                "With weight decay small batches end with shorter weights than large ones.",
                (found[SMALL, on].norms / found[LARGE, on].norms).tolist(),
                below(1),
                unit=said,
            ),
        ),
        figures={
            "widths": curves_figure(
                "Loss around solutions, along random directions",
                *(
                    Panel(
                        {
                            name: Curve(distances(kind, scanned), found[name, decay].curves[kind])
                            for name in BATCHES
                        },
                        f"distance ({UNITS[kind]})",
                        "loss (nats)",
                        log=("x", "y"),
                        levels={"where widths are taken": LEVEL},
                        title=f"{TITLES[kind]}, weight decay {decay:g}",
                    )
                    for decay in DECAYS
                    for kind in REACHES
                ),
                columns=2,
                height=2.8,
            ),
            "between": curves_figure(
                "From the solution of small batches (0) to that of large ones (1)",
                Panel(
                    {
                        f"weight decay {decay:g}": Curve(np.array(ALPHAS), rows)
                        for decay, rows in between.items()
                    },
                    "alpha",
                    "training loss (nats)",
                ),
            ),
        },
        tables={"solutions": _table(found)},
        remark=(
            "Perceptrons with batch normalisation and two hidden layers of 32 units, on "
            f"{count:,} images of MNIST and for {epochs} epochs, stand in for VGG-9 on CIFAR-10 "
            "and 300 epochs; batches of 0.8 and 17 % of the data for 0.3 and 16 %.  Weight decay "
            "is ten times the paper's 0.0005, for the runs are far shorter.  A first look had a "
            "constant rate, at which small batches did not settle; now it falls tenfold three "
            "times, as in the paper.  Large batches end above the bottom all the same (see the "
            "table), which takes from their widths.  Claims on the line through both solutions, "
            "the paper's own picture, were added once it was drawn, and the one on the ratio of "
            "widths once the order had not turned round.  Moments of batch normalisation are "
            "recomputed at every point."
        ),
    )


def subject(count: int, batch: int) -> Network:
    """A perceptron with batch normalisation on the first images of MNIST."""
    net = network(f"deep_mlp(depth=3, width=32, norm=batch, batch={batch})")
    assert isinstance(net.supply, ImageSupply)
    return replace(net, supply=replace(net.supply, count=count, calibrated=MOMENTS))


def solutions(
    ground: Surface,
    ends: Float[Tensor, "seeds P"],
    right: Float[Tensor, " seeds"],
    seeds: Sequence[int],
    scanned: int,
) -> Solutions:
    """Look around the ends of runs.

    Args:
        ground: the training loss.
        ends: of the runs.
        right: shares of right answers on test images.
        seeds: of the directions, which all runs share.
        scanned: distances at which the loss is taken.
    """
    curves = {
        kind: np.stack(
            [scan(ground, x, seed, kind, scanned) for x, seed in zip(ends, seeds, strict=True)]
        )
        for kind in REACHES
    }
    matrices = [w for name, w in ground.slices.items() if len(ground.shapes[name]) > 1]
    weights = torch.cat([ends[:, where].double() for where in matrices], 1)
    return Solutions(
        points=ends,
        errors=100 * (1 - right.double().numpy()),
        losses=loss(ground, ends).numpy(),
        norms=weights.norm(dim=1).numpy(),
        curves=curves,
    )


def distances(kind: Norm, count: int) -> Float64[np.ndarray, " count"]:
    """From the shortest to the longest, each by the same factor more than the one before."""
    return np.geomspace(*REACHES[kind], count)


def scan(
    ground: Surface, x: Float[Tensor, " P"], seed: int, kind: Norm, count: int
) -> Float64[np.ndarray, " count"]:
    """The loss over distances along a random direction, the mean over its two signs."""
    u = random(ground, x, seed, scale=kind).u
    steps = torch.from_numpy(distances(kind, count)).to(x)[:, None] * u
    found: Float64[np.ndarray, " count"] = (
        loss(ground, torch.stack([x + steps, x - steps])).mean(0).numpy()
    )
    return found


def width(
    at: Float64[np.ndarray, " distances"], losses: Float64[np.ndarray, " distances"]
) -> float:
    """The distance at which the loss first reaches `LEVEL`, on a logarithmic scale between.

    Example:
        >>> round(width(np.array([1.0, 100.0]), np.array([0.0, 2 * LEVEL])), 9)
        10.0
    """
    reached = np.flatnonzero(losses >= LEVEL)
    if not len(reached):
        return float("inf")
    i = int(reached[0])
    if i == 0:
        return 0.0
    part = (LEVEL - losses[i - 1]) / (losses[i] - losses[i - 1])
    return float(at[i - 1] * (at[i] / at[i - 1]) ** part)


def beyond(rows: Float64[np.ndarray, "seeds alphas"]) -> Float64[np.ndarray, " seeds"]:
    """The rise half a distance before the first solution, over that behind the second.

    Args:
        rows: the loss at `ALPHAS`.
    """
    first, second = ALPHAS.index(0.0), ALPHAS.index(1.0)
    found: Float64[np.ndarray, " seeds"] = (rows[:, 0] - rows[:, first]) / (
        rows[:, -1] - rows[:, second]
    )
    return found


def _between(
    ground: Surface, found: Mapping[tuple[str, float], Solutions], decay: float
) -> Float64[np.ndarray, "seeds alphas"]:
    """The loss on the lines from solutions of small batches to those of large ones."""
    one, other = (found[name, decay].points for name in (SMALL, LARGE))
    ways = lines({"train": ground}, one, other, ALPHAS)
    return torch.stack([way["train"].losses for way in ways]).numpy()


def _table(found: Mapping[tuple[str, float], Solutions]) -> Table:
    rows = [
        (
            name,
            f"{decay:g}",
            f"{np.median(s.losses):.3f}",
            f"{np.median(s.errors):.2f} %",
            f"{np.median(s.norms):.1f}",
            f"{np.median(s.widths('none')):.4f}",
            f"{np.median(s.widths('filter')):.3f}",
        )
        for (name, decay), s in sorted(found.items(), key=lambda pair: pair[0][1])
    ]
    return Table(
        "Solutions of small and of large batches",
        ("batches", "decay", "loss", "error", "norm", "width", "by filter"),
        tuple(rows),
        f"Medians over seeds.  Norm: of all weights.  Width: the distance at which the loss "
        f"reaches {LEVEL:.2f} nats, along directions as they are drawn and in filter norms.",
        ("left", *("right",) * 6),
    )
