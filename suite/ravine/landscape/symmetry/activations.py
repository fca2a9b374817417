"""What the units of a network answer to examples: correlations, means and deviations."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Shaped
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

from ravine.errors import BadValue
from ravine.landscape.surface import Surface
from ravine.landscape.symmetry.groups import Groups, Tap, named

STILL = 1e-6
"""A unit with less than this share of the largest deviation of its layer does not vary."""

Correlations = Mapping[str, Float64[np.ndarray, "units units"]]
"""By group: of each unit of one network with each of another."""

Alter = Callable[[str, Tensor], Tensor]
"""From the name of a node and its tensor to the tensor that the nodes after it see."""


class _Played(fx.Interpreter):
    """A graph played over examples, batch normalisation by the moments of these very ones."""

    def __init__(self, graph: fx.GraphModule, alter: Alter) -> None:
        super().__init__(graph)
        self.extra_traceback = False
        self.alter = alter

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        return self.alter(n.name, value) if isinstance(value, Tensor) else value

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        layer = self.fetch_attr(target)
        if isinstance(layer, _BatchNorm):
            return _by_batch(args[0], layer.weight, layer.bias, layer.eps)
        return super().call_module(target, args, kwargs)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        if target is functional.batch_norm:
            words = ("input", "mean", "var", "weight", "bias", "training", "momentum", "eps")
            given = {**dict(zip(words, args, strict=False)), **kwargs}
            gain, shift = given.get("weight"), given.get("bias")
            return _by_batch(given["input"], gain, shift, given.get("eps", 1e-5))
        return super().call_function(target, args, kwargs)


class _Playing(nn.Module):
    """A graph as a module, so that its parameters can be given."""

    def __init__(self, graph: fx.GraphModule, alter: Alter) -> None:
        super().__init__()
        self.graph = graph
        self.alter = alter

    def forward(self, inputs: Shaped[Tensor, "batch *example"]) -> Any:
        return _Played(self.graph, self.alter).run(inputs)


def play(
    groups: Groups,
    x: Float[Tensor, " P"],
    inputs: Shaped[Tensor, "batch *example"],
    alter: Alter,
) -> Any:
    """The network's outputs at a point, with what each node gives altered on its way.

    Batch normalisation uses the moments of these inputs; there is no dropout.

    Args:
        groups: of the network.
        x: the point.
        inputs: examples.
        alter: sees the tensor of each node of the graph.
    """
    inputs = inputs.to(x.dtype) if inputs.is_floating_point() else inputs
    numbers = {f"graph.{name}": p for name, p in named(groups, x).items()}
    for name, buffer in groups.graph.named_buffers():
        numbers[f"graph.{name}"] = buffer.to(x.dtype) if buffer.is_floating_point() else buffer
    with torch.no_grad():
        return torch.func.functional_call(_Playing(groups.graph, alter), numbers, (inputs,))


def inputs_of(surface: Surface) -> Iterator[Shaped[Tensor, "batch *example"]]:
    """The inputs of a surface's parts, one part after another.

    Raises:
        BadValue: it is no surface of a network.
    """
    for part in surface.parts:
        if "inputs" not in part.data:
            raise BadValue(f"`{surface.name}` has no examples; take the surface of a network")
        yield part.data["inputs"]


def units(value: Tensor, axis: int, block: int) -> Float[Tensor, "cases units"]:
    """A tensor as what each unit answers to each case: an example, a position, a feature."""
    rows = value.movedim(axis, -1).reshape(-1, value.shape[axis]).double()
    return rows.view(len(rows), -1, block).movedim(-1, 1).reshape(len(rows) * block, -1)


@dataclass
class _Sums:
    """Sums over cases from which correlations follow."""

    cases: int = 0
    sums: dict[str, Tensor] = field(default_factory=dict)

    def add(self, a: Tensor, b: Tensor) -> None:
        self.cases += len(a)
        found = {"a": a.sum(0), "b": b.sum(0), "aa": a.square().sum(0), "bb": b.square().sum(0)}
        for name, value in {**found, "ab": a.T @ b}.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def correlation(self) -> Float[Tensor, "units units"]:
        s, n = self.sums, self.cases
        a, b = s["a"] / n, s["b"] / n
        spread = [(s[w] / n - m.square()).clamp(min=0).sqrt() for w, m in (("aa", a), ("bb", b))]
        kept = [d > STILL * d.max().clamp(min=1e-300) for d in spread]
        one, two = (torch.where(k, 1 / d, 0.0) for k, d in zip(kept, spread, strict=True))
        return one[:, None] * (s["ab"] / n - a[:, None] * b) * two


def correlations(
    groups: Groups, surface: Surface, a: Float[Tensor, " P"], b: Float[Tensor, " P"]
) -> tuple[Correlations, Correlations]:
    """Correlations of each unit of network A with each of network B: activations, preactivations.

    Each is a sum over all places where a group's units are read: behind their nonlinearity,
    as later layers see them, and before it.

    Sums are in float64 and streamed over the surface's parts.  A unit whose deviation is less
    than 1e-6 of the largest of its layer has the correlation 0 with all.

    Args:
        groups: of the network.
        surface: whose data the networks see.
        a: one point.
        b: another.
    """
    taps = {(t.node, t.axis): t for t in (*groups.taps, *groups.preactivations)}
    nodes = {node for node, _ in taps}
    sums = {key: _Sums() for key in taps}
    for inputs in inputs_of(surface):
        seen: list[dict[str, Tensor]] = []
        for x in (a, b):
            kept: dict[str, Tensor] = {}

            def keep(node: str, value: Tensor, kept: dict[str, Tensor] = kept) -> Tensor:
                if node in nodes:
                    # a copy, for a later layer may work in place
                    kept[node] = value.clone()
                return value

            play(groups, x, inputs, keep)
            seen.append(kept)
        for key, tap in taps.items():
            sums[key].add(*(units(one[tap.node], tap.axis, tap.block) for one in seen))
    found = {key: each.correlation().numpy() for key, each in sums.items()}

    def total(read: Sequence[Tap]) -> Correlations:
        tables = {g.name: np.zeros((g.size, g.size)) for g in groups.permutable}
        for tap in read:
            tables[tap.group] += found[tap.node, tap.axis]
        return tables

    return total(groups.taps), total(groups.preactivations)


def _by_batch(x: Tensor, gain: Tensor | None, shift: Tensor | None, eps: float) -> Tensor:
    return functional.batch_norm(x, None, None, gain, shift, training=True, eps=eps)
