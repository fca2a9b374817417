"""Do two optimizers take the same way?"""

import torch

from ravine.engine.walk import Walk, walk
from ravine.errors import BadValue, RavineError
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import one_line, undisturbed
from ravine.problems import arguments
from ravine.problems.analytic import Analytic
from ravine.problems.base import Problem
from ravine.testing.assertions.messages import fail
from ravine.testing.assertions.subjects import Subject, as_problem, as_setting, insist_on_pair


def assert_same_trajectory(
    a: Subject,
    b: Subject,
    *,
    problem: str | Problem = "rosenbrock",
    steps: int = 50,
    seed: int = 0,
    rtol: float | None = None,
) -> None:
    """Assert that two optimizers follow each other from the same start.

    |b_t - a_t| <= rtol max_(s <= t) |a_s - a_0| for every step t: apart by at most a share of
    the way that `a` has gone by then.  Formulas are run in double precision, networks in
    their own.  There is no chance in it: two programs of one update rule differ in the order
    of some roundings, each 1e-16 of a number, which a smooth valley multiplies by little and
    a chaotic way by much; choose a short way or a larger rtol for such.

    Args:
        a: an optimizer in any form, or a textbook rule (x, state, gradient) -> (x, state).
        b: what is to follow it.
        problem: id or problem.
        steps: how many.
        seed: of start and batches, and of optimizers that draw numbers.
        rtol: see above; 1e-9 in double precision, 1e-4 in single by default.

    Raises:
        AssertionError: they part, or one of them raises an error.
        Mismatch: one cannot run on the problem.
        RavineError: a name or value is wrong, or neither moves.

    Example:
        >>> from functools import partial
        >>> from ravine.optimizers.textbook import adam
        >>> rule = partial(adam, lr=0.01, eps=1e-8)
        >>> assert_same_trajectory("adam(lr=0.01)", rule)
        >>> assert_same_trajectory("adam(lr=0.01)", "adamw(lr=0.01)")
        Traceback (most recent call last):
        ...
        AssertionError: `adamw(lr=0.01)` after `adam(lr=0.01)` on `rosenbrock`: expected the same \
way to 1e-09 of it, seen them part at step 1 by 0.0087 of it, and by 0.049 at step 50 \
(n = 50 steps; deterministic)
    """
    __tracebackhide__ = True
    given = as_problem(problem)
    settings = [as_setting(a), as_setting(b)]
    for setting in settings:
        insist_on_pair(given, setting)
    arguments.whole("steps", steps, 1)
    if rtol is None:
        single = not isinstance(given, Analytic)
        rtol = 1e-4 if single else 1e-9
    arguments.positive("rtol", rtol)
    names = [setting.name for setting in settings]
    subject = f"`{names[1]}` after `{names[0]}` on `{given.name}`"
    expected = f"the same way to {rtol:g} of it"
    ways = []
    for setting in settings:
        way, raised = _way(given, setting, seed, steps)
        if way is None:
            fail(
                subject,
                expected=expected,
                seen=f"`{setting.name}` raise {raised}",
                n=steps,
                of="steps",
            )
        ways.append(way)
    shares = _shares(*ways)
    if not any(bool((way.points != way.start).any()) for way in ways):
        raise BadValue(
            f"neither method moves on `{given.name}` in {steps} steps; choose another start"
        )
    parted = (~(shares <= rtol)).nonzero().flatten().tolist()
    if not parted:
        return
    first, last = parted[0], len(shares) - 1
    seen = f"them part at step {first} by {float(shares[first]):.2g} of it"
    later = f", and by {float(shares[last]):.2g} at step {last}" if last > first else ""
    fail(subject, expected=expected, seen=seen + later, n=steps, of="steps")


def _way(problem: Problem, setting: Setting, seed: int, steps: int) -> tuple[Walk | None, str]:
    """The way, or what the optimizer raised."""
    dtype = torch.float64 if isinstance(problem, Analytic) else None
    with undisturbed():
        try:
            return walk(problem, setting, seed, steps, keep=range(steps + 1), dtype=dtype), ""
        except RavineError:
            raise
        except Exception as error:  # whatever an optimizer raises is what was seen
            return None, one_line(error)


def _shares(a: Walk, b: Walk) -> torch.Tensor:
    """How far b is from a at each step, as a share of a's way by then; infinite beyond one end."""
    length = max(len(a.points), len(b.points))
    common = min(len(a.points), len(b.points))
    shares = torch.full((length,), torch.inf, dtype=torch.float64)
    here, there = a.points[:common].double(), b.points[:common].double()
    gone = torch.linalg.vector_norm(here - here[0], dim=1).cummax(0).values
    apart = torch.linalg.vector_norm(there - here, dim=1)
    shares[:common] = torch.where(apart == 0, 0.0, apart / gone)
    return shares
