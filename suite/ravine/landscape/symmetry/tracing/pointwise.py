"""Rules for functions of each entry: activations, sums, products, and pooling of channels."""

from typing import Any

from torch import Tensor, fx

from ravine.landscape.symmetry.tracing.operations import DIVISIONS, MAXIMA, SUMS
from ravine.landscape.symmetry.tracing.walk import Call, Walk
from ravine.landscape.symmetry.tracing.wiring import Labels


def same(walk: Walk, call: Call) -> Labels:
    """Linear of each entry, without a shift, or nothing at all."""
    return walk.units(call.inputs[0])


def rectifier(walk: Walk, call: Call) -> Labels:
    """Units may be scaled, by s > 0: a(s z) = s a(z)."""
    return _activation(walk, call, positive=True, odd=False)


def odd(walk: Walk, call: Call) -> Labels:
    """Units may be flipped: a(-z) = -a(z)."""
    return _activation(walk, call, positive=False, odd=True)


def curved(walk: Walk, call: Call) -> Labels:
    """Units may neither be scaled nor flipped; a function of one tensor alone."""
    labels = _activation(walk, call, positive=False, odd=False)
    if len(call.inputs) > 1 or tuple(call.value.shape) != walk.shape(call.inputs[0]):
        return walk.hold(call.inputs, "meet in a function of several tensors")
    return labels


def prelu(walk: Walk, call: Call) -> Labels:
    """A rectifier whose slopes, where there are several, travel with the channels."""
    module: Any = call.module
    labels = walk.units(call.inputs[0])
    if len(module.weight) > 1 and 1 in labels:
        slopes = walk.wiring.move(walk.names(call, "weight")[0], 0)
        walk.wiring.moves.tie(labels[1].move, slopes)
    return rectifier(walk, call)


def softmax(walk: Walk, call: Call) -> Labels:
    """All units together: in any order, but none may be scaled."""
    labels = walk.units(call.inputs[0])
    for units in labels.values():
        walk.wiring.rigid(units, "enter a softmax")
    return labels


def pooling(walk: Walk, call: Call) -> Labels:
    """Within a channel, the axis after the batch; others are mixed."""
    labels = walk.units(call.inputs[0])
    kept = {axis: units for axis, units in labels.items() if axis < 2}
    for axis, units in labels.items():
        if axis >= 2:
            walk.wiring.hold(units, "are pooled")
    if call.kind in MAXIMA:
        _mark(walk, kept, positive=True, odd=False)
    return kept


def arithmetic(walk: Walk, call: Call) -> Labels:
    """Sums and products of tensors or numbers."""
    terms = [a for a in call.node.args if isinstance(a, fx.Node | int | float)]
    tensors = [
        (walk.shape(t), walk.units(t))
        for t in terms
        if isinstance(t, fx.Node) and isinstance(walk.values[t], Tensor)
    ]
    numbers = len(tensors) < len(terms)
    divided = call.kind in DIVISIONS and isinstance(terms[0], int | float)
    linear = call.kind in SUMS
    if not linear and numbers and not divided:
        # times a number: homogeneous and odd
        return tensors[0][1] if len(tensors) == 1 else {}
    made = _broadcast(walk, tuple(call.value.shape), tensors, linear)
    if numbers:
        for units in made.values():
            walk.wiring.rigid(units, "are shifted")
    return made


def _activation(walk: Walk, call: Call, *, positive: bool, odd: bool) -> Labels:
    """The same units, after a note of where they enter."""
    labels = walk.units(call.inputs[0])
    for axis, units in labels.items():
        walk.preactivations.append((call.inputs[0].name, axis, units))
    _mark(walk, labels, positive=positive, odd=odd)
    return labels


def _mark(walk: Walk, labels: Labels, *, positive: bool, odd: bool) -> None:
    for units in labels.values():
        if not positive:
            walk.wiring.scales.mark(units.scale, "curved")
        if not odd:
            walk.wiring.scales.mark(units.scale, "even")


def _broadcast(
    walk: Walk,
    shape: tuple[int, ...],
    terms: list[tuple[tuple[int, ...], Labels]],
    linear: bool,
) -> Labels:
    """A sum of tensors, or with `linear` false a product, entry by entry."""
    wiring = walk.wiring
    made = {}
    for axis, length in enumerate(shape):
        if length == 1:
            continue
        meeting = [
            labels.get(axis - len(shape) + len(size))
            for size, labels in terms
            if len(size) >= len(shape) - axis and size[axis - len(shape)] != 1
        ]
        here = [units for units in meeting if units is not None]
        for units in here:
            if linear:
                wiring.join(here[0], units, "")
            else:
                wiring.moves.tie(here[0].move, units.move)
                wiring.rigid(units, "are multiplied")
            if len(here) < len(meeting):
                wiring.hold(units, "meet a fixed axis")
            elif len(terms) > len(meeting) and linear:
                wiring.rigid(units, "are shifted")
        if here:
            made[axis] = here[0]
    return made
