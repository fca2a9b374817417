"""A piece of work: a block of a grid, described by names so that any process can do it."""

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import torch

import ravine.records.store as shelf
from ravine.engine.audit import Audit, audit
from ravine.engine.frames import Circumstances, frame_of_runs, frame_of_single
from ravine.engine.grid import Grid, run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe, stacks
from ravine.engine.rows import ORDER, Level
from ravine.engine.run import targets
from ravine.engine.solo import solve
from ravine.engine.watch import Runs
from ravine.optimizers.base import Setting
from ravine.optimizers.catalogue import method
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.problems.catalogue import problem


@dataclass(frozen=True, slots=True)
class Choice:
    """A setting by name: the method's id and the knob values."""

    method: str
    values: tuple[tuple[str, float], ...] = ()

    def setting(self) -> Setting:
        """Build the setting."""
        return Setting(method(self.method), self.values)


@dataclass(frozen=True, slots=True)
class Task:
    """Every choice on every problem from every seed.

    Args:
        problems: ids; several formulas, or one network.
        choices: the settings.
        seeds: shared by all.
        steps: budget of every run.
        dtype: "float64" or "float32".
        device: as torch names it.
        audit: how many of the runs are repeated alone.
    """

    problems: tuple[str, ...]
    choices: tuple[Choice, ...]
    seeds: tuple[int, ...]
    steps: int
    dtype: str
    device: str = "cpu"
    audit: int = 8

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.problems) * len(self.choices) * len(self.seeds)


@dataclass(frozen=True, slots=True)
class Done:
    """What is told of a finished task; its runs are in the store."""

    runs: int
    seconds: float
    audit: Audit
    remarks: tuple[str, ...] = field(default=())


def work(task: Task, store: Path, tick: Callable[[int], None] | None = None) -> Done:
    """Do a task and write its runs as one shard.

    Args:
        task: what to run.
        store: a folder from `open_store`.
        tick: called with the number of steps done, for progress.
    """
    torch.set_num_threads(1)
    started = time.perf_counter()
    frame, outcome, remarks = run(task, tick)
    seconds = time.perf_counter() - started
    shelf.write_shard(
        store,
        frame,
        {
            "torch": torch.__version__,
            "seconds": f"{seconds:.3f}",
            "audited": str(outcome.audited),
            "agreed": str(outcome.agreed),
            "standard": outcome.standard,
            "remarks": "\n".join(remarks),
        },
    )
    return Done(frame.height, seconds, outcome, tuple(remarks))


def run(
    task: Task, tick: Callable[[int], None] | None = None
) -> tuple[pl.DataFrame, Audit, list[str]]:
    """Run a task's grid, audit it, and fall back where a setting does not stack.

    Returns:
        The runs, what the audit found, and remarks on what was demoted or failed.
    """
    built = [problem(name) for name in task.problems]
    settings = [choice.setting() for choice in task.choices]
    shapes = None if isinstance(built[0], Analytic) else tuple(built[0].shapes.values())
    levels = [probe(s.method, shapes) for s in settings]
    frames: list[pl.DataFrame] = []
    remarks: list[str] = []
    total = Audit(0, 0, "")
    pending = list(range(len(settings)))
    while pending and built:
        stacked = [i for i in pending if levels[i] is not Level.ALONE]
        alone = [i for i in pending if levels[i] is Level.ALONE]
        pending = []
        if alone:
            frames.append(_run_alone(task, built, [settings[i] for i in alone], tick))
        if not stacked:
            break
        pairs = [(settings[i], levels[i]) for i in stacked]
        grid, measured = _run_stacked(task, built, pairs, tick)
        found, broken = audit(
            built,
            pairs,
            task.seeds,
            task.steps,
            task.dtype,
            grid,
            _sample(task, grid, len(built), len(pairs)),
        )
        total = total + found
        for position, error in grid.failures.items():
            # alone, one run's error does not take its neighbours along
            levels[stacked[position]] = Level.ALONE
            remarks.append(f"{pairs[position][0].name}: {error}; its runs were repeated alone")
        loose = _loose(built, broken)
        for name in sorted({m for p, m in broken if p not in loose}):
            demoted = [i for i in stacked if settings[i].method.name == name]
            for i in demoted:
                levels[i] = _next(levels[i])
            remarks.append(
                f"{name}: stacked and single runs differ; repeated at level {levels[demoted[0]]}"
            )
        redo = {i for i, (s, lv) in zip(stacked, pairs, strict=True) if levels[i] is not lv}
        pending = sorted(redo)
        keep = [k for k, i in enumerate(stacked) if i not in redo]
        firm = [p for p in range(len(built)) if p not in loose]
        kept = [grid.runs[p] for p in firm]
        for p in loose:
            frames.append(_run_alone(task, [built[p]], [settings[i] for i in stacked], None))
            remarks.append(
                f"{built[p].name} rounds differently when stacked, so all its runs were repeated "
                f"alone; the operations of ravine.problems.arithmetic do not"
            )
        built = [built[p] for p in firm]
        if built:
            frames += _frames(task, built, pairs, kept, keep, measured)
    return pl.concat(frames), total, remarks


def _loose(built: Sequence[Problem], broken: Collection[tuple[int, str]]) -> list[int]:
    """Positions of the formulas that are to blame themselves for what did not agree."""
    suspects = sorted({p for p, _ in broken})
    return [p for p in suspects if isinstance(q := built[p], Analytic) and not stacks(q)]


def _next(level: Level) -> Level:
    return ORDER[min(ORDER.index(level) + 1, len(ORDER) - 1)]


def _run_stacked(
    task: Task,
    built: Sequence[Problem],
    pairs: Sequence[tuple[Setting, Level]],
    tick: Callable[[int], None] | None,
) -> tuple[Grid, Mapping[str, torch.Tensor]]:
    dtype = getattr(torch, task.dtype)
    formulas = [p for p in built if isinstance(p, Analytic)]
    if formulas:
        return run_grid(formulas, pairs, task.seeds, task.steps, dtype, task.device, tick), {}
    return run_network_grid(built[0], pairs, task.seeds, task.steps, dtype, task.device, tick)


def _frames(
    task: Task,
    built: Sequence[Problem],
    pairs: Sequence[tuple[Setting, Level]],
    runs: Sequence[Runs],
    keep: Sequence[int],
    measured: Mapping[str, torch.Tensor],
) -> list[pl.DataFrame]:
    common = Circumstances(task.steps, task.dtype, task.device)
    named = [(setting, str(level)) for setting, level in pairs]
    arrays = {name: tensor.double().cpu().numpy() for name, tensor in measured.items()}
    return [
        frame_of_runs(p, named, task.seeds, r, common, keep, arrays)
        for p, r in zip(built, runs, strict=True)
    ]


def _run_alone(
    task: Task,
    built: Sequence[Problem],
    settings: Sequence[Setting],
    tick: Callable[[int], None] | None,
) -> pl.DataFrame:
    common = Circumstances(task.steps, task.dtype, task.device)
    frames: list[pl.DataFrame] = []
    count = len(built) * len(settings) * len(task.seeds)
    for p in built:
        for setting in settings:
            for seed in task.seeds:
                single = solve(
                    p, setting, seed, task.steps, getattr(torch, task.dtype), task.device
                )
                frames.append(
                    frame_of_single(
                        p,
                        setting,
                        Level.ALONE,
                        seed,
                        single,
                        targets(p, single.start),
                        common,
                        _measure(p, single.point, seed, task),
                    )
                )
                if tick is not None:
                    tick(len(frames) * task.steps // count)
    return pl.concat(frames)


def _measure(p: Problem, flat: Sequence[float], seed: int, task: Task) -> dict[str, float]:
    """What the problem measures at the end of one run."""
    if isinstance(p, Analytic):
        return {}
    tensor = torch.tensor(flat, dtype=getattr(torch, task.dtype))
    sizes = [int(torch.Size(shape).numel()) for shape in p.shapes.values()]
    pieces = zip(p.shapes.items(), torch.split(tensor, sizes), strict=True)
    point = {name: piece.view(shape) for (name, shape), piece in pieces}
    data = {name: value[0] for name, value in p.instance([seed]).items()}
    with torch.no_grad():
        return {name: float(value) for name, value in p.evaluate(point, data).items()}


def _sample(task: Task, grid: Grid, problems: int, settings: int) -> list[tuple[int, int, int]]:
    """Which runs are audited: (problem, setting, seed) positions, drawn from the task."""
    usable = [g for g in range(settings) if g not in grid.failures]
    draw = random.Random(repr(task))
    if not usable:
        return []
    cells = [
        (
            draw.randrange(len(task.problems)),
            usable[k % len(usable)],
            draw.randrange(len(task.seeds)),
        )
        for k in range(min(task.audit, len(task.problems) * len(usable) * len(task.seeds)))
    ]
    return sorted(set(cells))
