"""Dinh, Pascanu, Bengio and Bengio (2017): sharp minima can generalise."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, between, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, only
from ravine.landscape.lines import line
from ravine.landscape.operators import Operator, hessian, restrict
from ravine.landscape.planes.directions import Scale as Norm
from ravine.landscape.planes.directions import random
from ravine.landscape.sharpness import scaled, scales
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import Surface, unpack
from ravine.landscape.symmetry.networks import groups
from ravine.landscape.symmetry.rescaling import random_scales, rescale
from ravine.reporting.curves import Curve, Panel, curves_figure

SOURCE = "Dinh, Pascanu, Bengio and Bengio (2017), arXiv 1703.04933"

FACTORS = (1.0, 3.0, 10.0, 30.0, 100.0)
"""What the first hidden layer is multiplied by, and the weights behind it divided by."""

ENDS = (FACTORS[0], FACTORS[-1])

NAMES = {
    "plain": "largest eigenvalue",
    "filterwise": "in units of each filter's norm",
    "elementwise": "in units of each weight",
}

DRAWN: tuple[tuple[Norm, float, str], ...] = (
    ("none", 0.05, "not normalised"),
    ("filter", 1.0, "normalised by filter: both are one"),
)
"""Random directions: how they are scaled, how far they are followed, and in words."""

REACH = tuple(i / 40 for i in range(-40, 41))


@experiment("dinh-rescaling", "A sharp minimum with the same function", SOURCE)
def rescaling(scale: Scale, tick: Tick) -> Found:
    """A rectified layer may be scaled by c and the next by 1/c; no output changes.

    The largest eigenvalue of the Hessian grows without bound meanwhile, so that a sharp
    minimum generalises as well as a flat one and plain sharpness says nothing of it.  Measured
    in units of each filter's own norm, sharpness stays what it is.
    """
    subject = network(f"mnist_mlp(widths={scale.choose('(16,16)', '(64,64)')})")
    seeds = range(scale.choose(5, 15))
    ends = walks(subject, [only("sgd(lr=0.1)")], seeds, scale.choose(150, 468)).ends[0].double()
    tick(0.2)
    found = groups(subject)
    layer = found.scalable[0]
    tops = np.zeros((len(NAMES), len(seeds), len(FACTORS)))
    changes, floors, single = [], [], []
    across: dict[str, list[Tensor]] = {f"{s}{c}": [] for s, *_ in DRAWN for c in ENDS}
    for k, (seed, x) in enumerate(zip(seeds, ends, strict=True)):
        ground = surface(subject, seed=seed, examples=scale.choose(128, 2048))
        behind = restrict(hessian(ground, x), [ground.slices["1.weight"]])
        floors.append(top(behind))
        for j, factor in enumerate(FACTORS):
            factors = torch.full((layer.size,), factor, dtype=torch.float64)
            moved = rescale(found, x, {layer.name: factors})
            changes.append(output_change(ground, x, moved))
            tops[:, k, j] = [largest(ground, moved, name) for name in NAMES]
            if factor in ENDS:
                for kind, reach, _ in DRAWN:
                    u = random(ground, moved, seed, scale=kind).u
                    losses = line(ground, moved, moved + reach * u, REACH).losses
                    across[f"{kind}{factor}"].append(losses)
        apart = rescale(found, x, random_scales(found, "units", seed))
        changes.append(output_change(ground, x, apart))
        single.append([largest(ground, apart, n) / tops[i, k, 0] - 1 for i, n in enumerate(NAMES)])
        tick(0.2 + 0.8 * (k + 1) / len(seeds))
    lines = {label: torch.stack(rows).numpy() for label, rows in across.items()}
    plain = dict(zip(NAMES, tops, strict=True))["plain"]
    drift = np.abs(tops / tops[:, :, :1] - 1).max((1, 2))
    units = np.abs(np.array(single))
    bound = plain / (np.square(FACTORS) * np.array(floors)[:, None])
    return Found(
        claims=(
            exact(
                "same-outputs",
                "No output changes by more than 1e-10 of the largest, whatever the factors.",
                max(changes),
                below(1e-10),
            ),
            median(
                "sharper",
                "Scaled by 100, the largest eigenvalue is at least 100 times what it was.",
                (plain[:, -1] / plain[:, 0]).tolist(),
                above(100),
            ),
            exact(
                "without-bound",
                "It is at least c^2 times the largest eigenvalue of the block of the divided "
                "weights, whatever c, and so grows without bound.",
                float(bound.min()),
                above(1 - 1e-6),
            ),
            median(
                "quadratic",
                "At c = 100 it is that, to within a hundredth.",
                bound[:, -1].tolist(),
                between(0.99, 1.01),
            ),
            exact(
                "filterwise-stays",
                "In units of each filter's norm the largest eigenvalue stays, to 1e-6.",
                float(drift[1]),
                below(1e-6),
            ),
            exact(
                "line-stays",
                "The loss along a direction that is normalised by filter stays, to 1e-8 nats.",
                float(np.abs(lines[f"filter{ENDS[1]}"] - lines[f"filter{ENDS[0]}"]).max()),
                below(1e-8),
                unit="nats",
            ),
            median(
                "units-filterwise",
                "Where each unit has a factor of its own, filters are not enough: sharpness in "
                "units of their norms changes by more than a hundredth.",
                units[:, 1].tolist(),
                above(0.01),
            ),
            exact(
                "units-elementwise",
                "In units of each weight it stays then, too, to 1e-6.",
                float(max(units[:, 2].max(), drift[2])),
                below(1e-6),
            ),
        ),
        figures={
            "sharpness": curves_figure(
                "One function, as sharp as you like: the first layer times c, the next over c",
                Panel(
                    {
                        **{
                            text: Curve(np.array(FACTORS), rows)
                            for text, rows in zip(NAMES.values(), tops, strict=True)
                        },
                        "c² times the next layer's own": Curve(
                            np.array(FACTORS),
                            np.square(FACTORS) * np.array(floors)[:, None],
                            points=True,
                        ),
                    },
                    "c",
                    "sharpness (nats)",
                    log=("x", "y"),
                ),
            ),
            "lines": curves_figure(
                "The loss along one random direction before and after, normalised and not",
                *(
                    Panel(
                        {f"c = {c:g}": Curve(np.array(REACH), lines[f"{kind}{c}"]) for c in ENDS},
                        "alpha",
                        "loss (nats)",
                        log=("y",),
                        title=title,
                    )
                    for kind, _, title in DRAWN
                ),
                columns=2,
            ),
        },
        remark=(
            "A rectified perceptron on MNIST, in float64.  Biases move with their units.  That "
            "plain sharpness can be made anything does not say that what training finds is "
            "arbitrary, only that sharpness must be compared in units that move with the weights."
        ),
    )


def top(operator: Operator) -> float:
    """The largest eigenvalue, to about the square of the tolerance."""
    return extreme(operator, largest=1, tol=1e-5, confirm=0).values[0]


def largest(ground: Surface, x: Float[Tensor, " P"], geometry: str) -> float:
    """The largest eigenvalue of T H T in a geometry T."""
    return top(scaled(hessian(ground, x), scales(ground, x)[geometry]))


def output_change(ground: Surface, a: Float[Tensor, " P"], b: Float[Tensor, " P"]) -> float:
    """The largest change of any output, over the largest output."""
    assert ground.outputs is not None
    data = ground.parts[0].data
    one, other = (ground.outputs(unpack(ground, x), data, None) for x in (a, b))
    return float((one - other).abs().max() / one.abs().max())
