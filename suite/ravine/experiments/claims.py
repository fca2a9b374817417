"""A sentence about the world, what was measured of it, and whether that bears it out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from ravine.errors import BadValue
from ravine.statistics.intervals import median_rank, wilson

LEVEL = 0.93
"""Confidence of every interval: five seeds bound a median by their extremes with 1 - 2/2^5."""


Number = float | int
"""A bound may be written without a decimal point."""


class Standing(StrEnum):
    """What a measurement says of a claim."""

    HOLDS = "holds"
    """The whole interval lies where the claim says."""
    FAILS = "does not hold here"
    """The whole interval lies elsewhere."""
    UNDECIDED = "undecided"
    """The interval lies across the bound, or nothing could be measured."""


@dataclass(frozen=True, slots=True)
class Region:
    """Where a claim says that a value lies, ends included.

    Args:
        low: smallest value.
        high: largest value.
    """

    low: Number = -math.inf
    high: Number = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise BadValue(f"a region must not be empty, got {self.low} to {self.high}; swap them")

    def __str__(self) -> str:
        """In symbols.

        Example:
            >>> print(above(3), below(0.1), between(0.95, 1.06), equals(11))
            >= 3 <= 0.1 in [0.95, 1.06] = 11
        """
        if self.low == self.high:
            return f"= {self.low:g}"
        if self.high == math.inf:
            return f">= {self.low:g}"
        if self.low == -math.inf:
            return f"<= {self.high:g}"
        return f"in [{self.low:g}, {self.high:g}]"


def above(low: Number) -> Region:
    """Values of at least `low`."""
    return Region(low=low)


def below(high: Number) -> Region:
    """Values of at most `high`."""
    return Region(high=high)


def between(low: Number, high: Number) -> Region:
    """Values from `low` to `high`."""
    return Region(low, high)


def equals(value: Number, tolerance: Number = 0.0) -> Region:
    """A value, up to a tolerance for rounding."""
    return Region(value - tolerance, value + tolerance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A statement in plain words with what was measured of it.

    Args:
        key: a few words joined by hyphens, unique within its experiment.
        statement: a whole sentence, that the measurement can contradict.
        measured: the value.
        low: lower end of its interval; the value itself where nothing is random.
        high: upper end.
        n: seeds, runs or draws behind it; 1 for what is computed exactly.
        region: where the statement says the value lies, set before looking.
        unit: of the value, as it is to be printed; empty for a pure number.
        calibrated: the measurement that set the bound and froze it; empty where the bound is
            the source's, or follows from the statement.
        source: author and year, arXiv or doi, if another than the experiment's.
    """

    key: str
    statement: str
    measured: float
    low: float
    high: float
    n: int
    region: Region
    unit: str = ""
    calibrated: str = ""
    source: str = ""

    @property
    def standing(self) -> Standing:
        """The verdict.

        Example:
            >>> exact("two", "1 + 1 is 2.", 1 + 1, equals(2)).standing.value
            'holds'
            >>> seeds = [0.5, 0.7, 2.0, 0.1, 0.2]
            >>> median("small", "It is below 1.", seeds, below(1.0)).standing.value
            'undecided'
        """
        if math.isnan(self.low) or math.isnan(self.high):
            return Standing.UNDECIDED
        if self.region.low <= self.low and self.high <= self.region.high:
            return Standing.HOLDS
        apart = self.high < self.region.low or self.region.high < self.low
        return Standing.FAILS if apart else Standing.UNDECIDED


def exact(
    key: str,
    statement: str,
    value: Number,
    region: Region,
    *,
    unit: str = "",
    calibrated: str = "",
    source: str = "",
) -> Claim:
    """A claim about what is computed and not sampled."""
    x = float(value)
    return Claim(
        key=key,
        statement=statement,
        measured=x,
        low=x,
        high=x,
        n=1,
        region=region,
        unit=unit,
        calibrated=calibrated,
        source=source,
    )


def median(
    key: str,
    statement: str,
    values: Sequence[Number],
    region: Region,
    *,
    unit: str = "",
    calibrated: str = "",
    source: str = "",
) -> Claim:
    """A claim about the median over seeds, bounded by order statistics of level `LEVEL`.

    Were the true median outside the region, it would be said to hold with probability at
    most (1 - LEVEL) / 2 (1/32 with five seeds).

    Args:
        values: one for each seed; infinite where a run diverged.

    Raises:
        BadValue: fewer than five values, which bound nothing.
    """
    x = np.sort(np.asarray(values, float))
    k = median_rank(len(x), LEVEL)
    if k == 0:
        raise BadValue(f"`{key}` needs at least 5 seeds for an interval, got {len(x)}; run more")
    return Claim(
        key=key,
        statement=statement,
        measured=float(np.median(x)),
        low=float(x[k - 1]),
        high=float(x[-k]),
        n=len(x),
        region=region,
        unit=unit,
        calibrated=calibrated,
        source=source,
    )


def share(
    key: str,
    statement: str,
    count: int,
    n: int,
    region: Region,
    *,
    calibrated: str = "",
    source: str = "",
) -> Claim:
    """A claim about a probability, bounded by Wilson's interval of level `LEVEL`.

    Args:
        count: successes.
        n: trials, independent.
    """
    low, high = wilson(np.array(count), np.array(n), LEVEL)
    return Claim(
        key=key,
        statement=statement,
        measured=count / n,
        low=float(low),
        high=float(high),
        n=n,
        region=region,
        unit="",
        calibrated=calibrated,
        source=source,
    )
