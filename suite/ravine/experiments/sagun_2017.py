"""The bulk and the outliers of a Hessian (Sagun et al. 2017)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64, Int64
from matplotlib.figure import Figure
from torch import Tensor, nn

from ravine.experiments.claims import above, below, between, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.operators import hessians
from ravine.landscape.sources import module_surface
from ravine.landscape.surface import Surface, accuracy, gradient
from ravine.problems.datasets import mnist
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Sagun, Evci, Guney, Dauphin, Bottou (2017), arXiv 1706.04454"
GHORBANI = "Ghorbani, Krishnan, Xiao (2019), arXiv 1901.10159"

POOLED = 7
"""Pixels of a side after means over squares of 4 x 4."""

FEATURES = 20
"""Of a blob."""


@dataclass(frozen=True, slots=True)
class Case:
    """A network and its data.

    Args:
        blobs: Gaussian clusters instead of MNIST.
        classes: how many.
        units: of the hidden layer.
    """

    blobs: bool
    classes: int
    units: int


NARROW, WIDE = "MNIST, 10 units", "MNIST, 20 units"
THREE, FIVE = "3 digits, 10 units", "5 digits, 10 units"
FEW, MANY = "5 blobs, 10 units", "10 blobs, 10 units"
CASES: Mapping[str, Case] = {
    NARROW: Case(False, 10, 10),
    WIDE: Case(False, 10, 20),
    THREE: Case(False, 3, 10),
    FIVE: Case(False, 5, 10),
    FEW: Case(True, 5, 10),
    MANY: Case(True, 10, 10),
}

RATE, MOMENTUM, STEPS = 0.3, 0.9, 400
BULK = 1e-3
"""Share of the largest eigenvalue below which an eigenvalue is in the bulk."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """All eigenvalues at the ends of training runs.

    Args:
        classes: how many.
        eigenvalues: descending.
        right: shares of right answers on the training images.
        slopes: gradient norms at the ends, over those at the starts.
    """

    classes: int
    eigenvalues: Float64[np.ndarray, "seeds P"]
    right: Float64[np.ndarray, " seeds"]
    slopes: Float64[np.ndarray, " seeds"]

    @property
    def size(self) -> int:
        """Parameters."""
        return int(self.eigenvalues.shape[1])

    @property
    def gap(self) -> list[float]:
        """Eigenvalue K - 1 over eigenvalue 2 K, for K classes."""
        k = self.classes
        found: list[float] = (self.eigenvalues[:, k - 2] / self.eigenvalues[:, 2 * k - 1]).tolist()
        return found

    @property
    def outliers(self) -> list[int]:
        """How many eigenvalues lie before the widest gap, as a factor, among the first 2 K."""
        top = self.eigenvalues[:, : 2 * self.classes]
        found: list[int] = ((top[:, :-1] / top[:, 1:]).argmax(1) + 1).tolist()
        return found

    @property
    def bulk(self) -> list[float]:
        """Share of eigenvalues that are in the bulk."""
        largest = self.eigenvalues[:, :1]
        found: list[float] = (np.abs(self.eigenvalues) < BULK * largest).mean(1).tolist()
        return found

    @property
    def carried(self) -> list[float]:
        """Share of the sum of squares that the K largest eigenvalues hold, for K classes."""
        squares = self.eigenvalues**2
        found: list[float] = (squares[:, : self.classes].sum(1) / squares.sum(1)).tolist()
        return found

    @property
    def large(self) -> list[int]:
        """How many eigenvalues are not in the bulk."""
        largest = self.eigenvalues[:, :1]
        found: list[int] = (np.abs(self.eigenvalues) >= BULK * largest).sum(1).tolist()
        return found


@experiment("bulk-and-outliers", "The bulk and the outliers of a Hessian", SOURCE)
def bulk_and_outliers(scale: Scale, tick: Tick) -> Found:
    """After training most eigenvalues of the Hessian lie near zero, and a few lie far out.

    The bulk grows with the number of parameters; how many outliers there are is set by the
    classes of the data, about one less than these.
    """
    seeds = range(scale.choose(5, 15))
    count = scale.choose(250, 3000)
    found = {}
    for k, (name, case) in enumerate(CASES.items()):
        found[name] = spectrum(case, seeds, count)
        tick((k + 1) / len(CASES))
    narrow, wide = found[NARROW], found[WIDE]
    data = {
        NARROW: "On MNIST",
        THREE: "On 3 digits",
        FIVE: "On 5 digits",
        FEW: "On 5 blobs",
        MANY: "On 10 blobs",
    }
    return Found(
        claims=(
            *(
                median(
                    f"gap-{words[3:].replace(' ', '-').lower()}",
                    f"{words} eigenvalue {s.classes - 1} is over 3 times eigenvalue "
                    f"{2 * s.classes}.",
                    s.gap,
                    above(3),
                )
                for words, s in ((words, found[name]) for name, words in data.items())
            ),
            *(
                median(
                    f"outliers-{words[3:].replace(' ', '-').lower()}",
                    f"{words} the widest gap among the {2 * s.classes} largest lies behind "
                    f"{s.classes - 1} to {s.classes + 1} of them.",
                    s.outliers,
                    between(s.classes - 1, s.classes + 1),
                    unit="eigenvalues",
                    source=GHORBANI,
                )
                for words, s in ((words, found[name]) for name, words in data.items())
            ),
            median(
                "bulk",
                f"On MNIST over 80 % of the eigenvalues are below {BULK:g} of the largest.",
                narrow.bulk,
                above(0.8),
            ),
            median(
                "bulk-grows",
                "There twice the units, with nearly twice the parameters, add more to the bulk "
                "than to what is outside: less than half of the new eigenvalues are outside.",
                [
                    (a - b) / (wide.size - narrow.size)
                    for a, b in zip(wide.large, narrow.large, strict=True)
                ],
                below(0.5),
                unit="of the new eigenvalues",
            ),
            median(
                "outliers-stay",
                "Twice the units leave the number of outliers on MNIST where it is, give or take "
                "one.",
                np.subtract(wide.outliers, narrow.outliers).tolist(),
                between(-1, 1),
                unit="eigenvalues more",
            ),
            median(
                "few-carry",
                "On MNIST few directions carry the curvature all the same: the 10 largest "
                "eigenvalues hold over half of the sum of all squares.",
                narrow.carried,
                above(0.5),
                unit="of the sum",
            ),
        ),
        figures={"spectrum": _figure(found)},
        tables={"spectra": _table(found)},
        remark=(
            f"Perceptrons with one layer of tanh units, trained by {STEPS} steps of descent with "
            f"momentum on all of {count} examples: images of MNIST reduced to {POOLED} x {POOLED} "
            f"pixels, or Gaussian blobs in {FEATURES} dimensions; all eigenvalues are computed.  "
            "The paper trains to the bottom of the loss, which cross entropy on data that can be "
            "told apart does not have: here nearly every example is right and the gradient small, "
            "but the loss still falls.  A first look stopped after 300 steps at a third of the "
            "rate and had MNIST alone, whose spectra fall evenly; blobs, the paper's other data, "
            "and the claim on what few directions carry were added then.  On MNIST "
            "both the ratio and the count depend on how many images there are."
        ),
    )


def spectrum(case: Case, seeds: range, count: int) -> Spectrum:
    """Train from every seed, all beside each other, and take all eigenvalues at the ends."""
    ground, module = network(case, count)
    x = torch.stack([_start(module, seed) for seed in seeds])
    speed, begun = torch.zeros_like(x), gradient(ground, x).norm(dim=1)
    for _ in range(STEPS):
        speed = MOMENTUM * speed + gradient(ground, x)
        x = x - RATE * speed
    values = torch.linalg.eigvalsh(hessians(ground, x)).flip(-1)
    slopes = gradient(ground, x).norm(dim=1) / begun
    return Spectrum(case.classes, values.numpy(), accuracy(ground, x).numpy(), slopes.numpy())


def network(case: Case, count: int) -> tuple[Surface, nn.Module]:
    """A tanh perceptron with cross-entropy on some examples."""
    inputs, labels = blobs(case.classes, count) if case.blobs else pooled(case.classes, count)
    module = nn.Sequential(
        nn.Linear(inputs.shape[1], case.units), nn.Tanh(), nn.Linear(case.units, case.classes)
    ).double()

    def right(outputs: Tensor, labels: Tensor) -> Tensor:
        return (outputs.argmax(-1) == labels).double().mean()

    ground, _ = module_surface(
        module, (inputs, labels), nn.functional.cross_entropy, accuracy=right
    )
    return ground, module


def pooled(
    classes: int, count: int
) -> tuple[Float64[Tensor, "count features"], Int64[Tensor, " count"]]:
    """The first images of the first classes of MNIST, as means over squares of pixels."""
    images = mnist()
    mine = torch.nonzero(images.train_labels < classes)[:count, 0]
    square = images.train_images[mine].double().view(-1, POOLED, 4, POOLED, 4)
    return square.mean((2, 4)).flatten(1), images.train_labels[mine]


def blobs(
    classes: int, count: int
) -> tuple[Float64[Tensor, "count features"], Int64[Tensor, " count"]]:
    """Points with unit variance around as many centres, which have unit variance, too."""
    draw = generator("blobs", classes)
    centres = draw.standard_normal((classes, FEATURES))
    labels = np.arange(count) % classes
    points = centres[labels] + draw.standard_normal((count, FEATURES))
    return torch.from_numpy(points), torch.from_numpy(labels)


def _start(module: nn.Module, seed: int) -> Float64[Tensor, " P"]:
    rows = []
    for name, p in module.named_parameters():
        draw = torch.from_numpy(generator("bulk", name, *p.shape, seed).standard_normal(p.shape))
        rows.append((draw * (0.0 if p.dim() == 1 else p.shape[1] ** -0.5)).flatten())
    return torch.cat(rows)


def _figure(found: Mapping[str, Spectrum]) -> Figure:
    top = {
        name: Curve(np.arange(1.0, 31), s.eigenvalues[:, :30] / s.eigenvalues[:, :1])
        for name, s in found.items()
    }
    whole = {
        name: Curve(
            np.arange(1, s.size + 1) / s.size,
            np.maximum(np.sort(np.abs(s.eigenvalues), 1)[:, ::-1] / s.eigenvalues[:, :1], 1e-12),
        )
        for name, s in found.items()
    }
    return curves_figure(
        "Eigenvalues of Hessians after training, the largest and all",
        Panel(
            top,
            "rank of the eigenvalue, from the largest",
            "eigenvalue\n(over the largest)",
            log=("y",),
        ),
        Panel(
            whole,
            "rank of the eigenvalue (over parameters)",
            "size of the eigenvalue\n(over the largest)",
            log=("y",),
            levels={"below: the bulk": BULK},
        ),
    )


def _table(found: Mapping[str, Spectrum]) -> Table:
    rows = [
        (
            name,
            str(s.size),
            f"{100 * np.median(s.right):.1f} %",
            f"{100 * np.median(s.slopes):.1f} %",
            f"{np.median(s.eigenvalues[:, 0]):.3g}",
            f"{np.median(s.gap):.2f}",
            f"{np.median(s.outliers):.0f}",
            f"{100 * np.median(s.bulk):.1f} %",
            f"{100 * np.median((s.eigenvalues < 0).mean(1)):.0f} %",
        )
        for name, s in found.items()
    ]
    return Table(
        "Spectra after training",
        (
            "network",
            "parameters",
            "right",
            "gradient",
            "largest",
            "gap",
            "outliers",
            "bulk",
            "negative",
        ),
        tuple(rows),
        f"Medians over seeds.  Gradient: its norm, over that at the start; gap: eigenvalue K - 1 "
        f"over eigenvalue 2 K of K classes; outliers: before the widest gap; bulk: below {BULK:g} "
        "of the largest.",
        ("left", *("right",) * 8),
    )
