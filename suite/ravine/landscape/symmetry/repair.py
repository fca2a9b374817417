"""Give units between two networks the means and deviations that they have at the ends."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.along import interpolate
from ravine.landscape.surface import Surface
from ravine.landscape.symmetry.activations import STILL, inputs_of, play
from ravine.landscape.symmetry.groups import Groups, Layer, flat, named

_Statistics = dict[str, tuple[Float[Tensor, " units"], Float[Tensor, " units"]]]


def repaired(
    groups: Groups,
    surface: Surface,
    a: Float[Tensor, " P"],
    b: Float[Tensor, " P"],
    alphas: Sequence[float],
) -> Float[Tensor, "A P"]:
    """Points on the line from a to b, each with its units' means and deviations repaired.

    At (1 - alpha) a + alpha b the outputs of a layer have collapsed deviations.  From the
    first layer to the last, unit by unit, z becomes (z - mean) s' / s + mean', where mean'
    and s' are the same mixture of a's and b's means and deviations; the layer's weights and
    bias take this up, so that a repaired network is a point like any other.  At alpha 0 and
    1 nothing changes.  The way is no longer straight: a barrier on it says that mended
    networks between two solutions are good, not that the solutions are linearly connected.

    Layers with a bias are repaired, but for the last.  A layer that batch normalisation
    follows needs nothing where its moments are recomputed at each point, for that is the
    same repair; by frozen moments it is not repaired.  Statistics are those of the first part
    of the surface's data.

    Args:
        groups: of the network.
        surface: whose data the units see, of the training examples.
        a: the point at alpha 0.
        b: the point at alpha 1, matched to a.
        alphas: where.

    Raises:
        BadValue: there is nothing to be repaired.

    References:
        Jordan, Sedghi, Saukh, Entezari and Neyshabur (2023). REPAIR: REnormalizing Permuted
        Activations for Interpolation Repair. arXiv 2211.08403.
    """
    if not groups.layers:
        raise BadValue(
            f"`{groups.name}` has no layers to be repaired: each is normalised or has no bias; "
            f"moments that are recomputed at each point are its repair"
        )
    inputs = next(inputs_of(surface))
    ends = [_measured(groups, x, inputs) for x in (a, b)]
    found = []
    for alpha in alphas:
        wanted: _Statistics = {}
        for node in ends[0]:
            (m, s), (n, t) = ends[0][node], ends[1][node]
            wanted[node] = ((1 - alpha) * m + alpha * n, (1 - alpha) * s + alpha * t)
        x = interpolate(a[None], b[None], torch.tensor([alpha]))[0]
        found.append(_mended(groups, x, inputs, wanted))
    return torch.stack(found)


def _measured(groups: Groups, x: Tensor, inputs: Tensor) -> _Statistics:
    """Mean and deviation of every unit of the layers."""
    layers = {layer.node: layer for layer in groups.layers}
    found: _Statistics = {}

    def see(node: str, value: Tensor) -> Tensor:
        if node in layers:
            found[node] = _moments(value, layers[node])
        return value

    play(groups, x, inputs, see)
    return found


def _mended(groups: Groups, x: Tensor, inputs: Tensor, wanted: _Statistics) -> Tensor:
    """One point, mended from the first layer to the last in one pass."""
    layers = {layer.node: layer for layer in groups.layers}
    point = dict(named(groups, x))

    def mend(node: str, value: Tensor) -> Tensor:
        if node not in layers:
            return value
        layer = layers[node]
        mean, deviation = _moments(value, layer)
        goal, spread = wanted[node]
        # exactly 1 where nothing is to be done, also for units that do not vary
        varies = (deviation > STILL * deviation.max()) & (deviation != spread)
        factor = torch.where(varies, spread / deviation, 1.0)
        shift = goal - mean * factor
        weight, bias = point[layer.weight], point[layer.bias]
        across = [1] * weight.dim()
        across[layer.out] = -1
        point[layer.weight] = weight * factor.to(weight).view(across)
        point[layer.bias] = (bias.double() * factor + shift).to(bias)
        along = [1] * value.dim()
        along[layer.axis] = -1
        mended: Tensor = value * factor.to(value).view(along) + shift.to(value).view(along)
        return mended

    play(groups, x, inputs, mend)
    return flat(groups, point)


def _moments(value: Tensor, layer: Layer) -> tuple[Tensor, Tensor]:
    rows = value.movedim(layer.axis, -1).reshape(-1, value.shape[layer.axis]).double()
    deviation, mean = torch.std_mean(rows, 0, correction=0)
    return mean, deviation
