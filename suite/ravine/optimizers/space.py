"""Which settings of a method are tried: the same rule for every method."""

import math

import numpy as np

from ravine.errors import BadValue
from ravine.optimizers.base import Knob, Method, Scale, Setting
from ravine.optimizers.hyperparameters import default


def trials(method: Method, n: int = 16) -> list[Setting]:
    """Choose the settings that tuning a method tries.

    One knob: n values spaced evenly on its scale, ends included,
    v_k = low (high / low)^(k / (n - 1)) for a log scale, rounded to 6 significant digits.
    Several knobs: the constructor's defaults, then the Halton sequence without its corner,
    so that the first k of n trials are the same for any n.  No knob: one setting.
    It does not learn from results: trials are chosen before anything is run.

    Args:
        method: what is tuned.
        n: number of settings; with n = 1 every knob has the constructor's default, or the
            middle of its range where there is none.

    Returns:
        Distinct settings; for one knob in rising order.

    Raises:
        BadValue: n is less than 1, or a range is too narrow for n values.

    References:
        Halton 1960, doi:10.1007/BF01386213.
    """
    if n < 1:
        raise BadValue(f"`{method.name}` must have at least 1 trial, not {n}; ask for more")
    if not method.knobs:
        return [Setting(method)]
    usual = tuple(_usual(method, knob) for knob in method.knobs)
    if n == 1:
        rows = [usual]
    elif len(method.knobs) == 1:
        knob = method.knobs[0]
        rows = [(at(knob, k / (n - 1)),) for k in range(n)]
    else:
        cube = _halton(len(method.knobs), n - 1)
        points = [tuple(map(at, method.knobs, map(float, row))) for row in cube]
        rows = [usual, *points]
    if len(set(rows)) < n:
        raise BadValue(
            f"`{method.name}` has too narrow a range for {n} different trials; "
            f"widen the range or take fewer trials"
        )
    names = [knob.name for knob in method.knobs]
    return [Setting(method, tuple(zip(names, row, strict=True))) for row in rows]


def at(knob: Knob, u: float) -> float:
    """The knob's value a fraction u of the way along its scale, rounded for its name.

    Log: low (high / low)^u.  Linear: low + u (high - low).  Complement:
    1 - (1 - low) ((1 - high) / (1 - low))^u.

    Args:
        knob: the range.
        u: in [0, 1]; 0 is exactly `low` and 1 exactly `high`.
    """
    if u in (0.0, 1.0):
        return knob.high if u else knob.low
    return min(max(_between(knob, u), knob.low), knob.high)


def _between(knob: Knob, u: float) -> float:
    match knob.scale:
        case Scale.LOG:
            return _rounded(_geometric(knob.low, knob.high, u), 6)
        case Scale.LINEAR:
            return _rounded(knob.low + u * (knob.high - knob.low), 6)
        case Scale.COMPLEMENT:
            # what is left of 1 carries the digits that tell two factors apart
            left = _rounded(_geometric(1 - knob.low, 1 - knob.high, u), 6)
            return _rounded(1 - left, 15)


def _usual(method: Method, knob: Knob) -> float:
    value = default(method, knob)
    return at(knob, 0.5) if value is None else value


def _geometric(low: float, high: float, u: float) -> float:
    return math.exp((1 - u) * math.log(low) + u * math.log(high))


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")


def _halton(dim: int, n: int) -> np.ndarray:
    # importing scipy.stats takes a second, which one knob need not pay
    from scipy.stats import qmc

    sequence = qmc.Halton(dim, scramble=False, seed=0)
    sequence.fast_forward(1)  # the first point is the corner of all lowest values
    return np.asarray(sequence.random(n))
