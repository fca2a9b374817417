"""Laws of methods that divide by the root of squared gradients, without averaging those."""

import numpy as np

from ravine.regression.theory.law import Finding, Law, Subject, agree, claims
from ravine.regression.theory.moments import spike
from ravine.regression.theory.paths import SIZES, advances, clock, follow, repeated

DUCHI = "Duchi, Hazan, Singer (2011), JMLR 12"
TIELEMAN = "Tieleman, Hinton (2012), lecture 6.5"
GRAVES = "Graves (2013), arXiv 1308.0850, equations 38 to 41"
ZEILER = "Zeiler (2012), arXiv 1212.5701"

ORIGIN = np.zeros(len(SIZES))

ADAGRAD = {"lr": 0.1, "eps": 1e-4, "weight_decay": 0.0}
RMSPROP = {"lr": 0.1, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.0}
ADADELTA = {"lr": 1.0, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.0}


def _adagrad(subject: Subject) -> Finding:
    """From an accumulator of 0.3, at a rate that decays."""
    g, t = repeated(SIZES, 25), clock(25)
    hyper = {**ADAGRAD, "lr_decay": 0.2, "initial_accumulator_value": 0.3}
    found = advances(follow(subject, hyper, ORIGIN, g))
    wanted = 0.1 / (1 + 0.2 * (t - 1)) * g / (np.sqrt(0.3 + t * g**2) + 1e-4)
    words = "lr / (1 + lr_decay (t - 1)) g / (sqrt(s_0 + sum g^2) + eps)"
    return agree(subject, found, wanted, words)


def _adagrad_remembers(subject: Subject) -> Finding:
    g = np.concatenate([spike(0, 0), 0.01 * np.ones((20, 2))])
    hyper = {**ADAGRAD, "lr_decay": 0.0, "initial_accumulator_value": 0.0}
    found = advances(follow(subject, hyper, np.zeros(2), g))
    wanted = 0.1 * g / (np.sqrt(np.cumsum(g**2, 0)) + 1e-4)
    return agree(subject, found, wanted, "the rate after a spike never to rise again")


def _rmsprop(subject: Subject) -> Finding:
    """The average of a constant lacks alpha^t, uncorrected: the first step is the longest."""
    g, t = repeated(SIZES, 25), clock(25)
    found = advances(follow(subject, RMSPROP, ORIGIN, g))
    wanted = 0.1 * g / (np.abs(g) * np.sqrt(1 - 0.9**t) + 1e-4)
    return agree(subject, found, wanted, "lr g / (|g| sqrt(1 - alpha^t) + eps)")


def _centered(subject: Subject) -> Finding:
    """The variance of a constant is g^2 (1 - alpha^t) alpha^t."""
    g, t = repeated(SIZES[1:], 25), clock(25)
    found = advances(follow(subject, {**RMSPROP, "centered": True}, ORIGIN[1:], g))
    wanted = 0.1 * g / (np.abs(g) * np.sqrt((1 - 0.9**t) * 0.9**t) + 1e-4)
    return agree(subject, found, wanted, "lr g / (|g| sqrt((1 - alpha^t) alpha^t) + eps)")


def _rolling(subject: Subject) -> Finding:
    g, t = repeated(SIZES, 25), clock(25)
    found = advances(follow(subject, {**RMSPROP, "momentum": 0.7}, ORIGIN, g))
    pushes = g / (np.abs(g) * np.sqrt(1 - 0.9**t) + 1e-4)
    weights = np.tril(0.7 ** np.abs(t - t.T))
    return agree(subject, found, 0.1 * weights @ pushes, "sums of normalised gradients")


def _adadelta(subject: Subject) -> Finding:
    g = SIZES[None]
    found = advances(follow(subject, ADADELTA, ORIGIN, g))
    wanted = np.sqrt(1e-3 / (0.2 * g**2 + 1e-3)) * g
    return agree(subject, found, wanted, "a first step of sqrt(eps / ((1 - rho) g^2 + eps)) g")


def _adadelta_second(subject: Subject) -> Finding:
    """The second step's numerator knows the first one."""
    g = repeated(SIZES, 2)
    found = advances(follow(subject, ADADELTA, ORIGIN, g))[1:]
    first = 1e-3 / (0.2 * g[:1] ** 2 + 1e-3) * g[:1] ** 2
    wanted = np.sqrt((0.2 * first + 1e-3) / (0.36 * g[:1] ** 2 + 1e-3)) * g[:1]
    return agree(subject, found, wanted, "a second step as large as the root of (1 - rho) step^2")


def _adadelta_rate(subject: Subject) -> Finding:
    g = np.random.default_rng(5).normal(size=(12, 6))
    wanted = 2 * follow(subject, ADADELTA, ORIGIN, g)[1:]
    found = follow(subject, {**ADADELTA, "lr": 2.0}, ORIGIN, g)[1:]
    return agree(subject, found, wanted, "twice the way at lr = 2, for its averages do not see lr")


LAWS = (
    Law(
        name="Adagrad's rate is one over the root of the sum",
        source=DUCHI,
        applies=claims("Adagrad"),
        test=_adagrad,
    ),
    Law(
        name="Adagrad never forgets a spike",
        source=DUCHI,
        applies=claims("Adagrad"),
        test=_adagrad_remembers,
    ),
    Law(
        name="RMSProp's average is not corrected",
        source=TIELEMAN,
        applies=claims("RMSprop"),
        test=_rmsprop,
    ),
    Law(
        name="centered RMSProp divides by the deviation",
        source=GRAVES,
        applies=claims("RMSprop"),
        test=_centered,
        double=True,
    ),
    Law(
        name="RMSProp's momentum sums normalised gradients",
        source=GRAVES,
        applies=claims("RMSprop"),
        test=_rolling,
    ),
    Law(
        name="Adadelta's first step",
        source=ZEILER,
        applies=claims("Adadelta"),
        test=_adadelta,
    ),
    Law(
        name="Adadelta's second step",
        source=ZEILER,
        applies=claims("Adadelta"),
        test=_adadelta_second,
    ),
    Law(
        name="Adadelta's rate is but a factor",
        source=ZEILER,
        applies=claims("Adadelta"),
        test=_adadelta_rate,
    ),
)
