"""Repeats a sample of stacked runs in the plain loop and compares them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ravine.engine.grid import Grid
from ravine.engine.rows import Level
from ravine.engine.run import Run
from ravine.engine.solo import solve
from ravine.optimizers.base import Setting
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.records.schema import NEVER

FIRST_STEPS = 20
"""Steps of a network's run that are repeated alone."""

TOLERANCE = 1e-3
"""Relative difference of a network's smoothed loss over the first steps (float32)."""

EXACT = "bit-identical"
CLOSE = f"within {TOLERANCE:g} over the first {FIRST_STEPS} steps"


@dataclass(frozen=True, slots=True)
class Audit:
    """How many runs were repeated alone, and how many of them agreed.

    Args:
        audited: runs repeated.
        agreed: of those, runs that were the same by the standard.
        standard: "bit-identical", or the tolerance for networks.
    """

    audited: int
    agreed: int
    standard: str

    def __add__(self, other: "Audit") -> "Audit":
        standard = self.standard or other.standard
        return Audit(self.audited + other.audited, self.agreed + other.agreed, standard)


def audit(
    problems: Sequence[Problem],
    settings: Sequence[tuple[Setting, Level]],
    seeds: Sequence[int],
    steps: int,
    dtype: str,
    grid: Grid,
    cells: Sequence[tuple[int, int, int]],
) -> tuple[Audit, set[tuple[int, str]]]:
    """Repeat some of a grid's runs alone.

    Args:
        problems: of the grid.
        settings: of the grid.
        seeds: of the grid.
        steps: of the grid.
        dtype: of the grid.
        grid: its results.
        cells: (problem, setting, seed) positions.

    Returns:
        The counts, and who did not agree: position of the problem and name of the method.
    """
    exact = isinstance(problems[0], Analytic)
    agreed = 0
    broken: set[tuple[int, str]] = set()
    for p, g, s in cells:
        setting = settings[g][0]
        stacked = grid.runs[p].at(g, s)
        if exact:
            alone = solve(problems[p], setting, seeds[s], steps, getattr(torch, dtype))
            same = alone == stacked
        else:
            first = min(FIRST_STEPS, steps)
            alone = solve(
                problems[p], setting, seeds[s], first, getattr(torch, dtype), horizon=steps
            )
            same = close(stacked, alone)
        agreed += same
        if not same:
            broken.add((p, setting.method.name))
    return Audit(len(cells), agreed, EXACT if exact else CLOSE), broken


def close(stacked: Run, alone: Run) -> bool:
    """Whether a network's losses agree at the checkpoints that both runs have.

    Once a loss has risen beyond twice its start, rounding errors grow as the run does, and
    the two are no longer compared; a run that freezes must freeze in both.
    """
    if alone.frozen != NEVER or NEVER < stacked.frozen <= FIRST_STEPS:
        return alone.frozen != NEVER and NEVER < stacked.frozen <= FIRST_STEPS
    expected = {step: loss for step, loss, _ in alone.trace}
    for step, loss, _ in stacked.trace:
        if step not in expected or expected[step] > 2 * alone.start:
            break
        if abs(loss - expected[step]) > TOLERANCE * max(abs(expected[step]), 1e-3):
            return False
    return True
