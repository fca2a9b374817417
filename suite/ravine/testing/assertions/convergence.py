"""Does an optimizer get there in time?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ravine.errors import BadValue
from ravine.problems import arguments
from ravine.problems.base import Goal, Problem
from ravine.records.schema import NEVER
from ravine.testing.assertions.chance import distinct, fraction, required, too_few
from ravine.testing.assertions.messages import fail
from ravine.testing.assertions.runs import failures, runs
from ravine.testing.assertions.subjects import (
    Subject,
    as_problem,
    as_setting,
    insist_on_pair,
    with_facts,
)

CLOSE = 1e-6
"""Relative gap that counts as converged, where the problem's own targets go deeper."""

SEEDS = range(25)
"""Runs of an assertion, unless said otherwise."""

FALSE_ALARM = 1e-4
"""Of an assertion, unless said otherwise."""


def assert_converges(
    method: Subject,
    problem: str | Problem,
    *,
    within: int | None = None,
    target: float | None = None,
    seeds: Sequence[int] = SEEDS,
    rate: float = 0.95,
    false_alarm: float = FALSE_ALARM,
) -> None:
    """Assert that an optimizer reaches a target in time from most starts.

    It passes if at least k of the n seeds reach the target within so many steps.  k is the
    largest number with P(X < k) <= false_alarm, X binomial with n trials of the stated rate:
    an optimizer that gets there from a share `rate` of all starts, or more, fails with a
    probability of at most `false_alarm`.  With a rate of 1 all must.  One whose true share is
    q fails with probability P(Binomial(n, q) < k).

    Seeds are fixed, so the same code gives the same answer each time; the rate of false
    alarms is over the choice of seeds, and over changes that leave the share as it is.

    Args:
        method: see `ravine.testing.assertions.subjects.Subject`; what it leaves open has the
            constructor's default.
        problem: id or problem.
        within: steps, the problem's own budget by default.
        target: relative gap (f(x) - f*) / (f(x0) - f*), or a value of the loss where the
            problem's goal is no minimum; by default 1e-6, or the problem's last target
            where that is larger or is a value.
        seeds: one run for each; all are stacked in one grid.
        rate: share of starts from which it claims to get there.
        false_alarm: see above.

    Raises:
        AssertionError: too few seeds got there.
        Mismatch: the method cannot run on the problem.
        RavineError: a name or value is wrong, or there is nothing to reach.

    Example:
        >>> assert_converges("sgd(lr=0.1)", "sphere", within=100)
        >>> assert_converges("sgd(lr=0.001)", "sphere", within=100)
        Traceback (most recent call last):
        ...
        AssertionError: `sgd(lr=0.001)` on `sphere`: expected at least 18 of 25 seeds to reach a \
relative gap of 1e-06 within 100 steps, seen 0 (n = 25 seeds; probability by chance 3.0e-33 if \
95 % of all seeds reached it); median gap at the end 0.67
    """
    __tracebackhide__ = True
    setting, given = as_setting(method), as_problem(problem)
    insist_on_pair(given, setting)
    steps = given.traits.budget if within is None else within
    arguments.whole("within", steps, 1)
    chosen = distinct(seeds)
    needed = required(len(chosen), rate, false_alarm)
    aim, aimed = _aimed(given, target)
    found = runs(aimed, setting, chosen, steps)
    count = sum(run.hits[0] != NEVER for run in found)
    if count >= needed:
        return
    finals = np.array([run.final for run in found])
    least = given.facts.minimum
    if given.facts.goal is Goal.MINIMUM and least is not None:
        finals = (finals - least) / (np.array([run.start for run in found]) - least)
    kind = "relative gap" if given.facts.goal is Goal.MINIMUM else "loss"
    middle = f"median {kind.split()[-1]} at the end {np.median(finals):.2g}"
    fail(
        f"`{setting.name}` on `{given.name}`",
        expected=f"at least {needed} of {len(chosen)} seeds to reach a {kind} of {aim:g} "
        f"within {steps} steps",
        seen=f"{count}",
        n=len(chosen),
        of="seeds",
        chance=too_few(count, len(chosen), rate),
        given=f"{100 * rate:g} % of all seeds reached it",
        more="; ".join(filter(None, (middle, failures(found)))),
    )


def _aimed(given: Problem, target: float | None) -> tuple[float, Problem]:
    """The target, and the problem with no other."""
    facts = given.facts
    relative = facts.goal is Goal.MINIMUM and facts.minimum is not None
    if target is None:
        if not facts.targets or (facts.goal is Goal.MINIMUM and not relative):
            raise BadValue(
                f"`{given.name}` has no known minimum to approach; give a `target`, a value of "
                f"its loss"
            )
        target = max(CLOSE, facts.targets[-1]) if relative else facts.targets[-1]
    if relative:
        fraction("target", target)
        return target, with_facts(given, replace(facts, targets=(target,)))
    if not abs(target) < float("inf"):
        raise BadValue(f"`target` must be a finite loss, got {target}; give such a number")
    goal = Goal.ESCAPE if facts.goal is Goal.MINIMUM else facts.goal
    return target, with_facts(given, replace(facts, goal=goal, targets=(target,)))
