"""Scale and flip the units of a network."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.symmetry.groups import Groups, Scaling, Slot, flat, named
from ravine.landscape.symmetry.permutation import ranks
from ravine.problems.base import Point
from ravine.problems.draws import generator

Scales = Mapping[str, Float[Tensor, " units"]]
"""For each scalable group by name, a factor for every unit; others keep theirs."""


def rescale(
    groups: Groups, x: Float[Tensor, "*stack P"], scales: Scales
) -> Float[Tensor, "*stack P"]:
    """The points with units scaled: incoming weights and bias times s, outgoing divided by s.

    The function stays what it is wherever a(s z) = s a(z): for s > 0 behind rectifiers, for
    s = -1 behind odd functions.  Units that are batch-normalised have nothing to be divided;
    there the function is kept up to the eps of the normalisation over their variance, where
    its moments come from the data.

    Args:
        groups: of the network.
        x: flat points.
        scales: factors of the groups' units.

    Raises:
        BadValue: there is no such group, or a factor is not one of its symmetries.

    References:
        Neyshabur, Salakhutdinov and Srebro (2015). Path-SGD. arXiv 1506.02617.  Dinh, Pascanu,
        Bengio and Bengio (2017). Sharp minima can generalize for deep nets. arXiv 1703.04933.
    """
    return flat(groups, rescale_state(groups, named(groups, x), scales))


def rescale_state(groups: Groups, state: Point, scales: Scales) -> dict[str, Tensor]:
    """As `rescale`, for parameters and buffers by name, `[*stack, *shape]` each.

    Running moments follow their units exactly, whatever the eps.

    Raises:
        BadValue: there is no such group, or a factor is not one of its symmetries.
    """
    _check(groups, scales)
    found = dict(state)
    for scaling in groups.scalable:
        if scaling.name in scales:
            for slot in scaling.slots:
                if slot.name in found:
                    dims = ranks(groups)[slot.name]
                    found[slot.name] = _scaled(found[slot.name], slot, scales[scaling.name], dims)
    return found


def random_scales(groups: Groups, *key: str | int, spread: float = 0.7) -> dict[str, Tensor]:
    """Lognormal factors for units that can be scaled, random signs for those that flip."""
    draw = generator("scales", *key)
    found = {}
    for scaling in groups.scalable:
        factors = torch.ones(scaling.size, dtype=torch.float64)
        if scaling.positive:
            factors *= torch.from_numpy(draw.normal(0, spread, scaling.size)).exp()
        if scaling.odd:
            factors *= torch.from_numpy(draw.choice([-1.0, 1.0], scaling.size))
        found[scaling.name] = factors
    return found


def _scaled(tensor: Tensor, slot: Slot, factors: Tensor, dims: int) -> Tensor:
    across = [-1, *[1] * (dims - 1 - slot.axis)]
    factor = factors.repeat_interleave(slot.block).pow(slot.power).to(tensor).view(across)
    return (tensor + slot.eps) * factor - slot.eps


def _check(groups: Groups, scales: Scales) -> None:
    known = {scaling.name: scaling for scaling in groups.scalable}
    for name, factors in scales.items():
        if name not in known:
            raise BadValue(
                f"`{groups.name}` has no units `{name}` that could be scaled; such are "
                f"{', '.join(known) or 'none'}"
            )
        scaling = known[name]
        if tuple(factors.shape) != (scaling.size,):
            raise BadValue(
                f"`{name}` has {scaling.size} units, got {list(factors.shape)} factors; give one "
                f"for each"
            )
        if not _allowed(scaling, factors):
            rule = {
                (True, False): "above zero",
                (False, True): "1 or -1",
                (True, True): "other than zero",
            }[scaling.positive, scaling.odd]
            raise BadValue(f"the factors of `{name}` must be finite and {rule}; give such")


def _allowed(scaling: Scaling, factors: Tensor) -> bool:
    fits = factors.isfinite() & (factors != 0)
    if not scaling.odd:
        fits &= factors > 0
    if not scaling.positive:
        fits &= factors.abs() == 1
    return bool(fits.all())
