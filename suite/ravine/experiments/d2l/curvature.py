"""What the Hessian's eigenvalues say of critical points, and how often all are positive."""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int64
from matplotlib.figure import Figure
from torch import Tensor

from ravine.experiments.claims import above, below, between, equals, exact, share
from ravine.experiments.d2l.difficulties import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.critical.classify import Classification, classify
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import loss
from ravine.problems.analytic import Analytic
from ravine.problems.base import Facts, Kind
from ravine.problems.catalogue import analytic, problems
from ravine.problems.draws import generator
from ravine.problems.formulas.points import critical
from ravine.reporting.curves import Curve, Panel, curves_figure
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


EXACT = {
    1: 0.5,
    2: (2 - math.sqrt(2)) / 4,
    3: (math.pi - 2 * math.sqrt(2)) / (4 * math.pi),
    4: 0.00245,
}
"""P(all eigenvalues > 0) in the Gaussian orthogonal ensemble; of four rows, to three digits."""

SIZES = (1, 2, 3, 4, 5)
CHUNK = 50_000


@experiment("A4", "Minima get rare with the dimension", SOURCE)
def dimension(scale: Scale, tick: Tick) -> Found:
    """Each eigenvalue is positive with probability 1/2, so that k dimensions make 0.5^k.

    Minima get rare, then, and saddles prevail in high dimension.  A symmetric distribution
    of entries gives a symmetric distribution of eigenvalues.
    """
    count = scale.choose(1_000_000, 20_000_000)
    signs = {}
    for n in SIZES:
        signs[n] = np.concatenate([positives(m) for m in gaussian(n, count)])
        tick(0.5 * n / len(SIZES))
    positive = {n: int((found == n).sum()) for n, found in signs.items()}
    fewer = count // 4
    flat = {n: sum(int((positives(m) == n).sum()) for m in uniform(n, fewer)) for n in SIZES[:4]}
    tick(0.7)
    shares = {n: positive[n] / count for n in SIZES}
    errors = {n: math.sqrt(p * (1 - p) / count) for n, p in EXACT.items()}
    worst = max(abs(shares[n] - p) / errors[n] for n, p in EXACT.items())
    eigenvalues = spectra(3, scale.choose(200_000, 2_000_000))
    tick(0.9)
    # one of each matrix, for those of one matrix are not independent
    which = generator("eigenvalue").integers(0, 3, count)
    drawn = eigenvalues[np.arange(len(eigenvalues)), which[: len(eigenvalues)]]
    # eigenvalues are ascending, so that the last so many are the positive ones
    coins = which >= 3 - signs[3]
    high = spectra(10, scale.choose(10_000, 100_000))
    saddles = int(((high[:, 0] < 0) & (high[:, -1] > 0)).sum())
    factors = [shares[n] / shares[n + 1] for n in SIZES[:-1]]
    return Found(
        claims=(
            share(
                "each-is-a-coin",
                "An eigenvalue of a random symmetric matrix, drawn at random, is positive with "
                "probability 1/2.",
                int(coins.sum()),
                count,
                between(*_around(0.5, count)),
            ),
            share(
                "two-coins",
                "Both eigenvalues of a 2 x 2 matrix are positive with probability 0.5^2, to "
                "within 0.01.",
                positive[2],
                count,
                between(0.24, 0.26),
            ),
            share(
                "three-coins",
                "All eigenvalues of a 3 x 3 matrix are positive with probability 0.5^3, to "
                "within 0.01.",
                positive[3],
                count,
                between(0.115, 0.135),
            ),
            exact(
                "closed-forms",
                "They are so with probability 0.5, (2 - √2) / 4, (π - 2 √2) / (4 π) and 0.00245 "
                "for 1 to 4 rows, to within four standard deviations: eigenvalues repel.",
                worst,
                below(4),
                unit="standard deviations, the worst",
            ),
            exact(
                "rarer-than-coins",
                "From 2 rows on minima are rarer than 0.5^k says.",
                max(shares[n] * 2**n for n in SIZES[1:]),
                below(1),
                unit="of 0.5^k, at most",
            ),
            exact(
                "faster-and-faster",
                "Each further row makes them rarer by a larger factor than the one before.",
                min(b / a for a, b in pairwise(factors)),
                above(1),
                unit="from factor to factor, at least",
            ),
            share(
                "saddles-prevail",
                "Of random 10 x 10 matrices at least 99 % have eigenvalues of both signs.",
                saddles,
                len(high),
                above(0.99),
            ),
            exact(
                "symmetric-spectrum",
                "Above c there are as many eigenvalues of 3 x 3 matrices as below -c, for c of "
                "0, 1, 2 and 3, to within four standard deviations.",
                max(_imbalance(drawn, c) for c in (0.0, 1.0, 2.0, 3.0)),
                below(4),
                unit="standard deviations, the worst",
            ),
            share(
                "largest-is-no-coin",
                "So the largest eigenvalue of a 3 x 3 matrix is positive with probability 1/2, "
                "to within 0.01.",
                int((signs[3] > 0).sum()),
                count,
                between(0.49, 0.51),
            ),
            share(
                "largest-is-positive",
                "It is so with probability 1 - (π - 2 √2) / (4 π), to within four standard "
                "deviations, since all are negative as often as all are positive.",
                int((signs[3] > 0).sum()),
                count,
                between(*_around(1 - EXACT[3], count)),
            ),
        ),
        figures={"probability": _probability_figure(shares, flat, fewer, eigenvalues)},
        remark=(
            f"{count:,} matrices of each size, Gaussian entries of variance 1 and 2 on the "
            "diagonal; for other entries the numbers differ and the conclusion stays.  Hessians "
            "of networks are no such matrices."
        ),
    )


def gaussian(n: int, count: int) -> Iterator[Float[np.ndarray, "n n chunk"]]:
    """Matrices of the Gaussian orthogonal ensemble, in chunks, the matrices innermost."""
    for k in range(0, count, CHUNK):
        draws = generator("goe", n, k).standard_normal((n, n, min(CHUNK, count - k)))
        yield (draws + draws.transpose(1, 0, 2)) / math.sqrt(2)


def uniform(n: int, count: int) -> Iterator[Float[np.ndarray, "n n chunk"]]:
    """Symmetric matrices of entries that are uniform on [-1, 1]."""
    lower = np.tri(n)[..., None]
    for k in range(0, count, CHUNK):
        draws = 2 * generator("uniform", n, k).random((n, n, min(CHUNK, count - k))) - 1
        yield np.where(lower > 0, draws, draws.transpose(1, 0, 2))


def positives(matrices: Float[np.ndarray, "n n count"]) -> Int64[np.ndarray, " count"]:
    """How many eigenvalues are positive: as many as pivots of an elimination (Sylvester)."""
    m = matrices.copy()
    found = np.zeros(m.shape[-1], dtype=np.int64)
    for k in range(len(m)):
        found += m[k, k] > 0
        m[k + 1 :, k + 1 :] -= m[k + 1 :, k, None] * m[None, k, k + 1 :] / m[k, k]
    return found


def spectra(n: int, count: int) -> Float[np.ndarray, "count n"]:
    """Eigenvalues of Gaussian matrices, ascending."""
    return np.concatenate([np.linalg.eigvalsh(m.transpose(2, 0, 1)) for m in gaussian(n, count)])


def _imbalance(values: Float[np.ndarray, " n"], c: float) -> float:
    """Difference of the counts above c and below -c in its standard deviations."""
    up, down = int((values > c).sum()), int((values < -c).sum())
    return abs(up - down) / math.sqrt(up + down)


def _around(p: float, n: int) -> tuple[float, float]:
    spread = 4 * math.sqrt(p * (1 - p) / n)
    return p - spread, p + spread


def _probability_figure(
    shares: dict[int, float],
    flat: dict[int, int],
    fewer: int,
    eigenvalues: Float[np.ndarray, "rows n"],
) -> Figure:
    def over(found: dict[int, float], *, points: bool = False) -> Curve:
        values = [found[n] or math.nan for n in found]
        return Curve(np.array([float(n) for n in found]), np.array(values), points=points)

    edges = np.linspace(-7, 7, 113)
    middle = (edges[1:] + edges[:-1]) / 2

    def density(values: Float[np.ndarray, "..."]) -> Curve:
        return Curve(middle, np.histogram(values, edges, density=True)[0])

    return curves_figure(
        "Random symmetric matrices",
        Panel(
            {
                "0.5^k": over({n: 0.5**n for n in SIZES}),
                "Gaussian entries": over(shares),
                "Gaussian, exact": over(EXACT, points=True),
                "uniform entries": over({n: hits / fewer for n, hits in flat.items()}),
            },
            "rows k",
            "P(all eigenvalues > 0)",
            log=("y",),
        ),
        Panel(
            {
                "any eigenvalue of three": density(eigenvalues),
                "the largest of three": density(eigenvalues[:, -1]),
            },
            "eigenvalue",
            "density",
        ),
        columns=2,
    )
