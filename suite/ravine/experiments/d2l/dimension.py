"""Minima among critical points, by dimension (Dive into Deep Learning, 12.1)."""

import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int64
from matplotlib.figure import Figure

from ravine.experiments.claims import above, below, between, exact, share
from ravine.experiments.d2l.setting import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure

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
                "Since the spectrum is symmetric the largest eigenvalue of a 3 x 3 matrix is "
                "positive with probability 1/2, to within 0.01.",
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
