"""Rules for operations on whole axes: reshapes, transposes, means, slices, cuts and joints."""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, fx

from ravine.landscape.symmetry.tracing.walk import Call, Walk
from ravine.landscape.symmetry.tracing.wiring import Labels, Shape, Units, Wiring


def reshape(walk: Walk, call: Call) -> Labels:
    """The same entries under other axes; units may come to lie in blocks."""
    labels = walk.units(call.inputs[0])
    before, after = walk.shape(call.inputs[0]), tuple(call.value.shape)
    made: dict[int, Units] = {}
    for old, new in _segments(before, after):
        wide = [axis for axis in old if before[axis] != 1]
        marked = [axis for axis in wide if axis in labels]
        fresh = [axis for axis in new if after[axis] != 1]
        if not marked:
            continue
        first, units = marked[0], labels[marked[0]]
        inner = 1
        for axis in wide[1:]:
            inner *= before[axis]
        if len(marked) > 1 or first != wide[0] or len(wide) > 1 < len(fresh):
            for axis in marked:
                walk.wiring.hold(labels[axis], "are mixed by a reshape")
        elif len(fresh) == 1:
            made[fresh[0]] = Units(
                (units.move[0], units.move[1] * inner), (units.scale[0], units.scale[1] * inner)
            )
        else:
            made[fresh[0]] = _split(walk.wiring, units, after[fresh[0]], before[first])
    return made


def transpose(walk: Walk, call: Call) -> Labels:
    """The same axes in another order."""
    labels = walk.units(call.inputs[0])
    order = _order(walk.shape(call.inputs[0]), call.node)
    return {new: labels[old] for new, old in enumerate(order) if old in labels}


def mean(walk: Walk, call: Call) -> Labels:
    """Axes that are summed up are gone."""
    node, labels, shape = call.node, walk.units(call.inputs[0]), walk.shape(call.inputs[0])
    given: Any = node.kwargs.get("dim", node.args[1] if len(node.args) > 1 else None)
    dims = range(len(shape)) if given is None else [given] if isinstance(given, int) else given
    gone = {d % len(shape) for d in dims}
    keep = bool(node.kwargs.get("keepdim", node.args[2] if len(node.args) > 2 else False))
    made, new = {}, 0
    for axis in range(len(shape)):
        if axis in gone:
            if axis in labels:
                walk.wiring.rigid(labels[axis], "are summed up")
            new += keep
            continue
        if axis in labels:
            made[new] = labels[axis]
        new += 1
    return made


def part(walk: Walk, call: Call) -> Labels:
    """Cut or joined, units lose their place; slices of other axes leave them theirs."""
    labels = walk.units(call.inputs[0])
    if call.kind is operator.getitem and _whole(call.node.args[1], labels):
        return labels
    return walk.hold(call.inputs, "are cut or joined along an axis")


def _whole(index: Any, labels: Labels) -> bool:
    """Whether slices leave all axes where they are, and those of units whole."""
    every = index if isinstance(index, tuple) else (index,)
    return all(isinstance(i, slice) for i in every) and all(
        i == slice(None) for axis, i in enumerate(every) if axis in labels
    )


def _order(shape: Shape, node: fx.Node) -> list[int]:
    """Which axis of the input each axis of a transposed view is, by what it says of a probe."""
    probe = torch.empty_strided(shape, tuple(range(1, len(shape) + 1)), device="meta")
    arguments = [probe if isinstance(a, fx.Node) else a for a in node.args]
    call: Callable[..., Tensor] = (
        getattr(torch.Tensor, str(node.target)) if isinstance(node.target, str) else node.target
    )
    return [stride - 1 for stride in call(*arguments, **node.kwargs).stride()]


def _split(wiring: Wiring, units: Units, outer: int, length: int) -> Units:
    """The first of several axes that one is divided into."""
    inner = length // outer
    part = wiring.moves.new(outer)
    wiring.moves.tie(units.move, (part, inner))
    if units.scale[1] % inner == 0:
        return Units((part, 1), (units.scale[0], units.scale[1] // inner))
    wiring.rigid(units, "are divided among axes")
    return Units((part, 1), wiring.fresh(outer, "are divided among axes").scale)


def _segments(before: Shape, after: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """The shortest runs of axes with the same number of entries."""
    i = j = 0
    while i < len(before) or j < len(after):
        old, new, a, b = [], [], 1, 1
        while True:
            if i < len(before) and (a <= b or j >= len(after)):
                a *= before[i]
                old.append(i)
                i += 1
            elif j < len(after):
                b *= after[j]
                new.append(j)
                j += 1
            if a == b and (old or new):
                break
            if i >= len(before) and j >= len(after):
                break
        yield old, new
