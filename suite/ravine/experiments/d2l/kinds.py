"""Kinds of critical points, by the Hessian's eigenvalues (Dive into Deep Learning, 12.1)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ravine.experiments.claims import equals, exact
from ravine.experiments.d2l.setting import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.critical.classify import Classification, classify
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.problems.analytic import Analytic
from ravine.problems.base import Facts, Kind
from ravine.problems.catalogue import analytic, problems
from ravine.problems.formulas.points import critical
from ravine.reporting.drawing import canvas, styled
from ravine.reporting.landscape.critical import critical_figure
from ravine.reporting.layout import Table
from ravine.reporting.surfaces import draw_surface

REACH = 1e-4
"""How far along an eigenvector the loss is looked at, as a share of the domain."""


ROUNDING = 1e-14
"""A second difference below this, relative to 1 + |f|, is rounding."""


@experiment("A3", "Classification by the Hessian", SOURCE)
def classification(scale: Scale, tick: Tick) -> Found:
    """At a zero gradient the signs of the k eigenvalues of the Hessian say what the point is.

    All positive, a local minimum; all negative, a local maximum; both signs, a saddle.
    """
    del scale  # all listed points are classified at either scale
    looks = [look(p) for p in listed()]
    tick(0.7)
    pairs = [(str(kind), c) for found in looks for kind, c in found.pairs]
    regular = [(kind, c) for kind, c in pairs if kind != Kind.DEGENERATE]
    flat = [c for kind, c in pairs if kind == Kind.DEGENERATE]
    ways = sum(found.ways for found in looks)
    rising, falling = quartic(1.0), quartic(-1.0)
    bowl, ridge = (_at_origin(p) for p in (rising, falling))
    odd = [analytic(name) for name in ("monkey_saddle", "fold")]
    labels = [str(c.label) for c in (bowl, ridge, *map(_at_origin, odd))]
    strict = str(_at_origin(analytic("saddle")).label)
    nets = [str(_at_origin(linear_layers(depth)).label) for depth in (2, 3, 4)]
    outcomes = [str(c.settled.outcome) if c.settled else "" for c in (bowl, ridge)]
    apart = float(np.abs(bowl.eigenvalues - ridge.eigenvalues).max())
    shown = analytic("six_hump_camel")
    points = next(found for found in looks if found.problem.name == shown.name)
    return Found(
        claims=(
            exact(
                "signs-decide",
                f"At {len(regular):,} listed points with a regular Hessian the signs of the "
                "eigenvalues give the kind that is listed.",
                sum(kind != str(c.label) for kind, c in regular),
                equals(0),
                unit="points that differ",
            ),
            exact(
                "values-agree",
                f"Along each of {ways:,} eigenvectors there, of eigenvalues that are not zero, the "
                "loss itself rises or falls to both sides as the sign says.",
                sum(found.contrary for found in looks),
                equals(0),
                unit="eigenvectors that differ",
            ),
            exact(
                "three-cases",
                "The three cases are all there are: no listed critical point has zero "
                "eigenvalues beside others of one sign, or zeros alone.",
                len(flat),
                equals(0),
                unit="points",
            ),
            exact(
                "same-spectrum",
                "At the origin x^2 + y^4 and x^2 - y^4 have the same eigenvalues, 0 and 2.",
                apart,
                equals(0),
            ),
            exact(
                "different-kinds",
                "Yet by the fourth derivative the first has a minimum there and the second has "
                "none, so that a zero eigenvalue leaves the kind open.",
                [o == w for o, w in zip(outcomes, ("minimum", "neither"), strict=True)].count(True),
                equals(2),
                unit="of 2",
            ),
            exact(
                "degenerate",
                "The classifier calls both of them degenerate, the monkey saddle "
                "x^3 - 3 x y^2 and the fold x^2 + y^3 too, and x^2 - y^2 a saddle.",
                labels.count("degenerate") + (strict == "saddle"),
                equals(5),
                unit="of 5",
            ),
            exact(
                "linear-networks",
                "So with networks: for two linear layers, (x1 x2 - 1)^2 / 2, the origin is a "
                "saddle, and for three and four it is degenerate.",
                [
                    n == w
                    for n, w in zip(nets, ("saddle", "degenerate", "degenerate"), strict=True)
                ].count(True),
                equals(3),
                unit="of 3",
            ),
        ),
        figures={
            "degenerate": _gallery(
                [rising, falling, *(replace(p, spread=0.0, start_at=None) for p in odd)],
                ["x² + y⁴: a minimum", "x² - y⁴: none", "x³ - 3 x y²: none", "x² + y³: none"],
            ),
            "kinds": critical_figure(
                shown, [c for _, c in points.pairs], "All critical points of six_hump_camel"
            ),
        },
        tables={"points": _points_table(looks)},
        remark=(
            "All formulas of the catalogue that list critical points, in their default "
            "dimensions.  An eigenvalue counts as zero below a tolerance that follows from "
            "rounding; next to a degenerate point no finite precision decides."
        ),
    )


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """The listed critical points of a formula, classified.

    Args:
        problem: the formula.
        pairs: the listed kind and the classification of each.
        ways: eigenvectors of regular points along which the loss was looked at.
        contrary: of these, on which the loss bends otherwise than the eigenvalue says.
    """

    problem: Analytic
    pairs: tuple[tuple[Kind, Classification], ...]
    ways: int
    contrary: int


def listed() -> Iterator[Analytic]:
    """The smooth formulas of the catalogue with critical points, without wrappers."""
    wrappers = {*problems.tagged("transform"), *problems.tagged("noise")}
    for name in problems.tagged("analytic"):
        if name not in wrappers:
            found = analytic(name)
            if found.facts.critical_points and found.traits.smooth:
                yield found


def look(problem: Analytic) -> Look:
    """Classify a formula's listed points, and look along the eigenvectors of regular ones."""
    ground, kinds = surface(problem), [p.kind for p in problem.facts.critical_points]
    x = torch.tensor([p.x for p in problem.facts.critical_points], dtype=torch.float64)
    found = classify(ground, x)
    regular = [k for k, kind in enumerate(kinds) if kind is not Kind.DEGENERATE]
    ways = contrary = 0
    if regular:
        reach = REACH * min(high - low for low, high in problem.intervals)
        eigenvalues, vectors = torch.linalg.eigh(hessians(ground, x[regular]))
        bends = second_differences(problem, x[regular], vectors.mT, reach)
        seen = bends.abs() > ROUNDING * (1 + loss(ground, x[regular]).abs())[:, None]
        # a saddle may have zero eigenvalues too, whose sign is rounding
        zero = torch.tensor([found[k].tolerance.total for k in regular], dtype=torch.float64)
        seen &= eigenvalues.abs() > zero[:, None]
        ways = int(seen.sum())
        contrary = int((seen & (bends.sign() != eigenvalues.sign())).sum())
    return Look(problem, tuple(zip(kinds, found, strict=True)), ways, contrary)


def second_differences(
    problem: Analytic, x: Float[Tensor, "n P"], ways: Float[Tensor, "n k P"], reach: float
) -> Float[Tensor, "n k"]:
    """f(x + r v) + f(x - r v) - 2 f(x) for each point and each of its directions."""
    ground = surface(problem)
    sides = loss(ground, x[:, None] + reach * ways) + loss(ground, x[:, None] - reach * ways)
    bends: Float[Tensor, "n k"] = sides - 2 * loss(ground, x)[:, None]
    return bends


def quartic(sign: float) -> Analytic:
    """x^2 + y^4 or x^2 - y^4, whose Hessians at the origin are the same."""

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.square().unbind(-1)
        return a + sign * b.square()

    facts = Facts(critical_points=critical(Kind.DEGENERATE, (0.0, 0.0, 0.0)))
    name = f"x² {'+' if sign > 0 else '-'} y⁴"
    return Analytic(f=f, dim=2, domain=(-2.0, 2.0), spread=0.0, facts=facts, name=name)


def linear_layers(depth: int) -> Analytic:
    """(x1 x2 ... - 1)^2 / 2: linear layers of one unit each, on one example.

    Args:
        depth: layers.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return (x.prod(-1) - 1).square() / 2

    return Analytic(f=f, dim=depth, domain=(-2.0, 2.0), name=f"{depth} linear layers")


def _at_origin(problem: Analytic) -> Classification:
    (found,) = classify(surface(problem), torch.zeros(1, problem.dim, dtype=torch.float64))
    return found


def _points_table(looks: list[Look]) -> Table:
    rows = []
    for found in looks:
        counts = Counter(str(kind) for kind, _ in found.pairs)
        same = sum(str(kind) == str(c.label) for kind, c in found.pairs)
        cells = (str(counts[kind]) for kind in Kind)
        rows.append((found.problem.name, *cells, f"{same} of {len(found.pairs)}"))
    columns = ("formula", *(str(kind) for kind in Kind), "so classified")
    title = "Listed critical points by kind"
    return Table(title, columns, tuple(rows), "", ("left", *("right",) * 5))


@styled
def _gallery(surfaces: list[Analytic], titles: list[str]) -> Figure:
    """Surfaces beside each other, each with its own heights."""
    figure = canvas("Degenerate points at the origin", width=7.6, height=6.2)
    for axes, problem, title in zip(figure.subplots(2, 2).flat, surfaces, titles, strict=True):
        draw_surface(figure, axes, problem, points=151)
        axes.set_title(title, loc="left")
    return figure
