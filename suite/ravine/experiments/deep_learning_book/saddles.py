"""Plateaus, saddle points and other flat regions (Deep Learning, 8.2.3)."""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.stats import spearmanr
from torch import Tensor

from ravine.experiments.claims import above, below, equals, exact, median, share
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.critical.classify import Classification
from ravine.landscape.critical.search import critical_points, search
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient, loss_and_gradient
from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import total
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = BOOK.format("8.2.3")

RATE = 0.1


@experiment("C7", "Plateaus, saddles and flat regions", SOURCE)
def saddles(scale: Scale, tick: Tick) -> Found:
    """Critical points of high error are mostly saddles, and those of low error mostly minima.

    The error grows with the index, the number of negative eigenvalues of the Hessian.  Near a
    saddle the gradient is small, yet descent seems to escape.
    """
    net = analytic("linear_autoencoder")
    ground = surface(net)
    count = scale.choose(100, 400)
    draw = generator("autoencoder", "starts")
    size = draw.uniform(0.1, 1.2, (count, 1))
    starts = torch.from_numpy(size * draw.standard_normal((count, net.dim)))
    found = search(
        ground,
        starts,
        iterations=scale.choose(120, 300),
        higher=False,
        listener=lambda part: tick(0.6 * part),
    )
    levels = np.array(sorted({round(p.value, 9) for p in net.facts.critical_points}))
    values = np.array([p.value for p in found.points])
    indices = np.array([p.index for p in found.points])
    near = np.abs(values[:, None] - levels).argmin(1)
    index_of = {int(k): sorted(set(indices[near == k].tolist())) for k in sorted(set(near))}
    predicted = [_predicted()[float(level)] for level in levels]
    agree = sum(index_of.get(k) == [want] for k, want in enumerate(predicted))
    known = [k for k in index_of if len(index_of[k]) == 1]
    rho = float(spearmanr([index_of[k][0] for k in known], levels[known])[0])
    fields = [
        critical_points(random_field(k), scale.choose(150, 1000)).points
        for k in range(scale.choose(5, 15))
    ]
    tick(0.7)
    seeds = range(scale.choose(60, 400))
    losses, norms = _descent(net, torch.stack([net.start(seed)["x"] for seed in seeds]), 600)
    arrived = int((losses[:, -1] <= (net.facts.minimum or 0.0) + 1e-6).sum())
    tick(0.9)
    pushes = 10.0 ** -np.arange(1, 9)
    leaving = [_leave(float(push)) for push in pushes]
    pace = float(np.polyfit(-np.log10(pushes), leaving, 1)[0])
    marks = np.arange(float(losses.shape[1]))
    jitter = 0.25 * (generator("autoencoder", "jitter").random(len(values)) - 0.5)
    order = np.argsort(indices + jitter)
    slopes = [
        float(spearmanr([p.index for p in field], [p.value for p in field])[0]) for field in fields
    ]
    return Found(
        claims=(
            exact(
                "all-levels",
                "A linear autoencoder of 4 inputs and 2 codes has 11 critical losses; the search "
                "finds each, with the predicted number of negative eigenvalues at every point.",
                agree,
                equals(11),
                unit="of 11",
                source="Baldi, Hornik (1989), doi 10.1016/0893-6080(89)90014-2",
            ),
            exact(
                "index-and-loss",
                "Their losses grow with the index, at a rank correlation of 0.975.",
                rho,
                equals(0.975, 5e-4),
                calibrated="a search from 400 starts on the same network",
            ),
            exact(
                "one-minimum",
                "All but the lowest of the losses are those of saddles.",
                sum(index_of[k][0] > 0 for k in known),
                equals(10),
            ),
            median(
                "fields",
                "On random smooth functions of three coordinates the value grows with the index "
                "too: their rank correlation is positive.",
                slopes,
                above(0.0),
            ),
            median(
                "plateau",
                "Descent from near the origin passes the saddles: on its way the gradient falls "
                "below a third of an earlier value and rises threefold again.",
                [_dip(row) for row in norms],
                below(1 / 3),
            ),
            median(
                "dips",
                "It does fall and rise again.",
                [_dip(row) for row in norms],
                below(0.99),
            ),
            share(
                "escapes",
                "Descent escapes them all: over nine runs in ten end at the minimum.",
                arrived,
                len(seeds),
                above(0.9),
            ),
            exact(
                "logarithm",
                "Ten times closer to a saddle costs ln 10 / ln(1 + rate) more steps, whatever the "
                "distance.",
                pace / (math.log(10) / math.log(1 + RATE)),
                equals(1, 0.05),
                unit="of the predicted",
            ),
        ),
        figures={
            "index": curves_figure(
                "Critical points of a linear autoencoder: loss against index",
                Panel(
                    {
                        "found": Curve((indices + jitter)[order], values[order], points=True),
                        "predicted": Curve(
                            np.sort(np.array(predicted, float)),
                            levels[np.argsort(predicted, kind="stable")],
                            points=True,
                        ),
                    },
                    "index (negative eigenvalues; spread sideways where found)",
                    "loss",
                ),
            ),
            "fields": curves_figure(
                "Critical points of random smooth functions: value by index",
                Panel(
                    {
                        f"function {k + 1}": Curve(
                            np.unique([p.index for p in field]).astype(float), _by_index(field)
                        )
                        for k, field in enumerate(fields[:5])
                    },
                    "index",
                    "median value",
                ),
            ),
            "descent": curves_figure(
                "Descent on it from near the origin, from saddle to saddle",
                *(
                    Panel(
                        {f"start {k}": Curve(marks[:150], row[:150]) for k, row in enumerate(rows)},
                        "steps",
                        name,
                        log=("y",) if name == "|g|" else (),
                    )
                    for name, rows in (("loss", losses[:5]), ("|g|", norms[:5]))
                ),
                columns=2,
            ),
            "leaving": curves_figure(
                "Steps of descent to leave a saddle, by how far from it they begin",
                Panel(
                    {"x²/2 + y⁴/4 - y²/2": Curve(pushes[::-1].copy(), np.array(leaving[::-1]))},
                    "distance at the start",
                    "steps to |y| = 1/2",
                    log=("x",),
                ),
            ),
        },
        tables={
            "levels": Table(
                "Critical losses",
                ("loss", "index predicted", "index found", "points found"),
                tuple(
                    (
                        f"{level:g}",
                        str(predicted[k]),
                        ", ".join(map(str, index_of.get(k, []))),
                        f"{int((near == k).sum()):,}",
                    )
                    for k, level in enumerate(levels)
                ),
                align=("right",) * 4,
            )
        },
        remark=(
            "The book's claim is on networks and random functions; a linear autoencoder is the "
            "network whose critical points are all known, and its points come from a search that "
            "rejects points at which the gradient is merely flat."
        ),
    )


VARIANCES, CODES = (4.0, 2.0, 1.0, 0.5), 2


def _predicted() -> dict[float, int]:
    """The index of every critical loss, by the sets of components that may be kept."""
    table = {}
    for size in range(CODES + 1):
        for kept in combinations(range(len(VARIANCES)), size):
            lost = [j for j in range(len(VARIANCES)) if j not in kept]
            swaps = sum(VARIANCES[j] > VARIANCES[i] for i in kept for j in lost)
            free = (CODES - size) * (len(VARIANCES) - size)
            table[sum(VARIANCES[j] for j in lost) / 2] = swaps + free
    return table


def random_field(key: int, dim: int = 3, waves: int = 60) -> Analytic:
    """A sum of plane waves of random directions and phases, nearly a Gaussian field."""
    draw = generator("field", key)
    ways = torch.from_numpy(draw.standard_normal((waves, dim)))
    phases = torch.from_numpy(draw.uniform(0, 2 * math.pi, waves))

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        turns = total(ways.to(x) * x.unsqueeze(-2)) + phases.to(x)
        return total(torch.cos(turns)) * math.sqrt(2 / waves)

    return Analytic(f=f, dim=dim, domain=(-3.0, 3.0), name=f"random_field_{key}")


def _by_index(points: Sequence[Classification]) -> Float64[np.ndarray, " indices"]:
    """Median values of the points of each index that there is."""
    index, value = np.array([p.index for p in points]), np.array([p.value for p in points])
    return np.array([np.median(value[index == k]) for k in np.unique(index)])


def _dip(norms: Float64[np.ndarray, " marks"]) -> float:
    """How far a norm falls below what it was before and will be again, as a share of these."""
    before = np.maximum.accumulate(norms)
    after = np.maximum.accumulate(norms[::-1])[::-1]
    return float((norms / np.minimum(before, after)).min())


def _descent(
    problem: Analytic, x: Float64[Tensor, "n P"], steps: int
) -> tuple[Float64[np.ndarray, "n steps"], Float64[np.ndarray, "n steps"]]:
    """Losses and gradient norms of plain descent at every step."""
    ground, losses, norms = surface(problem), [], []
    for _ in range(steps):
        value, slope = loss_and_gradient(ground, x)
        losses.append(value)
        norms.append(slope.norm(dim=-1))
        x = x - RATE * slope
    return torch.stack(losses, -1).numpy(), torch.stack(norms, -1).numpy()


def _leave(push: float) -> float:
    """Steps of descent from (0, push) until |y| passes 1/2."""
    f = surface(analytic("bounded_saddle"))
    x, steps = torch.tensor([0.0, push], dtype=torch.float64), 0
    while abs(float(x[1])) < 0.5:
        x = x - RATE * gradient(f, x)
        steps += 1
    return float(steps)
