"""How a setting's runs are given to optimizers: all in one tensor, or one tensor each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from ravine.engine.solo import describe
from ravine.optimizers.base import Setting


class Level(StrEnum):
    """How much two runs may share without feeling each other; found by a probe."""

    ELEMENTWISE = "elementwise"
    """One optimizer, all runs in one tensor."""
    TENSORWISE = "tensorwise"
    """One optimizer, one tensor for each run."""
    GLOBAL = "global"
    """One optimizer for each run; losses are still evaluated together."""
    ALONE = "alone"
    """The plain loop: the step itself evaluates the loss."""


ORDER = tuple(Level)
"""From the most to the least that is shared."""


Slot = tuple[Tensor, Callable[[], Tensor]]
"""A view of the grid's storage, and what gives the gradient of it at each step."""


@dataclass(frozen=True, slots=True)
class Row:
    """A setting's runs, ready to step.

    Args:
        setting: whose runs these are.
        optimizers: one or many, by level.
        fill: hands the gradients of the row to the parameters.
    """

    setting: Setting
    optimizers: tuple[torch.optim.Optimizer, ...]
    fill: Callable[[], None]

    def step(self) -> None:
        """Take one step in every run."""
        self.fill()
        for optimizer in self.optimizers:
            optimizer.step()


def step_rows(rows: Sequence[Row], failures: dict[int, str]) -> None:
    """Take one step in every row that has not failed; note by position which rows do now."""
    for index, row in enumerate(rows):
        if index not in failures:
            try:
                row.step()
            except Exception as error:  # whatever an optimizer raises is a result
                failures[index] = describe(error)


def build_row(
    setting: Setting,
    level: Level,
    shared: Sequence[Slot],
    runs: Callable[[], Sequence[Sequence[Slot]]],
) -> Row:
    """Build a setting's optimizers over views of the grid's storage.

    Args:
        setting: the optimizer and its hyperparameters.
        level: how much is shared.
        shared: each parameter with all runs in one tensor.
        runs: gives for every run each of its parameters; called only where runs do not
            share a tensor.

    Returns:
        The row; its optimizers update the storage in place.
    """
    groups: list[Sequence[Slot]]
    if level is Level.ELEMENTWISE:
        groups = [shared]
    elif level is Level.TENSORWISE:
        groups = [[slot for run in runs() for slot in run]]
    else:
        groups = list(runs())
    leaves = [
        [(values.detach().requires_grad_(), gradient) for values, gradient in group]
        for group in groups
    ]
    optimizers = tuple(setting.optimizer([leaf for leaf, _ in group]) for group in leaves)
    slots = [slot for group in leaves for slot in group]

    def fill() -> None:
        for leaf, gradient in slots:
            leaf.grad = gradient()

    return Row(setting, optimizers, fill)
