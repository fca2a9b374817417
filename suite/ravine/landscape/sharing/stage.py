"""One computation over fixed data, with the products that all points share."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from ravine.landscape.sharing.varying import (
    BIAS,
    LAYER,
    Source,
    Varying,
    as_varying,
    plain_of,
    source_of,
)
from ravine.problems.base import Data, Point
from ravine.problems.networks.model import Moments

FAN_IN = 16
"""Multiplications for each number of a product, below which a sum is no cheaper."""

Function = Callable[[dict[str, Tensor], Data, Moments | None], Any]

Graphs = dict[object, tuple[Callable[..., Any], list[bool]]]
"""What was taken down of a function, by it and the shapes of all that goes in."""


class Stage:
    """One computation over fixed data, a part's loss or moments, with what its points share.

    Args:
        components: the parameters at theta, and of one or two directions.
        function: from parameters of one point, data and moments, to whatever is computed.
        data: what it needs beside the point.
        always: share products even where a sum is no cheaper.

    Attributes:
        products: of every component with the input, by the weight's name and the count of its
            use; None where the input depends on the point, or where sharing is not worth it.
        saved: multiplications that each point is spared.
    """

    def __init__(
        self,
        components: Sequence[Point],
        function: Function,
        data: Data,
        always: bool = False,
    ) -> None:
        self.components, self.function, self.data = components, function, data
        self.always = always
        self.products: dict[tuple[str, int], list[Tensor] | None] = {}
        self.saved = 0
        self._scouting = False
        self._used: Counter[str] = Counter()
        self._ready: dict[tuple[str, int], Tensor] = {}
        self._affine: list[list[Tensor]] = []
        self._rows: list[Tensor] = []
        self._layers: list[str] | None = None
        self._call: Callable[..., Any] = self._replay

    @property
    def numbers(self) -> int:
        """How many numbers the products hold."""
        return sum(t.numel() for product in self.products.values() for t in product or ())

    def scout(self, moments: Moments | None) -> Any:
        """Compute theta and find out what can be shared."""
        point = self.components[0]
        self._scouting = True
        try:
            found = self._run(point, point, self.data, moments)
        finally:
            self._scouting = False
        self._layers = None if moments is None else list(moments)
        theta = [[part[name] for part in self.components] for name in point]
        self._affine = [*(p for p in self.products.values() if p is not None), *theta]
        return found

    def trace(self, moments: Moments | None, graphs: Graphs) -> None:
        """Take the later layers down as a list of torch's own operations, to be spared Python.

        Args:
            moments: at any point.
            graphs: what was taken down already; parts of one size have one in common.
        """
        begin = [part[0].clone() for part in self._affine]
        given = (*begin, *_tensors(moments), *self.data.values())
        shapes = tuple((tensor.shape, tensor.dtype) for tensor in given)
        shared = tuple(key for key, product in self.products.items() if product is not None)
        key = (self.function, shared, shapes)
        if key not in graphs:
            graphs[key] = self._traced(given, len(begin))
        self._call, kept = graphs[key]
        self._affine = [part for part, keep in zip(self._affine, kept, strict=True) if keep]

    def _traced(
        self, given: Sequence[Tensor], affine: int
    ) -> tuple[Callable[..., Any], list[bool]]:
        graph = make_fx(self._replay)(*given)
        graph.graph.eliminate_dead_code()
        inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
        kept = [bool(node.users) or i >= affine for i, node in enumerate(inputs)]
        for node, keep in zip(inputs, kept, strict=True):
            if not keep:
                graph.graph.erase_node(node)
        for node in graph.graph.nodes:
            node.target = _FASTER.get(node.target, node.target)
        graph.recompile()
        return graph.forward, kept[:affine]

    def row(self, *held: float) -> None:
        """Go to the points that differ in their first coefficient alone.

        Args:
            held: the other coefficients.
        """
        self._rows = []
        for part in self._affine:
            found = part[0]
            for coefficient, direction in zip(held, part[2:], strict=True):
                found = torch.add(found, direction, alpha=coefficient)
            self._rows.append(found)

    def compute(self, a: float, moments: Moments | None) -> Any:
        """Compute the point of the row whose first coefficient is a."""
        given = [
            torch.add(row, part[1], alpha=a)
            for row, part in zip(self._rows, self._affine, strict=True)
        ]
        return self._call(*given, *_tensors(moments), *self.data.values())

    def meet(
        self,
        name: str,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Tensor | None:
        """The product of a layer at this point, where it is shared; see `Meeting`."""
        key = (name, self._used[name])
        self._used[name] += 1
        if self._scouting:
            products = self.products[key] = self._multiplied(func, args, kwargs)
            # a copy, for the next layer may work in place
            return None if products is None else as_varying(products[0].clone())
        return self._ready.get(key)

    def _replay(self, *given: Tensor) -> Any:
        """A point from its products, its parameters, the moments and the data, in this order."""
        rest = iter(given)
        self._ready = {key: next(rest) for key, p in self.products.items() if p is not None}
        point = {name: next(rest) for name in self.components[0]}
        moments = self._layers and {name: (next(rest), next(rest)) for name in self._layers}
        data = dict(zip(self.data, rest, strict=True))
        found = self._run(point, {name for name, _ in self._ready}, data, moments or None)
        return pytree.tree_map(plain_of, found)

    def _run(
        self, point: Point, varying: Collection[str], data: Data, moments: Moments | None
    ) -> Any:
        self._used.clear()
        given = dict(point)
        for name in varying:
            given[name] = as_varying(point[name], Source(self, name))
        return self.function(given, data, moments)

    def _multiplied(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> list[Tensor] | None:
        bias = BIAS[func]
        if any(isinstance(arg, Varying) and source_of(arg) is None for arg in args):
            return None
        weights = [i for i, arg in enumerate(args) if isinstance(arg, Varying) and i != bias]
        constant = bias is not None and len(args) > bias and type(args[bias]) is Tensor
        if len(weights) != 1 or constant or any(isinstance(t, Varying) for t in kwargs.values()):
            return None
        given = [
            [arg] * len(self.components)
            if (source := source_of(arg)) is None
            else source.components()
            for arg in args
        ]
        shape = given[weights[0]][0].shape
        left = weights[0] == (0 if bias is None else 1)
        fan_in = (
            math.prod(shape[1:]) if bias == LAYER or len(shape) < 2 else shape[-1 if left else -2]
        )
        if fan_in < FAN_IN and not self.always:
            return None
        products = [func(*each, **kwargs) for each in zip(*given, strict=True)]
        self.saved += fan_in * products[0].numel()
        return products


def _tensors(moments: Moments | None) -> list[Tensor]:
    return [tensor for pair in (moments or {}).values() for tensor in pair]


def _tanh(x: Tensor) -> Tensor:
    """The same to rounding, by a kernel that takes a third of the time in float32."""
    return _tanh_(x.clone()) if x.dtype is torch.float32 else torch.tanh(x)


def _tanh_(x: Tensor) -> Tensor:
    return x.mul_(2).sigmoid_().mul_(2).sub_(1) if x.dtype is torch.float32 else x.tanh_()


_FASTER: Mapping[Any, Callable[[Tensor], Tensor]] = {
    torch.ops.aten.tanh.default: _tanh,
    torch.ops.aten.tanh_.default: _tanh_,
}
