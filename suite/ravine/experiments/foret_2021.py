"""Foret, Kleiner, Mobahi and Neyshabur (2021): sharpness-aware minimisation."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.walk import walk
from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, on_fewer, only, stretch
from ravine.landscape.operators import hessian
from ravine.landscape.sharpness import ascend, scaled, scales
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import Surface, accuracy, loss
from ravine.reporting.curves import Curve, Panel, curves_figure

SOURCE = "Foret, Kleiner, Mobahi and Neyshabur (2021), arXiv 2010.01412"

RHO = 0.05
"""The radius that the paper uses by default."""

METHODS = {"SGD": "sgd(lr=0.1)", "SAM": f"sam(sgd(lr=0.1), rho={RHO})"}


@experiment("sam-sharpness", "Sharpness-aware minimisation ends in flatter minima", SOURCE)
def flatter(scale: Scale, tick: Tick) -> Found:
    """SAM descends the worst loss within a small ball, and so ends where curvature is lower.

    Its largest eigenvalue of the Hessian is smaller than that of SGD, and it generalises better.
    """
    count = scale.choose(2000, 20000)
    widths = scale.choose("(32,)", "(256,256)")
    subject = on_fewer(network(f"mnist_mlp(widths={widths},batch=100)"), count=count)
    seeds, length = range(scale.choose(5, 10)), scale.choose(400, 4000)
    marks = tuple(round(length * 2.0**-k) for k in reversed(range(4)))
    whole = surface(subject, examples=count)
    ground = surface(subject, examples=scale.choose(500, 2000))
    test = surface(subject, split="test", examples=10000)
    share = stretch(tick, 0.0, 0.1)
    plain = walks(subject, [only(METHODS["SGD"])], seeds, length, keep=marks, tick=share).points[0]
    # its norm is over all parameters of a run, which a stack would mix
    sam = [
        walk(
            subject,
            only(METHODS["SAM"]),
            seed,
            length,
            keep=marks,
            listener=stretch(tick, 0.1 + 0.4 * k / len(seeds), 0.4 / len(seeds)),
        ).points
        for k, seed in enumerate(seeds)
    ]
    ways = {"SGD": plain[:, 1:], "SAM": torch.stack(sam)[:, 1:]}
    tops: dict[str, Float[np.ndarray, "seeds marks"]] = {}
    scaled_tops, rises = {}, {}
    for done, (name, way) in enumerate(ways.items()):
        tops[name] = np.array([[leading(ground, x) for x in each] for each in way])
        scaled_tops[name] = [leading(ground, x, "filterwise") for x in way[:, -1]]
        rises[name] = [rise(ground, x, seed) for x, seed in zip(way[:, -1], seeds, strict=True)]
        tick(0.5 + 0.25 * (done + 1))
    losses = {name: loss(whole, way).numpy() for name, way in ways.items()}
    right = {name: 100 * accuracy(test, way[:, -1]).numpy() for name, way in ways.items()}
    steps = np.array(marks, float)
    return Found(
        claims=(
            median(
                "eigenvalue",
                "SAM ends where curvature is lower: the largest eigenvalue of the Hessian, over "
                "SGD's after as many steps, is below 1.",
                (tops["SAM"][:, -1] / tops["SGD"][:, -1]).tolist(),
                below(1),
            ),
            median(
                "equal-gradients",
                "It is lower after as many gradients, too, of which a step of SAM takes two: after "
                "half of the steps the eigenvalue, over SGD's at the end, is below 1.",
                (tops["SAM"][:, -2] / tops["SGD"][:, -1]).tolist(),
                below(1),
            ),
            median(
                "worst-rise",
                f"The highest rise of the loss within a distance of {RHO}, over SGD's, is below 1.",
                [a / b for a, b in zip(rises["SAM"], rises["SGD"], strict=True)],
                below(1),
            ),
            median(
                "scale-free",
                "So is the largest eigenvalue in units of each filter's norm, over SGD's.",
                [a / b for a, b in zip(scaled_tops["SAM"], scaled_tops["SGD"], strict=True)],
                below(1),
            ),
            median(
                "generalises",
                "SAM generalises better: its test accuracy is higher than SGD's after as many "
                "steps.",
                (right["SAM"] - right["SGD"]).tolist(),
                above(0),
                unit="points",
            ),
            median(
                "training-loss",
                "It pays in training loss: after as many steps that, over SGD's, is above 1.",
                (losses["SAM"][:, -1] / losses["SGD"][:, -1]).tolist(),
                above(1),
            ),
        ),
        figures={
            "sharpness": curves_figure(
                "Curvature and training loss along SGD and SAM",
                Panel(
                    {name: Curve(steps, rows) for name, rows in tops.items()},
                    "steps",
                    "largest eigenvalue (nats)",
                    log=("x",),
                ),
                Panel(
                    {name: Curve(steps, rows) for name, rows in losses.items()},
                    "steps",
                    "training loss (nats)",
                    log=("x", "y"),
                ),
                columns=2,
            )
        },
        remark=(
            f"{subject.name} on the first {count:,} images of MNIST at a rate of 0.1 for "
            f"{length} steps, rho being the paper's {RHO}; the paper has ResNets on CIFAR and "
            "ImageNet.  The comparison after as many gradients was added after a first look."
        ),
    )


def leading(ground: Surface, x: Float[Tensor, " P"], geometry: str = "plain") -> float:
    """The largest eigenvalue of T H T in a geometry T."""
    matrix = scaled(hessian(ground, x), scales(ground, x)[geometry])
    return extreme(matrix, largest=1, tol=1e-2, confirm=0).values[0]


def rise(ground: Surface, x: Float[Tensor, " P"], seed: int) -> float:
    """The highest rise within `RHO`."""
    top = extreme(hessian(ground, x), largest=1, tol=1e-2, confirm=0).vectors[0]
    return ascend(ground, x, torch.ones_like(x), RHO, "ball", top, 20, seed).rise
