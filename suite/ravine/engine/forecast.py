"""How long a list of tasks will take, from the first steps of it on this machine."""

import time
from collections.abc import Callable, Sequence

import torch

from ravine.engine.grid import run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.solo import solve
from ravine.engine.task import Task
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import problem

STARTUP = 3.0
"""Seconds until a new process has imported torch."""

PILOT = 4
"""Steps that are timed."""


def forecast(tasks: Sequence[Task], jobs: int) -> float:
    """Estimate the seconds until all tasks are done.

    The first steps of a few tasks are timed and scaled to all of them; the estimate is
    good to a factor of about 1.5, as the machine's other work allows.

    Args:
        tasks: from `cut`, the costliest first.
        jobs: processes.
    """
    if not tasks:
        return 0.0
    torch.set_num_threads(1)
    rates: dict[tuple[object, ...], float] = {}
    seconds = []
    for task in tasks:
        kind = (len(task.problems) > 1 or task.problems[0], task.steps, len(task.choices))
        if kind not in rates:
            rates[kind] = _pilot(task) / (task.size * task.steps)
        seconds.append(rates[kind] * task.size * task.steps)
    startup = STARTUP if jobs > 1 and len(tasks) > 1 else 0.0
    return startup + max(sum(seconds) / min(jobs, len(tasks)), max(seconds))


def _pilot(task: Task) -> float:
    """Seconds of a whole task, from a few of its steps."""
    torch.set_num_threads(1)
    built = [problem(name) for name in task.problems]
    settings = [choice.setting() for choice in task.choices]
    formulas = [p for p in built if isinstance(p, Analytic)]
    shapes = None if formulas else tuple(built[0].shapes.values())
    levels = [(s, probe(s.method, shapes)) for s in settings]
    stacked = [(s, level) for s, level in levels if level is not Level.ALONE]
    alone = [s for s, level in levels if level is Level.ALONE]
    dtype = getattr(torch, task.dtype)
    total = 0.0
    if stacked and formulas:
        total += _slope(lambda n: run_grid(formulas, stacked, task.seeds, n, dtype), task.steps)
    elif stacked:
        few, seeds = stacked[:4], task.seeds[:2]
        share = len(stacked) * len(task.seeds) / (len(few) * len(seeds))
        total += share * _slope(
            lambda n: run_network_grid(built[0], few, seeds, n, dtype), task.steps
        )
    for setting in alone[:3]:
        each = _alone(lambda n, s=setting: solve(built[0], s, 0, n, dtype), task.steps)  # type: ignore[misc]
        total += each * len(task.problems) * len(task.seeds) * len(alone) / len(alone[:3])
    audited = min(task.audit, task.size)
    each = _alone(lambda n: solve(built[0], settings[0], 0, n, dtype), task.steps)
    return total + audited * each * (1.0 if formulas else 20 / task.steps)


def _slope(run: Callable[[int], object], steps: int) -> float:
    """Seconds of `steps` steps: a fixed part, and a part for each step."""
    run(1)  # the first call pays for what is cached
    short = _seconds(run, 1)
    long = _seconds(run, 1 + PILOT)
    return short + max(0.0, long - short) / PILOT * steps


def _alone(run: Callable[[int], object], steps: int) -> float:
    few = min(20, steps)
    return _seconds(run, few) / few * steps


def _seconds(run: Callable[[int], object], steps: int) -> float:
    started = time.perf_counter()
    run(steps)
    return time.perf_counter() - started
