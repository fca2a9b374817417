"""Equivalent minima: weight-space symmetry (Deep Learning, 8.2.2)."""

import math

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.experiments.claims import above, below, equals, exact, median
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.deep_learning_book.training import train
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss, pack, unpack
from ravine.landscape.symmetry.counts import counts
from ravine.landscape.symmetry.groups import Scaling
from ravine.landscape.symmetry.modes import identities, modes
from ravine.landscape.symmetry.networks import difference, groups
from ravine.landscape.symmetry.permutation import permute, random_permutations
from ravine.landscape.symmetry.rescaling import random_scales, rescale
from ravine.problems.catalogue import problem
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure

SOURCE = BOOK.format("8.2.2")


@experiment("C4", "Weight-space symmetry", SOURCE)
def identifiability(scale: Scale, tick: Tick) -> Found:
    """With m layers of n units, (n!)^m permutations of units give the same function.

    With rectified linear units, scaling a unit's incoming weights and bias by a and its
    outgoing weights by 1/a gives the same function too, so that each minimum lies on an
    (m x n)-dimensional hyperbola of minima, unless the cost depends on the weights themselves,
    as with weight decay.  All these minima have equal cost, so they are no problem.
    """
    layers, units = 2, 16
    net = problem("mnist_mlp(widths=(16, 16))")
    assert isinstance(net, Network)
    same = groups(net)
    known = counts(same)
    ground = surface(net, examples=500)
    x = pack(ground, net.start(0)).double()
    data = {n: t[0] for n, t in net.batch([0], 0).items()}

    def outputs(point: Float64[Tensor, " P"]) -> Float64[Tensor, "..."]:
        return net.answers(unpack(ground, point), data)[0]

    count = scale.choose(20, 200)
    before = outputs(x)
    permuted = [permute(same, x, random_permutations(same, i)) for i in range(count)]
    scaled = [rescale(same, x, random_scales(same, i)) for i in range(count)]
    tangents = modes(same, x, ground)
    rays = torch.stack(
        [d for n, d in zip(tangents.names, tangents.directions, strict=True) if n[:5] == "scale"]
    )
    length = float(x.square().sum())
    tick(0.2)
    factors = np.exp(np.linspace(-2, 2, 161))
    ones = {s.name: torch.ones(s.size, dtype=torch.float64) for s in same.scalable}
    penalties, nearest = [], []
    for unit in range(units):
        name, row = same.scalable[0].name, []
        for factor in factors:
            one = ones | {name: ones[name].clone()}
            one[name][unit] = factor
            row.append(float(rescale(same, x, one).square().sum()))
        penalties.append(row)
        weights = unpack(ground, x)
        into = float(weights["0.weight"][unit].square().sum() + weights["0.bias"][unit].square())
        out = float(weights["1.weight"][:, unit].square().sum())
        best = (out / into) ** 0.25
        nearest.append(abs(math.log(factors[int(np.argmin(row))] / best)))
    valleys = [int((np.diff(np.sign(np.diff(row))) > 0).sum()) for row in penalties]
    tick(0.4)
    seeds, powers = range(scale.choose(5, 15)), (-3, -2, -1, 0, 1, 2, 3)
    pairs = [(power, seed) for power in powers for seed in seeds]
    begin = [
        unpack(ground, rescale(same, pack(ground, net.start(seed)), _all(same.scalable[0], power)))
        for power, seed in pairs
    ]
    trained = train(
        net,
        [seed for _, seed in pairs],
        0.1,
        scale.choose(200, 468),
        2,
        small=0.01,
        begin=begin,
        tick=lambda part: tick(0.4 + 0.6 * part),
    )
    last = np.nan_to_num(trained.losses[:, -20:].mean(1), nan=np.inf).reshape(len(powers), -1)
    worse = (last / last[powers.index(0)]).tolist()
    shown = 0
    decay = 1e-2
    height = float(loss(ground, x[None])[0])
    line = np.array(penalties[shown])
    figure = curves_figure(
        "A 784-16-16-10 ReLU network on MNIST, units scaled by a and 1/a",
        Panel(
            {
                "loss": Curve(np.log2(factors), np.full(len(factors), height)),
                f"loss + {decay:g} |weights|²": Curve(np.log2(factors), height + decay * line),
            },
            "log₂ a, of one unit",
            "cost along the hyperbola (nats)",
        ),
        Panel(
            {"loss after training": Curve(np.array(powers, float), last.T)},
            "log₂ a, of all units of the first layer at the start",
            f"loss after {trained.losses.shape[1]} steps (nats)",
        ),
    )
    return Found(
        claims=(
            exact(
                "count",
                "Two layers of 16 units have (16!)^2 permutations; the groups traced from the "
                "network have as many.",
                known.log10 / (layers * math.log10(math.factorial(units))),
                equals(1, 1e-12),
                unit="of log (16!)^2",
            ),
            exact(
                "permutations",
                "Random permutations of all units leave the outputs as they are, to rounding.",
                max(difference(before, outputs(p)) for p in permuted),
                below(1e-12),
            ),
            exact(
                "scalings",
                "So do random scalings of all units.",
                max(difference(before, outputs(p)) for p in scaled),
                below(1e-12),
            ),
            exact(
                "dimension",
                "The scalings sweep through m x n = 32 dimensions.",
                int(torch.linalg.matrix_rank(rays)),
                equals(layers * units),
            ),
            exact(
                "zero-modes",
                "The gradient has no part along them, and the Hessian maps each to a vector that "
                "vanishes with the gradient: at a minimum they are flat.",
                identities(ground, same, x).worst,
                below(1e-8),
            ),
            exact(
                "decay-keeps-permutations",
                "Weight decay is blind to permutations: the penalty stays what it is.",
                max(abs(float(p.square().sum()) / length - 1) for p in permuted),
                below(1e-12),
            ),
            exact(
                "decay-breaks-scalings",
                "Along the hyperbola of a unit the penalty of weight decay has one minimum and no "
                "flat part.",
                max(valleys) if min(valleys) == max(valleys) else 0,
                equals(1),
                unit="minimum",
            ),
            exact(
                "balanced",
                "It lies where incoming and outgoing weights are equally long, at "
                "a = (|out| / |in|)^(1/2), up to the spacing of the line.",
                max(nearest),
                below(math.log(factors[1] / factors[0])),
            ),
            median(
                "no-problem",
                "Equal cost makes them no problem: descent from a start whose units are scaled by "
                "8 does as well, its loss at most 1.1 times that from the unscaled start.",
                worse[powers.index(3)],
                below(1.1),
                unit="times",
            ),
            median(
                "differs",
                "Equal functions are not equal to descent: from the start scaled by 8 the loss is "
                "higher after as many steps.",
                worse[powers.index(3)],
                above(1.0),
                unit="times",
            ),
            median(
                "rate-differs",
                "From the start scaled by 8 it is over twice as high.",
                worse[powers.index(3)],
                above(2.0),
                unit="times",
            ),
        ),
        figures={"hyperbola": figure},
        remark=(
            "That equal minima are no problem is said of where one ends.  How fast descent moves "
            "along the way does depend on the scales, for neither gradient nor curvature is kept "
            "by them."
        ),
    )


def _all(scaling: Scaling, power: int) -> dict[str, Tensor]:
    """One factor, a power of two, for all units."""
    return {scaling.name: torch.full((scaling.size,), 2.0**power, dtype=torch.float64)}
