"""From arrays of runs to rows of a frame."""

from collections.abc import Sequence
from dataclasses import dataclass

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
    frames = []
    for g in range(len(settings)) if rows is None else rows:
        setting, level = settings[g]
        singles = [runs.at(g, s) for s in range(len(seeds))]
        extra = {name: values[g].tolist() for name, values in (measured or {}).items()}
        aims = runs.aims.tolist()
        frames.append(_rows(problem, setting, level, seeds, singles, aims, common, extra))
    return pl.concat(frames) if frames else pl.DataFrame(schema=RUN_SCHEMA)


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
    extra = {name: [value] for name, value in (measured or {}).items()}
    return _rows(problem, setting, level, [seed], [run], [list(aims)], common, extra)


def _rows(
    problem: Problem,
    setting: Setting,
    level: str,
    seeds: Sequence[int],
    runs: Sequence[Run],
    aims: Sequence[Sequence[float]],
    common: Circumstances,
    extra: dict[str, list[float]],
) -> pl.DataFrame:
    n = len(seeds)
    budget = common.budget
    keep = problem.facts.minimum is not None
    columns: dict[str, object] = {
        "key": run_keys(problem, setting, seeds, budget, common.dtype, common.device),
        "problem": [problem.name] * n,
        "method": [setting.method.name] * n,
        "setting": [setting.name] * n,
        "seed": list(seeds),
        "budget": [budget] * n,
        "dtype": [common.dtype] * n,
        "device": [common.device] * n,
        "level": [level] * n,
        "outcome": [str(conclude(r.hits, r.frozen, r.moved, budget, r.failure)) for r in runs],
        "reason": [r.failure for r in runs],
        "steps": [_taken(r, budget) for r in runs],
        "targets": [list(a) for a in aims],
        "hits": [list(r.hits) for r in runs],
        "start": [r.start for r in runs],
        "best": [r.best for r in runs],
        "final": [r.final for r in runs],
        "minimum": [problem.facts.minimum if keep else None] * n,
        "trace_step": [[t[0] for t in r.trace] for r in runs],
        "trace_loss": [[t[1] for t in r.trace] for r in runs],
        "trace_gradient": [[t[2] for t in r.trace] for r in runs],
        "point": [list(r.point) if len(r.point) <= LARGEST_POINT else [] for r in runs],
        "test_loss": extra.get("test_loss", [None] * n),
        "accuracy": extra.get("accuracy", [None] * n),
    }
    return pl.DataFrame(columns, schema=RUN_SCHEMA)


def _taken(run: Run, budget: int) -> int:
    if run.frozen != NEVER:
        return run.frozen
    return run.trace[-1][0] if run.failure and run.trace else budget
