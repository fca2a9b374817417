"""Saddles by the height at which they lie (Dauphin et al. 2014, Bray and Dean 2007)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from scipy.stats import spearmanr
from torch import Tensor, nn

from ravine.experiments.claims import above, below, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.critical.classify import Classification, classify
from ravine.landscape.critical.kinds import Label
from ravine.landscape.critical.search import Found as Search
from ravine.landscape.critical.search import search
from ravine.landscape.sources import module_surface, surface
from ravine.landscape.surface import Surface, gradient, pack
from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import total
from ravine.problems.base import Data, Point
from ravine.problems.catalogue import analytic
from ravine.problems.datasets import mnist
from ravine.problems.draws import generator
from ravine.problems.networks.model import Moments
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Dauphin, Pascanu, Gulcehre, Cho, Ganguli, Bengio (2014), arXiv 1406.2572"
BRAY = "Bray and Dean (2007), cond-mat/0611023"

COORDINATES, WAVES = 8, 400
"""Of a random field."""

CLASSES, INPUTS, UNITS = 3, 3, 3
EXAMPLES = 60
RATE, STEPS = 1.0, 250
"""Of the descents on which searches begin."""

DECAY = 0.01
"""Half of it times the squared norm of all parameters is added to the loss of a network."""

ITERATIONS = 40
"""Of the search from each start."""

SAME = 1e-6
"""Points of one index whose losses differ by less are mirror images of each other."""


@experiment("index-and-error", "The higher a critical point, the more ways down", SOURCE)
def index_and_error(scale: Scale, tick: Tick) -> Found:
    """Critical points of high error are saddles; the index grows with the error.

    The index is the share of negative eigenvalues of the Hessian.  Local minima are found at
    low error alone.
    """
    encoder = analytic("linear_autoencoder")
    x = torch.tensor([p.x for p in encoder.facts.critical_points], dtype=torch.float64)
    linear = classify(surface(encoder), x, higher=False)
    by_rank = rank_correlation(linear)
    tick(0.1)
    seeds = range(scale.choose(5, 15))
    each = scale.choose(16, 200)
    fields, nets = [], []
    for k, seed in enumerate(seeds):
        drawn = generator("field start", seed).uniform(-3, 3, (each, COORDINATES))
        begin = torch.from_numpy(drawn)
        fields.append(search(surface(field(seed)), begin, iterations=ITERATIONS, higher=False))
        ground = network(seed, DECAY)
        starts = on_the_way(ground, [seed], each)
        nets.append(search(ground, starts, iterations=ITERATIONS, higher=False))
        tick(0.1 + 0.9 * (k + 1) / len(seeds))
    waves, tanh = [distinct(f.points) for f in fields], [distinct(f.points) for f in nets]
    return Found(
        claims=(
            exact(
                "linear-rank",
                "Over the 11 kinds of critical points of a linear autoencoder the rank "
                "correlation of index and loss is 0.975.",
                by_rank,
                equals(0.975, 0.0005),
                calibrated="its closed form, with covariance diag(4, 2, 1, 0.5)",
            ),
            exact(
                "linear-minima",
                "Its only points without a way down are those of least loss.",
                max((p.value for p in linear if p.index == 0), default=np.nan) - linear_least(),
                equals(0, 1e-9),
                unit="above the least loss",
            ),
            median(
                "field-rank",
                f"On random fields of {COORDINATES} coordinates, sums of {WAVES} waves, the rank "
                "correlation is above 0.5.",
                [rank_correlation(points) for points in waves],
                above(0.5),
                source=BRAY,
            ),
            median(
                "field-minima",
                "On these fields the highest minimum lies below the middle saddle.",
                [highest_minimum(points) for points in waves],
                below(0),
                unit="above the median saddle",
                source=BRAY,
            ),
            median(
                "network-rank",
                f"On tanh networks on images of {CLASSES} digits the rank correlation is above "
                "0.5.",
                [rank_correlation(points) for points in tanh],
                above(0.5),
            ),
            median(
                "network-minima",
                "On these networks the highest minimum lies below the middle saddle.",
                [highest_minimum(points) for points in tanh],
                below(0),
                unit="above the median saddle",
            ),
        ),
        figures={
            "index": curves_figure(
                "Index of critical points over the height at which they lie",
                *(
                    Panel(
                        {"critical points": _cloud(points)},
                        "loss",
                        "share of negative\neigenvalues",
                        title=title,
                    )
                    for title, points in (
                        ("linear autoencoder", linear),
                        ("tanh network, seed 0", tanh[0]),
                        ("random fields, all", [p for points in waves for p in points]),
                        ("tanh network, all", [p for points in tanh for p in points]),
                    )
                ),
                columns=2,
                height=2.8,
            )
        },
        tables={"points": _table(fields, nets)},
        remark=(
            f"Networks of {network(0, DECAY).size} parameters, each on {EXAMPLES} other images of "
            f"MNIST, reduced to {INPUTS} components, stand in for perceptrons on MNIST and "
            "CIFAR-10; points are found by Levenberg and Marquardt's method on the squared "
            "gradient and certified by all eigenvalues.  A search finds points that attract it; "
            "they are no fair sample.  A first look had no weight decay, and hardly any search "
            f"came to rest; now it is {DECAY:g}, which keeps critical points from infinity and "
            "from lying in valleys.  Copies by symmetry count once, and descents go on until every "
            "seed has a minimum, which some had not at first."
        ),
    )


def linear_least() -> float:
    """Half the sum of the eigenvalues that a linear autoencoder must leave out."""
    return 0.75


def field(seed: int) -> Analytic:
    """A Gaussian random field, nearly: sqrt(2 / n) times a sum of n cosines."""
    draw = generator("field", seed)
    waves = torch.from_numpy(draw.standard_normal((COORDINATES, WAVES)))
    phases = torch.from_numpy(draw.uniform(0, 2 * np.pi, WAVES))

    def f(x: Float64[Tensor, "*stack n"]) -> Float64[Tensor, "*stack"]:
        found: Tensor = (2 / WAVES) ** 0.5 * total(torch.cos(x @ waves + phases))
        return found

    return Analytic(f=f, dim=COORDINATES, domain=(-3.0, 3.0), name=f"random field {seed}")


@cache
def network(seed: int, decay: float) -> Surface:
    """A tanh network on principal components of images of the first digits, squared error.

    Args:
        seed: which images.
        decay: half of it times the squared norm of all parameters is added.
    """
    images = mnist()
    own = slice(seed * EXAMPLES, (seed + 1) * EXAMPLES)
    mine = torch.nonzero(images.train_labels < CLASSES)[own, 0]
    x = images.train_images[mine].double()
    x = x - x.mean(0)
    # components without their signs' whim, scaled to unit variance
    left = torch.linalg.eigh(x @ x.T)[1].flip(1)[:, :INPUTS]
    left = left * torch.where(left.sum(0) < 0, -1.0, 1.0) * EXAMPLES**0.5
    y = nn.functional.one_hot(images.train_labels[mine], CLASSES).double()
    module = nn.Sequential(nn.Linear(INPUTS, UNITS), nn.Tanh(), nn.Linear(UNITS, CLASSES)).double()
    ground, _ = module_surface(
        module,
        (left.contiguous(), y),
        lambda o, t: (o - t).square().mean() / 2,
        name="tanh network",
    )

    def mean(point: Point, data: Data, moments: Moments | None) -> Float64[Tensor, "*stack"]:
        squares = pack(ground, point).square().sum(-1)
        found: Tensor = ground.mean(point, data, moments) + decay / 2 * squares
        return found

    return replace(ground, mean=mean)


def on_the_way(ground: Surface, seeds: Sequence[int], count: int) -> Float64[Tensor, "starts P"]:
    """Points of descents from so many starts of each seed, at other steps from 0 to `STEPS`."""
    drawn = [generator("on the way", seed).standard_normal((count, ground.size)) for seed in seeds]
    x = torch.from_numpy(np.stack(drawn))
    steps = np.geomspace(1, STEPS + 1, count).astype(int) - 1
    for step in range(int(steps[-1])):
        left = int(np.searchsorted(steps, step, side="right"))
        x[:, left:] -= RATE * gradient(ground, x[:, left:])
    return x.flatten(0, 1)


def distinct(points: Sequence[Classification]) -> list[Classification]:
    """Points without those that have the loss and the index of another.

    Units of a network may change places and signs, which gives copies of each point.
    """
    found: list[Classification] = []
    for p in points:
        if not any(p.index == q.index and abs(p.value - q.value) < SAME for q in found):
            found.append(p)
    return found


def rank_correlation(points: Sequence[Classification]) -> float:
    """Spearman's, of the loss and the share of negative eigenvalues; 0 for one index alone."""
    shares, losses = _shares(points), [p.value for p in points]
    if len(set(shares)) < 2 or len(set(losses)) < 2:
        return 0.0
    return float(spearmanr(shares, losses).statistic)


def highest_minimum(points: Sequence[Classification]) -> float:
    """The loss of the highest point without a way down, over the median saddle's."""
    saddles = [p.value for p in points if p.label is Label.SADDLE]
    minima = [p.value for p in points if p.index == 0]
    return max(minima) - float(np.median(saddles)) if saddles and minima else float("nan")


def _shares(points: Sequence[Classification]) -> list[float]:
    return [p.index / len(p.eigenvalues) for p in points]


def _cloud(points: Sequence[Classification]) -> Curve:
    order = sorted(points, key=lambda p: p.value)
    return Curve(np.array([p.value for p in order]), np.array(_shares(order)), points=True)


def _table(fields: Sequence[Search], nets: Sequence[Search]) -> Table:
    rows = []
    for name, groups in (("random field", fields), ("tanh network", nets)):
        for seed, found in enumerate(groups):
            points = distinct(found.points)
            kinds = [p.label for p in points]
            counts = [kinds.count(k) for k in (Label.MINIMUM, Label.SADDLE, Label.DEGENERATE)]
            arrived = f"{100 * sum(found.hits) / found.starts:.0f} %"
            rank = f"{rank_correlation(points):.3f}"
            rows.append((name, str(seed), arrived, *map(str, counts), rank))
    return Table(
        "Critical points found",
        ("surface", "seed", "arrived", "minima", "saddles", "degenerate", "rank correlation"),
        tuple(rows),
        "Arrived: searches that ended at a certified critical point.  Points that differ in loss "
        "or index; the rank correlation is that of the two.",
        ("left", *("right",) * 6),
    )
