"""Rules for layers that mix units by weights: linear layers, convolutions, embeddings."""

from collections.abc import Sequence
from typing import Any

from torch import fx
from torch.nn import functional

from ravine.landscape.symmetry.groups import Layer, Slot
from ravine.landscape.symmetry.tracing.refusals import transposed_in_groups
from ravine.landscape.symmetry.tracing.walk import Call, Walk
from ravine.landscape.symmetry.tracing.wiring import Labels, Units


def linear(walk: Walk, call: Call) -> Labels:
    """The last axis."""
    return _linear(walk, call.node, call.inputs[0], walk.names(call, "weight", "bias"))


def convolution(walk: Walk, call: Call) -> Labels:
    """Channels; with groups only whole parts of them may be exchanged."""
    module: Any = call.module
    affine = walk.names(call, "weight", "bias")
    return _convolution(walk, call.node, call.inputs[0], affine, module.groups)


def transposed_convolution(walk: Walk, call: Call) -> Labels:
    """Channels, with the axes of the weight the other way round."""
    module: Any = call.module
    if module.groups > 1:
        raise transposed_in_groups(walk.title, str(call.node.target))
    affine = walk.names(call, "weight", "bias")
    return _product(walk, call.node, call.inputs[0], affine, (0, 1), 1)


def embedding(walk: Walk, call: Call) -> Labels:
    """Features of a table are units, its rows are held by the inputs."""
    return {call.value.dim() - 1: walk.wiring.own(walk.names(call, "weight")[0], 1)}


def product_of_parameters(walk: Walk, call: Call) -> Labels:
    """A layer that is called as a function of parameters."""
    node = call.node
    given = list(node.args) + [None] * 7
    keywords = node.kwargs
    x, weight = given[0] or keywords.get("input"), given[1] or keywords.get("weight")
    bias = given[2] or keywords.get("bias")
    affine = [walk.parameter(node, weight)]
    if bias is not None:
        affine.append(walk.parameter(node, bias))
    assert isinstance(x, fx.Node)
    if call.kind is functional.linear:
        return _linear(walk, node, x, affine)
    parts: Any = given[6] or keywords.get("groups", 1)
    return _convolution(walk, node, x, affine, parts)


def _linear(walk: Walk, node: fx.Node, given: fx.Node, affine: Sequence[str]) -> Labels:
    last = len(walk.shape(given)) - 1
    return _product(walk, node, given, affine, (1, 0), last, spatial=False)


def _convolution(
    walk: Walk, node: fx.Node, given: fx.Node, affine: Sequence[str], parts: int
) -> Labels:
    if parts == 1:
        return _product(walk, node, given, affine, (1, 0), 1)
    made = _grouped(walk, walk.units(given).get(1), affine, parts, walk.shape(given)[1])
    return _made(walk, node, given, affine, 0, 1, made, True)


def _product(
    walk: Walk,
    node: fx.Node,
    given: fx.Node,
    affine: Sequence[str],
    axes: tuple[int, int],
    axis: int,
    spatial: bool = True,
) -> Labels:
    """By the axes of the weight along which inputs and outputs lie."""
    wiring, (source, target) = walk.wiring, axes
    weight, biases = affine[0], affine[1:]
    wiring.join(walk.units(given).get(axis), wiring.own(weight, source, -1), "meet the inputs")
    made = wiring.own(weight, target)
    for bias in biases:
        wiring.join(made, wiring.own(bias, 0), "")
    return _made(walk, node, given, affine, target, axis, made, spatial)


def _grouped(walk: Walk, x: Units | None, affine: Sequence[str], parts: int, inputs: int) -> Units:
    """A convolution in parts: whole parts may be exchanged."""
    wiring, weight = walk.wiring, affine[0]
    outputs = wiring.shapes[weight][0]
    part = wiring.moves.new(parts)
    made = wiring.own(weight, 0)
    wiring.moves.tie(made.move, (part, outputs // parts))
    for bias in affine[1:]:
        wiring.join(made, wiring.own(bias, 0), "")
    if x is None:
        wiring.moves.mark((part, 1), "fixed", "meet the inputs")
        return made
    wiring.moves.tie(x.move, (part, inputs // parts))
    if inputs == parts:
        element, block = x.scale
        divided = wiring.scale(Slot(weight, 0, power=-1))
        wiring.scales.tie((element, block * (outputs // parts)), divided)
    else:
        wiring.rigid(x, "enter a grouped convolution")
    return made


def _made(
    walk: Walk,
    node: fx.Node,
    given: fx.Node,
    affine: Sequence[str],
    out: int,
    axis: int,
    made: Units,
    spatial: bool,
) -> Labels:
    """Note a layer, and where it reads units."""
    labels = walk.units(given)
    if axis in labels:
        walk.taps.append((given.name, axis, labels[axis]))
    for other, units in labels.items():
        if other >= 2 and spatial:
            walk.wiring.hold(units, "are convolved along")
    walk.layers.append(Layer(node.name, affine[0], "".join(affine[1:]), out, axis))
    walk.made[node.name] = [Slot(affine[0], out), *(Slot(name, 0) for name in affine[1:])]
    return {**labels, axis: made}
