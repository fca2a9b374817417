"""Numbers as text."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ravine.reporting import cells

NUMBERS = st.floats(-1e300, 1e300, allow_subnormal=False)


@given(st.integers(0, 10**9))
def test_steps_are_exact_integers(n: int) -> None:
    """Whole steps are printed in full, without exponent or point."""
    assert int(cells.steps(float(n))) == n


@given(NUMBERS)
def test_gap_keeps_two_digits(value: float) -> None:
    """A printed gap is within half a unit of its second digit, sign and zero kept."""
    read = float(cells.gap(value))
    assert math.isclose(read, value, rel_tol=0.051)


@given(st.floats(1e-300, 1e300))
def test_ratio_keeps_two_digits(value: float) -> None:
    """A printed ratio is within six percent of the ratio, however large or small."""
    assert math.isclose(float(cells.ratio(value)), value, rel_tol=0.06)


@pytest.mark.parametrize(
    "text",
    [cells.steps, cells.gap, cells.decimal, cells.fixed, cells.percent, cells.ratio, cells.p_value],
)
def test_no_number_says_why(text: object) -> None:
    """Null and not a number become the reason given."""
    assert callable(text)
    assert text(None, why="never in 9") == text(math.nan, why="never in 9") == "never in 9"


def test_infinities_are_words() -> None:
    """Infinite values print as such; infinitely many steps are no number of steps."""
    assert cells.gap(math.inf) == cells.ratio(math.inf) == cells.decimal(math.inf) == "inf"
    assert cells.steps(math.inf, "never") == "never"


@pytest.mark.parametrize(
    ("p", "expected"), [(0.0, "<0.001"), (0.00099, "<0.001"), (0.0432, "0.043"), (1.0, "1")]
)
def test_p_values(p: float, expected: str) -> None:
    """Small p-values are bounds, others have two digits."""
    assert cells.p_value(p) == expected


def test_outcomes_are_counted() -> None:
    """Only outcomes that occurred are named, each with its share."""
    assert cells.outcomes({"diverged": 3, "failed": 0, "spent": None}, 25) == "diverged 3/25"
    assert cells.outcomes({}, 25) == "all solved"
