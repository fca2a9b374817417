import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from ravine.statistics import median_rank, wilson
from ravine.statistics.intervals import band, resamples


@pytest.mark.parametrize(("count", "n"), [(0, 10), (3, 10), (10, 10), (17, 25), (1, 1)])
def test_wilson_agrees_with_scipy(count, n):
    """The bounds are those of an independent implementation."""
    low, high = wilson(np.array([count]), np.array([n]))
    oracle = binomtest(count, n).proportion_ci(0.95, "wilson")
    assert (low[0], high[0]) == pytest.approx((oracle.low, oracle.high), abs=1e-12)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 60), st.integers(0, 60))
def test_wilson_encloses_the_share(count, failures):
    """The interval lies in [0, 1], has a width and holds the observed share."""
    n = count + failures
    low, high = wilson(np.array(count), np.array(n))
    assert 0 <= low < high <= 1
    if n:
        assert low <= count / n <= high


@pytest.mark.parametrize("n", [1, 5, 6, 7, 25, 30, 101])
def test_median_rank_is_the_sharpest_that_keeps_the_level(n):
    """The k-th order statistics cover the median with 95 %, the next inner ones do not."""
    k = median_rank(n)
    assert 2 * binom.cdf(k - 1, n, 0.5) <= 0.05 < 2 * binom.cdf(k, n, 0.5)
    assert (k == 0) == (n < 6)


def test_resamples_are_fixed_and_complete():
    """Each resample has as many problems as there are, and asking again gives the same."""
    first = resamples(7).copy()
    resamples.cache_clear()
    assert (first.sum(axis=1) == 7).all()
    assert (first == resamples(7)).all()
    assert np.ptp(first, axis=0).min() > 0


def test_band_is_the_percentile_interval():
    """Of 0 to 1000 the central 95 % reach from 25 to 975."""
    low, high = band(np.arange(1001.0)[:, None])
    assert (low[0], high[0]) == pytest.approx((25.0, 975.0))
