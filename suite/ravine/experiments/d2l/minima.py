"""Local minima: how noise gets out of them, where a sample has them, and their copies."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import permutations, product

import numpy as np
import torch
from jaxtyping import Float, Float64
from matplotlib.figure import Figure
from torch import Tensor, nn

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, between, equals, exact, median, share
from ravine.experiments.d2l.difficulties import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only
from ravine.landscape.critical.classify import classify
from ravine.landscape.critical.kinds import Label
from ravine.landscape.critical.rest import downhill
from ravine.landscape.critical.search import search
from ravine.landscape.planes.directions import through
from ravine.landscape.planes.plane import coordinates, plane
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, loss
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.networks import trace
from ravine.landscape.symmetry.permutation import permute
from ravine.landscape.symmetry.rescaling import rescale
from ravine.problems.analytic import Analytic
from ravine.problems.base import Kind
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.problems.noise import Noise
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.landscape.planes.figures import Mark, plane_figure
from ravine.reporting.layout import Table

EXAMPLES = 1000
"""Whose mean is x cos(pi x)."""

SPREAD = 8.0
"""Standard deviation of an example's own slope; a batch of B leaves SPREAD / sqrt(B) of it."""

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
STEPS = 500
DESCENTS = ("sgd(lr=0.05)", "heavy_ball(lr=0.05)", "adam(lr=0.05)", "linear_decay(sgd, lr=0.05)")


@experiment("A5", "Noise gets out of local minima", SOURCE)
def local_minima(scale: Scale, tick: Tick) -> Found:
    """On [-1, 2] x cos(pi x) has a local minimum beside the global one.

    Noise in minibatch gradients can knock the parameter out of the local minimum.
    """
    base = analytic("cosine_wave")
    seeds = range(scale.choose(100, 1000))
    pairs = [(only(name), probe(only(name).method)) for name in DESCENTS]
    noisy = [from_local_minimum(batch) for batch in (*BATCHES, EXAMPLES)]
    runs = run_grid(noisy, pairs, seeds, STEPS).runs
    tick(0.8)
    height = base.facts.targets[0]
    out = np.stack([found.hits[:, :, 0] >= 0 for found in runs], 1)
    better = np.stack([found.final < height - 1e-9 for found in runs], 1)
    plain, decayed = DESCENTS.index("sgd(lr=0.05)"), len(DESCENTS) - 1
    n, large = len(seeds), BATCHES.index(256)
    some = noisy[3]
    ways = {
        f"seed {k}": walk(some, only(DESCENTS[0]), k, 300, keep=range(301)).points[:, 0].numpy()
        for k in range(3)
    }
    return Found(
        claims=(
            share(
                "noise-knocks-out",
                f"On gradients of single examples more than half of the runs of plain descent get "
                f"into the better basin within {STEPS} steps.",
                int(out[plain, 0].sum()),
                n,
                above(0.5),
            ),
            exact(
                "full-stays",
                "On the full gradient no run of any of four methods leaves the local minimum.",
                int(out[:, -1].sum()),
                equals(0),
                unit="runs",
            ),
            share(
                "little-noise-stays",
                "The noise must be large enough: in batches of 256 fewer than one run of plain "
                "descent in twenty leaves.",
                int(out[plain, large].sum()),
                n,
                below(0.05),
            ),
            exact(
                "does-not-stay",
                "To get there is not to stay there: on single examples more runs get into the "
                "better basin than end below the local minimum's value.",
                float(out[plain, 0].mean() - better[plain, 0].mean()),
                above(0.01),
                unit="of the runs",
            ),
            exact(
                "decay-keeps",
                "A rate that falls linearly to zero leaves more of them below it at the end.",
                float(better[decayed, 0].mean() - better[plain, 0].mean()),
                above(0.01),
                unit="of the runs",
            ),
        ),
        figures={
            "share": _knocked_figure(out, better),
            "runs": curves_figure(
                f"Plain descent from the local minimum, in batches of {BATCHES[3]}",
                Panel(
                    {n: Curve(np.arange(float(len(x))), x) for n, x in ways.items()},
                    "step",
                    "x",
                    levels={"global minimum": base.facts.minimizers[0][0]} | _others(base),
                ),
            ),
        },
        tables={"share": _knocked_table(out, better)},
        remark=(
            f"The minibatches are of {EXAMPLES} examples x cos(pi x) + a x, whose slopes a have "
            f"the mean zero and the standard deviation {SPREAD:g}; rate 0.05 and {STEPS} steps."
        ),
    )


def from_local_minimum(batch: int) -> Analytic:
    """The wave, begun in its local minimum, with gradients of minibatches.

    Args:
        batch: examples drawn for each gradient; all of them for the full gradient.
    """
    base = analytic("cosine_wave")
    (place,) = [p.x for p in base.facts.critical_points if p.kind is Kind.MINIMUM and p.x[0] < 0]
    begun = replace(base, start_at=place, spread=0.0)
    if batch >= EXAMPLES:
        return begun
    slopes = example_slopes()

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        chosen = random.integers(0, EXAMPLES, (steps, dim, batch))
        return np.asarray(slopes[chosen].mean(-1))

    name = f"cosine_wave in batches of {batch}"
    traits = replace(base.traits, stochastic=True)
    return replace(begun, noise=Noise(offset=offset), traits=traits, name=name)


def example_slopes() -> Float64[np.ndarray, " examples"]:
    """What the gradient of each example has beyond that of the mean."""
    draws = generator("slopes").standard_normal(EXAMPLES)
    draws -= draws.mean()
    return np.asarray(SPREAD * draws / draws.std())


def _others(base: Analytic) -> dict[str, float]:
    names = {Kind.MINIMUM: "local minimum", Kind.MAXIMUM: "hill between them"}
    points = base.facts.critical_points
    return {names[p.kind]: p.x[0] for p in points if p.x not in base.facts.minimizers}


def _knocked_figure(out: np.ndarray, better: np.ndarray) -> Figure:
    size = np.array([float(b) for b in BATCHES])
    sides = {"get into the better basin": out, "end below the local minimum's value": better}
    panels = [
        Panel(
            {n: Curve(size, s[k, :-1].mean(-1)) for k, n in enumerate(DESCENTS)},
            "batch size (examples)",
            "share of runs",
            log=("x",),
            title=title,
        )
        for title, s in sides.items()
    ]
    return curves_figure(f"From the local minimum, {STEPS} steps", *panels, columns=2)


def _knocked_table(out: np.ndarray, better: np.ndarray) -> Table:
    rows = tuple(
        (name, f"{batch}", f"{out[k, i].mean():.0%}", f"{better[k, i].mean():.0%}")
        for k, name in enumerate(DESCENTS)
        for i, batch in enumerate((*BATCHES, EXAMPLES))
    )
    columns = ("optimizer", "batch", "got into the better basin", "ended below the local minimum")
    title = f"Runs from the local minimum, {STEPS} steps"
    return Table(title, columns, rows, "", ("left", "right", "right", "right"))


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


UNITS = (2, 3, 4, 5)
"""Hidden units."""

POINTS = 40
"""Examples that the perceptrons fit, with noise so that no zero loss makes minima flat."""


@experiment("A7", "Symmetry multiplies minima", SOURCE)
def symmetry(scale: Scale, tick: Tick) -> Found:
    """Every local minimum of a perceptron with d hidden units has at least d! equivalents."""
    wanted, orbits = scale.choose(5, 20), []
    for k, units in enumerate(UNITS):
        for place in minima(units, wanted):
            orbits.append(orbit(units, place))
        tick(0.8 * (k + 1) / len(UNITS))
    equal = twins()
    exchanged = [o.exchanged / math.factorial(o.units) for o in orbits]
    flipped = [o.flipped / (math.factorial(o.units) * 2**o.units) for o in orbits]
    total = sum(o.flipped for o in orbits)
    shown = next(o for o in orbits if o.units == 3)
    return Found(
        claims=(
            exact(
                "factorial",
                f"Each of {len(orbits)} local minima of perceptrons of 2 to 5 tanh units has d! "
                "different copies under exchanges of its units.",
                min(exchanged),
                above(1),
                unit="of d!, at least",
            ),
            exact(
                "signs",
                "Since tanh is odd, signs double that for each unit, to d! 2^d.",
                min(flipped),
                above(1),
                unit="of d! 2^d, at least",
            ),
            exact(
                "one-loss",
                f"The losses of all {total:,} copies agree to rounding with the first one's.",
                max(o.deviation for o in orbits),
                below(1e-12),
            ),
            exact(
                "minima-too",
                "The Hessian says of every copy that it is a minimum.",
                sum(o.others for o in orbits),
                equals(0),
                unit="copies that are none",
            ),
            exact(
                "same-curvature",
                "Its eigenvalues are the first one's, relative to the largest to within 1e-8.",
                max(o.curvature for o in orbits),
                below(1e-8),
            ),
            exact(
                "equal-units",
                "A minimum of two units that are equal in all weights has 2! different copies "
                "under exchanges, too.",
                equal.copies,
                above(2),
                unit="copies",
            ),
            exact(
                "continuum",
                "Where two units are equal their output weights may be split in any way: of 101 "
                "such splits all have zero loss, so that it has even more equivalents.",
                equal.largest,
                below(1e-20),
                unit="largest loss",
            ),
        ),
        figures={"plane": _copies_figure(shown)},
        tables={"copies": _copies_table(orbits)},
        remark=(
            f"Perceptrons of 2 inputs and 1 output under squared error on {POINTS} noisy "
            "examples, their minima from saddle-free Newton steps.  All copies are equally good, "
            "so they are no obstacle."
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Orbit:
    """The copies of a local minimum.

    Args:
        units: d.
        places: the minimum, and its copies under exchanges.
        exchanged: different points under exchanges.
        flipped: different points under exchanges and signs.
        deviation: largest relative difference of the loss.
        others: copies that are no minimum.
        curvature: largest difference of eigenvalues, over the largest of them.
    """

    units: int
    places: Float[Tensor, "copies P"]
    exchanged: int
    flipped: int
    deviation: float
    others: int
    curvature: float


@lru_cache(maxsize=8)
def perceptron(units: int) -> tuple[Surface, Groups]:
    """The loss of a 2-d-1 tanh perceptron on noisy examples, and its symmetries.

    The loss is written as a formula, which is stacked faster than a module; its coordinates
    are the module's parameters in their order.
    """
    random = generator("perceptron")
    inputs = torch.from_numpy(random.standard_normal((POINTS, 2)))
    noise = torch.from_numpy(random.standard_normal(POINTS))
    targets = torch.sin(2 * inputs[:, 0]) * inputs[:, 1] + 0.3 * noise

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return (answers(x, inputs, units) - targets).square().mean(-1)

    formula = Analytic(f=f, dim=4 * units + 1, name=f"perceptron of {units} units")
    return surface(formula), trace(_module(units), inputs)


def answers(
    x: Float[Tensor, "*stack n"], inputs: Float[Tensor, "examples 2"], units: int
) -> Float[Tensor, "*stack examples"]:
    """Outputs of 2-d-1 tanh perceptrons whose parameters are flat points."""
    inner, bias, outer, shift = torch.split(x, [2 * units, units, units, 1], -1)
    sums = inner.reshape(*inner.shape[:-1], units, 2) @ inputs.T + bias[..., None]
    outputs: Float[Tensor, "*stack examples"] = (outer[..., None] * torch.tanh(sums)).sum(-2)
    return outputs + shift


def _module(units: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, units), nn.Tanh(), nn.Linear(units, 1)).double()


def minima(units: int, wanted: int) -> list[Float[Tensor, " P"]]:
    """Regular local minima of a perceptron, as many as are wanted at most."""
    ground, _ = perceptron(units)
    draws = generator("minima", units).standard_normal((5 * wanted, ground.size))
    starts = torch.from_numpy(draws)
    ends = downhill(ground, starts, torch.full((len(starts),), 10.0, dtype=torch.float64))
    found = search(ground, ends, iterations=100, higher=False)
    kept = [p.x for p in found.points if p.label is Label.MINIMUM and float(p.x.abs().max()) < 100]
    return kept[:wanted]


def orbit(units: int, place: Float[Tensor, " P"]) -> Orbit:
    """All copies of a minimum, by exchanges and signs of its hidden units."""
    ground, groups = perceptron(units)
    name, (odd,) = groups.permutable[0].name, [s.name for s in groups.scalable if s.odd]
    orders = [{name: torch.tensor(order)} for order in permutations(range(units))]
    copies = torch.stack([permute(groups, place, order) for order in orders])
    signs = [{odd: torch.tensor(s).double()} for s in product((1.0, -1.0), repeat=units)]
    every = torch.cat([rescale(groups, copies, sign) for sign in signs])
    losses, (first, *rest) = loss(ground, every), classify(ground, copies)
    largest = float(np.abs(first.eigenvalues).max())
    return Orbit(
        units=units,
        places=copies,
        exchanged=different(copies),
        flipped=different(every),
        deviation=float((losses - losses[0]).abs().max() / losses[0]),
        others=sum(p.label is not Label.MINIMUM for p in (first, *rest)),
        curvature=max(float(np.abs(p.eigenvalues - first.eigenvalues).max()) for p in rest)
        / largest,
    )


def different(points: Float[Tensor, "n P"]) -> int:
    """How many of the points differ by more than rounding."""
    return len(np.unique(points.numpy().round(9), axis=0))


@dataclass(frozen=True, slots=True)
class Twins:
    """A minimum of two equal units.

    Args:
        copies: different points under exchanges.
        largest: loss over splits of the output weight between the two.
    """

    copies: int
    largest: float


def twins() -> Twins:
    """Two equal units on examples that one of them fits exactly."""
    inputs = torch.from_numpy(generator("twins").standard_normal((POINTS, 2)))
    targets = 2 * torch.tanh(inputs @ torch.tensor([1.0, -0.5]).double() + 0.3)
    shares = torch.linspace(-1, 3, 101, dtype=torch.float64)
    unit = torch.tensor([1, -0.5, 1, -0.5, 0.3, 0.3], dtype=torch.float64).expand(101, 6)
    splits = torch.cat([unit, torch.stack([shares, 2 - shares, 0 * shares], -1)], -1)
    groups = trace(_module(2), inputs)
    name = groups.permutable[0].name
    orders = ({name: torch.tensor(order)} for order in ((0, 1), (1, 0)))
    copies = torch.stack([permute(groups, splits[50], order) for order in orders])
    losses = (answers(splits, inputs, 2) - targets).square().mean(-1)
    return Twins(different(copies), float(losses.max()))


def _copies_figure(shown: Orbit) -> Figure:
    ground, _ = perceptron(shown.units)
    one, two, three = shown.places[0], shown.places[3], shown.places[4]
    found = through(one, two, three)
    sides = [coordinates(low, high, 101) for low, high in found.ranges()]
    u, v = found.directions.u, found.directions.v
    cells = plane(ground, one, u, v, *sides, labels=found.directions.labels)
    names = ("minimum", "units moved on by one", "units moved on by two")
    marks = [Mark(*p, name) for p, name in zip(found.places, names, strict=True)]
    return plane_figure(cells, "Three of six copies of a minimum of three units", marks)


def _copies_table(orbits: Sequence[Orbit]) -> Table:
    by: Mapping[int, list[Orbit]] = {d: [o for o in orbits if o.units == d] for d in UNITS}
    rows = tuple(
        (
            f"{d}",
            f"{len(own)}",
            f"{math.factorial(d)}",
            f"{min(o.exchanged for o in own)}",
            f"{math.factorial(d) * 2**d:,}",
            f"{min(o.flipped for o in own):,}",
        )
        for d, own in by.items()
        if own
    )
    columns = ("units d", "minima", "d!", "exchanged copies", "d! 2^d", "copies with signs")
    return Table("Copies of local minima", columns, rows, "", ("right",) * 6)
