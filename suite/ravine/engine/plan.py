"""What is to be run: problems x settings x seeds, cut into tasks, less what is known."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from ravine.engine.mismatch import mismatch
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.task import Choice, Task
from ravine.optimizers.base import Method, Setting
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.records.keys import run_keys

NETWORK_RUNS = 64
"""Networks trained side by side in one task; memory grows with their number."""

FORMULA_SECONDS = 15.0
"""Work that a task of formulas should hold, so that little is lost by an interruption."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pair that is not run, and why."""

    problem: str
    method: str
    reason: str


@dataclass(frozen=True, slots=True)
class Demand:
    """Runs that are wanted: settings and seeds for every problem.

    Args:
        problem: what is minimised.
        settings: the settings it is to be run with.
        seeds: the seeds of each.
        steps: budget of each run.
    """

    problem: Problem
    settings: tuple[Setting, ...]
    seeds: tuple[int, ...]
    steps: int

    @property
    def dtype(self) -> str:
        """Formulas are in double precision, networks in single."""
        return "float64" if isinstance(self.problem, Analytic) else "float32"

    @property
    def size(self) -> int:
        """Number of runs."""
        return len(self.settings) * len(self.seeds)


def pair(
    problems: Sequence[Problem], methods: Sequence[Method]
) -> tuple[dict[str, tuple[Method, ...]], list[LeftOut]]:
    """Pair every problem with every method that can run on it.

    Returns:
        The methods of each problem (by its name), and the pairs left out.
    """
    paired: dict[str, tuple[Method, ...]] = {}
    left_out = []
    for p in problems:
        fit = []
        for m in methods:
            reason = mismatch(p, m)
            if reason is None:
                fit.append(m)
            else:
                left_out.append(LeftOut(p.name, m.name, reason))
        paired[p.name] = tuple(fit)
    return paired, left_out


def missing(demands: Sequence[Demand], known: Collection[str], device: str = "cpu") -> list[Demand]:
    """What of the demands is not in the store; a setting lacks all its seeds or none.

    Args:
        demands: what is wanted.
        known: keys of the runs in the store.
        device: where the runs would be.
    """
    found = set(known)
    left = []
    for d in demands:
        lacking = tuple(
            s
            for s in d.settings
            if not found.issuperset(run_keys(d.problem, s, d.seeds, d.steps, d.dtype, device))
        )
        if lacking and d.seeds:
            left.append(Demand(d.problem, lacking, d.seeds, d.steps))
    return left


def cut(demands: Sequence[Demand], jobs: int, audit: int = 64, device: str = "cpu") -> list[Task]:
    """Cut demands into tasks: blocks of formulas together, networks one by one.

    Args:
        demands: what is to be run.
        jobs: processes that will work at the same time.
        audit: runs to repeat alone, over all tasks.
        device: where to run.

    Returns:
        Tasks, the costliest first.
    """
    formulas = [d for d in demands if isinstance(d.problem, Analytic)]
    networks = [d for d in demands if not isinstance(d.problem, Analytic)]
    blocks = [*_formula_blocks(formulas, jobs), *_network_blocks(networks, jobs)]
    all_runs = sum(d.size for block in blocks for d in block) or 1
    tasks = []
    for block in sorted(blocks, key=lambda b: -sum(map(cost, b))):
        first = block[0]
        size = sum(d.size for d in block)
        tasks.append(
            Task(
                problems=tuple(d.problem.name for d in block),
                choices=tuple(Choice(s.method.name, s.values) for s in first.settings),
                seeds=first.seeds,
                steps=first.steps,
                dtype=first.dtype,
                device=device,
                audit=max(4, round(audit * size / all_runs)),
            )
        )
    return tasks


def cost(demand: Demand) -> float:
    """Rough seconds of a demand on one core, for balancing only; see `forecast`."""
    width = sum(prod(shape) for shape in demand.problem.shapes.values())
    if not isinstance(demand.problem, Analytic):
        return demand.steps * demand.size * width * 10e-9
    alone = sum(probe(s.method) is Level.ALONE for s in demand.settings) * len(demand.seeds)
    stacked = demand.size - alone
    return demand.steps * (200e-6 + stacked * width * 60e-9 + alone * 400e-6)


def _formula_blocks(demands: Sequence[Demand], jobs: int) -> Iterator[list[Demand]]:
    """Group formulas that want the same runs, and balance each group over blocks."""
    groups: dict[object, list[Demand]] = {}
    for d in demands:
        key = (tuple(s.name for s in d.settings), d.seeds, d.steps)
        groups.setdefault(key, []).append(d)
    for group in groups.values():
        seconds = sum(map(cost, group))
        # a multiple of the processes, so that none of them idles in the last round
        rounds = max(1, round(seconds / FORMULA_SECONDS / jobs))
        count = min(len(group), rounds * jobs)
        blocks: list[list[Demand]] = [[] for _ in range(count)]
        loads = [0.0] * count
        for d in sorted(group, key=lambda d: (-cost(d), d.problem.name)):
            lightest = loads.index(min(loads))
            blocks[lightest].append(d)
            loads[lightest] += cost(d)
        yield from blocks


def _network_blocks(demands: Sequence[Demand], jobs: int) -> Iterator[list[Demand]]:
    """Cut each network's settings, and if there are few of them its seeds, into blocks."""
    for d in demands:
        per_block = max(1, NETWORK_RUNS // len(d.seeds))
        seeds_each = max(1, min(len(d.seeds), NETWORK_RUNS // max(1, len(d.settings))))
        if len(d.settings) < jobs * 2:
            pieces = max(jobs, -(-len(d.seeds) // seeds_each))
            size = -(-len(d.seeds) // pieces)
            for at in range(0, len(d.seeds), size):
                yield [Demand(d.problem, d.settings, d.seeds[at : at + size], d.steps)]
            continue
        pieces = max(jobs, -(-len(d.settings) // per_block))
        size = -(-len(d.settings) // pieces)
        for at in range(0, len(d.settings), size):
            yield [Demand(d.problem, d.settings[at : at + size], d.seeds, d.steps)]
