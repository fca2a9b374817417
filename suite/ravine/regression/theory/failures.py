"""Failures that theorems promise: a method that does not fail so is another method."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic
from ravine.problems.formulas.rates import best_heavy_ball
from ravine.regression.theory.law import Finding, Law, Subject, claims
from ravine.regression.theory.paths import Loss, advances, bowl, follow, path, repeated

REDDI = "Reddi, Kale, Kumar (2018), arXiv 1904.09237, theorem 3"
LESSARD = "Lessard, Recht, Packard (2016), arXiv 1408.3595, section 4.6"

DRIFT = {"lr": 0.1, "betas": (0.0, 1 / 26), "eps": 1e-8, "weight_decay": 0.0}


def _on(problem: Analytic, seeds: int) -> tuple[np.ndarray, Loss]:
    """Starts of some seeds, a row each, and the problem's loss over all of them."""
    start = np.stack([problem.start(seed)["x"].numpy() for seed in range(seeds)])

    def loss(x: Tensor, t: int) -> Tensor:
        return problem.loss({"x": x}, problem.batch(range(seeds), t)).sum()

    return start, loss


def _drift(subject: Subject, hyper: Mapping[str, Any]) -> tuple[float, int]:
    """The mean place over the last half of 150 steps, on [-1, 1], where -1 is the minimum."""
    start, loss = _on(analytic("reddi(large=5.0, small=1.0, probability=0.25)"), 64)
    points = path(subject, {**DRIFT, **hyper}, start, loss, 150, box=(-1.0, 1.0))
    return float(points[75:].mean()), 64


def _wrong_end(subject: Subject) -> Finding:
    place, n = _drift(subject, {"amsgrad": False})
    return Finding(
        holds=place > 0.5,
        expected="to fail: the worst end, +1",
        seen=f"a mean place of {place:+.2f}",
        n=n,
        chance=1e-9,
    )


def _right_end(subject: Subject) -> Finding:
    place, n = _drift(subject, {"amsgrad": True})
    return Finding(
        holds=place < -0.3,
        expected="the side of the minimum, -1",
        seen=f"a mean place of {place:+.2f}",
        n=n,
        chance=1e-9,
    )


def _cycles(subject: Subject) -> Finding:
    start, loss = _on(analytic("lessard"), 5)
    best = best_heavy_ball(25.0, 1.0)
    points = path(subject, {"lr": best.lr, "momentum": best.momentum}, start, loss, 100)
    back = float(np.abs(points[-1] - points[-4]).max())
    moves = float(np.abs(points[-1] - points[-2]).min())
    return Finding(
        holds=back < (1e-8 if subject.double else 1e-4) and moves > 0.5,
        expected="to fail: a cycle of period 3 from all starts",
        seen=f"steps of {moves:.2g} or more in the end, back within {back:.1e} after three",
        n=5,
    )


def _settles(subject: Subject) -> Finding:
    start, loss = _on(analytic("lessard"), 5)
    ways = ({"lr": 2 / 26}, {"lr": 1 / 25, "momentum": 2 / 3, "nesterov": True})
    ends = [float(np.abs(path(subject, way, start, loss, 120)[-1]).max()) for way in ways]
    return Finding(
        holds=max(ends) < 1e-3,
        expected="the minimum, by descent and by Nesterov's method",
        seen=f"distances of {ends[0]:.1e} and {ends[1]:.1e}",
        n=10,
    )


def _exponential(subject: Subject) -> Finding:
    """Each saddle takes (L + gamma) / gamma = 3 times as long as the one before, or more."""
    problem = analytic("octopus(dim=3)")
    start, loss = _on(problem, 4)
    points = path(subject, {"lr": 1 / 8}, start, loss, 400)
    gone = np.abs(points) > 2 * np.e
    first = np.where(gone.any(0), gone.argmax(0), np.inf)
    ratios = first[:, 1:] / np.maximum(first[:, :-1], 1)
    left = bool(gone[-1].all())
    least = float(np.nan_to_num(ratios, nan=np.inf).min())
    return Finding(
        holds=left and least > 3,
        expected="to fail: times to leave three saddles that grow threefold each, or more",
        seen=f"growth by {least:.2f} at least" if left else "saddles that are not left at all",
        size=least,
        n=4,
    )


def _newton_cycles(subject: Subject) -> Finding:
    start = analytic("newton_cycle").start(0)["x"].numpy()
    f = analytic("newton_cycle").f
    points = path(subject, {}, start, lambda x, t: f(x.flatten()).sum(), 40)[:, 0]
    off = float(np.abs(np.sort(points[-2:]) - [0.0, 1.0]).max())
    return Finding(
        holds=off < (1e-9 if subject.double else 1e-4),
        expected="to fail: back and forth between 0 and 1 for ever",
        seen=f"a distance of {off:.1e} from that",
        size=off,
    )


def _blows_up(subject: Subject) -> Finding:
    """The average stays 0, so that the first step is lr g / eps, and each later one greater."""
    hyper = {"lr": 0.1, "alpha": 1.0, "eps": 1e-2, "weight_decay": 0.0}
    points = path(subject, hyper, np.array([1.0, -2.0]), bowl(1.0, 3.0), 12)
    with np.errstate(over="ignore"):
        wanted = np.array([1.0, -2.0]) * (1 - 0.1 / 1e-2 * np.array([1.0, 3.0])) ** 12
    off = float(np.abs(points[-1] / wanted - 1).max())
    return Finding(
        holds=off < (1e-9 if subject.double else 1e-3),
        expected=f"to fail: an error of {np.abs(wanted).max():.1e} after 12 steps of lr g / eps",
        seen=f"one of {np.abs(points[-1]).max():.1e}",
        size=off,
    )


def _crawls(subject: Subject) -> Finding:
    hyper = {"lr": 0.1, "eps": 1e-12, "lr_decay": 0.0, "initial_accumulator_value": 0.0}
    g = repeated(np.array([1e-3, -1.0, 40.0]), 200)
    found = advances(follow(subject, hyper, np.zeros(3), g)) * np.sqrt(np.arange(1.0, 201))[:, None]
    off = float(np.abs(found / (0.1 * np.sign(g)) - 1).max())
    return Finding(
        holds=off < (1e-7 if subject.double else 1e-3),
        expected="to fail: steps of lr / sqrt(t), however steady the gradient",
        seen=f"that within {off:.1e}",
        size=off,
    )


LAWS = (
    Law(
        name="Adam goes to the wrong end",
        source=REDDI,
        applies=claims("Adam", "AdamW"),
        test=_wrong_end,
        expected_failure=True,
    ),
    Law(
        name="AMSGrad goes to the right end",
        source=REDDI,
        applies=claims("Adam", "AdamW"),
        test=_right_end,
    ),
    Law(
        name="the heavy ball cycles where it is tuned best for quadratics",
        source=LESSARD,
        applies=claims("SGD"),
        test=_cycles,
        expected_failure=True,
    ),
    Law(
        name="descent and Nesterov's method settle where the heavy ball cycles",
        source=LESSARD,
        applies=claims("SGD"),
        test=_settles,
    ),
    Law(
        name="descent takes exponential time to leave the octopus's saddles",
        source="Du et al. (2017), arXiv 1705.10412, theorem 4.1",
        applies=claims("SGD"),
        test=_exponential,
        expected_failure=True,
    ),
    Law(
        name="Newton's method cycles",
        source="Strang (1991), A chaotic search for i, The College Mathematics Journal 22(1)",
        applies=claims("Newton"),
        test=_newton_cycles,
        expected_failure=True,
    ),
    Law(
        name="RMSProp at alpha = 1 blows up",
        source="Tieleman, Hinton (2012), lecture 6.5",
        applies=claims("RMSprop"),
        test=_blows_up,
        expected_failure=True,
    ),
    Law(
        name="Adagrad crawls along a steady slope",
        source="Duchi, Hazan, Singer (2011), JMLR 12; Zeiler (2012), arXiv 1212.5701, section 2.2",
        applies=claims("Adagrad"),
        test=_crawls,
        expected_failure=True,
    ),
)
