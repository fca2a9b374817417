"""Linear networks: factorisations of a matrix, whose critical points are all known."""

import math
from collections.abc import Callable, Sequence
from itertools import combinations, pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic, rotation
from ravine.problems.arguments import at_most, positive, whole
from ravine.problems.arithmetic import total
from ravine.problems.base import CriticalPoint, Facts, Kind
from ravine.problems.catalogue import problems
from ravine.problems.matrices import multiply

Kept = tuple[int, ...]
"""Positions of the singular values, largest first, that a critical point has learnt."""

MOST = 8
"""Singular values up to which the subsets of them are listed."""


@problems.register("neural", "saddle", "analytic")
def deep_linear(
    depth: int = 3, width: int = 3, singular_values: tuple[float, ...] = (3.0, 2.0, 1.0)
) -> Analytic:
    """A deep linear network, which passes from saddle to saddle as it learns.

    f(W_1, ..., W_L) = 1/2 |W_L ... W_1 - M|^2 in the Frobenius norm, as on whitened inputs,
    with M = U diag(s) V' and U, V fixed random rotations.

    A critical point has learnt a set of at most `width` singular values; its loss is half
    the sum of the squares of the others, and only those that have kept as many as they can,
    the largest, are minima.  A saddle that could keep more, but has kept the largest, has a
    direction of negative curvature with two layers and none with more: there the descent is
    of higher order, and small weights make long plateaus.  The facts list one of each set, with
    all layers alike; a rescaling that leaves the product as it is gives the others.  Runs
    begin near the origin.

    Args:
        depth: L, at least 2; `linear_chain` has one unit in each layer.
        width: of the hidden layers; below the number of singular values, it bounds the rank.
        singular_values: s, from large to small, no two alike, up to eight.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Saxe, McClelland, Ganguli (2013). Exact solutions to the nonlinear dynamics of
        learning in deep linear neural networks. arXiv 1312.6120.
        Kawaguchi (2016). Deep learning without poor local minima. NeurIPS. arXiv 1605.07110.
    """
    whole("depth", depth, 2)
    whole("width", width, 1)
    _descending("singular_values", singular_values)
    n = len(singular_values)
    return _linear_network((n, *(width,) * (depth - 1), n), singular_values)


@problems.register("neural", "saddle", "analytic")
def matrix_factorization(
    rows: int = 5, singular_values: tuple[float, ...] = (4.0, 3.0, 2.0, 1.0), rank: int = 2
) -> Analytic:
    """The best approximation of a matrix by one of low rank, through its two factors.

    f(A, B) = 1/2 |B A - M|^2 in the Frobenius norm, B of size rows x rank, A of size
    rank x columns and M = U diag(s) V' with U, V fixed random rotations.

    The minimum is half the sum of the squares of the singular values that the rank leaves
    out (Eckart and Young).  Every other critical point is a strict saddle.  The minima form
    surfaces, for C A and B C^-1 have the same product.  Runs begin near the saddle at the
    origin.

    Args:
        rows: of M, at least as many as columns.
        singular_values: s, one for each column of M, from large to small, no two alike, up
            to eight.
        rank: of the product.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Eckart, Young (1936). The approximation of one matrix by another of lower rank.
        Psychometrika 1(3). doi 10.1007/BF02288367.
        Valavi, Liu, Ramadge (2020). Revisiting the landscape of matrix factorization.
        AISTATS, PMLR 108.
    """
    _descending("singular_values", singular_values)
    whole("rows", rows, len(singular_values))
    whole("rank", rank, 1)
    return _linear_network((len(singular_values), rank, rows), singular_values)


@problems.register("neural", "saddle", "analytic")
def linear_autoencoder(
    eigenvalues: tuple[float, ...] = (4.0, 2.0, 1.0, 0.5), bottleneck: int = 2
) -> Analytic:
    """A linear autoencoder, which finds the principal components.

    f(A, B) = 1/2 sum_ij l_j (B A - I)_ij^2: the mean squared error, halved, of the
    reconstruction B A x of inputs with covariance diag(l_1, ..., l_n); encoder A,
    bottleneck x n, decoder B, n x bottleneck.

    A critical point has kept a set S of at most `bottleneck` components.  Its loss is half
    the sum of the other eigenvalues, and its Hessian has as many negative eigenvalues as
    there are pairs of a component in S and a larger one outside, plus
    (bottleneck - |S|) (n - |S|).  So all are strict saddles but the one that has kept the
    largest, 10 of 11 by default.  The facts list one point of each set, with unit weights
    and the unused codes at zero; any invertible map of the codes gives others.  Runs begin
    near the origin.

    Args:
        eigenvalues: l, from large to small, no two alike, up to eight.
        bottleneck: number of codes, up to the number of eigenvalues.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Baldi, Hornik (1989). Neural networks and principal component analysis: learning
        from examples without local minima. Neural Networks 2(1), 53-58.
        doi 10.1016/0893-6080(89)90014-2.
    """
    _descending("eigenvalues", eigenvalues)
    n = len(eigenvalues)
    whole("bottleneck", bottleneck, 1)
    at_most("bottleneck", bottleneck, n)
    read = _layers((n, bottleneck, n))
    weights = torch.tensor(eigenvalues, dtype=torch.float64)
    identity = torch.eye(n, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        encoder, decoder = read(x)
        errors = (multiply(decoder, encoder) - identity.to(x)).square()
        return 0.5 * total((weights.to(x) * errors).flatten(-2))

    def at(kept: Kept) -> CriticalPoint:
        encoder = np.zeros((bottleneck, n))
        encoder[range(len(kept)), kept] = 1.0
        missed = sum(e for i, e in enumerate(eigenvalues) if i not in kept) / 2
        # strict wherever a code is free or a larger component was left for a smaller one
        best = kept == tuple(range(bottleneck))
        kind = Kind.DEGENERATE if best else Kind.SADDLE
        return CriticalPoint(_flat(encoder, encoder.T), missed, kind)

    points = tuple(at(kept) for kept in _subsets(n, bottleneck))
    # by entries of the product: between two kept components, and between a kept and a lost
    curvatures = [2 * eigenvalues[j] for j in range(bottleneck)] * bottleneck
    for high in eigenvalues[:bottleneck]:
        for low in eigenvalues[bottleneck:]:
            half, reach = (high + low) / 2, math.hypot((high - low) / 2, low)
            # the product of the two is low (high - low): no difference of like numbers
            curvatures += [half + reach, low * (high - low) / (half + reach)]
    return Analytic(
        f=f,
        dim=2 * n * bottleneck,
        domain=(-2.0, 2.0),
        start_at=(0.0,) * (2 * n * bottleneck),
        spread=0.1,
        facts=_facts(points, curvatures, 2 * n * bottleneck),
    )


def _linear_network(sizes: Sequence[int], singular_values: Sequence[float]) -> Analytic:
    """1/2 |W_L ... W_1 - M|^2 with layers between the given sizes.

    M has the given singular values, as many as its columns, and at least as many rows.
    """
    depth, columns, rows, width = len(sizes) - 1, sizes[0], sizes[-1], sizes[1]
    s = np.array(singular_values)
    left, right = rotation(rows, 0).numpy()[:, :columns], rotation(columns, 1).numpy()
    target = torch.from_numpy((left * s) @ right.T)
    read = _layers(sizes)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        product, *others = read(x)
        for layer in others:
            product = multiply(layer, product)
        return 0.5 * total((product - target.to(x)).square().flatten(-2))

    def at(kept: Kept) -> CriticalPoint:
        learnt = list(kept)
        share = np.zeros(width)
        share[: len(kept)] = s[learnt] ** (1 / depth)
        first, last = np.zeros((width, columns)), np.zeros((rows, width))
        first[: len(kept)] = share[: len(kept), None] * right[:, learnt].T
        last[:, : len(kept)] = share[: len(kept)] * left[:, learnt]
        missed = np.delete(s, learnt)
        # a free code is a way down in second order only if no third layer is zero there
        free = depth == 2 and len(kept) < width and len(missed) > 0
        swap = bool(kept and len(missed) and missed.max() > s[learnt].min())
        kind = Kind.SADDLE if free or swap else Kind.DEGENERATE
        x = _flat(first, *[np.diag(share)] * (depth - 2), last)
        return CriticalPoint(x, float(missed @ missed) / 2, kind)

    points = tuple(at(kept) for kept in _subsets(columns, min(width, columns)))
    dim = sum(a * b for a, b in pairwise(sizes))
    # at any depth and width the product begins with entries of about a fiftieth
    spread = 0.03 ** (1 / depth) * math.sqrt(3 / width)
    return Analytic(
        f=f,
        dim=dim,
        domain=(-2.0, 2.0),
        start_at=(0.0,) * dim,
        spread=spread,
        facts=_facts(points, _curvatures(s, rows, width, depth), dim),
    )


def _curvatures(s: np.ndarray, rows: int, width: int, depth: int) -> list[float]:
    """The Hessian's eigenvalues that are not zero, at the minimum with layers alike.

    In the bases of M, the entry (i, j) of the product moves with one entry of each layer.
    Where i and j are both kept, all layers move it; where i is not, the last layer does, the
    first one moves entry (j, i), and the singular value s_i that is missing couples the two.
    """
    kept = min(width, len(s))
    found = [
        float(sum(s[i] ** (2 * (depth - k) / depth) * s[j] ** (2 * (k - 1) / depth)))
        for k in [np.arange(1, depth + 1)]
        for i in range(kept)
        for j in range(kept)
    ]
    for j in range(kept):
        others = s[j] ** ((depth - 2) / depth)
        for low in s[kept:]:
            found += [float(others * (s[j] - low)), float(others * (s[j] + low))]
        found += [float(others * s[j])] * (rows - len(s))
    return found


def _facts(points: Sequence[CriticalPoint], curvatures: Sequence[float], dim: int) -> Facts:
    """Facts from the critical points, the lowest last, and the curvatures that are not 0."""
    lowest = points[-1]
    rising = sorted(curvatures)
    return Facts(
        minimum=lowest.value,
        minimizers=(lowest.x,),
        critical_points=tuple(points),
        eigenvalues=(0.0,) * (dim - len(rising)) + tuple(rising),
        condition=rising[-1] / rising[0],
        source="closed form; one point of each family of critical points, the last a minimum",
    )


def _subsets(n: int, most: int) -> list[Kept]:
    """All sets of at most `most` of n positions; the one of the first `most` is last."""
    sets = [kept for size in range(most + 1) for kept in combinations(range(n), size)]
    return sorted(sets, key=lambda kept: (len(kept), [-i for i in kept]))


def _layers(sizes: Sequence[int]) -> Callable[[Tensor], list[Tensor]]:
    """How to read matrices `[*stack, out, in]` from a vector `[*stack, n]`, first layer first."""
    shapes = [(fan_out, fan_in) for fan_in, fan_out in pairwise(sizes)]
    lengths = [fan_out * fan_in for fan_out, fan_in in shapes]

    def read(x: Tensor) -> list[Tensor]:
        parts = torch.split(x, lengths, -1)
        return [part.reshape(*x.shape[:-1], *s) for part, s in zip(parts, shapes, strict=True)]

    return read


def _flat(*layers: np.ndarray) -> tuple[float, ...]:
    return tuple(float(v) for layer in layers for v in layer.flat)


def _descending(name: str, values: Sequence[float]) -> None:
    """Insist on up to eight positive numbers, each below the one before.

    Raises:
        BadValue: they are not.
    """
    for value in values:
        positive(name, value)
    if not 1 <= len(values) <= MOST or any(a <= b for a, b in pairwise(values)):
        raise BadValue(
            f"`{name}` must be 1 to {MOST} numbers from large to small, no two alike, got "
            f"{values}; sort them and part equal ones"
        )
