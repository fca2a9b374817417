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
from ravine.problems.base import Point
from ravine.problems.networks.model import Moments

FAN_IN = 16
"""Multiplications for each number of a product, below which a sum is no cheaper."""


class Stage:
    """One computation over fixed data, a part's loss or moments, with what its points share.

    Args:
        components: the parameters at theta, and of one or two directions.
        function: from parameters of one point, and moments, to whatever is computed.
        always: share products even where a sum is no cheaper.

    Attributes:
        products: of every component with the input, by the weight's name and the count of its
            use; None where the input depends on the point, or where sharing is not worth it.
        saved: multiplications that each point is spared.
    """

    def __init__(
        self,
        components: Sequence[Point],
        function: Callable[[dict[str, Tensor], Moments | None], Any],
        always: bool = False,
    ) -> None:
        self.components, self.function, self.always = components, function, always
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

    def scout(self, point: Point, moments: Moments | None) -> Any:
        """Compute one point and find out what can be shared."""
        self._scouting = True
        try:
            found = self._run(point, point, moments)
        finally:
            self._scouting = False
        self._layers = None if moments is None else list(moments)
        theta = [[part[name] for part in self.components] for name in point]
        self._affine = [*(p for p in self.products.values() if p is not None), *theta]
        return found

    def trace(self, moments: Moments | None) -> None:
        """Take the later layers down as a list of torch's own operations, to be spared Python."""
        begin = [part[0].clone() for part in self._affine]
        graph = make_fx(self._replay)(*begin, *_tensors(moments))
        graph.graph.eliminate_dead_code()
        inputs = [node for node in graph.graph.nodes if node.op == "placeholder"]
        kept = [bool(node.users) or i >= len(begin) for i, node in enumerate(inputs)]
        for node, keep in zip(inputs, kept, strict=True):
            if not keep:
                graph.graph.erase_node(node)
        for node in graph.graph.nodes:
            node.target = _FASTER.get(node.target, node.target)
        graph.recompile()
        self._affine = [part for part, keep in zip(self._affine, kept, strict=False) if keep]
        self._call = graph.forward

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
        return self._call(*given, *_tensors(moments))

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
            self.products[key] = self._multiplied(func, args, kwargs)
            return None
        return self._ready.get(key)

    def _replay(self, *given: Tensor) -> Any:
        """A point from its products, its parameters and the moments, in this order."""
        rest = iter(given)
        self._ready = {key: next(rest) for key, p in self.products.items() if p is not None}
        point = {name: next(rest) for name in self.components[0]}
        moments = self._layers and {name: (next(rest), next(rest)) for name in self._layers}
        found = self._run(point, {name for name, _ in self._ready}, moments or None)
        return pytree.tree_map(plain_of, found)

    def _run(self, point: Point, varying: Collection[str], moments: Moments | None) -> Any:
        self._used.clear()
        given = dict(point)
        for name in varying:
            given[name] = as_varying(point[name], Source(self, name))
        return self.function(given, moments)

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
