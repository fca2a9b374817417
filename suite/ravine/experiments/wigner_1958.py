"""Spectra of random symmetric matrices (Wigner 1958, Dean and Majumdar 2006)."""

import math

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure
from scipy.special import gamma, gammainc

from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Wigner (1958), Annals of Mathematics 67(2), doi 10.2307/1970008"
DEAN = "Dean and Majumdar (2006), cond-mat/0609651"

ROWS = 400
"""Of the matrices whose spectrum is compared with the semicircle."""

SAMPLED = (1, 2, 3, 4)
LARGEST = 12
"""Rows up to which the integral is computed; beyond, its determinants lose their digits."""

REACH = 14.0
"""Where integrals over eigenvalues end, in standard deviations: what is beyond is 1e-40."""


@experiment("random-matrices", "Random symmetric matrices", SOURCE)
def random_matrices(scale: Scale, tick: Tick) -> Found:
    """A large random symmetric matrix has the spectrum of a semicircle, half of it negative.

    That all its eigenvalues are positive has a probability that falls as
    exp(-(ln 3 / 4) N^2) with N rows, much faster than 2^-N.
    """
    seeds = range(scale.choose(5, 25))
    spectra = np.stack([spectrum(ROWS, seed) for seed in seeds])
    tick(0.3)
    count = scale.choose(200_000, 5_000_000)
    counted = [positive(n, count) / count for n in SAMPLED]
    tick(0.8)
    chances = [probability(n) for n in range(1, LARGEST + 1)]
    errors = [math.sqrt(p * (1 - p) / count) for p in chances[: len(SAMPLED)]]
    apart = [abs(a - b) / e for a, b, e in zip(counted, chances, errors, strict=False)]
    closed = (0.5, (2 - math.sqrt(2)) / 4, (math.pi - 2 * math.sqrt(2)) / (4 * math.pi))
    falls = -np.log(chances)
    rates = np.diff(falls, 2) / 2
    edges = np.abs(spectra[:, [0, -1]]).T
    below_zero = (spectra < 0).mean(1)
    return Found(
        claims=(
            median(
                "lower-edge",
                f"The smallest eigenvalue of {ROWS} rows lies at -2 sigma sqrt(N), to within 5 %.",
                (edges[0] / 2).tolist(),
                between(0.95, 1.05),
                unit="of 2 sigma sqrt(N)",
            ),
            median(
                "upper-edge",
                "The largest lies at 2 sigma sqrt(N), to within 5 %.",
                (edges[1] / 2).tolist(),
                between(0.95, 1.05),
                unit="of 2 sigma sqrt(N)",
            ),
            median(
                "second-moment",
                "The mean of the squared eigenvalues is sigma^2 N, to within 3 %.",
                (spectra**2).mean(1).tolist(),
                between(0.97, 1.03),
                unit="of sigma^2 N",
            ),
            median(
                "half-negative",
                "Half of the eigenvalues are negative, to within 2 % of them.",
                below_zero.tolist(),
                between(0.48, 0.52),
            ),
            median(
                "semicircle",
                "At no point do the shares of eigenvalues up to it and the semicircle's differ by "
                "more than 0.02.",
                [distance(row) for row in spectra],
                below(0.02),
            ),
            exact(
                "closed-forms",
                "For 1 to 3 rows the integral over positive eigenvalues gives 0.5, "
                "(2 - sqrt(2)) / 4 and (pi - 2 sqrt(2)) / (4 pi), to within 1e-9.",
                max(abs(a - b) for a, b in zip(chances, closed, strict=False)),
                below(1e-9),
            ),
            exact(
                "as-counted",
                f"Of {count:,} matrices of 1 to 4 rows each, as many are positive definite as the "
                "integral says, to within four standard deviations.",
                max(apart),
                below(4),
                unit="standard deviations, the worst",
            ),
            exact(
                "below-coins",
                "From 2 rows on they are rarer than 2^-N.",
                max(p * 2**n for n, p in enumerate(chances, 1) if n >= 2),
                below(1),
                unit="of 2^-N, at most",
            ),
            exact(
                "rate",
                f"Half the second difference of -ln P at {LARGEST - 1} rows is ln 3 / 4 = 0.2747, "
                "to within 1 %.",
                float(rates[-1]),
                equals(math.log(3) / 4, 0.01 * math.log(3) / 4),
                source=DEAN,
            ),
            exact(
                "edge-is-no-coin",
                f"That the largest eigenvalue is positive is no coin's toss: its probability is "
                f"above 0.999 from {SAMPLED[-1] + 1} rows on.",
                1 - chances[SAMPLED[-1]],
                above(0.999),
            ),
        ),
        figures={
            "semicircle": _semicircle_figure(spectra),
            "positive": _chances_figure(chances, counted),
        },
        tables={"positive": _table(chances, counted, count)},
        remark=(
            "Entries are independent Gaussians, those on the diagonal of twice the variance.  "
            "A Hessian at a critical point is no such matrix: its spectrum depends on how high "
            "the point lies."
        ),
    )


def spectrum(rows: int, *key: int) -> Float64[np.ndarray, " rows"]:
    """Ascending eigenvalues of one matrix, over sigma sqrt(N)."""
    a = generator("wigner", rows, *key).standard_normal((rows, rows))
    found: Float64[np.ndarray, " rows"] = np.linalg.eigvalsh((a + a.T) / math.sqrt(2 * rows))
    return found


def semicircle(x: Float64[np.ndarray, " n"]) -> Float64[np.ndarray, " n"]:
    """Share of the semicircle of radius 2 that lies up to x."""
    y = np.clip(x / 2, -1, 1)
    found: Float64[np.ndarray, " n"] = 0.5 + (y * np.sqrt(1 - y * y) + np.arcsin(y)) / math.pi
    return found


def distance(row: Float64[np.ndarray, " n"]) -> float:
    """The largest difference of the shares up to a point, Kolmogorov's distance."""
    shares, rank = semicircle(row), np.arange(len(row) + 1) / len(row)
    return float(max(np.abs(shares - rank[1:]).max(), np.abs(shares - rank[:-1]).max()))


def positive(rows: int, count: int) -> int:
    """How many of `count` Gaussian matrices are positive definite, by their pivots."""
    a = generator("definite", rows).standard_normal((count, rows, rows))
    a += a.transpose(0, 2, 1)
    fine = np.ones(count, dtype=bool)
    # Gauss's elimination without exchanges: all pivots are positive or it is not definite
    for k in range(rows):
        pivot = np.where(a[:, k, k] > 0, a[:, k, k], 1.0)
        fine &= a[:, k, k] > 0
        factor = a[:, k + 1 :, k] / pivot[:, None]
        a[:, k + 1 :, k + 1 :] -= factor[:, :, None] * a[:, k, None, k + 1 :]
    return int(fine.sum())


def probability(rows: int) -> float:
    """That a Gaussian symmetric matrix is positive definite, by de Bruijn's integral.

    The density of eigenvalues is prod |x_i - x_j| exp(-sum x_i^2 / 2); its integral over a
    part of the line is a Pfaffian of integrals over two variables.
    """
    return math.exp(_log_pfaffian(rows, 0.0) - _log_pfaffian(rows, -REACH))


def _log_pfaffian(rows: int, start: float) -> float:
    nodes, weights = np.polynomial.legendre.leggauss(800)
    half = (REACH - start) / 2
    x, w = start + half * (nodes + 1), half * weights
    degrees = np.arange(rows)
    # any polynomials of these degrees do; Hermite's keep the determinant's digits
    basis = np.polynomial.hermite_e.hermeval(x, np.diag(1 / np.sqrt(gamma(degrees + 1.0))))
    shape = basis * np.exp(-x * x / 2)
    whole = shape @ w
    up_to = _primitives(x, start, rows)
    after = whole[:, None] - up_to
    pairs = (shape * w) @ (after - up_to).T
    if rows % 2:
        pairs = np.block([[pairs, whole[:, None]], [-whole[None], np.zeros((1, 1))]])
    # a Pfaffian's square is the determinant
    return float(np.linalg.slogdet((pairs - pairs.T) / 2)[1]) / 2


def _primitives(
    x: Float64[np.ndarray, " n"], start: float, rows: int
) -> Float64[np.ndarray, "rows n"]:
    """Integrals of Hermite's polynomials, normalised, times exp(-x^2 / 2) from `start` to x."""

    def power(y: Float64[np.ndarray, " n"], k: int) -> Float64[np.ndarray, " n"]:
        size = 2 ** ((k - 1) / 2) * gamma((k + 1) / 2) * gammainc((k + 1) / 2, y * y / 2)
        found: Float64[np.ndarray, " n"] = np.where(y < 0, (-1) ** (k + 1) * size, size)
        return found

    powers = np.stack([power(x, k) - power(np.array([start]), k) for k in range(rows)])
    table = np.zeros((rows, rows))
    for n in range(rows):
        unit = np.eye(rows)[n]
        coefficients = np.polynomial.hermite_e.herme2poly(unit)
        table[n, : len(coefficients)] = coefficients / math.sqrt(gamma(n + 1.0))
    found: Float64[np.ndarray, "rows n"] = table @ powers
    return found


def _semicircle_figure(spectra: Float64[np.ndarray, "seeds rows"]) -> Figure:
    bins = np.linspace(-2.2, 2.2, 45)
    x = (bins[1:] + bins[:-1]) / 2
    rows = np.stack([np.histogram(row, bins, density=True)[0] for row in spectra])
    fine = np.linspace(-2, 2, 201)
    exactly = np.sqrt(4 - fine * fine) / (2 * math.pi)
    return curves_figure(
        f"Eigenvalues of random symmetric matrices of {ROWS} rows",
        Panel(
            {f"{len(spectra)} matrices": Curve(x, rows), "semicircle": Curve(fine, exactly)},
            "eigenvalue / (sigma sqrt(N))",
            "density",
        ),
    )


def _chances_figure(chances: list[float], counted: list[float]) -> Figure:
    rows = np.arange(1.0, len(chances) + 1)
    leading = chances[-1] * np.exp(-math.log(3) / 4 * (rows**2 - rows[-1] ** 2))
    return curves_figure(
        "Probability that a random symmetric matrix is positive definite",
        Panel(
            {
                "integral": Curve(rows, np.array(chances)),
                "counted": Curve(rows[: len(counted)], np.array(counted), points=True),
                "2^-N": Curve(rows, 0.5**rows),
                "exp(-(ln 3 / 4) N²), scaled": Curve(rows, leading),
            },
            "rows N",
            "probability",
            log=("y",),
        ),
    )


def _table(chances: list[float], counted: list[float], count: int) -> Table:
    seen = [f"{p:.3g}" for p in counted] + ["n/a"] * (len(chances) - len(counted))
    rows = [(str(n), f"{p:.5g}", seen[n - 1], f"{0.5**n:.3g}") for n, p in enumerate(chances, 1)]
    return Table(
        "Probability that all eigenvalues are positive",
        ("rows", "integral", "counted", "2^-N"),
        tuple(rows),
        f"Counted among {count:,} matrices each.",
        ("right",) * 4,
    )
