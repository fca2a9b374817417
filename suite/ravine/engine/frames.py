"""From arrays of runs to rows of a frame."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from ravine.engine.run import Run, conclude
from ravine.engine.watch import Runs
from ravine.optimizers.base import Setting
from ravine.problems.base import Problem
from ravine.records.keys import run_keys
from ravine.records.schema import NEVER, RUN_SCHEMA

LARGEST_POINT = 100
"""Coordinates up to which a run's last point is kept."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What all runs of a frame have in common."""

    budget: int
    dtype: str
    device: str


def frame_of_runs(
    problem: Problem,
    settings: Sequence[tuple[Setting, str]],
    seeds: Sequence[int],
    runs: Runs,
    common: Circumstances,
    rows: Sequence[int] | None = None,
    measured: dict[str, np.ndarray] | None = None,
) -> pl.DataFrame:
    """Rows for the runs of one problem.

    Args:
        problem: what was minimised.
        settings: each with the name of the level it was stacked at.
        seeds: in the order of the arrays.
        runs: arrays, settings by seeds.
        common: budget, dtype, device.
        rows: positions of the settings to keep, all by default.
        measured: what the problem measured at the end, settings by seeds.

    Returns:
        A frame with the columns of `RUN_SCHEMA`.
    """
    chosen = list(range(len(settings)) if rows is None else rows)
    if not chosen:
        return pl.DataFrame(schema=RUN_SCHEMA)
    n = len(chosen) * len(seeds)

    def flat(array: np.ndarray) -> list[Any]:
        values: list[Any] = array[chosen].reshape(n, *array.shape[2:]).tolist()
        return values

    frozen = flat(runs.frozen)
    # a trace ends before its run froze
    ends = [len(runs.marks) if f == NEVER else bisect_left(runs.marks, f) for f in frozen]
    traced = [
        [values[:end] for values, end in zip(flat(np.moveaxis(t, 0, -1)), ends, strict=True)]
        for t in (runs.trace_loss, runs.trace_gradient)
    ]
    return _frame(
        problem,
        [settings[g] for g in chosen],
        seeds,
        common,
        aims=runs.aims.tolist() * len(chosen),
        hits=flat(runs.hits),
        frozen=frozen,
        moved=flat(runs.moved),
        failures=[""] * n,
        start=flat(runs.start),
        best=flat(runs.best),
        final=flat(runs.final),
        steps=[list(runs.marks[:end]) for end in ends],
        losses=traced[0],
        gradients=traced[1],
        points=flat(runs.point),
        measured={name: flat(values) for name, values in (measured or {}).items()},
    )


def frame_of_single(
    problem: Problem,
    setting: Setting,
    level: str,
    seed: int,
    run: Run,
    aims: Sequence[float],
    common: Circumstances,
    measured: dict[str, float] | None = None,
) -> pl.DataFrame:
    """One row, for a run of the plain loop."""
    return _frame(
        problem,
        [(setting, level)],
        [seed],
        common,
        aims=[list(aims)],
        hits=[list(run.hits)],
        frozen=[run.frozen],
        moved=[run.moved],
        failures=[run.failure],
        start=[run.start],
        best=[run.best],
        final=[run.final],
        steps=[[t[0] for t in run.trace]],
        losses=[[t[1] for t in run.trace]],
        gradients=[[t[2] for t in run.trace]],
        points=[list(run.point)],
        measured={name: [value] for name, value in (measured or {}).items()},
    )


def _frame(
    problem: Problem,
    settings: Sequence[tuple[Setting, str]],
    seeds: Sequence[int],
    common: Circumstances,
    *,
    aims: list[list[float]],
    hits: list[list[int]],
    frozen: list[int],
    moved: list[int],
    failures: list[str],
    start: list[float],
    best: list[float],
    final: list[float],
    steps: list[list[int]],
    losses: list[list[float]],
    gradients: list[list[float]],
    points: list[list[float]],
    measured: dict[str, list[float]],
) -> pl.DataFrame:
    n, budget = len(frozen), common.budget
    each = [(setting, level) for setting, level in settings for _ in seeds]
    outcomes = zip(hits, frozen, moved, failures, strict=True)
    taken = zip(frozen, failures, steps, strict=True)
    columns: dict[str, object] = {
        "key": [
            key
            for setting, _ in settings
            for key in run_keys(problem, setting, seeds, budget, common.dtype, common.device)
        ],
        "problem": [problem.name] * n,
        "method": [setting.method.name for setting, _ in each],
        "setting": [name for setting, _ in settings for name in [setting.name] * len(seeds)],
        "seed": list(seeds) * len(settings),
        "budget": [budget] * n,
        "dtype": [common.dtype] * n,
        "device": [common.device] * n,
        "level": [level for _, level in each],
        "outcome": [str(conclude(h, f, m, budget, why)) for h, f, m, why in outcomes],
        "reason": failures,
        "steps": [_taken(f, why, s, budget) for f, why, s in taken],
        "targets": aims,
        "hits": hits,
        "start": start,
        "best": best,
        "final": final,
        "minimum": [problem.facts.minimum] * n,
        "trace_step": steps,
        "trace_loss": losses,
        "trace_gradient": gradients,
        "point": [p if len(p) <= LARGEST_POINT else [] for p in points],
        "test_loss": _tested("test_loss", measured, frozen),
        "accuracy": _tested("accuracy", measured, frozen),
    }
    return pl.DataFrame(columns, schema=RUN_SCHEMA)


def _tested(
    name: str, measured: dict[str, list[float]], frozen: Sequence[int]
) -> list[float | None]:
    """What was measured on test examples; a run that left all bounds has nothing to test."""
    values = measured.get(name, [None] * len(frozen))
    return [v if f == NEVER else None for v, f in zip(values, frozen, strict=True)]


def _taken(frozen: int, failure: str, steps: Sequence[int], budget: int) -> int:
    """Optimizer steps that a run took."""
    if frozen != NEVER:
        return frozen
    return steps[-1] if failure and steps else budget
