"""How a setting's runs are given to optimizers: all in one tensor, or one tensor each."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from ravine.engine.solo import describe
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import formed, set_mode


class Level(StrEnum):
    """How much two runs may share without feeling each other; found by a probe."""

    ELEMENTWISE = "elementwise"
    """One optimizer, all runs in one tensor."""
    TENSORWISE = "tensorwise"
    """One optimizer, one tensor for each run."""
    GLOBAL = "global"
    """One optimizer for each run; losses are still evaluated together."""
    ALONE = "alone"
    """The plain loop: the step itself evaluates or differentiates, or draws random numbers."""


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
        with torch.enable_grad():  # whatever a step does to the gradient mode ends with it
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


def finish_rows(rows: Sequence[Row]) -> None:
    """Leave every row where its solution is, for methods that tell training from evaluation."""
    for row in rows:
        for optimizer in row.optimizers:
            set_mode(optimizer, training=False)


def build_row(
    setting: Setting,
    level: Level,
    shared: Sequence[Slot],
    runs: Callable[[], Sequence[Sequence[Slot]]],
    steps: int,
) -> Row:
    """Build a setting's optimizers over views of the grid's storage.

    Args:
        setting: the optimizer and its hyperparameters.
        level: how much is shared.
        shared: each parameter with all runs in one tensor.
        runs: gives for every run each of its parameters; called only where runs do not
            share a tensor.
        steps: length of the run, for methods that plan ahead.

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
    optimizers = tuple(assemble(setting, [leaf for leaf, _ in g], steps) for g in leaves)
    slots = [slot for group in leaves for slot in group]
    needs = capabilities(setting)

    def fill() -> None:
        for leaf, gradient in slots:
            leaf.grad = formed(gradient(), leaf, needs)

    return Row(setting, optimizers, fill)
