"""Scale the units of one network so that it lies as close as possible to another."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.landscape.symmetry.groups import Groups, Scaling, named
from ravine.landscape.symmetry.rescaling import rescale

SWEEPS = 50
"""Rounds over all units at most."""


def aligned(
    groups: Groups, a: Float[Tensor, " P"], b: Float[Tensor, " P"]
) -> tuple[Float[Tensor, " P"], dict[str, Tensor]]:
    """B with its rescalable units scaled towards a, and the factors; its function stays.

    For one unit with incoming weights w and outgoing v, ||w_a - s w_b||^2 + ||v_a - v_b / s||^2
    is least at a root of a quartic, which is taken exactly; groups take turns until the
    distance falls by less than 1e-12 of itself.  Units behind a batch normalisation are left
    alone, and so are those whose incoming or outgoing weights are zero.

    Args:
        groups: of the network.
        a: the point that stays.
        b: the point that is scaled, matched beforehand.
    """
    scalings = [s for s in groups.scalable if s.positive and s.eps == 0]
    factors = {s.name: torch.ones(s.size, dtype=torch.float64) for s in scalings}
    fixed, here = a.double(), b.double()
    distance = float((fixed - here).norm())
    for _ in range(SWEEPS):
        for scaling in scalings:
            found = _best(scaling, named(groups, fixed), named(groups, here))
            here = rescale(groups, here, {scaling.name: found})
            factors[scaling.name] *= found
        reached = float((fixed - here).norm())
        if distance - reached <= 1e-12 * distance:
            break
        distance = reached
    return here.to(b.dtype), factors


def _best(
    scaling: Scaling, fixed: Mapping[str, Tensor], moving: Mapping[str, Tensor]
) -> Float[Tensor, " units"]:
    """For every unit the scale above zero that brings it closest."""
    sums = {key: np.zeros(scaling.size) for key in ("wab", "wbb", "vab", "vbb")}
    for slot in scaling.slots:
        if slot.name not in fixed:
            continue
        one, two = (
            point[slot.name].movedim(slot.axis, 0).reshape(scaling.size, -1)
            for point in (fixed, moving)
        )
        side = "w" if slot.power > 0 else "v"
        sums[f"{side}ab"] += (one * two).sum(1).numpy()
        sums[f"{side}bb"] += two.square().sum(1).numpy()
    found = np.ones(scaling.size)
    for unit in range(scaling.size):
        wab, wbb, vab, vbb = (sums[key][unit] for key in ("wab", "wbb", "vab", "vbb"))
        if wbb <= 0 or vbb <= 0:
            continue
        roots = np.roots([wbb, -wab, 0.0, vab, -vbb])
        real = roots.real[(np.abs(roots.imag) < 1e-9 * np.abs(roots)) & (roots.real > 0)]
        places = np.append(real, 1.0)
        cost = places**2 * wbb - 2 * places * wab - 2 * vab / places + vbb / places**2
        found[unit] = places[np.argmin(cost)]
    return torch.from_numpy(found)
