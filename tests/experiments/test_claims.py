"""What a claim says of a measurement, and that its verdict is honest."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.errors import BadValue
from ravine.experiments.claims import (
    LEVEL,
    Region,
    Standing,
    above,
    below,
    between,
    equals,
    exact,
    median,
    share,
)

finite = st.floats(-1e6, 1e6)


@given(values=st.lists(finite, min_size=5, max_size=40), bound=finite)
def test_verdict_turns_round_with_the_claim(values: list[float], bound: float) -> None:
    """What holds above a bound fails below it, and what is undecided is so either way."""
    up = median("up", "It is high.", values, above(np.nextafter(bound, math.inf))).standing
    down = median("down", "It is low.", values, below(bound)).standing
    opposite = {
        Standing.HOLDS: Standing.FAILS,
        Standing.FAILS: Standing.HOLDS,
        Standing.UNDECIDED: Standing.UNDECIDED,
    }
    assert down is opposite[up]


@given(values=st.lists(finite, min_size=5, max_size=40), low=finite, width=st.floats(0, 1e3))
def test_interval_holds_the_median(values: list[float], low: float, width: float) -> None:
    """The measured value lies in its interval, and only a whole interval inside holds."""
    claim = median("m", "It is between.", values, between(low, low + width))
    assert claim.low <= claim.measured <= claim.high
    inside = low <= claim.low and claim.high <= low + width
    assert (claim.standing is Standing.HOLDS) == inside


def test_median_interval_covers_as_often_as_it_says() -> None:
    """Over 2,000 samples of five the interval misses the median with 1/16 (z < 5: 1 in 1.7e6)."""
    random = np.random.default_rng(0)
    n = 2000
    draws = random.standard_normal((n, 5)).tolist()
    claims = [median("m", "It is so.", five, above(0)) for five in draws]
    missed = sum(not c.low <= 0 <= c.high for c in claims)
    assert abs(missed - n / 16) < 5 * math.sqrt(n * 15 / 256)
    assert LEVEL <= 1 - 1 / 16


def test_a_run_that_diverges_counts_against_a_small_value() -> None:
    """Infinity is a measurement, and not a number is none."""
    values = [math.inf] * 5
    assert median("d", "It stays small.", values, below(1)).standing is Standing.FAILS
    assert exact("n", "It is one.", math.nan, equals(1)).standing is Standing.UNDECIDED


def test_share_of_all_is_not_certainty() -> None:
    """Ten of ten leave room for a share of less than one."""
    claim = share("s", "Nearly all do.", 10, 10, above(0.99))
    assert claim.measured == 1
    assert claim.standing is Standing.UNDECIDED


def test_too_few_seeds_are_refused() -> None:
    """Four values bound no median at this level."""
    with pytest.raises(BadValue, match="at least 5 seeds"):
        median("m", "It is so.", [1, 2, 3, 4], above(0))


def test_empty_region_is_refused() -> None:
    """A region from high to low says nothing."""
    with pytest.raises(BadValue, match="swap"):
        Region(1, 0)
