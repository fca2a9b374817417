"""Race a method that is taken to be right, and keep the scores."""

import numpy as np

from ravine.optimizers.base import Method, Setting
from ravine.optimizers.space import trials
from ravine.problems.base import Problem
from ravine.regression.baseline import Race
from ravine.regression.race.course import Course, course
from ravine.regression.race.scores import Entry, Scores, Tick, score

SHORTEST = 3.0
"""In log2 of the steps: a race that is over sooner tells of the first steps alone."""

SLOWER = 2.0
"""In log2 of the steps, how much slower than the best trial the chosen one may be."""


def record(method: Method, tick: Tick = lambda share: None) -> tuple[Race, ...]:
    """Race a method on every problem that it fits, at the rate that suits it there.

    The rate is one of the trials of the method, chosen on seeds that no score is of; its
    other hyperparameters are its own.  It is the one below the best: at the best rate a
    slightly wrong rate costs nothing to first order, below it costs in proportion, and all is
    far from unstable.

    Args:
        method: taken to be right.
        tick: told the share that is done.

    Returns:
        A race for every problem, none if it fits no problem or raises on all of them.
    """
    where = course(method)
    if not where.problems:
        return ()
    tried = trials(method, where.trials)
    chosen = _tuned(where, tried, lambda share: tick(0.7 * share))
    entries = [Entry(p, s) for p, s in chosen if s is not None]
    scores = score(
        entries,
        (*where.first, *where.fresh),
        where.steps,
        tick=lambda share: tick(0.7 + 0.3 * share),
    )
    return tuple(
        Race(
            problem=e.problem.name,
            hyper=dict(e.setting.values),
            budget=where.steps,
            seeds=where.first,
            fresh=where.fresh,
            runtime=tuple(s.runtime.tolist()),
            gap=tuple(s.gap.tolist()),
        )
        for e, s in zip(entries, scores, strict=True)
        if not s.failure
    )


def _tuned(where: Course, tried: list[Setting], tick: Tick) -> list[tuple[Problem, Setting | None]]:
    if len(tried) == 1:
        return [(p, tried[0]) for p in where.problems]
    entries = [Entry(p, s) for p in where.problems for s in tried]
    scores = score(entries, where.tuning_seeds, where.steps, tick=tick)
    count = len(tried)
    ordered = len(tried[0].values) == 1
    chosen: list[tuple[Problem, Setting | None]] = []
    for k, p in enumerate(where.problems):
        best = chosen_trial(scores[k * count : (k + 1) * count], ordered)
        chosen.append((p, None if best is None else tried[best]))
    return chosen


def chosen_trial(scores: list[Scores], ordered: bool = True) -> int | None:
    """Choose a trial: the one below the best that is not over at once, else the best.

    The best has no run that ends above its start, then the fewest steps, then the smallest
    gap, and is the earliest of equals.

    Args:
        scores: of every trial on the same seeds.
        ordered: the trials are of one knob, in rising order.

    Returns:
        Its position; None if all of them raised.
    """
    usable = [k for k, s in enumerate(scores) if not s.failure]
    if not usable:
        return None
    steps = [round(float(s.runtime.mean()), 6) for s in scores]
    loose = [bool((s.gap > 0).any()) for s in scores]
    best = min(usable, key=lambda k: (loose[k], steps[k], np.median(scores[k].gap), k))
    below = [k for k in usable if k < best and loose[k] <= loose[best] and steps[k] >= SHORTEST]
    allowed = max(steps[best], SHORTEST) + SLOWER
    return below[-1] if ordered and below and steps[below[-1]] <= allowed else best
