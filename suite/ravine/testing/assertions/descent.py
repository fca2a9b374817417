"""Is the ground smooth, and does it only fall?"""

import math
from collections.abc import Sequence

import numpy as np
import torch

from ravine.engine.walk import walk
from ravine.errors import BadValue
from ravine.landscape.lines import TOLERANCE, line, profile
from ravine.landscape.smoothness import MEASURES, smoothness_along
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.problems import arguments
from ravine.problems.base import Problem
from ravine.testing.assertions.chance import distinct, so_many, telling, too_few
from ravine.testing.assertions.convergence import FALSE_ALARM, SEEDS
from ravine.testing.assertions.messages import fail
from ravine.testing.assertions.subjects import (
    Ground,
    Place,
    Subject,
    as_point,
    as_problem,
    as_setting,
    as_surface,
    insist_on_pair,
)


def assert_smoother(
    problem_a: str | Problem,
    problem_b: str | Problem,
    measure: str = "loss_range",
    *,
    method: Subject = "sgd(lr=0.01)",
    steps: int = 20,
    points: int = 5,
    seeds: Sequence[int] = SEEDS,
    rate: float = 0.95,
    false_alarm: float = FALSE_ALARM,
) -> None:
    """Assert that training meets smoother ground on one problem than on another.

    One method runs on both from each seed.  At evenly spaced steps of a run the measure is
    taken along the gradient on the batch of that step, and the run's median of it is
    compared, seed by seed; a run that diverges at once is rougher than any.  It passes if `a`
    is smoother on at least k of n seeds: the largest k with P(X < k) <= false_alarm, X
    binomial with n trials of the stated rate.  So where `a` is smoother for a share `rate` of
    all seeds, it fails with a probability of at most `false_alarm`; and k is insisted to be
    more than a fair coin gives in 1 of 20 times, so that equal problems rarely pass.

    Few seeds, as of networks, want a rate near 1: with 1, five seeds of five are required.

    Args:
        problem_a: id or problem, said to be the smoother.
        problem_b: the other.
        measure: `loss_range`, `predictiveness` or `beta`; see
            `ravine.landscape.smoothness.Smoothness`.
        method: with a learning rate, of which steps of half to four times are tried.
        steps: of each run.
        points: of each run at which it is measured.
        seeds: shared by both.
        rate: share of the seeds on which `a` is claimed to be smoother.
        false_alarm: see above.

    Raises:
        AssertionError: too few seeds show it.
        Mismatch: the method cannot run on a problem.
        RavineError: a name or value is wrong, or so few seeds can tell nothing.

    References:
        Santurkar, Tsipras, Ilyas and Madry (2018). How does batch normalization help
        optimization? arXiv 1805.11604.

    Example:
        >>> few = dict(rate=1.0, seeds=range(5))
        >>> assert_smoother("narrow_bowl", "ellipsoid", "beta", method="sgd(lr=0.001)", **few)
        >>> assert_smoother("ellipsoid", "narrow_bowl", "beta", method="sgd(lr=0.001)", **few)
        Traceback (most recent call last):
        ...
        AssertionError: `ellipsoid` against `narrow_bowl` under `sgd(lr=0.001)`: expected a \
smaller beta on at least 5 of 5 seeds, seen it on 0, medians 81.1 against 3.97 (n = 5 seeds; \
probability by chance 0.0e+00 if it were smaller on 100 % of all seeds); so many or more of a \
fair coin: 1
    """
    __tracebackhide__ = True
    grounds, setting = (as_problem(problem_a), as_problem(problem_b)), as_setting(method)
    arguments.choice("measure", measure, MEASURES)
    for ground in grounds:
        insist_on_pair(ground, setting)
    arguments.whole("points", points, 2)
    arguments.whole("steps", steps, points - 1)
    chosen = distinct(seeds)
    needed = telling(len(chosen), rate, false_alarm)
    lr = _rate(setting)
    a, b = (
        np.array([_roughness(g, setting, seed, steps, points, lr, measure) for seed in chosen])
        for g in grounds
    )
    count = int((a < b).sum())
    if count >= needed:
        return
    names = [ground.name for ground in grounds]
    fail(
        f"`{names[0]}` against `{names[1]}` under `{setting.name}`",
        expected=f"a smaller {measure.replace('_', ' ')} on at least {needed} of {len(chosen)} "
        f"seeds",
        seen=f"it on {count}, medians {np.median(a):.3g} against {np.median(b):.3g}",
        n=len(chosen),
        of="seeds",
        chance=too_few(count, len(chosen), rate),
        given=f"it were smaller on {100 * rate:g} % of all seeds",
        more=f"so many or more of a fair coin: {so_many(count, len(chosen)):.2g}",
    )


def _rate(setting: Setting) -> float:
    """The method's learning rate."""
    found = setting.hyper.get("lr")
    if found is None:
        built = assemble(setting, [torch.zeros(2, 2, requires_grad=True)])
        found = built.param_groups[0].get("lr")
    if found is None or not 0 < float(found) < math.inf:
        raise BadValue(f"`{setting.name}` has no learning rate to take steps of; fix one as lr=0.1")
    return float(found)


def _roughness(
    ground: Problem,
    setting: Setting,
    seed: int,
    steps: int,
    points: int,
    lr: float,
    measure: str,
) -> float:
    """The run's median of a measure; infinite where it could not be taken."""
    keep = sorted({round(i * steps / (points - 1)) for i in range(points)})
    way = walk(ground, setting, seed, steps, keep=keep)
    found = [getattr(m, measure) for m in smoothness_along(ground, way, lr).measures]
    middle = float(np.median(found)) if found else math.inf
    return math.inf if math.isnan(middle) else middle


def assert_monotone_line(
    problem: Ground,
    start: Place,
    end: Place,
    *,
    tolerance: float = TOLERANCE,
    points: int = 51,
) -> None:
    """Assert that the loss never rises along the straight line from one point to another.

    No f(start + alpha_j (end - start)) may lie above an earlier one by more than a share
    `tolerance` of the range of all, and rounding.  It is looked at on evenly spaced alphas
    alone: a rise between two of them is not seen.  There is no chance in it.

    Args:
        problem: id, problem (a formula in its own coordinates, without a seed's shift or
            noise) or surface.
        start: coordinates, or parameters by name.
        end: likewise.
        tolerance: see above.
        points: how many alphas, both ends included.

    Raises:
        AssertionError: it rises, or a loss is not finite.
        RavineError: a name or value is wrong.

    References:
        Goodfellow, Vinyals and Saxe (2015). Qualitatively characterizing neural network
        optimization problems. arXiv 1412.6544.

    Example:
        >>> assert_monotone_line("sphere(dim=2)", (2, 1), (0, 0))
        >>> assert_monotone_line("double_well(dim=1)", (-1,), (1,))
        Traceback (most recent call last):
        ...
        AssertionError: the line of 2 on `double_well(dim=1)`: expected the loss never to rise, \
seen it rise from 0 at alpha 0 to 0.25 at alpha 0.5, by 1 of its range (n = 51 points; \
deterministic)
    """
    __tracebackhide__ = True
    ground = as_surface(problem)
    arguments.whole("points", points, 3)
    arguments.at_least("tolerance", tolerance, 0.0)
    ends = as_point(ground, start, "start"), as_point(ground, end, "end")
    found = line(ground, *ends, np.linspace(0, 1, points))
    shape = profile(found, tolerance=tolerance)
    if shape.monotone:
        return
    alphas, losses = found.alphas.tolist(), found.losses
    if shape.monotone is None:
        odd = [alphas[i] for i in (~losses.isfinite()).nonzero().flatten().tolist()]
        seen = f"{len(odd)} losses that are not finite, the first at alpha {odd[0]:.3g}"
    else:
        lowest, where = losses.cummin(0)
        top = int((losses - lowest).argmax())
        low = int(where[top])
        size = float(losses.max() - losses.min())
        seen = (
            f"it rise from {losses[low]:.4g} at alpha {alphas[low]:.3g} to {losses[top]:.4g} at "
            f"alpha {alphas[top]:.3g}, by {shape.rise / size:.2g} of its range"
        )
    fail(
        f"the line of {found.distance:.3g} on `{ground.name}`",
        expected="the loss never to rise",
        seen=seen,
        n=len(alphas),
        of="points",
    )
