"""A method's runs from many seeds, side by side where that changes nothing."""

from collections.abc import Sequence

import torch

from ravine.engine.audit import audit
from ravine.engine.grid import run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.run import Run
from ravine.engine.solo import solve
from ravine.optimizers.base import Setting
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem


def runs(problem: Problem, setting: Setting, seeds: Sequence[int], steps: int) -> tuple[Run, ...]:
    """Run a method from every seed.

    The runs are stacked as far as a probe finds the method to allow it, and one of them is
    repeated in the plain loop; where it differs, or a step raises, all are run in that loop.

    Args:
        problem: what is minimised.
        setting: what minimises it.
        seeds: one run for each.
        steps: of every run.

    Returns:
        The runs; what an optimizer raises is in their `failure`.
    """
    dtype = torch.float64 if isinstance(problem, Analytic) else torch.float32
    shapes = None if isinstance(problem, Analytic) else tuple(problem.shapes.values())
    level = probe(setting.method, shapes)
    if level is not Level.ALONE and len(seeds) > 1:
        pairs = [(setting, level)]
        if isinstance(problem, Analytic):
            grid = run_grid([problem], pairs, seeds, steps, dtype)
        else:
            grid, _ = run_network_grid(problem, pairs, seeds, steps, dtype)
        # the last one sits farthest from the beginning of the storage
        cell = (0, 0, len(seeds) - 1)
        word = str(dtype).removeprefix("torch.")
        if not grid.failures:
            _, broken = audit([problem], pairs, seeds, steps, word, grid, [cell])
            if not broken:
                return tuple(grid.runs[0].at(0, s) for s in range(len(seeds)))
    return tuple(solve(problem, setting, seed, steps, dtype) for seed in seeds)


def failures(found: Sequence[Run]) -> str:
    """What the optimizer raised, in words; empty where it raised nothing."""
    raised = [run.failure for run in found if run.failure]
    if not raised:
        return ""
    return f"{len(raised)} of the runs raised {raised[0]}"
