"""The one way to an optimizer that can be driven, whatever its constructor wants."""

import warnings
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import Mismatch
from ravine.optimizers.base import Layout, Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.composite import Composite
from ravine.optimizers.driving import set_mode
from ravine.optimizers.layouts import construct, join_alone

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
