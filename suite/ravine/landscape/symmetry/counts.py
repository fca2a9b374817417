"""How many other points have the same function as one, by permutations and signs alone."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ravine.landscape.symmetry.groups import Groups


@dataclass(frozen=True, slots=True)
class Counts:
    """Points with one function, counted exactly.

    Args:
        permutations: n! for each group of n units, by name.
        signs: 2^n for each group of n units that may be flipped, by name.
        scales: n for each group of n units that may be scaled continuously, by name.
    """

    permutations: Mapping[str, int]
    signs: Mapping[str, int]
    scales: Mapping[str, int]

    @property
    def total(self) -> int:
        """Points that permutations and signs lead to from one without any coincidence."""
        return math.prod(self.permutations.values()) * math.prod(self.signs.values())

    @property
    def log10(self) -> float:
        """Of the total."""
        return math.log10(self.total)

    @property
    def dimension(self) -> int:
        """Of the orbit that scales sweep through each of these points."""
        return sum(self.scales.values())


def counts(groups: Groups) -> Counts:
    """How many points have the same function as a generic one, at least.

    n! for every group of n units, 2^n for signs behind odd functions, and a continuum of
    s > 0 for every unit that may be scaled.  A network may have more symmetries at special
    points, as where units are dead or equal.

    References:
        Chen, Lu and Hecht-Nielsen (1993). On the geometry of feedforward neural network error
        surfaces. Neural Computation 5(6).
    """
    return Counts(
        permutations={g.name: math.factorial(g.size) for g in groups.permutable},
        signs={s.name: 2**s.size for s in groups.scalable if s.odd},
        scales={s.name: s.size for s in groups.scalable if s.positive},
    )
