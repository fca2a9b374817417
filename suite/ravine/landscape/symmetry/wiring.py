"""How units run through a network's layers: which axes of which parameters belong together."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ravine.landscape.symmetry.groups import Group, Scaling, Slot
from ravine.landscape.symmetry.ties import Axis, Ties

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Units:
    """The units along one axis of a tensor.

    Args:
        move: how they are permuted.
        scale: how they are scaled.
    """

    move: Axis
    scale: Axis


Labels = Mapping[int, Units]
"""Units by axis of a tensor; an axis without any is fixed."""


class Wiring:
    """Ties between the axes of parameters, gathered from one layer after another.

    Args:
        shapes: of all parameters and buffers.
        fixed: those that may not change, with the reason.
    """

    def __init__(self, shapes: Mapping[str, Shape], fixed: Mapping[str, str]) -> None:
        self.shapes = shapes
        self.fixed = fixed
        self.moves, self.scales = Ties(), Ties()
        self._moving: dict[tuple[str, int], int] = {}
        self._scaling: dict[Slot, int] = {}

    def own(self, name: str, axis: int, power: int = 1) -> Units:
        """The units along an axis of a parameter, which scale it by a power."""
        return Units(self._move(name, axis), self._scale(Slot(name, axis, power=power)))

    def fresh(self, size: int, why: str) -> Units:
        """Units of no parameter, which cannot be scaled."""
        units = Units((self.moves.new(size), 1), (self.scales.new(size), 1))
        self.scales.mark(units.scale, "fixed", why)
        return units

    def join(self, one: Units | None, two: Units | None, why: str) -> None:
        """Let two axes move and scale as one; None is an axis that is fixed."""
        if one is not None and two is not None:
            self.moves.tie(one.move, two.move)
            self.scales.tie(one.scale, two.scale)
        for units in (one, two):
            if (one is None or two is None) and units is not None:
                self.hold(units, why)

    def hold(self, units: Units, why: str) -> None:
        """Fix units altogether."""
        self.moves.mark(units.move, "fixed", why)
        self.rigid(units, why)

    def rigid(self, units: Units, why: str) -> None:
        """Units that may be permuted but not scaled."""
        self.scales.mark(units.scale, "fixed", why)

    def product(
        self, x: Units | None, weight: str, bias: str, source: int = 1, target: int = 0
    ) -> Units:
        """A linear or convolutional layer, by the axes of its weight."""
        self.join(x, self.own(weight, source, -1), "meet the inputs")
        made = self.own(weight, target)
        if bias:
            self.join(made, self.own(bias, 0), "")
        return made

    def grouped(self, x: Units | None, weight: str, bias: str, parts: int, inputs: int) -> Units:
        """A convolution in parts: whole parts may be exchanged."""
        outputs = self.shapes[weight][0]
        part = self.moves.new(parts)
        made = self.own(weight, 0)
        self.moves.tie(made.move, (part, outputs // parts))
        if bias:
            self.join(made, self.own(bias, 0), "")
        if x is None:
            self.moves.mark((part, 1), "fixed", "meet the inputs")
            return made
        self.moves.tie(x.move, (part, inputs // parts))
        if inputs == parts:
            element, block = x.scale
            divided = self._scale(Slot(weight, 0, power=-1))
            self.scales.tie((element, block * (outputs // parts)), divided)
        else:
            self.rigid(x, "enter a grouped convolution")
        return made

    def batch_norm(
        self, x: Units | None, affine: Sequence[str], moments: Sequence[str], eps: float
    ) -> Units:
        """Each unit on its own: gain and shift, running mean and variance travel with it."""
        size = self.moves.sizes[x.move[0]] * x.move[1] if x else self.shapes[affine[0]][0]
        made = self.fresh(size, "are normalised") if not affine else self.own(affine[0], 0)
        for name in affine[1:]:
            self.join(made, self.own(name, 0), "")
        for name in moments:
            self.moves.tie(made.move, self._move(name, 0))
        if x is None:
            self.hold(made, "meet the inputs")
            return made
        self.moves.tie(x.move, made.move)
        for name, power in zip(moments, (1, 2), strict=False):
            added = eps if power == 2 else 0.0
            self.scales.tie(x.scale, self._scale(Slot(name, 0, power=power, eps=added)))
        self.scales.mark(x.scale, "even", "are normalised")
        self.scales.mark(x.scale, f"eps={eps!r}")
        return made

    def layer_norm(
        self, labels: Labels, dims: int, affine: Sequence[str], first: int
    ) -> dict[int, Units]:
        """All units of the last axes together."""
        made = dict(labels)
        for axis in range(first, first + dims):
            x = labels.get(axis)
            if x is not None:
                self.rigid(x, "are normalised together")
                size = self.moves.sizes[x.move[0]] * x.move[1]
                made[axis] = self.fresh(size, "are normalised together")
                self.moves.tie(x.move, made[axis].move)
            for name in affine:
                gain = self.own(name, axis - first)
                if x is None:
                    self.hold(gain, "meet a fixed axis")
                elif dims == 1 and name == affine[0]:
                    self.moves.tie(x.move, gain.move)
                    made[axis] = gain
                else:
                    self.join(made[axis], gain, "")
        return made

    def group_norm(self, x: Units | None, affine: Sequence[str], parts: int, size: int) -> Units:
        """Parts of the units together: whole parts may be exchanged."""
        made = self.own(affine[0], 0) if affine else self.fresh(size, "are normalised together")
        for name in affine[1:]:
            self.join(made, self.own(name, 0), "")
        if x is None:
            self.hold(made, "meet the inputs")
            return made
        if parts > 1:
            self.moves.tie((self.moves.new(parts), size // parts), x.move)
        self.moves.tie(x.move, made.move)
        self.rigid(x, "are normalised together")
        return made

    def activation(self, labels: Labels, positive: bool, odd: bool) -> None:
        """The same function of every entry."""
        for units in labels.values():
            if not positive:
                self.scales.mark(units.scale, "curved")
            if not odd:
                self.scales.mark(units.scale, "even")

    def total(
        self, shape: Shape, terms: Sequence[tuple[Shape, Labels]], linear: bool
    ) -> dict[int, Units]:
        """A sum of tensors, or with `linear` false a product, entry by entry."""
        made: dict[int, Units] = {}
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
                    self.join(here[0], units, "")
                else:
                    self.moves.tie(here[0].move, units.move)
                    self.rigid(units, "are multiplied")
                if len(here) < len(meeting):
                    self.hold(units, "meet a fixed axis")
                elif len(terms) > len(meeting) and linear:
                    self.rigid(units, "are shifted")
            if here:
                made[axis] = here[0]
        return made

    def reshape(self, labels: Labels, before: Shape, after: Shape) -> dict[int, Units]:
        """The same entries under other axes."""
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
                    self.hold(labels[axis], "are mixed by a reshape")
            elif len(fresh) == 1:
                made[fresh[0]] = Units(
                    (units.move[0], units.move[1] * inner),
                    (units.scale[0], units.scale[1] * inner),
                )
            else:
                made[fresh[0]] = self._split(units, after[fresh[0]], before[first])
        return made

    def _split(self, units: Units, outer: int, length: int) -> Units:
        """The first of several axes that one is divided into."""
        inner = length // outer
        part = self.moves.new(outer)
        self.moves.tie(units.move, (part, inner))
        if units.scale[1] % inner == 0:
            return Units((part, 1), (units.scale[0], units.scale[1] // inner))
        self.rigid(units, "are divided among axes")
        return Units((part, 1), self.fresh(outer, "are divided among axes").scale)

    def _move(self, name: str, axis: int) -> Axis:
        if (name, axis) not in self._moving:
            self._moving[name, axis] = self.moves.new(self.shapes[name][axis])
            if name in self.fixed:
                self.moves.mark((self._moving[name, axis], 1), "fixed", self.fixed[name])
        return self._moving[name, axis], 1

    def _scale(self, slot: Slot) -> Axis:
        if slot not in self._scaling:
            self._scaling[slot] = self.scales.new(self.shapes[slot.name][slot.axis])
            if slot.name in self.fixed:
                self.scales.mark((self._scaling[slot], 1), "fixed", self.fixed[slot.name])
        return self._scaling[slot], 1

    def permutable(self) -> tuple[tuple[Group, ...], tuple[str, ...], dict[int, str]]:
        """The groups, why other units are held, and the groups' names by their elements."""
        found: dict[int, list[Slot]] = {}
        for (name, axis), element in self._moving.items():
            root, block = self.moves.find((element, 1))
            found.setdefault(root, []).append(Slot(name, axis, block))
        groups, held = [], []
        names: dict[int, str] = {}
        for root, slots in found.items():
            size, name = self.moves.sizes[root], _name(slots, names.values())
            why = self.moves.marks(root).get("fixed")
            if why is not None and size > 1 and any(s.axis == 0 for s in slots):
                held.append(f"the {size} units of `{name}` {why}")
            elif why is None and size > 1:
                groups.append(Group(name, size, tuple(slots)))
                names[root] = name
        return tuple(groups), tuple(held), names

    def scalable(self) -> tuple[Scaling, ...]:
        """The groups that may be scaled or flipped."""
        found: dict[int, list[Slot]] = {}
        for slot, element in self._scaling.items():
            root, block = self.scales.find((element, 1))
            found.setdefault(root, []).append(
                Slot(slot.name, slot.axis, block, slot.power, slot.eps)
            )
        scalings: list[Scaling] = []
        for root, slots in found.items():
            marks = self.scales.marks(root)
            positive, odd = "curved" not in marks, "even" not in marks
            if "fixed" in marks or not (positive or odd):
                continue
            name = _name(slots, [s.name for s in scalings])
            eps = max((float(m[4:]) for m in marks if m.startswith("eps=")), default=0.0)
            scalings.append(
                Scaling(name, self.scales.sizes[root], tuple(slots), positive, odd, eps)
            )
        return tuple(scalings)


def _name(slots: Sequence[Slot], taken: Collection[str]) -> str:
    """The layer that makes the units: the first whose parameters have them along axis 0."""
    first = next((s for s in slots if s.axis == 0 and s.power >= 0), slots[0])
    layer = first.name.rpartition(".")[0]
    return layer if layer and layer not in taken else first.name


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
