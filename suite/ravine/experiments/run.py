"""Run experiments, side by side in processes of their own."""

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import dataclass

from ravine.experiments.claims import Claim
from ravine.experiments.experiment import Experiment, Scale, Tick, experiments
from ravine.reporting.drawing import to_png
from ravine.reporting.layout import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """A finished experiment, with its figures as files.

    Args:
        id: of the experiment.
        claims: each with its measurement.
        pictures: PNG files by stem.
        animations: GIF files by stem.
        tables: by stem.
        remark: of the experiment.
        seconds: that it took.
        failure: what it raised, else empty; then there is nothing else.
    """

    id: str
    claims: tuple[Claim, ...] = ()
    pictures: dict[str, bytes]
    animations: dict[str, bytes]
    tables: dict[str, Table]
    remark: str = ""
    seconds: float = 0.0
    failure: str = ""


def run(subject: Experiment, scale: Scale, tick: Tick = lambda share: None) -> Result:
    """Run one experiment here.

    Args:
        subject: the experiment.
        scale: how much is run.
        tick: told the share that is done.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    started = time.perf_counter()
    try:
        found = subject.body(scale, tick)
    finally:
        torch.set_num_threads(threads)
    return Result(
        id=subject.id,
        claims=tuple(found.claims),
        pictures={stem: to_png(figure) for stem, figure in found.figures.items()},
        animations=dict(found.animations),
        tables=dict(found.tables),
        remark=found.remark,
        seconds=time.perf_counter() - started,
    )


def _task(id: str, scale: Scale) -> Result:
    try:
        return run(experiments()[id], scale)
    except Exception as error:  # one experiment's error must not take the others along
        said = f"{type(error).__name__}: {error}"
        return Result(id=id, pictures={}, animations={}, tables={}, failure=said)


def run_all(
    chosen: Sequence[Experiment],
    scale: Scale,
    jobs: int,
    *,
    executor: Executor | None = None,
    tell: Callable[[Result], None] = lambda result: None,
) -> dict[str, Result]:
    """Run experiments, each in a process, in the order given.

    Args:
        chosen: the experiments; long ones should come first.
        scale: how much is run.
        jobs: processes.
        executor: any other executor, instead of processes on this machine.
        tell: told of each that is done.

    Returns:
        The results by id, in the order of `chosen`.
    """
    done: dict[str, Result] = {}
    for result in _results(chosen, scale, jobs, executor):
        done[result.id] = result
        tell(result)
    return {e.id: done[e.id] for e in chosen}


def _results(
    chosen: Sequence[Experiment], scale: Scale, jobs: int, executor: Executor | None
) -> Iterator[Result]:
    if executor is None and (jobs == 1 or len(chosen) == 1):
        yield from (_task(e.id, scale) for e in chosen)
        return
    # a fork of a process that has run torch may hang
    context = multiprocessing.get_context("spawn")
    pool = executor or ProcessPoolExecutor(jobs, mp_context=context)
    try:
        tasks = [pool.submit(_task, e.id, scale) for e in chosen]
        yield from (task.result() for task in as_completed(tasks))
    finally:
        if executor is None:
            pool.shutdown(cancel_futures=True)
