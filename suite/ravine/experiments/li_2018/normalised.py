"""Directions that are scaled filter by filter, on networks whose units can be rescaled."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, exact
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.li_2018 import SOURCE
from ravine.experiments.running import network, only
from ravine.landscape.planes.directions import Directions, random
from ravine.landscape.planes.directions import Scale as Norm
from ravine.landscape.planes.plane import centred, coordinates, plane
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.networks import groups
from ravine.landscape.symmetry.rescaling import random_scales, rescale
from ravine.reporting.curves import Curve, Panel, curves_figure

FACTOR = 10.0
"""What a layer is multiplied by, and the one behind it divided by."""

SPANS: dict[Norm, float] = {"none": 0.2, "filter": 1.0}
"""How far planes reach; an unnormalised direction is longer than the weights."""

WORDS: dict[Norm, tuple[str, str]] = {
    "none": ("not normalised", "its lengths"),
    "filter": ("normalised by filter: the first two are one", "filter norms"),
}

ACROSS, ALONG = 5, 41
"""Rows and columns of a plane."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """The planes of one network, as it is and rescaled in two ways.

    Args:
        own: of the network as it is.
        layer: with one factor for its whole layer.
        units: with a factor of its own for every unit.
    """

    own: Float64[np.ndarray, "y x"]
    layer: Float64[np.ndarray, "y x"]
    units: Float64[np.ndarray, "y x"]

    @property
    def height(self) -> float:
        """Of the plane as it is, from the lowest loss to the highest."""
        return float(np.ptp(self.own))

    def change(self, other: Float64[np.ndarray, "y x"]) -> float:
        """By how much another plane differs at most."""
        return float(np.abs(other - self.own).max())


@experiment("filter-normalisation", "Pictures that do not change with the weights' scale", SOURCE)
def filter_normalisation(scale: Scale, tick: Tick) -> Found:
    """A rectified layer may be scaled and the next one divided by as much; no output changes.

    A picture along directions that are as long for every network changes all the same.  One
    along directions that are scaled, filter by filter, to the weights does not.
    """
    net, seeds = network("mnist_mlp(widths=(32,))"), range(scale.choose(5, 15))
    ends = walks(net, [only("sgd(lr=0.1)")], seeds, scale.choose(100, 1000)).ends[0].double()
    ground, own = surface(net, examples=scale.choose(64, 1024)), groups(net)
    errors: list[float] = []
    seen: dict[Norm, list[Seen]] = {kind: [] for kind in SPANS}
    for k, (seed, x) in enumerate(zip(seeds, ends, strict=True)):
        errors.append(filter_error(ground, x, random(ground, x, seed)))
        for kind in SPANS:
            seen[kind].append(look(ground, own, x, seed, kind))
        tick((k + 1) / len(seeds))
    naive, normal = seen["none"], seen["filter"]
    return Found(
        claims=(
            exact(
                "filter-norms",
                "Every filter of a direction is as long as the weights' own, to within 1e-12 of "
                "it.",
                max(errors),
                below(1e-12),
            ),
            exact(
                "naive-changes",
                "On a plane of directions that are not normalised the loss changes, by over a "
                "tenth of the plane's height, where a layer is scaled.",
                min(one.change(one.layer) / one.height for one in naive),
                above(0.1),
                unit="of the plane's height, at least",
            ),
            exact(
                "invariant",
                "On a plane of normalised directions it changes by less than 1e-8 there.",
                max(one.change(one.layer) for one in normal),
                below(1e-8),
                unit="nats, at most",
            ),
            exact(
                "invariant-by-unit",
                "It does so, too, on a plane of normalised directions where every unit is scaled "
                "by a factor of its own.",
                max(one.change(one.units) for one in normal),
                below(1e-8),
                unit="nats, at most",
            ),
            exact(
                "changes-by-unit",
                "There it changes by over a tenth of the plane's height: filters are not enough.",
                min(one.change(one.units) / one.height for one in normal),
                above(0.1),
                unit="of the plane's height, at least",
            ),
        ),
        figures={
            "lines": curves_figure(
                "One function, three sets of weights: the middle rows of the planes of seed 0",
                *(
                    Panel(
                        {
                            name: Curve(
                                coordinates(-SPANS[kind], SPANS[kind], ALONG), rows[ACROSS // 2]
                            )
                            for name, rows in (
                                ("as trained", seen[kind][0].own),
                                (f"a layer times {FACTOR:g}", seen[kind][0].layer),
                                ("every unit by its own factor", seen[kind][0].units),
                            )
                        },
                        f"along the direction ({unit})",
                        "loss (nats)",
                        title=title,
                    )
                    for kind, (title, unit) in WORDS.items()
                ),
                columns=2,
            )
        },
        remark=(
            "Rectified perceptrons of 32 hidden units on the real MNIST, in double precision; "
            "biases stay where they are.  Factors of units are lognormal.  Scaling one unit "
            "changes one column of the next layer's weights: all of that layer's filters mix "
            "the units' scales, and a random direction does not follow them; that claim was added "
            "when the one before had failed.  Another one, that planes change by a smaller share "
            "than those that are not normalised, failed too and is not here, for it depends on how "
            "far the planes reach."
        ),
    )


def look(ground: Surface, own: Groups, x: Float[Tensor, " P"], seed: int, kind: Norm) -> Seen:
    """The plane of a seed's directions through one function in three sets of weights."""
    (layer,) = own.scalable
    whole = {layer.name: torch.full((layer.size,), FACTOR, dtype=x.dtype)}
    apart = random_scales(own, "li", seed)
    span = SPANS[kind]
    planes = []
    for point in (x, rescale(own, x, whole), rescale(own, x, apart)):
        way = random(ground, point, seed, scale=kind)
        sides = centred(span, ALONG), centred(span, ACROSS)
        planes.append(plane(ground, point, way.u, way.v, *sides, way="plain").loss)
    return Seen(*planes)


def filter_error(ground: Surface, x: Float[Tensor, " P"], sides: Directions) -> float:
    """How far a direction's filters are from as long as the weights' at most, relative."""
    worst = 0.0
    for name, where in ground.slices.items():
        shape = ground.shapes[name]
        if len(shape) >= 2:
            own = x[where].view(shape).norm(dim=1)
            for d in (sides.u, sides.v):
                away = d[where].view(shape).norm(dim=1) - own
                worst = max(worst, float((away.abs() / own).max()))
    return worst
