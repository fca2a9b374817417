"""What constructors take: parameters, groups with flags, a model, or named parameters."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.base import Layout, Setting
from ravine.optimizers.composite import Fused


class Holder(torch.nn.Module):
    """A model that has parameters and nothing else, named `0.weight`, `1.weight`, ...

    Args:
        parameters: leaves, held and not copied.
    """

    def __init__(self, parameters: Sequence[Float[Tensor, "..."]]) -> None:
        super().__init__()
        for index, parameter in enumerate(parameters):
            part = torch.nn.Module()
            # `register_parameter` insists on the class, which would be another tensor
            part._parameters["weight"] = parameter  # type: ignore[assignment]
            self.add_module(str(index), part)


def arrange(parameters: Sequence[Float[Tensor, "..."]], layout: Layout) -> tuple[Any, ...]:
    """Give parameters the form that a constructor takes.

    Args:
        parameters: leaves.
        layout: the form.

    Returns:
        The first arguments of the constructor.

    Raises:
        Mismatch: matrices are wanted apart, and there are none.
    """
    matrices = [p for p in parameters if p.dim() == 2]
    others = [p for p in parameters if p.dim() != 2]
    if layout in (Layout.FLAGGED, Layout.SPLIT) and not matrices:
        raise Mismatch("no parameter is a matrix")
    match layout:
        case Layout.PARAMETERS:
            return (list(parameters),)
        case Layout.FLAGGED:
            groups = ((matrices, True), (others, False))
            return ([{"params": held, "use_muon": flag} for held, flag in groups if held],)
        case Layout.MODEL:
            return (Holder(parameters),)
        case Layout.NAMED:
            return ([(f"{index}.weight", p) for index, p in enumerate(parameters)],)
        case Layout.SPLIT:
            return matrices, list(parameters)


def construct(
    setting: Setting,
    parameters: Sequence[Float[Tensor, "..."]],
    layout: Layout,
    steps: int,
) -> torch.optim.Optimizer:
    """Build an optimizer over parameters that are handed over in a given form.

    Args:
        setting: what is built.
        parameters: leaves.
        layout: the form.
        steps: length of the run, for methods that plan ahead.

    Raises:
        Exception: whatever the constructor raises.
    """
    built = setting.optimizer(*arrange(parameters, layout), steps=steps)
    return Fused(built) if hasattr(built, "fused_backward") else built


def join_alone() -> None:
    """Give methods that talk to other processes a process group of one, unless there is one."""
    from torch import distributed

    if not distributed.is_initialized():
        store = distributed.HashStore()  # type: ignore[attr-defined]
        distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
