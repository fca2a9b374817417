"""What a walk over a graph has met so far: units of every tensor, layers, places to read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

from ravine.landscape.symmetry.groups import Layer, Slot
from ravine.landscape.symmetry.tracing.refusals import computed
from ravine.landscape.symmetry.tracing.wiring import Labels, Units, Wiring


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A node of the graph where something is computed.

    Args:
        node: of the graph.
        kind: a function, the name of a method, or the class of a module.
        module: whose forward pass it is, if any.
        inputs: the nodes of all tensors that enter.
        value: what comes out.
    """

    node: fx.Node
    kind: Any
    module: nn.Module | None
    inputs: Sequence[fx.Node]
    value: Any


class Walk:
    """The state of a walk over a graph, which rules read and add to.

    Args:
        graph: that is walked.
        title: of the network, for refusals.
        shapes: of the parameters that a flat point has; all others are held.
    """

    def __init__(
        self, graph: fx.GraphModule, title: str, shapes: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.graph = graph
        self.title = title
        tensors = dict([*graph.named_parameters(), *graph.named_buffers()])
        buffers = {n for n, _ in graph.named_buffers()}
        self.first = {id(t): n for n, t in reversed(tensors.items())}
        held = {n: "are not trained" for n in tensors if n not in shapes and n not in buffers}
        self.wiring = Wiring({n: tuple(t.shape) for n, t in tensors.items()}, held)
        self.labels: dict[fx.Node, Labels] = {}
        self.values: dict[fx.Node, Any] = {}
        self.taps: list[tuple[str, int, Units]] = []
        self.preactivations: list[tuple[str, int, Units]] = []
        self.layers: list[Layer] = []
        self.made: dict[str, list[Slot]] = {}
        self.normalised: set[str] = set()
        self.last: set[str] = set()
        self.outputs: list[Slot] = []

    def shape(self, node: fx.Node) -> tuple[int, ...]:
        """Of the tensor of a node."""
        return tuple(self.values[node].shape)

    def units(self, node: Any) -> Labels:
        """The units of a node's tensor; a parameter has some as soon as it is used."""
        if not isinstance(node, fx.Node) or not isinstance(self.values.get(node), Tensor):
            return {}
        if node.op == "get_attr":
            name = self.name(self.values[node], str(node.target))
            if name not in self.wiring.shapes or not self.values[node].is_floating_point():
                return {}
            return {
                axis: self.wiring.own(name, axis)
                for axis, size in enumerate(self.wiring.shapes[name])
                if size > 1
            }
        return self.labels.get(node, {})

    def hold(self, nodes: Sequence[fx.Node], why: str) -> Labels:
        """Fix all units of some nodes; none are left."""
        for node in nodes:
            for units in self.units(node).values():
                self.wiring.hold(units, why)
        return {}

    def names(self, call: Call, *parts: str) -> list[str]:
        """Of those of a module's tensors that are there."""
        tensors = (getattr(call.module, part, None) for part in parts)
        return [self.name(t, str(call.node.target)) for t in tensors if t is not None]

    def parameter(self, node: fx.Node, given: Any) -> str:
        """The name of a parameter that is given to a function.

        Raises:
            BadValue: it is computed.
        """
        if isinstance(given, fx.Node) and given.op == "get_attr":
            return self.name(self.values[given], str(given.target))
        raise computed(self.title, node.name)

    def name(self, tensor: Tensor, otherwise: str) -> str:
        """The first of a tensor's names, for it may be shared."""
        return self.first.get(id(tensor), otherwise)

    def end(self, node: fx.Node) -> None:
        """Hold what the network gives, and note the parameters that make it."""
        self.hold(node.all_input_nodes, "are outputs")
        for given in node.all_input_nodes:
            self.outputs += self.made.get(given.name, [])
            self.last.add(given.name)
