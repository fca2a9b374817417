"""The first layer of a network, computed once for all cells of a plane.

On the plane theta + a u + b v the first layer's weights are W = A + a U + b V, and over
fixed inputs X its product is W X = A X + a U X + b V X.  Three products serve all cells; a
cell then costs one sum and the later layers.

Nothing is known of the network: its parameters go through it as tensors of a kind of their
own, `Varying`, whose results are of that kind too.  A layer whose weight is such a parameter,
or a view of one, and whose input is not, is a first layer.
"""

import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn import functional
from torch.utils import _pytree as pytree

from ravine.landscape.surface import (
    LIVE_FLOATS,
    Surface,
    loss,
    unpack,
    weighted_parts,
)
from ravine.problems.base import Data, Point
from ravine.problems.networks.model import Moments

Components = tuple[Float[Tensor, " P"], Float[Tensor, " P"], Float[Tensor, " P"]]
"""Theta, u and v."""

WORTH = 4_000_000
"""Multiplications for each cell that must be saved; fewer are faster done in a stack."""

AT_ALL = 10_000_000_000
"""The same over all cells; fewer take less time than finding out what can be shared."""

FAN_IN = 16
"""Multiplications for each number of a product, below which a sum is no cheaper."""

ROUNDING = 10_000
"""Units of rounding, of 1 + |loss|, by which a cell may differ from its plain evaluation."""

_LAYER = 2

_BIAS: Mapping[Callable[..., Any], int | None] = {
    functional.linear: _LAYER,
    torch.conv1d: _LAYER,
    torch.conv2d: _LAYER,
    torch.conv3d: _LAYER,
    torch.conv_transpose1d: _LAYER,
    torch.conv_transpose2d: _LAYER,
    torch.conv_transpose3d: _LAYER,
    torch.addmm: 0,
    torch.baddbmm: 0,
    torch.mm: None,
    torch.bmm: None,
    torch.matmul: None,
    Tensor.mm: None,
    Tensor.bmm: None,
    Tensor.matmul: None,
    Tensor.__matmul__: None,
}
"""Functions that are linear in a weight and a bias together, and where the bias stands."""

_VIEWS = frozenset(
    getattr(where, name)
    for name in (
        "reshape",
        "flatten",
        "transpose",
        "permute",
        "unsqueeze",
        "squeeze",
        "t",
        "detach",
        "clone",
        "unflatten",
        "narrow",
        "movedim",
    )
    for where in (torch, Tensor)
) | {
    Tensor.view,
    Tensor.expand,
    Tensor.contiguous,
    Tensor.__getitem__,
    Tensor.T.__get__,  # type: ignore[attr-defined]
    Tensor.mT.__get__,  # type: ignore[attr-defined]
}
"""Functions that only arrange the numbers of their first argument."""

_CASTS = frozenset({Tensor.to, Tensor.type_as, Tensor.expand_as, Tensor.view_as})
"""Functions that take from their other arguments no more than a dtype or a shape."""


class Varying(Tensor):
    """A tensor that differs from cell to cell.

    Attributes:
        plain: the same as an ordinary tensor, with which everything is computed.
        source: of a parameter, or of a view of one, where it comes from.
    """

    plain: Tensor
    source: "_Source | None"

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Meet a first layer with the product that all cells share."""
        del types
        given = dict(kwargs or {})
        first = args[0] if args else None
        if func in _BIAS:
            found = _shared(func, args, given)
            if found is not None:
                return found
        result = func(*pytree.tree_map(_plain, args), **pytree.tree_map(_plain, given))
        if isinstance(first, Varying) and result is first.plain:
            return first
        if func in _CASTS and not isinstance(first, Varying):
            return result
        source = _source(first)
        if func in _VIEWS and source is not None:
            return _varying(result, source.after(func, args[1:], given))
        return pytree.tree_map_only(Tensor, _varying, result)


@dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """Where a view of a parameter comes from."""

    stage: "Stage"
    name: str
    calls: tuple[tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], ...] = ()

    def after(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> "_Source":
        return _Source(self.stage, self.name, (*self.calls, (func, args, kwargs)))

    def components(self) -> list[Tensor]:
        """The same view of the parameter at theta, of u and of v."""
        parts = [component[self.name] for component in self.stage.components]
        for func, args, kwargs in self.calls:
            parts = [func(part, *args, **kwargs) for part in parts]
        return parts


class Stage:
    """One computation over fixed data, a part's loss or moments, with what its cells share.

    Args:
        components: the parameters at theta, of u and of v.
        compute: from parameters of one cell, and moments, to whatever is computed.
        always: share products even where a sum is no cheaper.

    Attributes:
        products: A X, U X and V X by the weight's name and the count of its use; None where
            the input depends on the cell, or where sharing is not worth it.
        saved: multiplications that each cell is spared.
    """

    def __init__(
        self,
        components: Sequence[Point],
        compute: Callable[[dict[str, Tensor], Moments | None], Any],
        always: bool = False,
    ) -> None:
        self.components, self.compute, self.always = components, compute, always
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
        """Compute one cell and find out what can be shared."""
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

    def row(self, b: float) -> None:
        """Go to the cells of one b."""
        self._rows = [torch.add(part[0], part[2], alpha=b) for part in self._affine]

    def cell(self, a: float, moments: Moments | None) -> Any:
        """Compute the cell of the row at a."""
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
        """The product of a layer at this cell, where it is shared.

        Args:
            name: of the parameter that is the layer's weight.
            func: what makes the product.
            args: of the function.
            kwargs: of the function.
        """
        key = (name, self._used[name])
        self._used[name] += 1
        if self._scouting:
            self.products[key] = self._multiplied(func, args, kwargs)
            return None
        return self._ready.get(key)

    def _replay(self, *given: Tensor) -> Any:
        """A cell from its products, its parameters and the moments, in this order."""
        rest = iter(given)
        self._ready = {key: next(rest) for key, p in self.products.items() if p is not None}
        point = {name: next(rest) for name in self.components[0]}
        moments = self._layers and {name: (next(rest), next(rest)) for name in self._layers}
        found = self._run(point, {name for name, _ in self._ready}, moments or None)
        return pytree.tree_map(_plain, found)

    def _run(self, point: Point, varying: Collection[str], moments: Moments | None) -> Any:
        self._used.clear()
        given = dict(point)
        for name in varying:
            given[name] = _varying(point[name], _Source(self, name))
        return self.compute(given, moments)

    def _multiplied(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> list[Tensor] | None:
        bias = _BIAS[func]
        if any(isinstance(arg, Varying) and _source(arg) is None for arg in args):
            return None
        weights = [i for i, arg in enumerate(args) if isinstance(arg, Varying) and i != bias]
        constant = bias is not None and len(args) > bias and type(args[bias]) is Tensor
        if len(weights) != 1 or constant or any(isinstance(t, Varying) for t in kwargs.values()):
            return None
        given = [
            [arg] * 3 if (source := _source(arg)) is None else source.components() for arg in args
        ]
        shape = given[weights[0]][0].shape
        left = weights[0] == (0 if bias is None else 1)
        fan_in = (
            math.prod(shape[1:]) if bias == _LAYER or len(shape) < 2 else shape[-1 if left else -2]
        )
        if fan_in < FAN_IN and not self.always:
            return None
        products = [func(*each, **kwargs) for each in zip(*given, strict=True)]
        self.saved += fan_in * products[0].numel()
        return products


@dataclass(frozen=True, eq=False)
class Sharing:
    """A surface on a plane whose first layers are computed once.

    Args:
        shares: of each part of the data.
        moments: of batch normalisation, where they are recomputed for each cell.
        stages: the loss over each part.
    """

    shares: tuple[float, ...]
    moments: Stage | None
    stages: tuple[Stage, ...]

    @property
    def every(self) -> tuple[Stage, ...]:
        """All stages, in their order."""
        return self.stages if self.moments is None else (self.moments, *self.stages)

    def scout(self, point: Point) -> None:
        """Find out what can be shared."""
        given = None if self.moments is None else self.moments.scout(point, None)
        for stage in self.stages:
            stage.scout(point, given)
            if sum(s.numbers for s in self.every) > LIVE_FLOATS:
                raise MemoryError("the products of its first layers do not fit into 256 MB")

    def trace(self) -> None:
        """Spare all stages their Python."""
        given = None
        if self.moments is not None:
            self.moments.row(0.0)
            given = self.moments.cell(0.0, None)
            self.moments.trace(None)
        for stage in self.stages:
            stage.trace(given)

    def row(self, x: Sequence[float], y: float) -> Float[Tensor, " nx"]:
        """F at the cells (x_i, y), one after another, which keeps their activations in cache."""
        values = torch.zeros(len(x), dtype=torch.float64)
        with torch.no_grad():
            for stage in self.every:
                stage.row(y)
            for i, a in enumerate(x):
                moments = None if self.moments is None else self.moments.cell(a, None)
                for stage, share in zip(self.stages, self.shares, strict=True):
                    values[i] += share * float(stage.cell(a, moments))
        return values


def cell(
    components: Components,
    a: float | Float[Tensor, " nx 1"],
    b: float,
) -> Float[Tensor, "*nx P"]:
    """Theta + a u + b v, from theta itself."""
    theta, u, v = components
    return theta + a * u + b * v


def share(
    surface: Surface,
    components: Components,
    corners: Sequence[tuple[float, float]],
    cells: int,
    *,
    always: bool = False,
) -> tuple[Sharing | None, str]:
    """A surface on a plane with shared first layers, and in words what is shared, or why nothing.

    Whether it is right is not believed but tried at the given cells.

    Args:
        surface: f.
        components: theta, u and v.
        corners: cells at which it is compared with the plain evaluation.
        cells: how many there will be.
        always: share whatever can be, even where it is not worth it.
    """
    parts = [unpack(surface, component) for component in components]
    recomputed = surface.moments

    def stages() -> Sharing:
        found = []
        for part, _ in weighted_parts(surface):

            def mean(point: Point, given: Moments | None, data: Data = part.data) -> Tensor:
                return surface.mean(point, data, given)

            found.append(Stage(parts, mean, always))
        moments = recomputed and Stage(parts, lambda point, _: recomputed(point), always)
        shares = tuple(share for _, share in weighted_parts(surface))
        return Sharing(shares, moments, tuple(found))

    reason = ""
    for traced in (True, False):
        sharing = stages()
        try:
            with torch.no_grad():
                sharing.scout(unpack(surface, cell(components, *corners[0])))
                saved = sum(stage.saved for stage in sharing.every)
                small = saved < WORTH or saved * cells < AT_ALL
                if not saved or (small and not always):
                    return None, "sharing its first layers between so many cells is not worth it"
                if traced:
                    sharing.trace()
                reason = _differs(surface, components, sharing, corners)
        except MemoryError as error:
            return None, str(error)
        except Exception as error:
            reason = f"its layers cannot be told apart ({type(error).__name__})"
        if not reason:
            return sharing, ", ".join(
                dict.fromkeys(n for s in sharing.every for (n, _), p in s.products.items() if p)
            )
    return None, reason


def _differs(
    surface: Surface,
    components: Components,
    sharing: Sharing,
    corners: Sequence[tuple[float, float]],
) -> str:
    for a, b in corners:
        one = sharing.row([a], b)[0].item()
        other = loss(surface, cell(components, a, b)).item()
        if not _alike(one, other, components[0].dtype):
            return f"shared, its first layers give a loss of {one:.6g} instead of {other:.6g}"
    return ""


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


def _alike(one: float, other: float, dtype: torch.dtype) -> bool:
    if not math.isfinite(one) or not math.isfinite(other):
        return str(one) == str(other)
    return abs(one - other) <= ROUNDING * torch.finfo(dtype).eps * (1 + abs(other))


def _shared(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    bias = _BIAS[func]
    for i, arg in enumerate(args):
        source = _source(arg) if i != bias else None
        if source is not None:
            return source.stage.meet(source.name, func, args, kwargs)
    return None


def _varying(tensor: Tensor, source: _Source | None = None) -> Varying:
    varying = tensor.as_subclass(Varying)
    varying.plain, varying.source = tensor, source
    return varying


def _source(arg: Any) -> _Source | None:
    return arg.source if isinstance(arg, Varying) else None


def _plain(arg: Any) -> Any:
    return arg.plain if isinstance(arg, Varying) else arg
