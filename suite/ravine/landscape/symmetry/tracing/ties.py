"""Axes that are tied to each other: a union-find whose members may move in blocks."""

import math

Axis = tuple[int, int]
"""An element and a block: entries `u * block` to `(u + 1) * block` belong to its unit u."""


class Ties:
    """Elements, each of some units, tied where one's units have to move as another's do.

    An axis of n units in blocks of b has n b entries.  Tying two axes of one length with
    blocks b and c makes both move in blocks of their least common multiple.

    References:
        Galler and Fischer (1964). An improved equivalence algorithm. doi 10.1145/364099.364331.
    """

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self._parents: list[Axis] = []
        self._marks: list[dict[str, str]] = []

    def new(self, size: int) -> int:
        """One more element, of `size` units."""
        self.sizes.append(size)
        self._parents.append((len(self._parents), 1))
        self._marks.append({})
        return len(self.sizes) - 1

    def find(self, axis: Axis) -> Axis:
        """The same axis in units of the element that all tied ones share."""
        element, block = axis
        while self._parents[element][0] != element:
            element, more = self._parents[element]
            block *= more
        return element, block

    def tie(self, one: Axis, two: Axis) -> None:
        """Let the two move as one."""
        (a, a_block), (b, b_block) = self.find(one), self.find(two)
        if a == b and a_block == b_block:
            return
        block = math.lcm(a_block, b_block)
        length = self.sizes[a] * a_block
        assert length == self.sizes[b] * b_block, "axes of two lengths cannot be tied"
        root = a if block == a_block else b if block == b_block else self.new(length // block)
        if a == b:  # an axis against itself in other blocks: only what respects both
            self.mark(one, "fixed", "an axis meets itself in other blocks")
            return
        for element, own in ((a, a_block), (b, b_block)):
            if element != root:
                self._parents[element] = (root, block // own)
                self._marks[root] = self._marks[element] | self._marks[root]

    def mark(self, axis: Axis, what: str, why: str = "") -> None:
        """Note something of all that is tied to an axis, with a reason."""
        self._marks[self.find(axis)[0]].setdefault(what, why)

    def marks(self, element: int) -> dict[str, str]:
        """What was noted, with reasons."""
        return self._marks[self.find((element, 1))[0]]
