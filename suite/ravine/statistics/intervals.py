"""Intervals for shares, medians and means over problems, without a distribution assumed."""

from functools import lru_cache

import numpy as np
from jaxtyping import Float, Shaped
from scipy.special import ndtri
from scipy.stats import binom

LEVEL = 0.95
"""Confidence level of every interval unless said otherwise."""

DRAWS = 1000
"""Bootstrap resamples."""

_SEED = 20_020_401


def wilson(
    count: Shaped[np.ndarray, "*rows"], n: Shaped[np.ndarray, "*rows"], level: float = LEVEL
) -> tuple[Float[np.ndarray, "*rows"], Float[np.ndarray, "*rows"]]:
    """Bound a share, `count` of `n`.

    The share p solves |count / n - p| = z sqrt(p (1 - p) / n), so the bounds stay in [0, 1]
    and have a width even when every run or no run succeeds.

    Args:
        count: successes.
        n: trials; zero trials give [0, 1].
        level: confidence level.

    Returns:
        The lower and the upper bound.

    References:
        Wilson 1927, doi 10.1080/01621459.1927.10502953.
    """
    z2 = ndtri(0.5 + level / 2) ** 2
    successes, total = np.asarray(count, float), np.asarray(n, float)
    center = (successes + z2 / 2) / (total + z2)
    rest = successes * (total - successes) / np.maximum(total, 1.0)
    half = np.sqrt(z2 * (rest + z2 / 4)) / (total + z2)
    # at the ends the bound is exact, and rounding must not push it past them
    low = np.where(successes == 0, 0.0, np.maximum(center - half, 0.0))
    high = np.where(successes == total, 1.0, np.minimum(center + half, 1.0))
    return low, high


@lru_cache(maxsize=4096)
def median_rank(n: int, level: float = LEVEL) -> int:
    """Find the order statistics that bound the median of `n` draws.

    The k-th smallest and the k-th largest value bound it with confidence
    1 - 2 P(Binomial(n, 1/2) < k), whatever the distribution.

    Args:
        n: number of draws.
        level: confidence level.

    Returns:
        The largest k that keeps the level; 0 where even the extremes do not (n < 6 for 95 %).

    References:
        David and Nagaraja 2003, Order Statistics, section 7.1, doi 10.1002/0471722162.
    """
    if n == 0:
        return 0
    below = binom.cdf(np.arange(n // 2 + 1), n, 0.5)
    return int((below <= (1 - level) / 2).sum())


@lru_cache(maxsize=64)
def resamples(n: int, draws: int = DRAWS) -> Float[np.ndarray, "draws n"]:
    """Draw how often each of `n` problems appears in each bootstrap resample.

    Problems are resampled, not seeds: the question is what another choice of problems would
    have shown.  The draws depend on `n` alone, so a report is reproducible.

    References:
        Efron 1979, doi 10.1214/aos/1176344552.
    """
    generator = np.random.default_rng((_SEED, n))
    weights = generator.multinomial(n, np.full(n, 1 / n), size=draws).astype(float)
    weights.flags.writeable = False
    return weights


def band(
    samples: Float[np.ndarray, "draws *rest"], level: float = LEVEL
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    """Take the percentile interval over the first dimension."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return np.asarray(low), np.asarray(high)
