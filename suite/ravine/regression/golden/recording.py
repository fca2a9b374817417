"""Take golden traces of a method that is taken to be right."""

from collections.abc import Iterator

import torch

from ravine.optimizers.base import Method, Setting
from ravine.optimizers.capabilities import capabilities
from ravine.regression.baseline import Trace
from ravine.regression.golden.drives import PROBLEMS, Run, drives, run
from ravine.regression.golden.tolerance import lengths, rounding, tolerance
from ravine.regression.scenarios import scenarios, setting

SHAKE = 1e-7
"""Relative change of starts and gradients: the rounding of single precision."""

MARGIN = 10.0
"""The tolerance of single precision is as many times what the change comes to, or more."""

DIGITS = 12

PLAIN = 2
"""Scenarios that are run on problems: the method's own, and ten times its rate."""


def record(method: Method) -> tuple[Trace, ...]:
    """Take the golden traces of a method.

    A tape and the wells are run under every scenario, problems under the first two: once
    plainly, and twice with the start, or the tape's gradients, changed by `SHAKE` one way and
    the other.  A trace ends where that moved the run by a tenth of what single precision may,
    for beyond it rounding decides.

    Args:
        method: taken to be right.

    Returns:
        The traces in order; none of a method that draws random numbers.
    """
    if capabilities(method).random:
        return ()
    return tuple(
        trace
        for drive in drives(method)
        for hyper in scenarios(method)[: PLAIN if drive in PROBLEMS else None]
        for trace in _traces(drive, hyper, setting(method, hyper))
    )


def _traces(drive: str, hyper: dict[str, object], at: Setting) -> Iterator[Trace]:
    try:
        plain = run(drive, at)
        shaken = [run(drive, at, shake=sign * SHAKE) for sign in (1, -1)]
    except Exception:  # a scenario that the method refuses makes no trace
        return
    count = min(reproducible(plain, other) for other in shaken)
    if count:
        ways = tuple(tuple(map(_short, way)) for way in plain.ways[:count].tolist())
        yield Trace(drive=drive, hyper=hyper, steps=plain.steps[:count], ways=ways)


def reproducible(plain: Run, shaken: Run) -> int:
    """Count the kept steps up to which a changed run stays near the plain one.

    Args:
        plain: the run.
        shaken: the same, changed by the rounding of single precision.
    """
    both = min(len(plain.steps), len(shaken.steps))
    apart = torch.linalg.vector_norm(plain.ways[:both] - shaken.ways[:both], dim=1)
    way = lengths(plain.ways[:both])
    steps = plain.steps[:both]
    slack = rounding(steps, plain.start + way, torch.float32)
    limits = torch.tensor([tolerance(s, torch.float32) for s in steps], dtype=torch.float64)
    near = MARGIN * apart <= limits * way + slack
    return int(near.long().cumprod(0).sum())


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS - 1}e}") + 0.0  # no negative zero
