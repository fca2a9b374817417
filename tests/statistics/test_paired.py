from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom, rankdata, wilcoxon

from ravine.errors import BadValue
from ravine.statistics import equivalence, hodges_lehmann, holm, seeds_needed, signed_rank
from ravine.statistics.paired import MOST_SEEDS

SMALL = arrays(float, st.integers(1, 8), elements=st.integers(-3, 3).map(float))
REAL = arrays(float, st.integers(6, 20), elements=st.floats(-100, 100), unique=True)


@pytest.mark.parametrize("n", [1, 2, 7, 25, 50])
def test_signed_rank_is_scipys_exact_test(n):
    """Without ties both tails agree with scipy, and rows do not mix."""
    rows = np.random.default_rng(n).normal(0.2, 1, (20, n))
    tails = signed_rank(rows)
    for name, mine in (
        ("two-sided", tails.two_sided),
        ("greater", tails.greater),
        ("less", tails.less),
    ):
        oracle = wilcoxon(rows, axis=1, alternative=name, method="exact").pvalue
        np.testing.assert_allclose(mine, oracle, rtol=1e-10)


def test_signed_rank_of_many_ties_is_scipys_normal_test():
    """Beyond the exact range Pratt's normal approximation agrees with scipy."""
    rows = np.random.default_rng(0).integers(-3, 5, (20, 80)).astype(float)
    oracle = wilcoxon(rows, axis=1, zero_method="pratt", method="asymptotic").pvalue
    np.testing.assert_allclose(signed_rank(rows).two_sided, oracle, rtol=1e-10)


@settings(deadline=None, max_examples=60)
@given(SMALL)
def test_signed_rank_with_ties_and_zeros_is_exact(d):
    """P-values are shares of all sign flips, enumerated one by one."""
    ranks = rankdata(np.abs(d)) * (d != 0)
    score = ranks[d > 0].sum()
    flips = np.array([np.dot(ranks, signs) for signs in product((0, 1), repeat=len(d))])
    tails = signed_rank(d)
    assert tails.greater == pytest.approx((flips >= score - 1e-9).mean())
    assert tails.less == pytest.approx((flips <= score + 1e-9).mean())


@pytest.mark.parametrize("n", [1, 25, 60])
def test_no_difference_is_no_evidence(n):
    """All zeros give p = 1."""
    assert signed_rank(np.zeros(n)).two_sided == 1


@settings(deadline=None, max_examples=40)
@given(SMALL, st.floats(0.1, 100))
def test_signed_rank_is_symmetric_and_scale_free(d, scale):
    """A change of sign swaps the tails, a change of unit changes nothing."""
    tails, swapped, scaled = signed_rank(d), signed_rank(-d), signed_rank(d * scale)
    assert tails.greater == pytest.approx(swapped.less)
    assert tails.two_sided == pytest.approx(scaled.two_sided)


@pytest.mark.parametrize("bad", [np.zeros(0), np.array([1.0, np.inf])])
def test_what_cannot_be_ranked_is_refused(bad):
    """No pairs and infinite differences are errors."""
    for function in (signed_rank, hodges_lehmann):
        with pytest.raises(BadValue, match="differences"):
            function(bad)


@settings(deadline=None, max_examples=40)
@given(REAL)
def test_hodges_lehmann_is_the_median_of_walsh_averages(d):
    """The estimate agrees with the plain double loop and moves with the data."""
    walsh = [(d[i] + d[j]) / 2 for i in range(len(d)) for j in range(i, len(d))]
    estimate = hodges_lehmann(d)
    assert estimate.value == pytest.approx(np.median(walsh), abs=1e-9)
    moved = hodges_lehmann(3 * d + 5)
    for name in ("value", "low", "high"):
        expected = 3 * getattr(estimate, name) + 5
        assert getattr(moved, name) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("n", [6, 12, 25, 50])
def test_the_interval_is_what_the_test_does_not_reject(n):
    """Just inside either bound p is above alpha, just outside it is not."""
    d = np.random.default_rng(n).normal(size=n)
    estimate = hodges_lehmann(d, 0.95)
    for bound, outward in ((estimate.low, -1e-9), (estimate.high, 1e-9)):
        assert signed_rank(d - (bound - outward)).two_sided > 0.05
        assert signed_rank(d - (bound + outward)).two_sided <= 0.05


def test_the_normal_interval_continues_the_exact_one():
    """At 51 pairs the approximation covers a normal centre as often as it says.

    False-alarm rate below 1e-6 if the coverage is at least 95 %.
    """
    draws = np.random.default_rng(1).normal(size=(1000, 51))
    estimate = hodges_lehmann(draws)
    missed = ((estimate.low > 0) | (estimate.high < 0)).sum()
    assert binom.ppf(1e-6, 1000, 0.05) <= missed <= binom.isf(1e-6, 1000, 0.05)


def test_few_pairs_bound_nothing():
    """Five pairs have no 95 % interval."""
    estimate = hodges_lehmann(np.arange(5.0))
    assert (estimate.low, estimate.value, estimate.high) == (-np.inf, 2.0, np.inf)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(6, 20), st.floats(0.1, 3), st.floats(0.1, 3))
def test_equivalence_is_an_interval_within_the_threshold(seed, n, spread, threshold):
    """Without ties p <= alpha exactly when the 1 - 2 alpha interval lies inside."""
    d = np.random.default_rng(seed).normal(0, spread, n)
    for alpha in (0.05, 0.01):
        estimate = hodges_lehmann(d, 1 - 2 * alpha)
        inside = -threshold < estimate.low and estimate.high < threshold
        assert (equivalence(d, threshold) <= alpha) == inside


def test_holm_worked_by_hand():
    """Four p-values in any order."""
    p = np.array([0.01, 0.04, 0.03, 0.005])
    np.testing.assert_allclose(holm(p), [0.03, 0.06, 0.06, 0.02])
    assert holm(np.zeros(0)).shape == (0,)


@settings(deadline=None, max_examples=60)
@given(arrays(float, st.integers(1, 30), elements=st.floats(0, 1)))
def test_holm_lies_between_none_and_bonferroni(p):
    """Adjusted values keep their order, never shrink, and never exceed Bonferroni's."""
    adjusted = holm(p)
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(1, p * len(p)) + 1e-15).all()
    assert (holm(p[::-1])[::-1] == adjusted).all()


def test_seeds_needed_at_the_ends():
    """None on the threshold or from one seed, capped when hopeless, more than there are."""
    noisy = np.array([-1.0, 0.0, 1.0])
    assert seeds_needed(noisy + 0.5, 0.5, 0.05) is None
    assert seeds_needed(np.array([1.0]), 0.5, 0.05) is None
    assert seeds_needed(1000 * noisy + 0.5, 0.4, 0.05) == MOST_SEEDS
    assert seeds_needed(np.full(30, 2.0), 0.5, 0.05) == 31
    assert seeds_needed(np.full(3, 2.0), 0.5, 2.0**-9) == 10


@pytest.mark.parametrize(("effect", "threshold"), [(0.6, 0.1), (0.0, 0.6)])
def test_the_forecast_number_of_seeds_has_the_power(effect, threshold):
    """With as many seeds as advised about four in five experiments tell.

    False-alarm rate below 1e-5 for a power between 0.76 and 0.9, the approximation's error.
    """
    pilot = np.array([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5])
    needed = seeds_needed(effect + pilot / pilot.std(ddof=1), threshold, 0.05)
    assert needed is not None
    rows = np.random.default_rng(4).normal(effect, 1, (2000, needed))
    p = signed_rank(rows).two_sided if effect else equivalence(rows, threshold)
    count = int((p < 0.05).sum())
    assert binom.ppf(1e-5, 2000, 0.76) <= count <= binom.isf(1e-5, 2000, 0.9)
