"""Rules for normalisations: over examples, over units, and over parts of the units."""

from collections.abc import Sequence
from typing import Any

from torch import fx

from ravine.landscape.symmetry.groups import Slot
from ravine.landscape.symmetry.tracing.walk import Call, Walk
from ravine.landscape.symmetry.tracing.wiring import Labels, Units

WORDS = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
"""What `functional.batch_norm` takes, in this order."""


def batch_norm(walk: Walk, call: Call) -> Labels:
    """Each unit on its own: gain and shift, running mean and variance travel with it."""
    module: Any = call.module
    affine = walk.names(call, "weight", "bias")
    moments = walk.names(call, "running_mean", "running_var")
    return _batch_norm(walk, call.inputs[0], affine, moments, module.eps)


def batch_norm_of_parameters(walk: Walk, call: Call) -> Labels:
    """A batch normalisation that is called as a function of parameters."""
    node = call.node
    given: dict[str, Any] = {**dict(zip(WORDS, node.args, strict=False)), **node.kwargs}
    assert isinstance(given["input"], fx.Node)
    named = {w: walk.parameter(node, given[w]) for w in WORDS[1:5] if given.get(w) is not None}
    affine = [named[w] for w in ("weight", "bias") if w in named]
    moments = [named[w] for w in ("running_mean", "running_var") if w in named]
    return _batch_norm(walk, given["input"], affine, moments, float(given.get("eps", 1e-5)))


def layer_norm(walk: Walk, call: Call) -> Labels:
    """All units of the last axes together."""
    module: Any = call.module
    wiring, given = walk.wiring, call.inputs[0]
    labels, affine = walk.units(given), walk.names(call, "weight", "bias")
    walk.normalised.add(given.name)
    dims = len(module.normalized_shape)
    first = call.value.dim() - dims
    made = dict(labels)
    for axis in range(first, first + dims):
        x = labels.get(axis)
        if x is not None:
            wiring.rigid(x, "are normalised together")
            size = wiring.moves.sizes[x.move[0]] * x.move[1]
            made[axis] = wiring.fresh(size, "are normalised together")
            wiring.moves.tie(x.move, made[axis].move)
        for name in affine:
            gain = wiring.own(name, axis - first)
            if x is None:
                wiring.hold(gain, "meet a fixed axis")
            elif dims == 1 and name == affine[0]:
                wiring.moves.tie(x.move, gain.move)
                made[axis] = gain
            else:
                wiring.join(made[axis], gain, "")
    return made


def group_norm(walk: Walk, call: Call) -> Labels:
    """Parts of the units together: whole parts may be exchanged."""
    module: Any = call.module
    wiring, given = walk.wiring, call.inputs[0]
    labels, affine = dict(walk.units(given)), walk.names(call, "weight", "bias")
    walk.normalised.add(given.name)
    x, parts, size = labels.get(1), module.num_groups, module.num_channels
    if x is None and not affine:
        return labels
    made = _gains(walk, affine, size, "are normalised together")
    labels[1] = made
    if x is None:
        wiring.hold(made, "meet the inputs")
        return labels
    if parts > 1:
        wiring.moves.tie((wiring.moves.new(parts), size // parts), x.move)
    wiring.moves.tie(x.move, made.move)
    wiring.rigid(x, "are normalised together")
    return labels


def _batch_norm(
    walk: Walk, given: fx.Node, affine: Sequence[str], moments: Sequence[str], eps: float
) -> Labels:
    wiring, labels = walk.wiring, dict(walk.units(given))
    walk.normalised.add(given.name)
    x = labels.get(1)
    if x is None and not affine:
        return labels
    made = labels[1] = _gains(walk, affine, walk.shape(given)[1], "are normalised")
    for name in moments:
        wiring.moves.tie(made.move, wiring.move(name, 0))
    if x is None:
        wiring.hold(made, "meet the inputs")
        return labels
    wiring.moves.tie(x.move, made.move)
    for name, power in zip(moments, (1, 2), strict=False):
        added = eps if power == 2 else 0.0
        wiring.scales.tie(x.scale, wiring.scale(Slot(name, 0, power=power, eps=added)))
    wiring.scales.mark(x.scale, "even", "are normalised")
    wiring.scales.mark(x.scale, f"eps={eps!r}")
    return labels


def _gains(walk: Walk, affine: Sequence[str], size: int, why: str) -> Units:
    """The units behind a normalisation: those of its gain and shift, where it has any."""
    wiring = walk.wiring
    if not affine:
        return wiring.fresh(size, why)
    made = wiring.own(affine[0], 0)
    for name in affine[1:]:
        wiring.join(made, wiring.own(name, 0), "")
    return made
