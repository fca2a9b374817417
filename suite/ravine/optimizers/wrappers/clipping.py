"""Gradients that are cut to a length, or coordinate by coordinate."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.optimizers.composite import Composite
from ravine.optimizers.wrappers.wrapper import held, insist, number, wrapper


@wrapper("clip", base="sgd", source="Pascanu et al. (2013), arXiv 1211.5063")
class Clipped(Composite):
    """Clipped gradients: g <- g min(1, norm / |g|), or each g_i to [-value, value].

    |g| is the Euclidean norm over all parameters together.  Without either, norm is 1.  A
    second derivative that the base takes stays that of the loss.  A gradient that is not
    finite is not mended.

    Args:
        part: the base's optimizer.
        norm: largest length of the whole gradient.
        value: largest size of a coordinate.

    Raises:
        BadValue: both are given, or one is not above 0.

    References:
        Pascanu, Mikolov, Bengio (2013). On the difficulty of training recurrent neural
        networks. arXiv 1211.5063.

    Example:
        >>> x = torch.zeros(2, requires_grad=True)
        >>> x.grad = torch.tensor([-3.0, -4.0])
        >>> Clipped(torch.optim.SGD([x], lr=1.0), norm=10).step()
        >>> Clipped(torch.optim.SGD([x], lr=1.0), value=2).step()
        >>> x.tolist()
        [5.0, 6.0]
    """

    def __init__(
        self,
        part: torch.optim.Optimizer,
        *,
        norm: int | float | None = None,
        value: int | float | None = None,
    ) -> None:
        if norm is not None and value is not None:
            raise BadValue(
                f"`norm` and `value` cannot both be given, not {norm} and {value}; "
                f"clip twice, as in `clip(clip(sgd, value={value}), norm={norm})`"
            )
        for name, bound in (("norm", norm), ("value", value)):
            insist(bound is None or (number(bound) and bound > 0), name, "above 0", bound, 1)
        super().__init__([part])
        self.norm, self.value = 1.0 if value is None and norm is None else norm, value

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Clip, and take a step of the base; gradients from a closure are clipped too."""
        if closure is None:
            self._clip()
            return super().step()

        def clipped() -> Any:
            loss = closure()
            self._clip()
            return loss

        return super().step(clipped)

    def _clip(self) -> None:
        moved = [p for p in held(self) if p.grad is not None]
        if not moved:
            return
        # the copy keeps the graph, whose derivatives are those of the loss, and the caller's
        # gradient may be a view that cannot be written to
        for p in moved:
            p.grad = _packed(p.grad).clone()
        with torch.no_grad():
            entries = [_entries(p.grad) for p in moved]
            if self.value is not None:
                for g in entries:
                    g.clamp_(-self.value, self.value)
                return
            norms = [torch.linalg.vector_norm(g) for g in entries]
            factor = (self.norm / torch.linalg.vector_norm(torch.stack(norms))).clamp(max=1)
            for g in entries:
                g.mul_(factor)


def _packed(gradient: Any) -> Float[Tensor, "..."]:
    """Several sparse entries at one place are one."""
    packed: Tensor = gradient.coalesce() if gradient.is_sparse else gradient
    return packed


def _entries(gradient: Any) -> Float[Tensor, "..."]:
    """What is stored of a gradient."""
    stored: Tensor = gradient._values() if gradient.is_sparse else gradient
    return stored
