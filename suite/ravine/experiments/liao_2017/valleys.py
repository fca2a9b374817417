"""Valleys of solutions of over-parametrised networks."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.func import jacrev

from ravine.experiments.claims import above, below, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.liao_2017.solving import (
    DEGREE,
    FLAT,
    Power,
    Rectified,
    Solved,
    descend,
    errors,
    network,
    solve,
    start,
)
from ravine.landscape.operators import hessians
from ravine.landscape.planes.plane import centred, plane
from ravine.landscape.surface import Surface, loss
from ravine.problems.datasets import mnist
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.landscape.planes.figures import Mark, plane_figure
from ravine.reporting.layout import Table

SOURCE = "Liao and Poggio (2017), arXiv 1703.09833"


POINTS, SIDE = 20, 4.0
"""Examples of the small networks, each with one output, and where they lie: from -4 to 4."""


IMAGES, POOLED, UNITS = 10, 4, 20
"""Images of MNIST, pixels of a side after means over squares of 7 x 7, and hidden units."""


ZERO = 1e-20
"""A loss that counts as zero: rounding of a sum of squares."""


PUSH = 0.1
"""How far a solution is pushed, as a share of its length."""


CALIBRATED = "1-50-1 and 1-100-1 tanh networks on 20 points"


@experiment("D9", "Degenerate valleys of over-parametrised networks", SOURCE)
def degenerate_valleys(scale: Scale, tick: Tick) -> Found:
    """An over-parametrised network has flat valleys of solutions without any error.

    At such a solution the Hessian has at most as many positive eigenvalues as there are
    examples times outputs; all other directions are flat.  Networks with a polynomial for
    activation behave as rectified ones do.
    """
    seeds = range(scale.choose(5, 25))
    small = {f"tanh, {width} units": _small(nn.Tanh(), width) for width in (50, 100)}
    found = {name: solve(*ground, seeds, POINTS, SIDE / 2) for name, ground in small.items()}
    tick(0.2)
    images = {
        f"{name}, images": _pictures(layer)
        for name, layer in (("tanh", nn.Tanh()), ("ReLU", nn.ReLU()), ("polynomial", Rectified()))
    }
    for k, (name, ground) in enumerate(images.items()):
        found[name] = solve(*ground, seeds, IMAGES * 10)
        tick(0.3 + 0.15 * k)
    ranks = {n: [_rank(n, seed) for seed in seeds] for n in (5, POINTS)}
    fitted = [_fits_five(seed) for seed in seeds]
    tick(0.8)
    first, module = found["tanh, 50 units"], small["tanh, 50 units"][1]
    pushed, inside, across = _pushed(first, module, seeds)
    worst = {name: s.losses.max() for name, s in found.items()}
    return Found(
        claims=(
            exact(
                "zero-error",
                f"From each of {len(seeds)} starts each of {len(found)} networks comes to a loss "
                f"below {ZERO:g}, whatever their activation.",
                float(max(worst.values())),
                below(ZERO),
                unit="loss, the largest",
            ),
            median(
                "gap-50",
                f"With 50 tanh units on {POINTS} points eigenvalue {POINTS + 1} is less than a "
                f"hundredth of eigenvalue {POINTS}.",
                found["tanh, 50 units"].gap,
                below(1e-2),
                calibrated=CALIBRATED,
            ),
            median(
                "gap-100",
                "So it is with 100 units.",
                found["tanh, 100 units"].gap,
                below(1e-2),
                calibrated=CALIBRATED,
            ),
            median(
                "nullity",
                f"At least 150 - {POINTS} = 130 of the 150 eigenvalues are zero with 50 units: at "
                f"most {FLAT:g} of the largest.",
                found["tanh, 50 units"].nullity,
                above(150 - POINTS),
                unit="eigenvalues",
            ),
            median(
                "images-relu",
                f"A ReLU network that fits {IMAGES} images of MNIST has a Hessian of rank at most "
                f"{IMAGES} x 10: eigenvalue {IMAGES * 10 + 1} is less than a hundredth of the one "
                "before.",
                found["ReLU, images"].gap,
                below(1e-2),
            ),
            median(
                "images-relu-nullity",
                "That network's rank may be lower still, for units that are dead on all images add "
                f"nothing; at least 550 - {IMAGES} x 10 = 450 of its 550 eigenvalues are zero.",
                found["ReLU, images"].nullity,
                above(550 - IMAGES * 10),
                unit="eigenvalues",
            ),
            median(
                "images-polynomial",
                "So has a network whose activation is a polynomial of degree 6 fitted to ReLU.",
                found["polynomial, images"].gap,
                below(1e-2),
            ),
            exact(
                "polynomial-rank",
                f"With a polynomial of degree {DEGREE} for activation the outputs on {POINTS} "
                f"points of a line have a Jacobian of rank {DEGREE + 1}, whatever the width and "
                "the start.",
                max(abs(rank - (DEGREE + 1)) for rank in ranks[POINTS]),
                equals(0),
                unit="away from it, at most",
            ),
            exact(
                "polynomial-rank-few",
                "On 5 points it has rank 5.",
                max(abs(rank - 5) for rank in ranks[5]),
                equals(0),
                unit="away from it, at most",
            ),
            exact(
                "polynomial-zero",
                "There it fits any targets without error.",
                max(fitted),
                below(ZERO),
                unit="loss, the largest",
            ),
            median(
                "other-solutions",
                f"Pushed by {100 * PUSH:.0f} % of its length in a random direction and solved "
                "again, a solution ends at another one, more than half of the push away.",
                pushed,
                above(0.5),
                unit="of the push",
            ),
            median(
                "barriers",
                "The line to that one has a lower barrier than the line to a solution from "
                "another start.",
                (np.array(inside) / np.array(across)).tolist(),
                below(1),
                unit="of the barrier between starts",
            ),
        ),
        figures={
            "spectrum": _spectra_figure(found),
            "valley": _valley_figure(first, module),
        },
        tables={"solutions": _table(found)},
        remark=(
            f"{POINTS} points and {IMAGES} images stand in for CIFAR-10, where the sizes of these "
            "spectra cannot be computed whole.  Solutions are found by Gauss and Newton's method "
            "with steps of least length, which stays in the valley nearest to the start, not by "
            "stochastic descent.  At most as many positive eigenvalues as residuals follows from "
            "zero error alone; that ReLU's are as many is what is measured."
        ),
    )


def _small(activation: nn.Module, width: int) -> tuple[Surface, nn.Module]:
    module = nn.Sequential(nn.Linear(1, width), activation, nn.Linear(width, 1, bias=False))
    x = torch.linspace(-SIDE, SIDE, POINTS, dtype=torch.float64)[:, None]
    return network(module, x, torch.sin(x))


def _pictures(activation: nn.Module) -> tuple[Surface, nn.Module]:
    module = nn.Sequential(nn.Linear(POOLED**2, UNITS), activation, nn.Linear(UNITS, 10))
    images = mnist()
    square = images.train_images[:IMAGES].double().view(IMAGES, POOLED, 7, POOLED, 7)
    targets = nn.functional.one_hot(images.train_labels[:IMAGES], 10).double()
    return network(module, square.mean((2, 4)).flatten(1), targets)


def _line(count: int) -> tuple[Surface, nn.Module]:
    module = nn.Sequential(nn.Linear(1, 50), Power(), nn.Linear(50, 1, bias=False))
    x = torch.linspace(-1, 1, count, dtype=torch.float64)[:, None]
    return network(module, x, torch.from_numpy(generator("any", count).uniform(-1, 1, (count, 1))))


def _rank(count: int, seed: int) -> int:
    """Of the Jacobian of a polynomial network's outputs, at a random point."""
    ground, module = _line(count)
    jacobian = jacrev(lambda x: errors(module, ground, x))(start(module, seed))
    return int(torch.linalg.matrix_rank(jacobian, rtol=1e-12))


def _fits_five(seed: int) -> float:
    ground, module = _line(5)
    return float(loss(ground, descend(module, ground, start(module, seed))))


def _pushed(
    found: Solved, module: nn.Module, seeds: range
) -> tuple[list[float], list[float], list[float]]:
    """How far pushed solutions end from the old ones; barriers to these, and between starts."""
    moved, inside, across = [], [], []
    alphas = torch.linspace(0, 1, 51, dtype=torch.float64)[:, None]

    def barrier(a: Tensor, b: Tensor) -> float:
        return float(loss(found.surface, a + alphas * (b - a)).max())

    for k, seed in enumerate(seeds):
        x, other = found.points[k], found.points[(k + 1) % len(found.points)]
        way = torch.from_numpy(generator("push", seed).standard_normal(len(x)))
        length = PUSH * float(x.norm())
        end = descend(module, found.surface, x + length * way / way.norm())
        moved.append(float((end - x).norm()) / length)
        inside.append(barrier(x, end))
        across.append(barrier(x, other))
    return moved, inside, across


def _spectra_figure(found: Mapping[str, Solved]) -> Figure:
    curves = {}
    for name, s in found.items():
        sizes = np.sort(np.abs(s.eigenvalues), 1)[:, ::-1]
        rank = np.arange(1, sizes.shape[1] + 1) / s.residuals
        curves[name] = Curve(rank, np.maximum(sizes, 1e-20))
    return curves_figure(
        "Eigenvalues of the Hessian at solutions without error",
        Panel(
            curves,
            "rank of the eigenvalue\n(over examples times outputs)",
            "size of the eigenvalue (over the largest)",
            log=("x", "y"),
            levels={"counts as zero": FLAT},
        ),
    )


def _valley_figure(found: Solved, module: nn.Module) -> Figure:
    """The plane of the steepest direction and one along which the valley goes."""
    x = found.points[0]
    vectors = torch.linalg.eigh(hessians(found.surface, x[None])[0])[1]
    way = torch.from_numpy(generator("push", 0).standard_normal(len(x)))
    end = descend(module, found.surface, x + PUSH * float(x.norm()) * way / way.norm())
    u = (end - x) / (end - x).norm()
    v = vectors[:, -1] - (vectors[:, -1] @ u) * u
    span, length = 2 * float((end - x).norm()), float((end - x).norm())
    shown = plane(
        found.surface,
        x,
        u,
        v / v.norm(),
        centred(span, 41),
        centred(span / 8, 41),
        labels=("distance towards another solution", "distance along the steepest direction"),
    )
    marks = (Mark(0.0, 0.0, "solution"), Mark(length, 0.0, "the same, pushed and solved again"))
    return plane_figure(shown, "Loss around a solution of 50 tanh units: a valley", marks)


def _table(found: Mapping[str, Solved]) -> Table:
    rows = [
        (
            name,
            str(s.surface.size),
            str(s.residuals),
            f"{s.losses.max():.1g}",
            f"{np.median(s.gap):.2g}",
            f"{np.median(s.nullity):.0f}",
            f"{np.median((s.eigenvalues < -FLAT).sum(1)):.0f}",
        )
        for name, s in found.items()
    ]
    return Table(
        "Solutions without error",
        ("network", "parameters", "residuals", "loss", "gap", "zero", "negative"),
        tuple(rows),
        "Gap: the first eigenvalue behind as many as there are residuals, over the one before.  "
        f"Zero: at most {FLAT:g} of the largest.  Loss: the largest; others are medians.",
        ("left", *("right",) * 6),
    )
