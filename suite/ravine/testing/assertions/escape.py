"""Does an optimizer leave a saddle in time?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import torch

from ravine.errors import BadValue
from ravine.landscape.critical.classify import classify
from ravine.landscape.critical.kinds import Label
from ravine.landscape.surface import loss
from ravine.problems import arguments
from ravine.problems.analytic import Analytic
from ravine.problems.base import Facts, Goal, Kind, Problem
from ravine.problems.catalogue import analytic
from ravine.records.schema import NEVER
from ravine.testing.assertions.chance import distinct, required, too_few
from ravine.testing.assertions.convergence import FALSE_ALARM, SEEDS
from ravine.testing.assertions.messages import fail
from ravine.testing.assertions.runs import failures, runs
from ravine.testing.assertions.subjects import (
    Place,
    Subject,
    as_point,
    as_problem,
    as_setting,
    as_surface,
    insist_on_pair,
    with_facts,
)


def assert_escapes(
    method: Subject,
    saddle: str | Problem,
    *,
    point: Place | None = None,
    spread: float = 1e-3,
    target: float | None = None,
    within: int | None = None,
    seeds: Sequence[int] = SEEDS,
    rate: float = 0.95,
    false_alarm: float = FALSE_ALARM,
) -> None:
    """Assert that an optimizer gets away from a saddle in time, from most starts near it.

    A problem whose goal is to escape has starts and a last target of its own.  Of any other
    formula a saddle is taken: runs start in the box of half-width `spread` around it, without
    a seed's shift or rotation, and have escaped where the loss is below that of the point 100
    spreads away along the steepest descent of the Hessian,

        f(x) <= f(saddle) + lambda_min (100 spread)^2 / 2.

    It passes if at least k of n seeds escape; k and the rate of false alarms are those of
    `assert_converges`: the largest k with P(X < k) <= false_alarm, X binomial with n trials
    of the stated rate.

    Args:
        method: at its defaults where it leaves values open.
        saddle: id or problem.
        point: the saddle's coordinates; the first saddle that the problem's facts list by
            default, if its goal is another than to escape.
        spread: see above.
        target: loss that counts as escaped instead.
        within: steps, the problem's own budget by default.
        seeds: one run for each.
        rate: share of starts from which it claims to escape.
        false_alarm: see above.

    Raises:
        AssertionError: too few seeds escaped.
        Mismatch: the method cannot run on the problem.
        RavineError: a name or value is wrong, or the point is no saddle.

    References:
        Jin, Ge, Netrapalli, Kakade and Jordan (2017). How to escape saddle points
        efficiently. arXiv 1703.00887.

    Example:
        >>> assert_escapes("sgd(lr=0.1)", "bounded_saddle", point=(0, 0), within=200)
        >>> assert_escapes("sgd(lr=0.1)", "bounded_saddle", point=(0, 0), within=10)
        Traceback (most recent call last):
        ...
        AssertionError: `sgd(lr=0.1)` at the saddle [0, 0] of `bounded_saddle`: expected at \
least 18 of 25 seeds to reach a loss of -0.005 within 10 steps, seen 0 (n = 25 seeds; \
probability by chance 3.0e-33 if 95 % of all seeds escaped)
    """
    __tracebackhide__ = True
    setting, given = as_setting(method), as_problem(saddle)
    insist_on_pair(given, setting)
    steps = given.traits.budget if within is None else within
    arguments.whole("within", steps, 1)
    chosen = distinct(seeds)
    needed = required(len(chosen), rate, false_alarm)
    if target is not None and not abs(target) < float("inf"):
        raise BadValue(f"`target` must be a finite loss, got {target}; give such a number")
    if point is None and given.facts.goal is Goal.ESCAPE and given.facts.targets:
        aim = given.facts.targets[-1] if target is None else target
        aimed: Problem = with_facts(given, replace(given.facts, targets=(aim,)))
        where = f"on `{given.name}`"
    else:
        x = _saddle(given, point)
        arguments.positive("spread", spread)
        aim = _away(given, x, spread) if target is None else target
        aimed = _around(given, x, spread, aim)
        where = f"at the saddle [{', '.join(f'{v:.4g}' for v in x.tolist())}] of `{given.name}`"
    found = runs(aimed, setting, chosen, steps)
    count = sum(run.hits[0] != NEVER for run in found)
    if count < needed:
        fail(
            f"`{setting.name}` {where}",
            expected=f"at least {needed} of {len(chosen)} seeds to reach a loss of {aim:.4g} "
            f"within {steps} steps",
            seen=f"{count}",
            n=len(chosen),
            of="seeds",
            chance=too_few(count, len(chosen), rate),
            given=f"{100 * rate:g} % of all seeds escaped",
            more=failures(found),
        )


def _saddle(given: Problem, point: Place | None) -> torch.Tensor:
    known = [p.x for p in given.facts.critical_points if p.kind is Kind.SADDLE]
    if point is None and not known:
        raise BadValue(f"`{given.name}` lists no saddle; give its coordinates as `point`")
    ground = as_surface(analytic(given))
    return as_point(ground, known[0] if point is None else point).double()


def _away(given: Problem, x: torch.Tensor, spread: float) -> float:
    """The loss 100 spreads from a saddle, by its Hessian."""
    ground = as_surface(given)
    (found,) = classify(ground, x, higher=False)
    if found.label is not Label.SADDLE:
        raise BadValue(
            f"`point` is no saddle of `{given.name}` but {found.label.value}; give a saddle, or "
            f"the loss that counts as escaped as `target`"
        )
    return found.value + float(found.eigenvalues[0]) * (100 * spread) ** 2 / 2


def _around(given: Problem, x: torch.Tensor, spread: float, aim: float) -> Problem:
    formula = cast(Analytic, given)
    value = float(loss(as_surface(given), x))
    if not aim < value:
        raise BadValue(
            f"`target` must be below the {value:g} of the point to escape from, got {aim}; give "
            f"a lower one"
        )
    return replace(
        formula,
        start_at=tuple(x.tolist()),
        spread=spread,
        shift=0.0,
        rotate=False,
        facts=Facts(goal=Goal.ESCAPE, targets=(aim,)),
    )
