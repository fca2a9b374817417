"""The trace of a matrix that is known by its products, with a standard error."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.operators import Operator
from ravine.landscape.spectrum.basis import against, directions, rounding
from ravine.landscape.spectrum.lanczos import EXACT, HELD
from ravine.problems import arguments

BLOCK = 8
"""Test vectors that are added at once."""

FEWEST = 2 * BLOCK
"""Test vectors before the error is trusted; that of eight was too small by half."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A sum of eigenvalues.

    Args:
        matrix: which it is the trace of.
        size: P, of the matrix.
        value: the estimate.
        error: its standard error; 0 where all diagonal entries were taken.
        tolerance: the relative error that was aimed at.
        converged: error <= tolerance |value|.
        products: with the matrix.
        seed: of the test vectors.
        note: why it stopped before; empty if it converged.
    """

    matrix: str
    size: int
    value: float
    error: float
    tolerance: float
    converged: bool
    products: int
    seed: int
    note: str = ""


def trace(operator: Operator, *, rtol: float = 0.02, seed: int = 0, most: int = 200) -> Trace:
    """The sum of all eigenvalues, by the exchangeable estimator XTrace.

    Of test vectors w_1, ..., w_k and an orthonormal basis Q of A w_1, ..., A w_k, each w_i is
    used on what the others' basis leaves: t_i = tr(Q_i' A Q_i) + |I - Q_i Q_i'| times the
    Rayleigh quotient of (I - Q_i Q_i') w_i.  The estimate is the mean of t_i, its error their
    standard deviation over the square root of k.  Vectors are added until that error is small
    against the estimate; a trace that is close to zero beside its parts does not get there.
    Up to `EXACT` coordinates the diagonal is summed.

    Args:
        operator: the matrix.
        rtol: standard error over the estimate at which to stop.
        seed: of the test vectors.
        most: products at most.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Epperly, Tropp and Webber (2024). XTrace: making the most of every sample in
        stochastic trace estimation. SIAM Journal on Matrix Analysis and Applications 45(1).
        arXiv 2301.07825.

    Example:
        >>> from ravine.landscape.operators import of_matrix
        >>> found = trace(of_matrix(torch.diag(torch.arange(1.0, 4.0))))
        >>> found.value, found.error
        (6.0, 0.0)
    """
    arguments.whole("most", most, 2 * FEWEST)
    if not 0 < rtol < 1:
        raise BadValue(f"`rtol` must lie between 0 and 1, got {rtol:g}; use 0.02")
    size = operator.size
    tests = torch.zeros(0, size, dtype=torch.float64)
    images, basis, turned = tests, tests, tests
    room = HELD // (4 * 8 * size)
    vectors = max(FEWEST, min(most // 2, room) // BLOCK * BLOCK)
    value, error, products, note = math.nan, math.nan, 0, f"stopped after {2 * vectors} products"
    # with so many products the diagonal is had as cheaply
    if size <= max(EXACT, 2 * vectors):
        value, error, products, note = _diagonal(operator), 0.0, size, ""
    while products < 2 * vectors and note:
        drawn = directions(size, BLOCK, "trace", seed, len(tests))
        drawn = drawn * (math.sqrt(size) / drawn.norm(dim=-1, keepdim=True))
        new = operator(drawn).double()
        more = _orthonormal(new, basis)
        tests, images = torch.cat([tests, drawn]), torch.cat([images, new])
        basis, turned = torch.cat([basis, more]), torch.cat([turned, operator(more).double()])
        products += 2 * BLOCK
        if not bool(images.isfinite().all() and turned.isfinite().all()):
            break
        samples = _samples(
            size,
            (basis @ turned.T).numpy(),
            (basis @ tests.T).numpy(),
            (basis @ images.T).numpy(),
            rounding(operator),
        )
        value = float(samples.mean())
        error = float(samples.std(ddof=1)) / math.sqrt(len(samples))
        if len(tests) >= FEWEST and error <= rtol * abs(value):
            note = ""
    if not math.isfinite(value):
        value, error, note = math.nan, math.nan, "a product is not finite"
    return Trace(
        matrix=operator.name,
        size=size,
        value=value,
        error=error,
        tolerance=rtol,
        converged=not note,
        products=products,
        seed=seed,
        note=note,
    )


def _diagonal(operator: Operator) -> float:
    """The sum of the diagonal, from products with unit vectors."""
    total = 0.0
    for first in range(0, operator.size, 512):
        rows = torch.arange(first, min(first + 512, operator.size))
        units = torch.zeros(len(rows), operator.size, dtype=operator.dtype)
        units[range(len(rows)), rows] = 1.0
        total += float(operator(units)[range(len(rows)), rows].double().sum())
    return total


def _orthonormal(
    rows: Float64[Tensor, "b P"], basis: Float64[Tensor, "k P"]
) -> Float64[Tensor, "b P"]:
    """An orthonormal basis of what rows add to one, and of anything where they add nothing."""
    for _ in range(2):
        rows = torch.linalg.qr(against(rows, basis).T)[0].T
    return rows


def _samples(
    size: int,
    H: Float64[np.ndarray, "k k"],
    W: Float64[np.ndarray, "k k"],
    R: Float64[np.ndarray, "k k"],
    rounding: float,
) -> Float64[np.ndarray, " k"]:
    """An estimate t_i for each test vector.

    Args:
        size: P.
        H: Q' A Q.
        W: Q' w_i in columns.
        R: Q' A w_i in columns.
        rounding: relative error of products.
    """
    count = len(H)
    H = (H + H.T) / 2
    spread = np.linalg.svd(R, compute_uv=False)
    if spread[-1] > rounding * spread[0]:
        # the direction of Q that is lost without w_i is orthogonal to all other images
        S = np.linalg.inv(R).T
        S /= np.linalg.norm(S, axis=0)
        lost = 1
    else:  # all of the matrix lies within Q, with or without w_i
        S, lost = np.zeros_like(R), 0
    A = W - S * (S * W).sum(0)
    rayleigh = (W * R).sum(0) - 2 * (A * R).sum(0) + (A * (H @ A)).sum(0)
    length = size - (A * A).sum(0)
    left = size - count + lost
    samples: Float64[np.ndarray, " k"] = (
        np.trace(H) - (S * (H @ S)).sum(0) + left * rayleigh / length
    )
    return samples
