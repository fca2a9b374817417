"""Risk and empirical risk, and where their minima lie (Dive into Deep Learning, 12.1)."""

import math

import numpy as np
import torch
from jaxtyping import Float, Float64
from matplotlib.figure import Figure

from ravine.experiments.claims import above, below, between, exact, median, share
from ravine.experiments.d2l.setting import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.problems.analytic import Analytic
from ravine.problems.base import Kind
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure

SAMPLES = (25, 100, 400, 1600, 6400)
"""Examples in a sample; of 25 the ripples are about as high as in the textbook's picture."""


GRID = np.linspace(-1, 2, 3001)


GROUPS = 7


@experiment("A6", "Risk and empirical risk", SOURCE)
def empirical_risk(scale: Scale, tick: Tick) -> Found:
    """The minimum of the empirical risk lies elsewhere than the minimum of the risk.

    To minimise the training error is not to minimise the expected error.
    """
    risk, sample = analytic("cosine_wave"), analytic("rippled_wave")
    (best,), (seen,) = risk.facts.minimizers[0], sample.facts.minimizers[0]
    counts = [sum(p.kind is Kind.MINIMUM for p in w.facts.critical_points) for w in (risk, sample)]
    cost, training = (float(w.f(torch.tensor([seen]).double())) for w in (risk, sample))
    groups = np.array(
        [[minimised(n, scale.choose(200, 2000), group) for n in SAMPLES] for group in range(GROUPS)]
    )
    tick(0.9)
    place, excess, optimism = np.moveaxis(groups, 2, 0)
    few = np.abs(place[:, 0] - best).ravel()
    middle = np.median(excess, -1)
    slopes, late = (
        [float(np.polyfit(np.log(SAMPLES[k:]), np.log(row[k:]), 1)[0]) for row in middle]
        for k in (1, 2)
    )
    return Found(
        claims=(
            exact(
                "elsewhere",
                "x cos(pi x) + 0.2 cos(5 pi x) has its minimum more than 0.01 from that of "
                "x cos(pi x).",
                abs(seen - best),
                above(0.01),
            ),
            exact(
                "costs",
                "At the minimum of the empirical risk the risk is higher than at its own.",
                cost - _known(risk.facts.minimum),
                above(1e-6),
            ),
            exact(
                "flatters",
                "The empirical risk there is lower than the risk.",
                training - cost,
                below(-1e-6),
            ),
            exact(
                "more-minima",
                "The empirical risk has more local minima than the risk, which has two.",
                counts[1],
                above(counts[0] + 1),
                unit="minima",
            ),
            share(
                "samples-differ",
                "Of samples of 25 at least nine in ten have their minimum more than 0.01 away.",
                int((few > 0.01).sum()),
                few.size,
                above(0.9),
            ),
            median(
                "excess-falls",
                "From 100 examples on the risk that is lost falls as 1 / n with the sample: the "
                "slope in logarithms is -1 to within a fifth.",
                slopes,
                between(-1.2, -0.8),
            ),
            median(
                "excess-falls-late",
                "It does so from 400 examples on, where the ripples no longer decide which basin "
                "is the best.",
                late,
                between(-1.2, -0.8),
            ),
            share(
                "always-flatters",
                "In at least nine samples of ten, of 25 to 6,400 examples, the training error at "
                "the minimum is below the expected error.",
                int((optimism > 0).sum()),
                optimism.size,
                above(0.9),
            ),
            median(
                "flatters-on-average",
                "On the average over such samples it is below.",
                optimism.mean((1, 2)).tolist(),
                above(0),
            ),
        ),
        figures={"risk": _risk_figure(risk, sample), "excess": _excess_figure(excess)},
        remark=(
            "The textbook draws the empirical risk by hand; the samples here are of examples "
            "x cos(pi x) + a cos(5 pi x) + b sin(5 pi x) with standard normal a and b, whose "
            "mean is the risk.  Minima are found on a grid of 3,001 points."
        ),
    )


def minimised(
    examples: int, draws: int, group: int
) -> tuple[
    Float64[np.ndarray, " draws"], Float64[np.ndarray, " draws"], Float64[np.ndarray, " draws"]
]:
    """Minimise the empirical risk of many samples.

    Args:
        examples: in each sample.
        draws: samples.
        group: of the draws.

    Returns:
        Where each has its minimum, by how much the risk there exceeds the least risk of the
        grid, and by how much it exceeds the empirical risk.
    """
    risk = GRID * np.cos(math.pi * GRID)
    random = generator("sample", examples, group)
    means = random.standard_normal((draws, examples, 2)).mean(1)
    waves = np.stack([np.cos(5 * math.pi * GRID), np.sin(5 * math.pi * GRID)])
    empirical = risk + means @ waves
    lowest = empirical.argmin(1)
    at, seen = risk[lowest], empirical.min(1)
    return GRID[lowest], at - risk.min(), at - seen


def _known(minimum: float | None) -> float:
    assert minimum is not None
    return minimum


def _risk_figure(risk: Analytic, sample: Analytic) -> Figure:
    curves: dict[str, Curve] = {}
    for name, wave in (("risk", risk), ("empirical risk", sample)):
        x = np.linspace(-1, 2, 601)
        curves[name] = Curve(x, wave.f(torch.from_numpy(x)[:, None]).numpy())
        ((place,), height) = wave.facts.minimizers[0], _known(wave.facts.minimum)
        curves[f"minimum of the {name}"] = Curve(np.array([place]), np.array([height]), points=True)
    return curves_figure("Risk and empirical risk", Panel(curves, "x", "risk"))


def _excess_figure(excess: Float[np.ndarray, "groups sizes draws"]) -> Figure:
    size = np.array(SAMPLES, float)
    # the grid cannot tell less from nothing
    quartiles = np.maximum(np.quantile(excess, (0.25, 0.5, 0.75), axis=(0, 2)), 1e-6)
    curves = {
        "median, quartiles": Curve(size, quartiles),
        "1 / n": Curve(size, quartiles[1, -1] * size[-1] / size),
    }
    return curves_figure(
        "Risk that is lost by minimising the empirical risk",
        Panel(curves, "examples in the sample", "excess over the least risk", log=("x", "y")),
    )
