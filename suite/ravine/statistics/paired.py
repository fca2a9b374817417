"""Tests and estimates for paired differences, one row of differences for every comparison.

All functions take differences with the pairs along the last dimension and any number of
leading ones, so that thousands of comparisons cost one call.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer, Shaped
from scipy.special import ndtr, ndtri
from scipy.stats import rankdata

from ravine.errors import BadValue

EXACT = 50
"""Up to so many pairs null distributions are exact, beyond it they are normal."""

EFFICIENCY = 3 / np.pi
"""Of the signed-rank test against the t test under normal differences."""

MOST_SEEDS = 10_000
"""The largest number of seeds that is ever recommended."""

_WALSH = 4_000_000


@dataclass(frozen=True, slots=True)
class Tails:
    """One-sided p-values of the signed-rank test.

    Args:
        greater: against "the differences tend to be positive".
        less: against "the differences tend to be negative".
    """

    greater: Float[np.ndarray, "*rows"]
    less: Float[np.ndarray, "*rows"]

    @property
    def two_sided(self) -> Float[np.ndarray, "*rows"]:
        """Twice the smaller of both, at most 1."""
        return np.asarray(np.minimum(1.0, 2 * np.minimum(self.greater, self.less)))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its confidence interval."""

    value: Float[np.ndarray, "*rows"]
    low: Float[np.ndarray, "*rows"]
    high: Float[np.ndarray, "*rows"]


def signed_rank(differences: Float[np.ndarray, "*rows n"]) -> Tails:
    """Test whether differences are symmetric about zero (Wilcoxon's signed-rank test).

    W = sum of the ranks of |d| over d > 0.  Zeros take part in the ranking and then drop out
    (Pratt).  Up to `EXACT` pairs the distribution of W over all sign flips is enumerated
    with the ties and zeros at hand, so the test keeps its level where the usual normal
    approximation does not.

    Args:
        differences: finite numbers.

    Returns:
        The p-values; 1 when every difference is zero.

    Raises:
        BadValue: there are no pairs, or a difference is not finite.

    References:
        Wilcoxon 1945, doi 10.2307/3001968; Pratt 1959, doi 10.1080/01621459.1959.10501526.
    """
    flat, shape = _rows(differences)
    # ranks are halves when tied, so twice the rank is an integer
    ranks = np.rint(2 * rankdata(np.abs(flat), axis=1)).astype(np.int64) * (flat != 0)
    score = np.where(flat > 0, ranks, 0).sum(1)
    greater, less = (_exact if flat.shape[1] <= EXACT else _normal)(ranks, score)
    return Tails(greater.reshape(shape), less.reshape(shape))


def _rows(differences: np.ndarray) -> tuple[np.ndarray, tuple[int, ...]]:
    if differences.ndim == 0 or differences.shape[-1] == 0:
        raise BadValue("`differences` holds no pairs; give at least one seed to both methods")
    if not np.isfinite(differences).all():
        raise BadValue("`differences` holds a number that is not finite; bound it first")
    return differences.reshape(-1, differences.shape[-1]), differences.shape[:-1]


def _exact(
    ranks: Integer[np.ndarray, "rows n"], score: Integer[np.ndarray, "rows"]
) -> tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "rows"]]:
    patterns, which = np.unique(np.sort(ranks, axis=1), axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    sizes = np.bincount(which.ravel(), minlength=len(patterns))
    greater, less = np.empty(len(ranks)), np.empty(len(ranks))
    start = 0
    for pattern, size in zip(patterns, sizes, strict=True):
        rows = order[start : start + size]
        start += size
        chance = _distribution(pattern)
        less[rows] = np.minimum(np.cumsum(chance)[score[rows]], 1.0)
        greater[rows] = np.minimum(np.cumsum(chance[::-1])[::-1][score[rows]], 1.0)
    return greater, less


def _distribution(ranks: Shaped[np.ndarray, "n"]) -> Float[np.ndarray, "scores"]:
    """Probability of every score when each rank counts or not with a fair coin."""
    chance = np.zeros(int(ranks.sum()) + 1)
    chance[0] = 1.0
    for rank in ranks[ranks > 0]:
        added = chance[:-rank].copy()
        chance *= 0.5
        chance[rank:] += 0.5 * added
    return chance


def _normal(
    ranks: Integer[np.ndarray, "rows n"], score: Integer[np.ndarray, "rows"]
) -> tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "rows"]]:
    spread = np.sqrt((ranks.astype(float) ** 2).sum(1)) / 2
    z = np.where(spread > 0, (score - ranks.sum(1) / 2) / np.where(spread > 0, spread, 1.0), 0.0)
    none = spread == 0
    return np.where(none, 1.0, ndtr(-z)), np.where(none, 1.0, ndtr(z))


def equivalence(
    differences: Float[np.ndarray, "*rows n"], threshold: Float[np.ndarray, "*rows"] | float
) -> Float[np.ndarray, "*rows"]:
    """Test whether the differences are centred within +-threshold (two one-sided tests).

    The larger p-value of "the centre is below -threshold" and "the centre is above
    threshold"; below alpha exactly when the Hodges-Lehmann interval of level 1 - 2 alpha
    lies inside, but for ties.  A large p-value does not show a difference.

    Args:
        differences: finite numbers.
        threshold: positive, in the unit of the differences.

    Returns:
        p-values, small where equivalence is shown.

    References:
        Schuirmann 1987, doi 10.1007/bf01068419.
    """
    margin = np.asarray(threshold, float)[..., None]
    above = signed_rank(differences + margin).greater
    below = signed_rank(differences - margin).less
    return np.asarray(np.maximum(above, below))


def hodges_lehmann(differences: Float[np.ndarray, "*rows n"], level: float = 0.95) -> Estimate:
    """Estimate the centre of symmetric differences, with an interval.

    The median of all Walsh averages (d_i + d_j) / 2, i <= j; the bounds are the order
    statistics of the averages that the signed-rank test does not reject.  Ties make the
    interval wider than its level, never narrower.

    Args:
        differences: finite numbers.
        level: confidence level.

    Returns:
        The estimate; its interval is the whole line when there are too few pairs for the
        level (fewer than 6 at 95 %).

    Raises:
        BadValue: there are no pairs, or a difference is not finite.

    References:
        Hodges and Lehmann 1963, doi 10.1214/aoms/1177704172.
    """
    flat, shape = _rows(differences)
    n = flat.shape[1]
    first, second = np.triu_indices(n)
    count = len(first)
    k = _interval_rank(n, level)
    wanted = [max(k - 1, 0), (count - 1) // 2, count // 2, min(count - k, count - 1)]
    picked = np.empty((len(flat), 4))
    block = max(1, _WALSH // count)
    for i in range(0, len(flat), block):
        # the sum of halves, where the half of the sum could overflow
        averages = flat[i : i + block, first] / 2 + flat[i : i + block, second] / 2
        picked[i : i + block] = np.partition(averages, wanted, axis=1)[:, wanted]
    low, high = (picked[:, 0], picked[:, 3]) if k else (np.full(len(flat), s) for s in _LINE)
    value = picked[:, 1] / 2 + picked[:, 2] / 2
    return Estimate(value.reshape(shape), low.reshape(shape), high.reshape(shape))


_LINE = (-np.inf, np.inf)


def _interval_rank(n: int, level: float) -> int:
    """How many scores, from 0 up, have together less than half the error probability."""
    tail = (1 - level) / 2
    if n <= EXACT:
        return int((np.cumsum(_distribution(np.arange(1, n + 1))) <= tail).sum())
    deviation = np.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return max(int(np.floor(n * (n + 1) / 4 + ndtri(tail) * deviation)), 0)


def holm(p: Float[np.ndarray, "n"]) -> Float[np.ndarray, "n"]:
    """Adjust p-values so that the chance of any false alarm among them stays below alpha.

    In ascending order, p_(i) becomes the largest of (n - j + 1) p_(j), j <= i, at most 1.
    Valid under any dependence.

    Args:
        p: p-values of one family.

    Returns:
        The adjusted p-values, in the order given.

    References:
        Holm 1979, doi 10.2307/4615733.
    """
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(len(p))
    factors = np.arange(len(p), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return adjusted


def seeds_needed(
    differences: Float[np.ndarray, "n"], threshold: float, alpha: float, power: float = 0.8
) -> int | None:
    """Forecast how many seeds would tell, if the differences go on as they are.

    With effect e (Hodges-Lehmann), standard deviation s, threshold t and relative efficiency
    r = 3 / pi, beyond the threshold

        n = max(z(1 - alpha/2) + z(power)) s / |e|, z(power) s / (|e| - t))^2 / r,

    and within it n = ((z(1 - alpha) + z((1 + power) / 2)) s / (t - |e|))^2 / r.  It is a
    plan, not a finding: the effect and the deviation are themselves estimates.

    Args:
        differences: one for every seed so far.
        threshold: smallest effect of interest, in the unit of the differences.
        alpha: error probability left to this comparison after any correction.
        power: chance to tell.

    Returns:
        The number, more than there are and at most `MOST_SEEDS`; None when the effect sits
        on the threshold, so that no number would tell, or when one seed shows no deviation.

    Raises:
        BadValue: there are no pairs, or a difference is not finite.

    References:
        Noether 1987, doi 10.1080/01621459.1987.10478478; Hodges and Lehmann 1956,
        doi 10.1214/aoms/1177728261 (the efficiency).
    """
    effect = hodges_lehmann(differences).value
    needed = forecast(differences[None], effect[None], np.array([threshold]), alpha, power)
    return None if np.isnan(needed[0]) else int(needed[0])


def forecast(
    differences: Float[np.ndarray, "rows n"],
    effect: Float[np.ndarray, "rows"],
    threshold: Float[np.ndarray, "rows"],
    alpha: Float[np.ndarray, "rows"] | float,
    power: float = 0.8,
) -> Float[np.ndarray, "rows"]:
    """Do `seeds_needed` for every row, given the effects; not a number stands for None."""
    n = differences.shape[1]
    if n < 2:
        return np.full(len(differences), np.nan)
    size, spread = np.abs(effect), differences.std(axis=1, ddof=1)
    error = np.broadcast_to(np.asarray(alpha, float), size.shape)
    margin = np.abs(size - threshold)
    hopeless = margin <= 1e-12 * np.maximum(size, threshold)
    safe = np.where(hopeless, 1.0, margin)
    seen = (ndtri(1 - error / 2) + ndtri(power)) / np.where(size > 0, size, 1.0)
    beyond = np.maximum(seen, ndtri(power) / safe)
    within = (ndtri(1 - error) + ndtri((1 + power) / 2)) / safe
    root = spread * np.where(size > threshold, beyond, within)
    needed = np.ceil(np.minimum(root, 1e6) ** 2 / EFFICIENCY)
    # fewer pairs than this cannot be significant, whatever they show
    least = np.maximum(n + 1, np.ceil(1 - np.log2(error)))
    needed = np.minimum(np.maximum(needed, least), MOST_SEEDS)
    return np.asarray(np.where(hopeless, np.nan, needed))
