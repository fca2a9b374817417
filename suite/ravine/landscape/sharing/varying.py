"""Tensors that differ from point to point, and the functions that keep them affine.

On theta + sum_i c_i d_i the first layer's weights are W = A + sum_i c_i D_i, and over fixed
inputs X its product is W X = A X + sum_i c_i D_i X: as many products as there are components
serve all points.

Nothing is known of the network: its parameters go through it as tensors of a kind of their
own, `Varying`, whose results are of that kind too.  A layer whose weight is such a parameter,
or a view of one, and whose input is not, is a first layer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils import _pytree as pytree

from ravine.problems.base import Point

LAYER = 2

BIAS: Mapping[Callable[..., Any], int | None] = {
    functional.linear: LAYER,
    torch.conv1d: LAYER,
    torch.conv2d: LAYER,
    torch.conv3d: LAYER,
    torch.conv_transpose1d: LAYER,
    torch.conv_transpose2d: LAYER,
    torch.conv_transpose3d: LAYER,
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


@runtime_checkable
class Meeting(Protocol):
    """What knows the products of first layers."""

    @property
    def components(self) -> Sequence[Point]:
        """The parameters at theta, and of every direction."""

    def meet(
        self,
        name: str,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
    ) -> Tensor | None:
        """The product of a layer at this point, where it is shared.

        Args:
            name: of the parameter that is the layer's weight.
            func: what makes the product.
            args: of the function.
            kwargs: of the function.
        """


class Varying(Tensor):
    """A tensor that differs from point to point.

    Attributes:
        plain: the same as an ordinary tensor, with which everything is computed.
        source: of a parameter, or of a view of one, where it comes from.
    """

    plain: Tensor
    source: "Source | None"

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Meet a first layer with the product that all points share."""
        del types
        given = dict(kwargs or {})
        first = args[0] if args else None
        if func in BIAS:
            found = _shared(func, args, given)
            if found is not None:
                return found
        result = func(*pytree.tree_map(plain_of, args), **pytree.tree_map(plain_of, given))
        if isinstance(first, Varying) and result is first.plain:
            return first
        if func in _CASTS and not isinstance(first, Varying):
            return result
        source = source_of(first)
        if func in _VIEWS and source is not None:
            return as_varying(result, source.after(func, args[1:], given))
        return pytree.tree_map_only(Tensor, as_varying, result)


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """Where a view of a parameter comes from.

    Args:
        stage: that has its components.
        name: of the parameter.
        calls: that made the view, in their order.
    """

    stage: Meeting
    name: str
    calls: tuple[tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]], ...] = ()

    def after(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> "Source":
        """A view of this view."""
        return Source(self.stage, self.name, (*self.calls, (func, args, kwargs)))

    def components(self) -> list[Tensor]:
        """The same view of the parameter at theta, and of every direction."""
        parts = [component[self.name] for component in self.stage.components]
        for func, args, kwargs in self.calls:
            parts = [func(part, *args, **kwargs) for part in parts]
        return parts


def _shared(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    bias = BIAS[func]
    for i, arg in enumerate(args):
        source = source_of(arg) if i != bias else None
        if source is not None:
            return source.stage.meet(source.name, func, args, kwargs)
    return None


def as_varying(tensor: Tensor, source: Source | None = None) -> Varying:
    """The same numbers, as ones that differ from point to point."""
    varying = tensor.as_subclass(Varying)
    varying.plain, varying.source = tensor, source
    return varying


def source_of(arg: Any) -> Source | None:
    """Where a view of a parameter comes from; None for all else."""
    return arg.source if isinstance(arg, Varying) else None


def plain_of(arg: Any) -> Any:
    """An ordinary tensor in place of a varying one; all else as it is."""
    return arg.plain if isinstance(arg, Varying) else arg
