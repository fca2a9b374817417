"""Which axes of which parameters belong together: ties, and the groups that come of them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ravine.landscape.symmetry.groups import Group, Scaling, Slot
from ravine.landscape.symmetry.tracing.ties import Axis, Ties

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
    """Ties between the axes of parameters, gathered from one operation after another.

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
        return Units(self.move(name, axis), self.scale(Slot(name, axis, power=power)))

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

    def move(self, name: str, axis: int) -> Axis:
        """How entries along an axis of a parameter are permuted."""
        if (name, axis) not in self._moving:
            self._moving[name, axis] = self.moves.new(self.shapes[name][axis])
            if name in self.fixed:
                self.moves.mark((self._moving[name, axis], 1), "fixed", self.fixed[name])
        return self._moving[name, axis], 1

    def scale(self, slot: Slot) -> Axis:
        """How entries along an axis of a parameter are scaled, by the slot's power."""
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
