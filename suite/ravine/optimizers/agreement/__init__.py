"""Implementations of one algorithm by different packages: the same trajectory, or why not.

Each algorithm is written down with a reference and its other implementations, their
hyperparameters translated so that they mean the same.  Two runs are the same if they differ
by the rounding of double precision.  Where they are not, the cause is named with its place in
the installed source, and what undoes it: with that done, the runs are the same.
"""

from types import MappingProxyType

from ravine.optimizers.agreement import (
    adam,
    adaptive,
    averaging,
    matrices,
    momentum,
    tensorwise,
)
from ravine.optimizers.agreement.base import Algorithm, Difference, Kind, Member
from ravine.optimizers.agreement.measure import (
    SAME,
    STEPS,
    Agreement,
    agreement,
    measured,
    restored,
)

__all__ = [
    "ALGORITHMS",
    "READ",
    "SAME",
    "STEPS",
    "Agreement",
    "Algorithm",
    "Difference",
    "Kind",
    "Member",
    "agreement",
    "measured",
    "restored",
]

ALGORITHMS: tuple[Algorithm, ...] = (
    *momentum.ALGORITHMS,
    *adam.ALGORITHMS,
    *adaptive.ALGORITHMS,
    *tensorwise.ALGORITHMS,
    *averaging.ALGORITHMS,
    *matrices.ALGORITHMS,
)
"""Every algorithm that two installed packages implement."""

READ = MappingProxyType(
    {
        "adam-atan2-pytorch": "0.4.1",
        "heavyball": "3.2.1",
        "lion-pytorch": "0.2.5",
        "prodigyopt": "1.1.2",
        "pytorch-optimizer": "4.1.0",
        "schedulefree": "1.4.1",
        "timm": "1.0.31",
        "torch": "2.13.0",
        "torch-optimi": "0.3.3",
    }
)
"""The versions of the sources in which the causes were found."""
