"""What lies between two solutions, with batch normalisation and without."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from matplotlib.figure import Figure
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.im_2016.training import PAPER
from ravine.experiments.running import only
from ravine.landscape.along import interpolate, scores
from ravine.landscape.barriers import over_chord
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, accuracy, gradient, loss, unpack
from ravine.problems.catalogue import problem
from ravine.problems.networks.images import ImageSupply
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure

ALPHAS = torch.linspace(0, 1, 51, dtype=torch.float64)

WITH, WITHOUT = "with batch normalisation", "without"


@dataclass(frozen=True, slots=True, eq=False)
class Between:
    """Lines between solutions of one network, each from two starts of their own.

    Args:
        net: the network.
        ground: its loss, moments of batch normalisation recomputed at every point.
        starts: where the first solution of each pair began.
        firsts: the first solutions.
        seconds: the others.
        losses: along each line.
    """

    net: Network
    ground: Surface
    starts: Float[Tensor, "pairs P"]
    firsts: Float[Tensor, "pairs P"]
    seconds: Float[Tensor, "pairs P"]
    losses: Float64[Tensor, "pairs alphas"]

    @property
    def over(self) -> Float64[Tensor, "pairs alphas"]:
        """The loss above the chord."""
        return over_chord(ALPHAS.expand(len(self.losses), -1), self.losses)

    @property
    def tops(self) -> Float[Tensor, "pairs P"]:
        """The highest point above the chord of each line."""
        return interpolate(self.firsts, self.seconds, ALPHAS[self.over.argmax(-1)])

    def widths(self, level: float) -> list[float]:
        """Shares of the lines that are above a share of their barrier's height."""
        return [share_above(one.numpy(), level) for one in self.over]


@experiment("D7", "Batch normalisation between solutions", PAPER)
def normalisation(scale: Scale, tick: Tick) -> Found:
    """With batch normalisation there are sharp watersheds between solutions.

    Without it there is a large flat region between them, in which a run that starts there does
    not move.
    """
    pairs, width = scale.choose(5, 15), scale.choose(32, 128)
    steps = scale.choose(300, 2000)
    found = {}
    for k, (name, norm) in enumerate({WITH: "batch", WITHOUT: "none"}.items()):
        net = problem(f"deep_mlp(depth=4, width={width}, norm={norm})")
        assert isinstance(net, Network)
        assert isinstance(net.supply, ImageSupply)
        quick = replace(net, supply=replace(net.supply, calibrated=2000))
        found[name] = _between(quick, pairs, steps, scale.choose(1024, 4096))
        tick(0.35 * (k + 1))
    plain, normed = found[WITHOUT], found[WITH]
    stale = _stale(normed, scale.choose(1024, 4096))
    marks = [0, *np.geomspace(1, steps, 12).round().astype(int).tolist()]
    resumed = _from(plain, plain.tops, steps, marks)
    begun = _from(plain, plain.starts, steps, marks)
    tick(0.95)
    test = surface(plain.net, split="test", examples=None)
    slopes = [gradient(plain.ground, x).double().norm(dim=-1) for x in (plain.tops, plain.starts)]
    moved, usual = (_length(way[steps] - way[0]) for way in (resumed, begun))
    heights = {name: one.over.amax(-1) for name, one in found.items()}
    half = {name: one.widths(0.5) for name, one in found.items()}
    kept = over_chord(ALPHAS.expand(pairs, -1), stale).amax(-1)
    return Found(
        claims=(
            median(
                "watershed",
                "With and without it, the loss rises at least 0.5 above the chord between two "
                "starts' solutions.",
                torch.minimum(*heights.values()).tolist(),
                above(0.5),
                unit="nats",
                calibrated=(
                    "20-64-64-10 ReLU networks on Gaussian mixtures from different starts: "
                    "1.25 to 1.42"
                ),
            ),
            median(
                "sharper",
                "With it the watershed is sharper: at half of its height it is narrower than "
                "without, on the line of the same two starts.",
                _ratios(half[WITH], half[WITHOUT]),
                below(1.0),
                unit="of the width",
            ),
            median(
                "flat-region",
                "Without batch normalisation there is a large flat region: over at least a "
                "quarter of the line the loss stays within a tenth of the height at the top.",
                plain.widths(0.9),
                above(0.25),
                unit="of the line",
            ),
            median(
                "flat-gradient",
                "The gradient in the middle of that line is below a tenth of that at a fresh "
                "start.",
                (slopes[0] / slopes[1]).tolist(),
                below(0.1),
            ),
            median(
                "does-not-move",
                "A run that starts in the middle does not move: less than a tenth as far as one "
                "from a fresh start.",
                (moved / usual).tolist(),
                below(0.1),
            ),
            median(
                "trains",
                "SGD finds its way out: started there it ends with at least 90 % of test images "
                "right.",
                accuracy(test, resumed[steps]).tolist(),
                above(0.9),
            ),
            median(
                "moments-matter",
                "Moments kept from one end, instead of recomputed at each point, make the "
                "watershed higher than it is.",
                (kept / heights[WITH]).tolist(),
                above(1.001),
                unit="times",
            ),
        ),
        figures={
            "lines": _lines_figure(found, stale),
            "middle": curves_figure(
                f"SGD without batch normalisation, from {pairs} fresh starts and from the tops "
                "between solutions",
                Panel(
                    {
                        label: Curve(
                            np.array(list(way), float) + 1,
                            np.stack([loss(plain.ground, x).numpy() for x in way.values()], -1),
                        )
                        for label, way in (("fresh start", begun), ("top of the line", resumed))
                    },
                    "steps + 1",
                    "training loss (nats)",
                    log=("x", "y"),
                ),
            ),
        },
        remark=(
            f"Perceptrons of four layers of {width} units on MNIST, trained by SGD at 0.1 for "
            f"{steps} steps, stand in for NIN and VGG on CIFAR-10.  Heights and widths are those "
            "of a straight line; the ground beside it is not seen."
        ),
    )


def share_above(over: Float64[np.ndarray, " alphas"], level: float) -> float:
    """Share of evenly spaced places at which a curve, joined by lines, is above a level.

    Args:
        over: the curve.
        level: share of its largest value.

    Example:
        >>> share_above(np.array([0.0, 1.0, 0.0]), 0.5)
        0.5
    """
    a = over - level * over.max()
    left, right = a[:-1], a[1:]
    low, high = np.minimum(left, right), np.maximum(left, right)
    # of an interval across the level, the part beyond the crossing
    across = high / np.where(high > low, high - low, 1.0)
    return float(np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, across)).mean())


def _between(net: Network, pairs: int, steps: int, examples: int) -> Between:
    way = walks(net, [only("sgd(lr=0.1)")], range(2 * pairs), steps)
    starts, ends = way.starts[0], way.ends[0]
    ground = surface(net, examples=examples)
    return Between(
        net, ground, starts[::2], ends[::2], ends[1::2], _along(ground, ends[::2], ends[1::2])
    )


def _along(
    ground: Surface, a: Float[Tensor, "pairs P"], b: Float[Tensor, "pairs P"]
) -> Float64[Tensor, "pairs alphas"]:
    found = scores({"": ground}, a, b, ALPHAS.expand(len(a), -1)).values[""]
    return found[0]


def _stale(found: Between, examples: int) -> Float64[Tensor, "pairs alphas"]:
    """Losses along the lines by the moments of each first solution."""
    rows = []
    for a, b in zip(found.firsts, found.seconds, strict=True):
        anchor = unpack(found.ground, a)
        ground = surface(found.net, examples=examples, batch_norm="frozen", anchor=anchor)
        rows.append(_along(ground, a[None], b[None]))
    return torch.cat(rows)


def _from(
    found: Between, places: Float[Tensor, "pairs P"], steps: int, marks: list[int]
) -> dict[int, Float[Tensor, "pairs P"]]:
    """SGD's points from given places, by step."""
    setting = only("sgd(lr=0.1)")
    way = walks(found.net, [setting], range(len(places)), steps, keep=marks, starts=places)
    return {step: way.at(step)[0] for step in way.steps}


def _length(x: Float[Tensor, "pairs P"]) -> Float64[Tensor, " pairs"]:
    found: Tensor = x.double().norm(dim=-1)
    return found


def _ratios(one: list[float], other: list[float]) -> list[float]:
    return [a / b for a, b in zip(one, other, strict=True)]


def _lines_figure(found: dict[str, Between], stale: Float64[Tensor, "pairs alphas"]) -> Figure:
    x = ALPHAS.numpy()
    curves = {name: Curve(x, one.losses.numpy()) for name, one in found.items()}
    kept = {f"{WITH}, moments kept from alpha = 0": Curve(x, stale.numpy())}
    shapes = {
        name: Curve(x, (one.over / one.over.amax(-1, keepdim=True)).numpy())
        for name, one in found.items()
    }
    along = "alpha, from one solution to another start's"
    return curves_figure(
        f"Between two starts' solutions, with batch normalisation and without; {len(stale)} pairs",
        Panel(curves | kept, along, "training loss (nats)"),
        Panel(shapes, along, "height above the chord / largest"),
        columns=2,
    )
