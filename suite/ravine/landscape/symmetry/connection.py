"""The way between two networks as they are, with units matched, and repaired."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.landscape.barriers import POINTS
from ravine.landscape.lines import Line, Measure, Profile, assembled, lines, profile
from ravine.landscape.surface import Surface, accuracy, loss
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.repair import repaired

NAIVE, MATCHED, REPAIRED = "naive", "matched", "repaired"
"""The ways: straight, straight to the matched network, and mended on the latter."""


@dataclass(frozen=True, eq=False)
class Connection:
    """Losses on the ways between two networks.

    Args:
        ways: by name and by surface (`train`, `test`).
        points: alphas on each, evenly spaced; a narrower barrier may be missed.
    """

    ways: Mapping[str, Mapping[str, Line]]
    points: int

    def height(self, way: str, split: str, measure: Measure = "loss") -> Profile:
        """The barrier of a way on a surface, with its place."""
        return profile(self.ways[way][split], measure)


def connect(
    groups: Groups,
    surfaces: Mapping[str, Surface],
    a: Float[Tensor, " P"],
    b: Float[Tensor, " P"],
    matched: Float[Tensor, " P"],
    *,
    repair: bool = False,
    points: int = POINTS,
    listener: Callable[[float], None] = lambda share: None,
) -> Connection:
    """Evaluate the way from a to b, to the matched b, and if asked the repaired one.

    Args:
        groups: of the network.
        surfaces: by name; the first one's data are what a repair measures units on.
        a: the network that stays.
        b: the other.
        matched: the other with its units exchanged.
        repair: mend the networks between a and the matched b.
        points: alphas from 0 to 1.
        listener: told the share that is done.

    Raises:
        BadValue: a point does not fit, or there is nothing to be repaired.
    """
    alphas = torch.linspace(0, 1, points, dtype=torch.float64)
    straight = lines(
        surfaces, torch.stack([a, a]), torch.stack([b, matched]), alphas, listener=listener
    )
    ways = dict(zip((NAIVE, MATCHED), straight, strict=True))
    if repair:
        first = next(iter(surfaces.values()))
        mended = repaired(groups, first, a, matched, alphas.tolist())
        ways[REPAIRED] = {
            name: assembled(
                surface,
                a,
                matched,
                alphas,
                loss(surface, mended),
                None if surface.accuracy is None else 1 - accuracy(surface, mended),
            )
            for name, surface in surfaces.items()
        }
    return Connection(ways=ways, points=points)
