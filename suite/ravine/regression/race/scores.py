"""Scores of runs: penalised steps to target and final gap, seed by seed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Integer

from ravine.engine.audit import audit
from ravine.engine.grid import Grid, run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.rows import ORDER, Level
from ravine.engine.solo import solve
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import one_line, undisturbed
from ravine.problems.analytic import Analytic
from ravine.problems.base import Goal, Problem
from ravine.records.schema import NEVER
from ravine.statistics.verdicts import CEILING, FLOOR

DEEPEST = 1e-5
"""Relative gaps below this are no targets of a race, for single precision may not see them."""

DIGITS = 6
"""Decimals of a score, so that rounding of another machine does not break ties."""


class Entry(NamedTuple):
    """One setting on one problem."""

    problem: Problem
    setting: Setting


@dataclass(frozen=True, slots=True)
class Scores:
    """What the runs of an entry came to, seed by seed; smaller is better.

    Args:
        runtime: mean over targets of log2 of the first step that hits one; a miss counts
            as twice the budget.
        gap: log10 of (final - minimum) / (start - minimum), within 1e-16 and 1e16; where no
            minimum is known, -log10 of (start - final) / max(1, |start|), the same way
            bounded.
        failure: what the optimizer raised, in one line; empty if nothing.
    """

    runtime: Float[np.ndarray, "seeds"]
    gap: Float[np.ndarray, "seeds"]
    failure: str = ""


Tick = Callable[[float], None]


def score(
    entries: Sequence[Entry],
    seeds: Sequence[int],
    steps: int,
    dtype: torch.dtype = torch.float64,
    tick: Tick = lambda share: None,
) -> list[Scores]:
    """Run entries from every seed.

    Problems with the same settings share a grid, at the highest level at which the method's
    runs may share a tensor.  One run of each grid in double precision, where stacking keeps
    all bits, is repeated in the plain loop; if they differ, all are run one level lower.

    Args:
        entries: distinct; of any methods.
        seeds: shared by all.
        steps: of every run.
        dtype: of the parameters on formulas; networks are in single precision.
        tick: told the share that is done.

    Returns:
        Scores in the order of the entries.
    """
    found: dict[tuple[str, str], Scores] = {}
    groups = _grouped(entries)
    with undisturbed():
        for k, (problems, settings) in enumerate(groups):

            def part(share: float, k: int = k) -> None:
                tick((k + share) / len(groups))

            found |= _group(problems, settings, seeds, steps, dtype, part)
    return [found[e.problem.name, e.setting.name] for e in entries]


def _grouped(entries: Sequence[Entry]) -> list[tuple[list[Problem], tuple[Setting, ...]]]:
    """Problems that have the same settings, networks one by one."""
    wanted: dict[str, list[Setting]] = {}
    problems = {e.problem.name: e.problem for e in entries}
    for problem, setting in entries:
        wanted.setdefault(problem.name, []).append(setting)
    groups: dict[object, tuple[list[Problem], tuple[Setting, ...]]] = {}
    for name, settings in wanted.items():
        formula = isinstance(problems[name], Analytic)
        key = ("" if formula else name, *(s.name for s in settings))
        groups.setdefault(key, ([], tuple(settings)))[0].append(problems[name])
    return list(groups.values())


def _group(
    problems: Sequence[Problem],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    steps: int,
    dtype: torch.dtype,
    tick: Tick,
) -> dict[tuple[str, str], Scores]:
    shapes = None if isinstance(problems[0], Analytic) else tuple(problems[0].shapes.values())
    kind = dtype if shapes is None else torch.float32
    found: dict[tuple[str, str], Scores] = {}
    stacked: dict[Level, list[Setting]] = {}
    for setting in settings:
        if refused := _refused(setting, problems[0]):
            worst = _worst(len(seeds), steps, refused)
            found |= {(p.name, setting.name): worst for p in problems}
        else:
            stacked.setdefault(probe(setting.method, shapes), []).append(setting)
    for level in ORDER:  # demoted settings join the next level
        if not (rows := stacked.pop(level, [])):
            continue
        if level is Level.ALONE:
            found |= _alone(problems, rows, seeds, steps, kind, tick)
            continue
        pairs = [(setting, level) for setting in rows]
        grid = _stacked(problems, pairs, seeds, steps, kind, tick)
        sample = [] if grid.failures or kind is not torch.float64 else [(0, 0, len(seeds) // 2)]
        _, broken = audit(
            problems, pairs, seeds, steps, str(kind).removeprefix("torch."), grid, sample
        )
        if broken:
            lower = ORDER[ORDER.index(level) + 1]
            stacked.setdefault(lower, []).extend(rows)
            continue
        for p, runs in zip(problems, grid.runs, strict=True):
            for g, setting in enumerate(rows):
                found[p.name, setting.name] = (
                    _worst(len(seeds), steps, grid.failures[g])
                    if g in grid.failures
                    else _scores(p, runs.hits[g], runs.start[g], runs.final[g], steps)
                )
    return found


def _refused(setting: Setting, problem: Problem) -> str:
    """What the constructor raises at these hyperparameters, empty if it takes them."""
    try:
        assemble(setting, [p.clone().requires_grad_() for p in problem.start(0).values()])
    except Exception as error:  # whatever a constructor raises is a result
        return one_line(error)
    return ""


def _stacked(
    problems: Sequence[Problem],
    pairs: Sequence[tuple[Setting, Level]],
    seeds: Sequence[int],
    steps: int,
    dtype: torch.dtype,
    tick: Tick,
) -> Grid:
    def part(step: int) -> None:
        tick(step / steps)

    formulas = [p for p in problems if isinstance(p, Analytic)]
    if formulas:
        return run_grid(formulas, pairs, seeds, steps, dtype, tick=part)
    return run_network_grid(problems[0], pairs, seeds, steps, dtype, tick=part)[0]


def _alone(
    problems: Sequence[Problem],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    steps: int,
    dtype: torch.dtype,
    tick: Tick,
) -> dict[tuple[str, str], Scores]:
    found: dict[tuple[str, str], Scores] = {}
    whole = len(problems) * len(settings)
    for p in problems:
        for setting in settings:
            runs = [solve(p, setting, seed, steps, dtype) for seed in seeds]
            failures = [run.failure for run in runs if run.failure]
            found[p.name, setting.name] = (
                _worst(len(seeds), steps, failures[0])
                if failures
                else _scores(
                    p,
                    np.array([run.hits for run in runs], np.int64).reshape(len(runs), -1),
                    np.array([run.start for run in runs]),
                    np.array([run.final for run in runs]),
                    steps,
                )
            )
            tick(len(found) / whole)
    return found


def _worst(seeds: int, steps: int, failure: str) -> Scores:
    missed = round(1 + float(np.log2(steps)), DIGITS)
    return Scores(np.full(seeds, missed), np.full(seeds, np.log10(CEILING)), failure)


def _scores(
    problem: Problem,
    hits: Integer[np.ndarray, "seeds targets"],
    start: Float[np.ndarray, "seeds"],
    final: Float[np.ndarray, "seeds"],
    steps: int,
) -> Scores:
    facts = problem.facts
    shallow = [
        k for k, t in enumerate(facts.targets) if facts.goal is not Goal.MINIMUM or t >= DEEPEST
    ]
    counted = hits[:, shallow]
    needed = np.where(counted == NEVER, 2.0 * steps, np.maximum(counted, 1))
    runtime = np.log2(needed).mean(1)
    if facts.minimum is None:
        fall = (start - final) / np.maximum(1.0, np.abs(start))
        gap = -np.log10(np.clip(np.nan_to_num(fall, nan=0.0), FLOOR, CEILING))
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = (final - facts.minimum) / (start - facts.minimum)
        gap = np.log10(np.clip(np.nan_to_num(ratio, nan=CEILING), FLOOR, CEILING))
    return Scores(np.round(runtime, DIGITS), np.round(gap, DIGITS))
