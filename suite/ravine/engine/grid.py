"""The grid: all formulas, settings and seeds as one matrix.

A row is a setting; a column is a coordinate of (problem, seed).  Each problem's columns,
viewed as `[settings, seeds, n]`, are the points where its loss is evaluated, and a row is
the parameter of one ordinary optimizer.  Elementwise optimizers do not care what their
neighbours in a tensor are, so every run is the one that the plain loop gives, bit for bit.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.rows import Level, Row, Slot, build_row, finish_rows, step_rows
from ravine.engine.watch import Runs, Watch
from ravine.optimizers.base import Setting
from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import total
from ravine.problems.base import Data

TOGETHER = 2**16
"""Coordinates (of all runs) whose problems share one backward pass."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What a grid returns: the runs of each problem, and the settings that failed.

    Args:
        runs: in the order of the problems; rows of failed settings are to be ignored.
        failures: position of a setting to the error its optimizer raised.
    """

    runs: tuple[Runs, ...]
    failures: dict[int, str]


@dataclass(frozen=True, slots=True)
class _Patch:
    """A problem's part of the matrix and what its loss needs."""

    problem: Analytic
    columns: slice
    values: Float[Tensor, "settings seeds n"]
    gradients: Float[Tensor, "settings seeds n"]
    instance: Data
    past: deque[Tensor]
    box: tuple[Tensor, Tensor] | None


def run_grid(
    problems: Sequence[Analytic],
    settings: Sequence[tuple[Setting, Level]],
    seeds: Sequence[int],
    steps: int,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    tick: Callable[[int], None] | None = None,
) -> Grid:
    """Run every setting on every problem from every seed, all at once.

    Args:
        problems: formulas, of any dimensions.
        settings: each with the level at which it may be stacked (not `Level.ALONE`).
        seeds: shared by all settings and problems.
        steps: optimizer steps.
        dtype: of the parameters.
        device: where the matrix lives.
        tick: called with the step after each step, for progress.

    Returns:
        The runs, as the plain loop would give them.
    """
    rows_count, seed_count = len(settings), len(seeds)
    width = sum(p.dim for p in problems) * seed_count
    matrix = torch.empty(rows_count, width, dtype=dtype, device=device)
    gradients = torch.zeros_like(matrix)
    patches = _patches(problems, seeds, matrix, gradients)
    groups = _groups(problems, rows_count * seed_count)
    rows = _rows(settings, problems, seed_count, matrix, gradients, steps)
    watch = Watch(tuple(problems), rows_count, seed_count, steps, device)
    run_of_column = torch.tensor(
        [
            i * seed_count + s
            for i, p in enumerate(problems)
            for s in range(seed_count)
            for _ in range(p.dim)
        ],
        device=device,
    )
    resting: Tensor | None = None
    failures: dict[int, str] = {}
    for step in range(steps + 1):
        if step == steps:
            finish_rows(rows)
        wanted = step < steps or watch.marked(step)
        for group in groups:
            _evaluate([patches[i] for i in group], group, seeds, step, watch, wanted)
        fresh = watch.observe(step)
        if fresh is not None:
            resting = matrix.clone() if resting is None else resting
            torch.where(fresh[:, run_of_column], matrix, resting, out=resting)
        if step == steps:
            break
        step_rows(rows, failures)
        for patch in patches:
            if patch.box is not None:
                torch.clamp(patch.values, *patch.box, out=patch.values)
        if tick is not None:
            tick(step + 1)
    if resting is not None:
        matrix = torch.where(watch.alive[:, run_of_column], matrix, resting)
    runs = tuple(
        watch.runs(i, matrix[:, patch.columns].view_as(patch.values))
        for i, patch in enumerate(patches)
    )
    return Grid(runs, failures)


def _evaluate(
    patches: Sequence[_Patch],
    positions: Sequence[int],
    seeds: Sequence[int],
    step: int,
    watch: Watch,
    wanted: bool,
) -> None:
    """Evaluate some problems at all their points: losses to the watch, gradients to the matrix."""
    leaves, sums = [], []
    for patch, position in zip(patches, positions, strict=True):
        problem = patch.problem
        # coordinates outermost: each coordinate of all runs is one contiguous vector
        leaf = patch.values.permute(2, 0, 1).clone(memory_format=torch.contiguous_format)
        data = patch.instance
        if problem.traits.stochastic:
            data = {**data, **_cast(problem.batch(seeds, step), leaf)}
        where = leaf
        if problem.traits.lag:
            patch.past.append(leaf)
            where = patch.past[0].detach()
        where.requires_grad_()
        loss = problem.loss({"x": where.movedim(0, -1)}, data)
        value = loss.detach()
        if problem.traits.lag:
            with torch.no_grad():
                value = problem.value({"x": leaf.detach().movedim(0, -1)}, data)
        watch.values[:, watch.block(position)] = value
        leaves.append(where)
        sums.append(loss.sum())
    if not wanted:
        return
    # one root for all of them: the derivative of a sum by each of its terms is exactly 1
    found = torch.autograd.grad(torch.stack(sums).sum(), leaves)
    for patch, position, gradient in zip(patches, positions, found, strict=True):
        gradient = gradient.movedim(0, -1)
        if watch.marked(step):
            watch.measure(step, position, total(gradient.square()).sqrt())
        patch.gradients.copy_(gradient)


def _groups(problems: Sequence[Analytic], runs: int) -> list[range]:
    """Problems that are differentiated together, as many as the cache holds well."""
    groups, first, held = [], 0, 0
    for i, problem in enumerate(problems):
        size = runs * problem.dim
        if held and held + size > TOGETHER:
            groups.append(range(first, i))
            first, held = i, 0
        held += size
    return [*groups, range(first, len(problems))]


def _patches(
    problems: Sequence[Analytic],
    seeds: Sequence[int],
    matrix: Float[Tensor, "settings columns"],
    gradients: Float[Tensor, "settings columns"],
) -> list[_Patch]:
    """Lay the problems side by side and put every run at its start."""
    patches, at = [], 0
    for problem in problems:
        columns = slice(at, at + problem.dim * len(seeds))
        at = columns.stop
        starts = torch.cat([problem.start(seed)["x"] for seed in seeds])
        matrix[:, columns] = starts.to(matrix)
        box = None
        if problem.traits.box is not None:
            bounds = torch.tensor(problem.traits.box, dtype=matrix.dtype, device=matrix.device)
            box = (bounds[:, 0], bounds[:, 1])
        instance = _cast(problem.instance(seeds), matrix)
        past: deque[Tensor] = deque(maxlen=problem.traits.lag + 1)
        shape = (matrix.shape[0], len(seeds), problem.dim)
        values, found = matrix[:, columns].view(shape), gradients[:, columns].view(shape)
        patches.append(_Patch(problem, columns, values, found, instance, past, box))
    return patches


def _rows(
    settings: Sequence[tuple[Setting, Level]],
    problems: Sequence[Analytic],
    seed_count: int,
    matrix: Float[Tensor, "settings columns"],
    gradients: Float[Tensor, "settings columns"],
    steps: int,
) -> list[Row]:
    sizes = [p.dim for p in problems for _ in range(seed_count)]
    rows = []
    for index, (setting, level) in enumerate(settings):
        values, found = matrix[index], gradients[index]

        def runs(values: Tensor = values, found: Tensor = found) -> list[list[Slot]]:
            pieces = zip(torch.split(values, sizes), torch.split(found, sizes), strict=True)
            return [[_slot(v, g)] for v, g in pieces]

        rows.append(build_row(setting, level, [_slot(values, found)], runs, steps))
    return rows


def _slot(values: Tensor, gradient: Tensor) -> Slot:
    return values, lambda: gradient


def _cast(data: Data, like: Tensor) -> Data:
    """Data in the grid's dtype and device, coordinates outermost in memory."""
    return {
        name: tensor.to(like).movedim(-1, 0).contiguous().movedim(0, -1)
        for name, tensor in data.items()
    }
