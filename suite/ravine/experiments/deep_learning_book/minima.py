"""Local minima: flat ones and bad ones (Deep Learning, 8.2.2)."""

import math
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, equals, exact, share
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only, stacked
from ravine.landscape.critical.search import critical_points
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import sigmoid, softplus, total
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.paths import paths_figure

SOURCE = BOOK.format("8.2.2")


@experiment("C3", "A convex function with a flat bottom", SOURCE)
def flat_bottom(scale: Scale, tick: Tick) -> Found:
    """A convex function may have a flat bottom instead of one minimum.

    Every point of the bottom is a solution, and descent may end at any of them.
    """
    box, seeds = analytic("flat_bottom"), range(scale.choose(9, 50))
    # at either scale as many, for the nearest of more ends are nearer
    few = range(9)
    names = ("sgd(lr=0.1)", "sgd(lr=0.1, momentum=0.9)", "adam(lr=0.1)")
    runs = stacked(box, {name: only(name) for name in names}, few, 400)
    shifts = box.instance(few)["shift"]
    ends = torch.from_numpy(np.concatenate([r.point[0] for r in runs.values()]))
    ends = ends - shifts.repeat(len(names), 1)
    apart = ends[(ends.abs() - 1).abs().amax(1) > 1e-6]
    worst = max(float(r.final.max()) for r in runs.values())
    draw = generator("flat_bottom", 0)
    inside = torch.from_numpy(2 * draw.random((1000, 2)) - 1)
    flattest = float(hessians(surface(box), inside).abs().max())
    tick(0.4)
    wide, rows = _underdetermined()
    largest = float(torch.linalg.eigvalsh(rows.T @ rows / len(rows))[-1])
    line = only(f"sgd(lr={1 / largest:.6g})")
    fits = stacked(wide, {"descent": line}, seeds, scale.choose(3000, 10_000))["descent"]
    tick(0.8)
    solutions = torch.from_numpy(fits.point[0])
    curvatures = torch.linalg.eigvalsh(hessians(surface(wide), solutions[0]))
    zero = int((curvatures.abs() < 1e-10 * largest).sum())
    gaps = solutions[1:] - solutions[:-1]
    outside = (gaps @ rows.T).norm(dim=1) / (rows.norm(dim=1).max() * gaps.norm(dim=1))
    between = torch.lerp(
        solutions[:-1, None],
        solutions[1:, None],
        torch.linspace(0, 1, 51, dtype=torch.float64)[:, None],
    )
    starts = fits.start[0].min()
    paths = {
        f"start {seed}": box.locate(
            walk(box, only("sgd(lr=0.1)"), seed, 100, keep=range(101)).points, {"shift": shift}
        ).numpy()
        for seed, shift in zip(range(6), shifts, strict=False)
    }
    return Found(
        claims=(
            exact(
                "bottom",
                "The loss at 1,000 random points of the bottom is 0 exactly.",
                float(box.f(inside).max()),
                equals(0),
            ),
            exact(
                "singular",
                "The Hessian there is 0 in all directions.",
                flattest,
                equals(0),
            ),
            exact(
                "arrives",
                "Descent, momentum and Adam reach the bottom from every start.",
                worst,
                below(1e-12),
            ),
            exact(
                "elsewhere",
                "No two of their runs on the flat bottom end at the same point.",
                float(torch.pdist(ends).min()),
                above(1e-3),
            ),
            exact(
                "corners",
                "They do if they start beyond one corner of it; those that end elsewhere end at "
                "points of their own.",
                float(torch.pdist(apart).min()),
                above(1e-3),
            ),
            exact(
                "kernel",
                "In a least-squares fit of 20 weights to 5 examples, the Hessian's kernel has 15 "
                "dimensions.",
                zero,
                equals(15),
            ),
            exact(
                "within-kernel",
                "Solutions that descent finds from different starts differ by vectors of that "
                "kernel alone.",
                float(outside.max()),
                below(1e-8),
            ),
            exact(
                "segments",
                "All points between two solutions are solutions.",
                float(wide.f(between).max() / starts),
                below(1e-12),
            ),
        ),
        figures={"paths": paths_figure(box, paths, "Descent stops where it meets the flat bottom")},
    )


def _underdetermined() -> tuple[Analytic, Float64[Tensor, "examples n"]]:
    """A linear fit of 20 weights to 5 examples, and its rows."""
    draw = generator("underdetermined", 5, 20)
    rows = torch.from_numpy(draw.standard_normal((5, 20)))
    targets = torch.from_numpy(draw.standard_normal(5))

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        errors = total(rows.to(x) * x.unsqueeze(-2)) - targets.to(x)
        return 0.5 * total(errors.square()) / 5

    return Analytic(f=f, dim=20, domain=(-2.0, 2.0), name="underdetermined"), rows


@experiment("C5", "Bad local minima", SOURCE)
def bad_minima(scale: Scale, tick: Tick) -> Found:
    """Bad local minima exist in small networks without hidden units.

    A single sigmoid unit with squared error can have exponentially many, and there are
    separable data on which a unit trained by descent fails where the perceptron's rule succeeds.
    """
    counted = []
    for dim in DIMS:
        unit = analytic(f"bad_local_minimum(dim={dim})")
        counted.append(critical_points(unit, scale.choose(150, 1000)).kinds.get("minimum", 0))
    tick(0.4)
    plane = analytic("bad_local_minimum")
    seeds = range(scale.choose(60, 1000))
    ended = stacked(plane, {"sgd": only("sgd(lr=0.5)")}, seeds, 2500)["sgd"]
    values = ended.final[0]
    lowest = plane.facts.minimum or 0.0
    bad = int((values > lowest + 1e-3).sum())
    tick(0.6)
    found = {
        kind: stacked(_separable(kind), {kind: only(name)}, seeds, scale.choose(3000, 20_000))[kind]
        for kind, name in (
            ("squared", "sgd(lr=5.0, momentum=0.9)"),
            ("logistic", "sgd(lr=0.5, momentum=0.9)"),
        )
    }
    humble = stacked(
        replace(_separable("squared"), spread=1.0),
        {"sgd": only("sgd(lr=5.0, momentum=0.9)")},
        seeds,
        scale.choose(3000, 20_000),
    )["sgd"]
    mistaken = int((_mistakes(torch.from_numpy(humble.point[0])) > 0).sum())
    wrong = {kind: _mistakes(torch.from_numpy(r.point[0])) for kind, r in found.items()}
    rule = [_perceptron(_separable("squared").start(seed)["x"]) for seed in seeds]
    tick(0.9)
    squared = _separable("squared")
    points = critical_points(squared, scale.choose(200, 1000)).points
    best = min(points, key=lambda p: p.value)
    paths = {
        f"start {seed}": walk(plane, only("sgd(lr=0.5)"), seed, 1000, keep=100).points.numpy()
        for seed in range(6)
    }
    show = np.linspace(-1.0, 4.0, 400)
    answers = {
        "squared error": humble.point[0][0],
        "logarithmic error": found["logistic"].point[0][0],
    }
    x, labels = torch.tensor(_X).numpy(), np.array(_LABELS)
    curves = {
        f"unit trained by {kind}": Curve(show, 1 / (1 + np.exp(-(w * show + b))))
        for kind, (w, b) in answers.items()
    }
    curves["examples (200, 1 and 5, right to left)"] = Curve(
        x[::-1].copy(), labels[::-1].copy(), points=True
    )
    return Found(
        claims=(
            exact(
                "exponential",
                "A sigmoid unit of n weights under squared error can have 2^n minima: the search "
                "finds 2, 4 and 8 for n = 1, 2, 3.",
                sum(abs(count - 2**dim) for count, dim in zip(counted, DIMS, strict=True)),
                equals(0),
                unit="minima too few or too many",
            ),
            share(
                "trapped",
                "With two weights, descent from the problem's starts ends in a worse minimum than "
                "the best more often than not.",
                bad,
                len(seeds),
                above(0.5),
            ),
            exact(
                "cost",
                "The worst minimum costs over twice as much as the best.",
                float(values.max() / lowest),
                above(2.0),
                unit="times",
            ),
            share(
                "descent-fails",
                "On separable data, descent on the squared error from weights up to 4 mostly ends "
                "with an example on the wrong side.",
                int((wrong["squared"] > 0).sum()),
                len(seeds),
                above(0.5),
            ),
            share(
                "descent-fails-from-small",
                "On separable data it mostly does so from weights within 1 of 0, too; from large "
                "ones the unit is saturated, and what it began with remains.",
                mistaken,
                len(seeds),
                above(0.5),
            ),
            exact(
                "even-the-best",
                "No local minimum is to blame there: the lowest of the critical points found puts "
                "an example on the wrong side.",
                int(_mistakes(best.x[None])[0]),
                above(1),
                unit="examples",
            ),
            exact(
                "perceptron",
                "The perceptron's rule separates the same examples from every start.",
                max(rule),
                below(10_000),
                unit="updates at most",
            ),
            share(
                "logistic",
                "So does descent on the logarithmic error, from over nine starts in ten.",
                int((wrong["logistic"] == 0).sum()),
                len(seeds),
                above(0.9),
            ),
        ),
        figures={
            "paths": paths_figure(
                plane, paths, "One sigmoid unit under squared error: four minima, one of them good"
            ),
            "separable": curves_figure(
                "Separable examples: squared error sacrifices the one at 0.1",
                Panel(curves, "x", "answer", levels={"border between the classes": 0.5}),
            ),
        },
        remark=(
            "The separable data are of the kind of Brady et al. (1989), with targets 0.1 and 0.9 "
            "that the unit can reach; with targets 0 and 1 the infimum separates."
        ),
    )


DIMS = (1, 2, 3)

_X = (3.0, 0.1, -0.1)
_LABELS = (1.0, 1.0, 0.0)
_COUNTS = (200.0, 1.0, 5.0)


def _separable(kind: str) -> Analytic:
    """Examples on a line that a threshold at 0 separates, answered by a unit of weights (w, b)."""
    x, labels, weights = (torch.tensor(v, dtype=torch.float64) for v in (_X, _LABELS, _COUNTS))
    targets = 0.1 + 0.8 * labels

    def f(p: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        z = p[..., :1] * x.to(p) + p[..., 1:]
        if kind == "squared":
            errors = (sigmoid(z) - targets.to(p)).square()
        else:
            errors = softplus(z) - labels.to(p) * z
        return total(weights.to(p) * errors) / sum(_COUNTS)

    return Analytic(
        f=f, dim=2, domain=(-4.0, 4.0), start_at=(0.0, 0.0), spread=4.0, name=f"separable_{kind}"
    )


def _mistakes(p: Float64[Tensor, "n 2"]) -> Tensor:
    """Examples on the wrong side, of the three different ones."""
    z = p[:, :1] * torch.tensor(_X, dtype=p.dtype) + p[:, 1:]
    return ((z > 0) != torch.tensor(_LABELS, dtype=torch.bool)).sum(1)


def _perceptron(start: Float64[Tensor, " 2"]) -> float:
    """Updates that the perceptron's rule takes until all examples are on their sides."""
    (w, b), updates = start.tolist(), 0
    while updates < 100_000:
        wrong = [
            (x, 2 * y - 1) for x, y in zip(_X, _LABELS, strict=True) if (w * x + b > 0) != bool(y)
        ]
        if not wrong:
            return float(updates)
        x, sign = wrong[0]
        w, b, updates = w + sign * x, b + sign, updates + 1
    return math.inf
