"""Inexact gradients (Deep Learning, 8.2.6)."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.engine.walk import walk
from ravine.engine.watch import Runs
from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only, stacked
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic, problem
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure

RATE, DIM, STEPS = 0.1, 10, 400

GROUPS = 7
"""Groups of seeds whose means are compared, where single runs scatter too much."""

FAMILIES = {
    "exact": "sphere(dim=10)",
    "Gaussian": "gaussian_noise(sphere(dim=10), scale=0.1)",
    "correlated over 10 steps": "autocorrelated_noise(sphere(dim=10), scale=0.1, memory=10)",
    "in proportion": "multiplicative_noise(sphere(dim=10), scale=1.0)",
    "lost at random": "mask_out(sphere(dim=10), probability=0.5)",
    "rounded": "quantised(sphere(dim=10), quantum=0.1)",
    "Cauchy": "cauchy_noise(sphere(dim=10), scale=0.01)",
}
"""Families of noise over one bowl."""

SIZES = (1, 4, 16, 64, 256)
"""Examples in a minibatch."""


@experiment("C10", "Inexact gradients", BOOK.format("8.2.6"))
def inexact_gradients(scale: Scale, tick: Tick) -> Found:
    """Most methods assume an exact gradient, and in practice it is noisy or biased.

    How descent suffers depends on the family of the noise; larger batches make it smaller; and
    where the loss itself has no useful gradient, a surrogate is descended instead.
    """
    each = scale.choose(60, 400)
    seeds = range(GROUPS * each)
    sgd = {"sgd": only(f"sgd(lr={RATE})")}
    runs: dict[str, Runs] = {}
    for done, (family, name) in enumerate(FAMILIES.items(), 1):
        runs[family] = stacked(analytic(name), sgd, seeds, STEPS)["sgd"]
        tick(0.7 * done / len(FAMILIES))
    some = range(scale.choose(15, 50))
    heavy = analytic(FAMILIES["Cauchy"])
    plain, clipped = (
        [_highest(heavy, name, seed) for seed in some[:9]]
        for name in (f"sgd(lr={RATE})", f"clip(sgd(lr={RATE}), norm=1.0)")
    )
    tick(0.85)
    bowl = analytic(FAMILIES["exact"])
    curvature = bowl.facts.eigenvalues[-1]
    floor = DIM * RATE * 0.1**2 / (2 * (2 - RATE * curvature))
    means = {family: _means(found) for family, found in runs.items()}
    left = {family: (found.final / found.start)[0] for family, found in runs.items()}
    half = DIM * (0.1 / 2) ** 2 / (2 * curvature)
    spreads = np.stack([_spreads(seed, scale.choose(4000, 10_000)) for seed in range(GROUPS)])
    slopes = [np.polyfit(np.log(SIZES), np.log(row), 1)[0] for row in spreads]
    steps, smooth = analytic("step_ellipsoid"), analytic("ellipsoid(dim=2, condition=100.0)")
    blind = stacked(steps, {"sgd": only("sgd(lr=0.01)")}, some, 100)["sgd"]
    # descended in the formula's own coordinates, from the steps' starts
    begin = torch.stack([steps.start(s)["x"] for s in some]) - steps.instance(some)["shift"]
    guided = steps.f(_descend(smooth.f, begin, 0.009, 400))
    at = np.array(runs["exact"].marks) + 1.0
    return Found(
        claims=(
            median(
                "gaussian-floor",
                "Gaussian noise leaves a floor of n rate sigma^2 / (2 (2 - rate lambda)).",
                (means["Gaussian"] / floor).tolist(),
                between(0.8, 1.25),
                unit="of it",
            ),
            median(
                "correlated",
                "Noise of the same variance that is correlated over ten steps leaves a higher one.",
                (means["correlated over 10 steps"] / means["Gaussian"]).tolist(),
                above(1.0),
                unit="times",
            ),
            median(
                "fades",
                "Noise in proportion to the gradient leaves none: the loss falls by 1e-8.",
                left["in proportion"].tolist(),
                below(1e-8),
            ),
            median(
                "lost",
                "Nor do entries that are lost at random, half of them, though each such gradient "
                "is biased.",
                left["lost at random"].tolist(),
                below(1e-8),
            ),
            median(
                "rounded",
                "Rounding, a bias, stops descent short of the minimum, where all entries are below "
                "half a quantum.",
                (runs["rounded"].final[0] / half).tolist(),
                between(1e-3, 1.0),
                unit="of n (q/2)^2 / (2 lambda)",
            ),
            median(
                "heavy-tails",
                "Under Cauchy noise the loss of plain descent jumps over ten times as high in the "
                "second half of the run as that of clipped descent.",
                [a / b for a, b in zip(plain, clipped, strict=True)],
                above(10),
                unit="times",
            ),
            median(
                "batch",
                "The variance of a minibatch's gradient falls as 1/|B|: a slope of -1 in logs.",
                [float(s) for s in slopes],
                between(-1.05, -0.95),
            ),
            exact(
                "no-gradient",
                "On a loss made of steps descent does not move at all,",
                float(np.abs(blind.final - blind.start).max()),
                equals(0),
            ),
            exact(
                "surrogate",
                "while descent of a smooth surrogate brings the very same loss to 0.",
                float(guided.max()),
                equals(0),
            ),
        ),
        figures={
            "families": curves_figure(
                "Descent of a bowl by inexact gradients",
                Panel(
                    {
                        family: Curve(at, np.maximum(found.trace_loss[:, 0].T, 1e-16))
                        for family, found in runs.items()
                    },
                    "steps + 1",
                    "loss",
                    log=("x", "y"),
                    levels={"floor of Gaussian noise by the formula": floor},
                ),
                height=4.2,
            ),
            "batches": curves_figure(
                "Variance of the gradient by the size of the minibatch",
                Panel(
                    {
                        "measured": Curve(np.array(SIZES, float), spreads, points=True),
                        "1 / |B|": Curve(
                            np.array(SIZES, float), spreads[:, 0].mean() / np.array(SIZES)
                        ),
                    },
                    "|B| (examples)",
                    "variance of the gradient",
                    log=("x", "y"),
                ),
            ),
        },
        remark=(
            "The floors are those of plain descent at a constant rate on a quadratic bowl of 10 "
            "coordinates; the medians with the names of noise families are over groups of seeds."
        ),
    )


def _means(runs: Runs) -> Float64[np.ndarray, " groups"]:
    """Means of the late loss over groups of seeds."""
    return np.asarray(runs.final[0].reshape(GROUPS, -1).mean(1))


def _highest(problem: Analytic, name: str, seed: int) -> float:
    """The highest loss in the second half of a run."""
    losses = walk(problem, only(name), seed, STEPS, keep=range(STEPS + 1)).losses
    return max(losses[STEPS // 2 :])


def _spreads(seed: int, draws: int) -> Float64[np.ndarray, " sizes"]:
    """Variance of a minibatch's gradient over draws with replacement, for all sizes."""
    table = problem("tabular_regression(batch=1500)")
    rows = {n: t[0] for n, t in table.batch([0], 0).items()}
    x = torch.cat([rows["inputs"], torch.ones(len(rows["inputs"]), 1)], 1).double()
    start = table.start(seed)
    errors = x @ torch.cat([start["weight"], start["bias"]]).double() - rows["targets"]
    each = (errors[:, None] * x).numpy()
    draw = generator("minibatches", seed)
    found = []
    for size in SIZES:
        means = each[draw.integers(0, len(each), (draws, size))].mean(1)
        found.append(float(means.var(0).sum()))
    return np.array(found)


def _descend(
    f: Callable[[Tensor], Tensor], x: Float64[Tensor, "n P"], rate: float, steps: int
) -> Float64[Tensor, "n P"]:
    """Plain descent of a formula in its own coordinates."""
    for _ in range(steps):
        leaf = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(f(leaf).sum(), leaf)
        x = x - rate * slope
    return x
