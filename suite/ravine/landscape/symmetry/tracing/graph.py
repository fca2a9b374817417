"""The symmetry groups of a module: its operations one after another, and what ties they make."""

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, fx, nn

from ravine.errors import RavineError
from ravine.landscape.symmetry.groups import Groups, Tap
from ravine.landscape.symmetry.tracing.refusals import failing, untraceable
from ravine.landscape.symmetry.tracing.rules import follow
from ravine.landscape.symmetry.tracing.walk import Walk
from ravine.landscape.symmetry.tracing.wiring import Units


def symbolic(module: nn.Module, name: str = "") -> fx.GraphModule:
    """A copy of the module in `eval()` mode as a graph of its operations.

    Raises:
        BadValue: its forward pass depends on values, or cannot be followed otherwise.
    """
    private = copy.deepcopy(module).eval()
    try:
        return fx.symbolic_trace(private)
    except Exception as error:
        raise untraceable(name or type(module).__name__, error) from error


def wire(
    graph: fx.GraphModule,
    inputs: Shaped[Tensor, "batch *example"],
    *,
    name: str,
    shapes: Mapping[str, tuple[int, ...]],
) -> Groups:
    """Follow units through a graph; nothing is verified yet.

    Args:
        graph: see `symbolic`.
        inputs: a few examples; what they hold does not matter.
        name: of the network.
        shapes: of the parameters that a flat point has; all others are held.

    Raises:
        BadValue: an operation is met whose symmetries are not known.
    """
    walk = Walk(graph, name, shapes)
    try:
        with torch.no_grad():
            _Interpreter(walk).run(inputs)
    except RavineError:
        raise
    except Exception as error:
        raise failing(name, error) from error
    wiring = walk.wiring
    groups, held, names = wiring.permutable()

    def group(units: Units | None) -> tuple[str, int] | None:
        element, block = wiring.moves.find(units.move) if units else (-1, 1)
        return (names[element], block) if element in names else None

    def read(places: Iterable[tuple[str, int, Units]]) -> tuple[Tap, ...]:
        taps = {
            (node, axis): Tap(found[0], node, axis, found[1])
            for node, axis, units in places
            if (found := group(units))
        }
        return tuple(taps.values())

    once = Counter(layer.weight for layer in walk.layers)
    layers = (
        layer
        for layer in walk.layers
        if layer.node not in walk.normalised | walk.last
        and once[layer.weight] == 1
        and {layer.weight, layer.bias} <= set(shapes)
    )
    return Groups(
        name=name,
        shapes=dict(shapes),
        permutable=groups,
        scalable=wiring.scalable(),
        held=held,
        outputs=tuple(walk.outputs),
        taps=read(walk.taps),
        preactivations=read(walk.preactivations),
        layers=tuple(layers),
        graph=graph,
    )


class _Interpreter(fx.Interpreter):
    """Runs a graph on examples, with the units of each tensor beside it."""

    def __init__(self, walk: Walk) -> None:
        super().__init__(walk.graph)
        # an error is told in one sentence of ours
        self.extra_traceback = False
        self.walk = walk

    def run_node(self, n: fx.Node) -> Any:
        """Compute a node, then follow the units through it."""
        value = self.walk.values[n] = super().run_node(n)
        if n.op == "output":
            self.walk.end(n)
        elif n.op in ("call_module", "call_function", "call_method"):
            self.walk.labels[n] = follow(self.walk, n, value)
        return value
