"""Is an optimizer no worse than another?"""

import math
from collections.abc import Sequence

import polars as pl

from ravine.engine.run import Run, targets
from ravine.errors import BadValue
from ravine.optimizers.base import Setting
from ravine.problems import arguments
from ravine.problems.base import Problem
from ravine.records.schema import RUN_SCHEMA
from ravine.statistics.verdicts import Thresholds, Verdict, pairwise
from ravine.testing.assertions.chance import distinct, fraction
from ravine.testing.assertions.convergence import FALSE_ALARM, SEEDS
from ravine.testing.assertions.messages import fail
from ravine.testing.assertions.runs import failures, runs
from ravine.testing.assertions.subjects import (
    Subject,
    as_problem,
    as_setting,
    insist_on_pair,
)

PROBLEMS = ("sphere", "narrow_bowl", "rosenbrock", "himmelblau")
"""A bowl, an ill-conditioned one, a curved valley, and several minima."""


def assert_no_worse(
    candidate: Subject,
    baseline: Subject,
    problems: Sequence[str | Problem] | str | Problem = PROBLEMS,
    *,
    seeds: Sequence[int] = SEEDS,
    steps: int | None = None,
    factor: float = 1.1,
    false_alarm: float = FALSE_ALARM,
) -> None:
    """Assert that an optimizer needs no more steps than another, seed by seed.

    Both run from the same starts.  With d the differences of log2 of the penalised steps to
    target (a miss counts as twice the budget; where neither reaches any target, of log10 of
    the final gap), the candidate is worse on a problem if Wilcoxon's signed-rank test has
    p < false_alarm after Holm's correction over the problems, and if the Hodges-Lehmann
    estimate of d is beyond log2(factor) (a factor of 2 in the gap, 1 % of a final loss).
    A candidate whose differences are symmetric about zero on all problems, as those of an
    equal one are, fails with a probability of at most `false_alarm`; an identical one never
    does.  That it passes does not show that it is as good: few seeds see large differences
    alone.

    Args:
        candidate: what must not be worse; at its defaults where it leaves values open.
        baseline: what it is held to.
        problems: ids or problems, or one of them.
        seeds: shared by both.
        steps: of every run, each problem's own budget by default.
        factor: in steps, from which on a difference matters.
        false_alarm: chance of any false alarm over all the problems.

    Raises:
        AssertionError: it is worse somewhere.
        Mismatch: one of the methods cannot run on a problem.
        RavineError: a name or value is wrong, or so few seeds can show nothing.

    Example:
        >>> assert_no_worse("sgd(lr=0.1)", "sgd(lr=0.05)", "sphere", steps=200)
        >>> assert_no_worse("sgd(lr=0.05)", "sgd(lr=0.1)", "sphere", steps=200)
        Traceback (most recent call last):
        ...
        AssertionError: `sgd(lr=0.05)` against `sgd(lr=0.1)`: expected no more than 1.1 times \
the steps, seen 2.05 times [2.05, 2.05] on `sphere` (n = 25 seeds; probability by chance \
6.0e-08 if the two were equal)
    """
    __tracebackhide__ = True
    given = [problems] if isinstance(problems, str | Problem) else list(problems)
    grounds = {p.name: p for p in map(as_problem, given)}
    settings = as_setting(candidate), as_setting(baseline)
    chosen = distinct(seeds)
    fraction("false_alarm", false_alarm)
    if not grounds:
        raise BadValue("`problems` are none; give one")
    if not 1 <= factor < math.inf:
        raise BadValue(f"`factor` must be at least 1 and finite, got {factor}; 1.1 is usual")
    # the smallest p-value is that of n differences of one sign
    least = math.floor(2 - math.log2(false_alarm / len(grounds)))
    if len(chosen) < least:
        raise BadValue(
            f"{len(chosen)} seeds cannot fail on {len(grounds)} problems at a false alarm of "
            f"{false_alarm:g}; give {least} or more"
        )
    for ground in grounds.values():
        for setting in settings:
            insist_on_pair(ground, setting)
    frames, raised = [], ""
    for ground in grounds.values():
        budget = ground.traits.budget if steps is None else steps
        arguments.whole("steps", budget, 1)
        for role, setting in zip(("candidate", "baseline"), settings, strict=True):
            found = runs(ground, setting, chosen, budget)
            frames.append(_frame(ground, role, chosen, found, budget))
            raised = raised or (failures(found) if role == "candidate" else "")
    verdicts = pairwise(pl.concat(frames), false_alarm, Thresholds(steps=factor))
    worse = verdicts.filter(pl.col("verdict") == Verdict.WORSE.value).sort("p_holm")
    if worse.height:
        _fail(settings, worse, len(chosen), factor, raised)


def _frame(
    ground: Problem, role: str, seeds: Sequence[int], found: Sequence[Run], budget: int
) -> pl.DataFrame:
    count = len(seeds)
    columns = {
        "problem": [ground.name] * count,
        "method": [role] * count,
        "setting": [role] * count,
        "seed": list(seeds),
        "budget": [budget] * count,
        "targets": [list(targets(ground, run.start)) for run in found],
        "hits": [list(run.hits) for run in found],
        "start": [run.start for run in found],
        # who raises an error has not arrived anywhere
        "final": [math.inf if run.failure else run.final for run in found],
        "minimum": [ground.facts.minimum] * count,
    }
    return pl.DataFrame(columns, schema={name: RUN_SCHEMA[name] for name in columns})


def _fail(
    settings: tuple[Setting, Setting], worse: pl.DataFrame, n: int, factor: float, raised: str
) -> None:
    __tracebackhide__ = True
    words = {"steps": "the steps", "final gap": "the final gap"}
    parts = [
        f"{row['ratio']:.3g} times [{row['low']:.3g}, {row['high']:.3g}] on `{row['problem']}`"
        + ("" if row["measure"] == "steps" else f" in {words.get(row['measure'], row['measure'])}")
        for row in worse.iter_rows(named=True)
    ]
    fail(
        f"`{settings[0].name}` against `{settings[1].name}`",
        expected=f"no more than {factor:g} times the steps",
        seen=" and ".join(parts),
        n=n,
        of="seeds",
        chance=float(worse["p_holm"][0]),
        given="the two were equal",
        more=raised,
    )
