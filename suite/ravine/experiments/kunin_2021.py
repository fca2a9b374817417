"""Kunin, Sagastuy-Brena, Ganguli, Yamins and Tanaka (2021): what symmetries hold still."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, between, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, only
from ravine.landscape.operators import dense, hessian
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.symmetry.groups import Groups, named
from ravine.landscape.symmetry.modes import Identities, identities, symmetry_directions
from ravine.landscape.symmetry.networks import groups, trace
from ravine.problems.datasets import mnist
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Kunin, Sagastuy-Brena, Ganguli, Yamins and Tanaka (2021), arXiv 2012.04728"

RATES = (0.1, 0.05, 0.025, 0.0125)
"""Learning rates, for the same time: each with twice the steps of the one before."""

WIDTH = 16


@experiment("symmetry-zero-modes", "Directions along which nothing changes", SOURCE)
def zero_modes(scale: Scale, tick: Tick) -> Found:
    """Each rectified unit, normalised unit and softmax output has a direction without slope.

    If D scales what enters a unit up and what leaves it down, g . D theta = 0 and
    H D theta = -D g at any point; so the Hessian has a zero for each such direction where the
    gradient vanishes, and gradient descent keeps a quantity for each.
    """
    subject = network(f"mnist_mlp(widths=({WIDTH},{WIDTH}), batch=64)")
    symmetries = groups(subject)
    seeds = range(scale.choose(5, 15))
    length = scale.choose(100, 900)
    marks = (0, length // 4, length)
    ways = []
    for k, rate in enumerate(RATES):
        kept = [mark * 2**k for mark in marks]
        setting = only(f"sgd(lr={rate})")
        way = walks(subject, [setting], seeds, kept[-1], keep=kept, dtype=torch.float64)
        ways.append(way.points[0].transpose(0, 1))
    tick(0.3)
    checked = [
        [
            identities(surface(subject, seed=seed, examples=256), symmetries, x)
            for x in ways[0][:, k]
        ]
        for k, seed in enumerate(seeds)
    ]
    tick(0.6)
    every = [one for row in checked for one in row]
    normal = {eps: [normalised(seed, eps) for seed in seeds] for eps in (0.0, 1e-5)}
    tick(0.7)
    kernels = [kernel(seed) for seed in seeds]
    tick(0.8)
    drifts = [_moved(balances, symmetries, way) for way in ways]
    moved = _moved(sizes, symmetries, ways[0])
    last = list(named(symmetries, ways[0]))[-1]
    sums = named(symmetries, ways[0])[last].sum(-1)
    laws = [law(seed) for seed in seeds]
    units = len(every[0].names)
    return Found(
        claims=(
            exact(
                "slopes",
                f"Along each of {units} directions of a rectified softmax network the slope is "
                "zero to 1e-8 of the gradient, before, in and after training.",
                max(max(one.slopes) for one in every),
                below(1e-8),
            ),
            exact(
                "curvatures",
                "The Hessian takes D theta to -D g there, to 1e-8.",
                max(max(one.curvatures) for one in every),
                below(1e-8),
            ),
            exact(
                "normalised",
                "It does so for the incoming weights of units that are batch-normalised, too.",
                worst(normal[1e-5]),
                below(1e-8),
            ),
            exact(
                "normalised-without-eps",
                "With nothing added to the variance it does.",
                worst(normal[0.0]),
                below(1e-8),
            ),
            exact(
                "kernel",
                "Where the gradient is zero these directions lie in the kernel of the Hessian, to "
                "1e-10 of its largest eigenvalue.",
                max(k.residual for k in kernels),
                below(1e-10),
            ),
            exact(
                "zeros",
                "The Hessian has at least one zero eigenvalue there for each of them.",
                min(k.zeros / k.directions for k in kernels),
                above(1),
            ),
            exact(
                "shift-kept",
                "The sum of the output biases never changes in training, to 1e-12.",
                float((sums - sums[0]).abs().max()),
                below(1e-12),
            ),
            exact(
                "balance-law",
                "A step of descent changes |w_in|^2 - |w_out|^2 of a rectified unit by rate^2 "
                "(|g_in|^2 - |g_out|^2), to 1e-10 of |w_in|^2: nothing in first order.",
                max(laws),
                below(1e-10),
            ),
            median(
                "balance-drifts",
                "At half the rate |w_in|^2 - |w_out|^2 drifts half as much in the same time: from "
                "0.1 to 0.05 the ratio is 2, to within a fifth.",
                (drifts[0] / drifts[1]).tolist(),
                between(1.6, 2.4),
            ),
            median(
                "balance-drifts-slowly",
                f"From a rate of {RATES[2]} to half of that the ratio is 2, to within a fifth.",
                (drifts[2] / drifts[3]).tolist(),
                between(1.6, 2.4),
            ),
            median(
                "balance-kept",
                "At a rate of 0.1 it drifts less than the sum |w_in|^2 + |w_out|^2 does.",
                (drifts[0] / moved).tolist(),
                below(1),
            ),
        ),
        figures={
            "identities": _identities_figure(checked, marks),
            "balance": _balance_figure(symmetries, ways),
        },
        tables={"residuals": _residuals(every, normal)},
        remark=(
            f"A rectified network of two hidden layers of {WIDTH} units on MNIST in float64, with "
            "minibatches: every batch has the same symmetries.  The batch-normalised one and the "
            "one at zero gradient are small modules on MNIST's images; the latter has to imitate "
            "itself."
        ),
    )


@dataclass(frozen=True, slots=True)
class Kernel:
    """The Hessian at a point without a gradient.

    Args:
        residual: largest |H D theta| over |D theta| and the largest eigenvalue.
        directions: how many symmetries there are.
        zeros: eigenvalues below 1e-10 of the largest.
    """

    residual: float
    directions: int
    zeros: int


def kernel(seed: int) -> Kernel:
    """A network that is to give the answers that it gives: small images in, one number out."""
    images = functional.avg_pool2d(mnist().train_images[:256].view(-1, 1, 28, 28).double(), 4)
    inputs = images.flatten(1)
    module = seeded(seed, nn.Linear(49, 6, bias=False), nn.ReLU(), nn.Linear(6, 1, bias=False))
    answers = module(inputs).detach()
    ground, x = module_surface(module, (inputs, answers), functional.mse_loss)
    directions = functional.normalize(symmetry_directions(trace(module, inputs), x, ground))
    matrix = dense(hessian(ground, x))
    values = torch.linalg.eigvalsh(matrix)
    scale = values.abs().max()
    return Kernel(
        residual=float((matrix @ directions.T).norm(dim=0).max() / scale),
        directions=len(directions),
        zeros=int((values.abs() < 1e-10 * scale).sum()),
    )


def normalised(seed: int, eps: float) -> Identities:
    """The identities of a batch-normalised network on MNIST's images, at its start."""
    inputs, labels = mnist().train_images[:256].double(), mnist().train_labels[:256].long()
    module = seeded(
        seed, nn.Linear(784, WIDTH), nn.BatchNorm1d(WIDTH, eps=eps), nn.ReLU(), nn.Linear(WIDTH, 10)
    )
    ground, x = module_surface(
        module, (inputs, labels), functional.cross_entropy, batch_norm="batch"
    )
    return identities(ground, trace(module, inputs), x)


def seeded(seed: int, *layers: nn.Module) -> nn.Module:
    """Layers in float64 with weights of mean square 1 / inputs, drawn by a seed."""
    draw = torch.Generator().manual_seed(seed)
    module = nn.Sequential(*layers).double()
    for p in module.parameters():
        wide = p.dim() > 1
        noise = torch.randn(p.shape, generator=draw, dtype=torch.float64)
        with torch.no_grad():
            p.copy_(noise / p.shape[-1] ** 0.5 if wide else p + 0.1 * noise)
    return module


def worst(found: Sequence[Identities]) -> float:
    """The largest residual along the scaling of a normalised unit, of slope and curvature."""
    return max(
        max(one.slopes[i], one.curvatures[i])
        for one in found
        for i, name in enumerate(one.names)
        if name.startswith("scale 0[")
    )


def balances(symmetries: Groups, x: Float[Tensor, "*stack P"]) -> Float[Tensor, "*stack units"]:
    """|w_in|^2 - |w_out|^2 of every rectified unit, biases with the incoming weights."""
    return _squares(symmetries, x, -1.0)


def sizes(symmetries: Groups, x: Float[Tensor, "*stack P"]) -> Float[Tensor, "*stack units"]:
    """|w_in|^2 + |w_out|^2 of every rectified unit."""
    return _squares(symmetries, x, 1.0)


def law(seed: int) -> float:
    """How far one step is from rate^2 (|g_in|^2 - |g_out|^2), at worst, over |w_in|^2 + |w_out|^2.

    On one minibatch in float64, from the start of a seed.
    """
    subject = network(f"mnist_mlp(widths=({WIDTH},{WIDTH}), batch=64)")
    symmetries, rate = groups(subject), RATES[0]
    point = {n: p.double()[None].requires_grad_() for n, p in subject.start(seed).items()}
    loss = subject.loss(point, subject.batch([seed], 0))
    slopes = torch.autograd.grad(loss.sum(), list(point.values()))
    before = torch.cat([p.detach().flatten(1) for p in point.values()], 1)
    g = torch.cat([s.flatten(1) for s in slopes], 1)
    change = balances(symmetries, before - rate * g) - balances(symmetries, before)
    expected = rate**2 * balances(symmetries, g)
    return float(((change - expected).abs() / sizes(symmetries, before)).max())


def _moved(
    measure: Callable[[Groups, Tensor], Tensor], symmetries: Groups, way: Float[Tensor, "marks k P"]
) -> Float[Tensor, " k"]:
    """How far a measure of all units went over a run, as a 2-norm."""
    change: Tensor = measure(symmetries, way[-1]) - measure(symmetries, way[0])
    length: Tensor = torch.linalg.vector_norm(change, dim=-1)
    return length


def _squares(
    symmetries: Groups, x: Float[Tensor, "*stack P"], outgoing: float
) -> Float[Tensor, "*stack units"]:
    point, rows = named(symmetries, x), []
    for unit in symmetries.scalable:
        total = x.new_zeros(*x.shape[:-1], unit.size)
        for slot in unit.slots:
            square = point[slot.name].square()
            axis = slot.axis - len(symmetries.shapes[slot.name])
            other = [d for d in range(-len(symmetries.shapes[slot.name]), 0) if d != axis]
            total = total + (outgoing if slot.power < 0 else 1.0) * (
                square.sum(other) if other else square
            )
        rows.append(total)
    return torch.cat(rows, -1)


def _identities_figure(checked: Sequence[Sequence[Identities]], marks: Sequence[int]) -> Figure:
    steps = np.array(marks, float)
    rows = {
        "gradient, its norm": [[one.gradient for one in row] for row in checked],
        "curvature along D θ, largest": [[max(one.vanishing) for one in row] for row in checked],
        "residual of H D θ = -D g, largest": [
            [max(one.curvatures) for one in row] for row in checked
        ],
        "residual of g · D θ = 0, largest": [[max(one.slopes) for one in row] for row in checked],
    }
    return curves_figure(
        "The identities hold to rounding all along a run",
        Panel(
            {name: Curve(steps, np.array(values)) for name, values in rows.items()},
            "steps",
            "value",
            log=("y",),
        ),
    )


def _balance_figure(symmetries: Groups, ways: Sequence[Tensor]) -> Figure:
    def ends(x: Tensor) -> tuple[np.ndarray, np.ndarray]:
        order = balances(symmetries, x[0, 0]).argsort()
        first, last = (balances(symmetries, x[k, 0])[order].numpy() for k in (0, -1))
        return first, last

    places = np.arange(1.0, len(balances(symmetries, ways[0][0, 0])) + 1)
    curves = {"start": Curve(places, ends(ways[0])[0])}
    for rate, way in zip(RATES, ways, strict=True):
        curves[f"end, rate {rate:g}"] = Curve(places, ends(way)[1], points=True)
    grown = sizes(symmetries, ways[0][:, 0])
    order = balances(symmetries, ways[0][0, 0]).argsort()
    change = (grown[-1] - grown[0])[order].numpy()
    drift = {
        f"end, rate {rate:g}": Curve(places, ends(way)[1] - ends(way)[0], points=True)
        for rate, way in zip(RATES, ways, strict=True)
    }
    return curves_figure(
        "What each rectified unit keeps: |w_in|² - |w_out|²",
        Panel(curves, "unit, by its balance at the start", "balance"),
        Panel(
            {**drift, "change of the sum of both": Curve(places, change)},
            "unit, by its balance at the start",
            "change over the run",
        ),
        columns=2,
    )


def _residuals(every: Sequence[Identities], normal: dict[float, list[Identities]]) -> Table:
    rows = [
        (
            "rectified units and softmax outputs",
            f"{max(max(one.slopes) for one in every):.1e}",
            f"{max(max(one.curvatures) for one in every):.1e}",
        )
    ]
    for eps, found in normal.items():
        scaled = [
            (one.slopes[i], one.curvatures[i])
            for one in found
            for i, name in enumerate(one.names)
            if name.startswith("scale 0[")
        ]
        slope, curvature = np.array(scaled).max(0)
        rows.append((f"batch-normalised units, eps {eps:g}", f"{slope:.1e}", f"{curvature:.1e}"))
    return Table(
        "The largest residuals",
        ("symmetry", "|g · Dθ| / (|g| |Dθ|)", "|H Dθ + D g| / (|H Dθ| + |D g|)"),
        tuple(rows),
        align=("left", "right", "right"),
    )
