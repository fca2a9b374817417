"""Laws of Rprop, whose steps see signs alone, and of averaged descent at a falling rate."""

import numpy as np

from ravine.regression.theory.law import Array, Finding, Law, Subject, agree, claims
from ravine.regression.theory.paths import SIZES, advances, clock, follow, repeated

RIEDMILLER = "Riedmiller, Braun (1993), doi:10.1109/ICNN.1993.298623; Igel, Hüsken (2000)"
BOTTOU = "Bottou (2010), doi:10.1007/978-3-7908-2604-3_16"

RPROP = {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.02, 1.0)}
ASGD = {"lr": 0.3, "lambd": 0.1, "alpha": 0.6, "weight_decay": 0.0}

FLOAT32_COUNTERS = 1e-6
"""ASGD's rate is a float32 number whatever the parameters are."""


def _signed(subject: Subject, signs: Array, lengths: Array, expected: str) -> Finding:
    """Gradients of given signs and of sizes over six decades, against lengths of steps."""
    sizes = 10.0 ** np.random.default_rng(6).uniform(-3, 3, size=(len(signs), 4))
    found = advances(follow(subject, RPROP, np.zeros(4), signs[:, None] * sizes))
    return agree(subject, found, np.repeat((signs * lengths)[:, None], 4, 1), expected)


def _grows(subject: Subject) -> Finding:
    t = np.arange(12.0)
    lengths = np.minimum(0.1 * 1.5**t, 1.0)
    return _signed(subject, np.ones(12), lengths, "steps of lr eta+^(t - 1), up to the largest")


def _turns(subject: Subject) -> Finding:
    """Where the sign turns it shrinks and stands still; the next gradient has nothing to meet."""
    signs = np.array([1.0, 1.0, -1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
    smallest = 0.02
    lengths, length, last = [], 0.1, 0.0
    for sign in signs:
        agreement, last = sign * last, sign
        if agreement > 0:
            length = min(1.5 * length, 1.0)
        if agreement < 0:
            length, last = max(0.4 * length, smallest), 0.0
        lengths.append(0.0 if agreement < 0 else length)
    words = "steps shrunk by eta- down to the smallest, and none, where the sign turns"
    return _signed(subject, signs, np.array(lengths), words)


def _asgd_decay(subject: Subject) -> Finding:
    start, t = np.linspace(-2, 3, 6), clock(20)
    found = follow(subject, ASGD, start, np.zeros((20, 6)))[1:]
    rates = 0.3 / (1 + 0.1 * 0.3 * (t - 1)) ** 0.6
    wanted = start * np.cumprod(1 - 0.1 * rates, 0)
    words = "x shrunk by 1 - lambd lr_t, lr_t = lr / (1 + lambd lr (t - 1))^alpha"
    return agree(subject, found, wanted, words, within=FLOAT32_COUNTERS)


def _asgd_first(subject: Subject) -> Finding:
    """At lambd = 0 the rate never falls, and it is plain descent."""
    g = repeated(SIZES, 20)
    found = advances(follow(subject, {**ASGD, "lambd": 0.0}, np.zeros(len(SIZES)), g))
    return agree(subject, found, 0.3 * g, "steps of lr g", within=FLOAT32_COUNTERS)


def _asgd_rate(subject: Subject) -> Finding:
    """From 0 a constant gradient: each step is lr_t (g + lambd x)."""
    g, t = repeated(SIZES, 20), clock(20)
    points = follow(subject, ASGD, np.zeros(len(SIZES)), g)
    rates = 0.3 / (1 + 0.1 * 0.3 * (t - 1)) ** 0.6
    wanted = rates * (g + 0.1 * points[:-1])
    words = "steps of lr_t (g + lambd x)"
    return agree(subject, advances(points), wanted, words, within=FLOAT32_COUNTERS)


LAWS = (
    Law(
        name="Rprop's steps grow while signs agree, whatever the gradient's size",
        source=RIEDMILLER,
        applies=claims("Rprop"),
        test=_grows,
    ),
    Law(
        name="Rprop's steps shrink where the sign turns",
        source=RIEDMILLER,
        applies=claims("Rprop"),
        test=_turns,
    ),
    Law(
        name="averaged descent's decay and rate",
        source=BOTTOU,
        applies=claims("ASGD"),
        test=_asgd_decay,
    ),
    Law(
        name="averaged descent without decay is descent",
        source=BOTTOU,
        applies=claims("ASGD"),
        test=_asgd_first,
    ),
    Law(
        name="averaged descent's rate falls",
        source=BOTTOU,
        applies=claims("ASGD"),
        test=_asgd_rate,
    ),
)
