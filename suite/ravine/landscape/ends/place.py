"""The features of a landscape that a run may end at."""

from enum import StrEnum


class Place(StrEnum):
    """Where a run ended; every run has one of these.

    Lengths are shares of the width of the domain, coordinate by coordinate, so that nothing
    depends on units.
    """

    MINIMUM = "minimum"
    SADDLE = "saddle"
    MAXIMUM = "maximum"
    DEGENERATE = "degenerate"
    BOUNDARY = "boundary"
    KINK = "kink"
    CLIFF = "cliff"
    PLATEAU = "plateau"
    RAVINE = "ravine"
    SLOPE = "slope"
    DIVERGED = "diverged"
    UNBOUNDED = "unbounded"
    FAILED = "failed"
    NOT_KEPT = "not kept"
    NOT_CLASSIFIED = "not classified"

    @property
    def sentence(self) -> str:
        """What the word means."""
        return _SENTENCES[self]


_SENTENCES = {
    Place.MINIMUM: "within 1% of the domain's width of one, or its gap at most 1e-8",
    Place.SADDLE: "stuck within 1% of one",
    Place.MAXIMUM: "stuck within 1% of one",
    Place.DEGENERATE: "stuck within 1% of a critical point that curvature cannot name",
    Place.BOUNDARY: "held by the box, beyond which it would fall on",
    Place.KINK: "no smooth point, and the slopes within 1% cancel",
    Place.CLIFF: "the loss changes by half of its height within 1%",
    Place.PLATEAU: "too flat to change the loss by 1% of its height within 10%",
    Place.RAVINE: "the floor of a valley, curved 100 times more across than along",
    Place.SLOPE: "none of these",
    Place.DIVERGED: "the loss left all bounds",
    Place.UNBOUNDED: "the loss fell below all bounds",
    Place.FAILED: "the optimizer raised an error",
    Place.NOT_KEPT: "ends are kept up to 100 coordinates",
    Place.NOT_CLASSIFIED: "the loss cannot be differentiated twice",
}

NEAR = 0.01
"""How near a point must be for a run to be at it: a hundredth of the domain's width."""

SETTLED = 0.5
"""Slope where a run ended, over the steepest one at the distance `NEAR`, up to which it is at
a minimum, ..."""

STUCK = 0.05
"""... and at any other critical point, which a run only passes by unless it is stuck."""

GAP = 1e-8
"""Share of the drop from the start to the lowest value at which a run has arrived there."""

AROUND = 0.1
"""How far a plateau reaches at least."""

FLAT = 0.01
"""Change of the loss over that distance, as a share of the height, up to which it is flat."""

FACE = 0.5
"""At a cliff the loss changes by this share of the height within `NEAR`, ..."""

STEEP = 30.0
"""... and is so many times steeper than half of the domain."""

STIFF = 100.0
"""Ratio of the curvatures across and along a ravine."""

CANCEL = 0.01
"""Slopes around a kink cancel to this share of the steepest of them."""

LOST = 1e10
"""A loss has left all bounds beyond this many times max(1, |start|)."""
