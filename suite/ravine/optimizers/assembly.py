"""The one way to an optimizer that can be driven, whatever its constructor wants."""

import warnings
from collections.abc import Sequence
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.base import Layout, Method, Setting
from ravine.optimizers.capabilities import capabilities, one_line, undisturbed
from ravine.optimizers.composite import Composite
from ravine.optimizers.driving import set_mode
from ravine.optimizers.layouts import construct, join_alone
from ravine.optimizers.space import trials

COMPANION = torch.optim.AdamW
"""What steps on the parameters that a method for matrices does not take."""


def assemble(
    setting: Setting, parameters: Sequence[Float[Tensor, "..."]], steps: int = 1000
) -> torch.optim.Optimizer:
    """Build a method's optimizer over any parameters, in training mode.

    Parameters are handed over in the form that the constructor takes.  A method for
    matrices gets the matrices, and AdamW at the same learning rate, with its defaults
    elsewhere, steps on all the others.

    Args:
        setting: the method and its hyperparameters.
        parameters: leaves.
        steps: length of the run, for methods that plan ahead.

    Raises:
        Mismatch: the method is for matrices, and there is none.
        Exception: whatever the constructor raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a constructor recommends is not this run's
        return _assemble(setting, list(parameters), steps)


@cache
def refusal(method: Method, shapes: tuple[tuple[int, ...], ...]) -> str | None:
    """Say why a method's constructor does not take parameters of these shapes.

    Args:
        method: at its default setting.
        shapes: of the parameters.

    Returns:
        The constructor's error in one line, None if it takes them.
    """
    (setting,) = trials(method, 1)
    with undisturbed():
        try:
            assemble(setting, [torch.zeros(shape).requires_grad_() for shape in shapes])
        except Exception as error:
            return one_line(error)
    return None


def _assemble(
    setting: Setting, parameters: list[Float[Tensor, "..."]], steps: int
) -> torch.optim.Optimizer:
    needs = capabilities(setting)
    if needs.distributed:
        join_alone()
    others = [p for p in parameters if p.dim() != 2]
    if not (needs.matrix_only and needs.layout is Layout.PARAMETERS and others):
        built = construct(setting, parameters, needs.layout, steps)
    else:
        matrices = [p for p in parameters if p.dim() == 2]
        if not matrices:
            raise Mismatch(f"`{setting.method.name}` needs a matrix among the parameters")
        main = construct(setting, matrices, needs.layout, steps)
        rate = float(main.param_groups[0].get("lr", 1e-3))
        built = Composite([main, COMPANION(others, lr=rate)])
    set_mode(built, training=True)
    return built
