"""Copies of a minimum that symmetry makes (Dive into Deep Learning, 12.1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations, product

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from ravine.experiments.claims import above, below, equals, exact
from ravine.experiments.d2l.setting import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
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
from ravine.problems.draws import generator
from ravine.reporting.landscape.planes.figures import Mark, plane_figure
from ravine.reporting.layout import Table

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
