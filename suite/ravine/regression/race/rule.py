"""The rule of two looks, which is declared before anything is run."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
from jaxtyping import Bool, Float

from ravine.errors import BadValue
from ravine.statistics.paired import hodges_lehmann, signed_rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at paired differences (candidate - baseline) shows.

    Args:
        worse: p-values against "the differences tend to be positive".
        better: p-values against "the differences tend to be negative".
        effect: Hodges-Lehmann estimates, in the unit of the differences.
        low: of the estimates' 95 % intervals.
        high: of the estimates' 95 % intervals.
    """

    worse: Float[np.ndarray, "*rows"]
    better: Float[np.ndarray, "*rows"]
    effect: Float[np.ndarray, "*rows"]
    low: Float[np.ndarray, "*rows"]
    high: Float[np.ndarray, "*rows"]

    def shows_worse(
        self, level: float, threshold: Float[np.ndarray, "*rows"] | float
    ) -> Bool[np.ndarray, "*rows"]:
        """Where the candidate is worse, by more than the threshold, at a level."""
        return np.asarray((self.worse <= level) & (self.effect > threshold))

    def shows_better(
        self, level: float, threshold: Float[np.ndarray, "*rows"] | float
    ) -> Bool[np.ndarray, "*rows"]:
        """Where the candidate is better, by more than the threshold, at a level."""
        return np.asarray((self.better <= level) & (self.effect < -np.asarray(threshold)))


def look(differences: Float[np.ndarray, "*rows n"]) -> Look:
    """Look at differences once.

    Args:
        differences: candidate - baseline, the seeds of a row last; positive is worse.

    Returns:
        Both one-sided signed-rank tests, exact with ties and zeros, and the effect; where all
        differences are zero the p-values are 1.
    """
    tails, estimate = signed_rank(differences), hodges_lehmann(differences)
    return Look(
        worse=tails.greater,
        better=tails.less,
        effect=estimate.value,
        low=estimate.low,
        high=estimate.high,
    )


@dataclass(frozen=True, slots=True)
class Levels:
    """At which levels the two looks test.

    Args:
        first: of each decision, on the first seeds.
        second: of each decision that the first look flagged, on fresh seeds.
    """

    first: float
    second: float


def levels(alpha: float, decisions: int) -> Levels:
    """Split the chance of a false alarm over two looks and all decisions.

    The first look tests each of m decisions at sqrt(alpha) / m, the second those that were
    flagged at sqrt(alpha), on seeds that no one has looked at.  An alarm needs both, and an
    effect beyond the threshold in both.

    Then the chance of any alarm is at most alpha if nothing is worse.  Proof.  For decision i
    let A_i be "the first look flags it" and B_i "the second look would confirm it", whether it
    is made or not.  If the differences are symmetric about zero or tend below it, a test at
    level a rejects with probability at most a, and asking for an effect besides only takes
    away rejections; so P(A_i) <= sqrt(alpha) / m and P(B_i) <= sqrt(alpha).  The looks have no
    seed in common and every run is a function of its seed, so A_i and B_i are independent.
    By the union bound, under any dependence between decisions,

        P(some A_i and B_i) <= sum_i P(A_i) P(B_i) <= m (sqrt(alpha) / m) sqrt(alpha) = alpha.

    "Better" is decided by the mirrored rule, with an alpha of its own.

    Args:
        alpha: chance of any false alarm.
        decisions: m, how many there are in all.

    Returns:
        The levels.

    Raises:
        BadValue: `alpha` is no probability, or there is no decision.

    Example:
        >>> levels(0.01, 40)
        Levels(first=0.0025, second=0.1)
    """
    if not 0 < alpha < 1:
        raise BadValue(f"`alpha` must lie between 0 and 1, got {alpha}; 0.001 is usual")
    if decisions < 1:
        raise BadValue(f"`decisions` must be at least 1, got {decisions}; race on a problem")
    return Levels(first=sqrt(alpha) / decisions, second=sqrt(alpha))


def least_seeds(alpha: float, decisions: int) -> int:
    """How many seeds a look needs for any result to reach the levels, at least.

    Args:
        alpha: chance of any false alarm.
        decisions: how many there are in all.

    Example:
        >>> least_seeds(1e-3, 40)  # 2 ** -11 is the first power below sqrt(1e-3) / 40
        11
    """
    return int(np.ceil(-np.log2(levels(alpha, decisions).first)))


def alarms(
    first: Float[np.ndarray, "*rows n"],
    fresh: Float[np.ndarray, "*rows n"],
    alpha: float,
    decisions: int,
    threshold: Float[np.ndarray, "*rows"] | float,
) -> Bool[np.ndarray, "*rows"]:
    """Apply the rule to differences of which both looks are at hand.

    Args:
        first: of the first look.
        fresh: of the second.
        alpha: chance of any false alarm among the decisions of a check.
        decisions: how many a check has.
        threshold: smallest effect of interest, in the unit of the differences; minus infinity
            for the tests alone.

    Returns:
        Where the candidate is worse.
    """
    at = levels(alpha, decisions)
    flagged = look(first).shows_worse(at.first, threshold)
    return np.asarray(flagged & look(fresh).shows_worse(at.second, threshold))
