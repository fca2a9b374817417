"""Runs tasks on any `concurrent.futures.Executor`, processes of this machine by default."""

import ctypes
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from ravine.engine.task import Done, Task, work
from ravine.errors import RavineError

Progress = Callable[[float], None]
"""Called with the number of run-steps done so far."""

_counter: "Synchronized[float] | None" = None


def default_jobs() -> int:
    """Processes for this machine: the cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def execute(
    tasks: Sequence[Task],
    store: Path,
    jobs: int = 1,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[Done]:
    """Do all tasks; each writes its shard as it finishes.

    Args:
        tasks: from `cut`.
        store: a folder from `open_store`, seen by all workers.
        jobs: processes; one runs in this process.
        executor: any other executor (of Dask, MPI, Slurm), instead of processes here.
        progress: told of the run-steps done.

    Returns:
        What each task told, in the order of the tasks.

    Raises:
        RavineError: a worker died; what finished is stored.
    """
    if executor is None and (jobs == 1 or len(tasks) <= 1):
        return _in_line(tasks, store, progress)
    with _pool(min(jobs, len(tasks)), executor) as (pool, counter):
        futures = [pool.submit(_work, task, store) for task in tasks]
        try:
            _follow(futures, tasks, counter, progress)
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            raise RavineError(
                "a worker process died, most likely for want of memory; repeat the command "
                "with fewer --jobs, it runs only what is missing"
            ) from error
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def _in_line(tasks: Sequence[Task], store: Path, progress: Progress | None) -> list[Done]:
    finished, done = 0.0, []
    for task in tasks:

        def tick(step: int, before: float = finished, size: int = task.size) -> None:
            if progress is not None:
                progress(before + step * size)

        done.append(work(task, store, tick))
        finished += task.size * task.steps
        if progress is not None:
            progress(finished)
    return done


@contextmanager
def _pool(
    jobs: int, executor: Executor | None
) -> "Iterator[tuple[Executor, Synchronized[float] | None]]":
    if executor is not None:
        yield executor, None
        return
    # a forked child would inherit torch's threads in an undefined state
    context = multiprocessing.get_context("spawn")
    counter: Any = context.Value(ctypes.c_double, 0.0)
    pool = ProcessPoolExecutor(jobs, context, _enter, (counter,))
    try:
        yield pool, counter
    except BaseException:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


def _enter(counter: "Synchronized[float]") -> None:
    global _counter
    _counter = counter


def _work(task: Task, store: Path) -> Done:
    told = 0

    def tick(step: int) -> None:
        nonlocal told
        # telling costs a lock; every few steps is enough for a bar, which never goes back
        if _counter is not None and (step >= told + 16 or step == task.steps) and step > told:
            with _counter.get_lock():
                _counter.value += (step - told) * task.size
            told = step

    done = work(task, store, tick)
    tick(task.steps)
    return done


def _follow(
    futures: Sequence[Future[Done]],
    tasks: Sequence[Task],
    counter: "Synchronized[float] | None",
    progress: Progress | None,
) -> None:
    sizes = {f: t.size * t.steps for f, t in zip(futures, tasks, strict=True)}
    waiting: set[Future[Done]] = set(futures)
    while waiting:
        ready, waiting = wait(waiting, timeout=0.2, return_when=FIRST_COMPLETED)
        for future in ready:
            future.result()  # an error ends the waiting at once
        if progress is not None:
            whole = sum(sizes[f] for f in futures if f not in waiting)
            progress(max(whole, counter.value if counter is not None else 0.0))
