"""Laws of methods that know curvature, exactly or from pairs of gradients."""

import numpy as np
import torch
from torch import Tensor

from ravine.problems.catalogue import analytic
from ravine.regression.theory.law import Finding, Law, Subject, agree, claims
from ravine.regression.theory.paths import Loss, bowl, path, tape

NOCEDAL = "Nocedal, Wright (2006), doi:10.1007/978-0-387-40065-5"
LIU = "Liu, Nocedal (1989), doi:10.1007/BF01589116"
DAUPHIN = "Dauphin et al. (2014), arXiv 1406.2572"

NEWTONS = claims("Newton", "SaddleFreeNewton")

ITERATIONS = {
    "lr": 1.0,
    "max_iter": 1,
    "max_eval": None,
    "tolerance_grad": 0.0,
    "tolerance_change": 0.0,
    "line_search_fn": None,
}
"""L-BFGS with one iteration a step, of full length, that never stands still by itself."""

MINIMIZER = np.array([1.0, -2.0, 0.5])


def _tilted(dtype: torch.dtype) -> Loss:
    """A quadratic of condition 100 in turned coordinates, with its minimum at `MINIMIZER`."""
    q, _ = np.linalg.qr(np.random.default_rng(12).normal(size=(3, 3)))
    matrix = torch.from_numpy(q @ np.diag([0.1, 1.0, 10.0]) @ q.T).to(dtype)
    at = torch.from_numpy(MINIMIZER).to(dtype)
    return lambda x, t: (x.flatten() - at) @ matrix @ (x.flatten() - at) / 2


def _one_step(subject: Subject) -> Finding:
    found = path(subject, {}, np.array([5.0, 5.0, 5.0]), _tilted(subject.dtype), 1)[1:]
    return agree(subject, found, MINIMIZER[None], "the minimum of a quadratic after one step")


def _share(subject: Subject) -> Finding:
    start, t = np.array([5.0, 5.0, 5.0]), np.arange(1.0, 6)[:, None]
    found = path(subject, {"lr": 0.3}, start, _tilted(subject.dtype), 5)[1:] - MINIMIZER
    words = "an error times 1 - lr in each step, in all directions"
    return agree(subject, found, 0.7**t * (start - MINIMIZER), words)


def _saddle(curvature: float) -> Loss:
    weights = torch.tensor([1.0, curvature], dtype=torch.float64) / 2
    return lambda x, t: (weights.to(x) * x.square()).sum()


def _attracted(subject: Subject) -> Finding:
    """On x^2 / 2 - y^2 the saddle is reached in one step."""
    start = np.array([1.0, 0.25])
    found = path(subject, {}, start, _saddle(-2.0), 1)[-1]
    off = float(np.abs(found).max())
    return Finding(
        holds=off < (1e-10 if subject.double else 1e-5),
        expected="to fail: a saddle reached in one step",
        seen=f"a distance of {off:.1e} from it",
        size=off,
    )


def _repelled(subject: Subject) -> Finding:
    """On x^2 / 2 - y^2 the negative direction is doubled in each step, whatever its curvature."""
    start, t = np.array([1.0, 0.25]), np.arange(1.0, 6)
    found = path(subject, {}, start, _saddle(-2.0), 5)[1:]
    wanted = np.stack([np.zeros(5), 0.25 * 2**t], 1)
    return agree(subject, found, wanted, "a saddle left twice as far in each step")


def _round(subject: Subject) -> Finding:
    """With y = lambda s all of lambda I is known: the second step takes what the first leaves."""
    start = np.array([3.0, -4.0, 1.0])
    found = path(subject, ITERATIONS, start, bowl(4.0, 4.0, 4.0), 2)[1:]
    first = start - 4 * start / np.abs(4 * start).sum()
    wanted = np.stack([first, np.zeros(3)])
    return agree(subject, found, wanted, "the minimum of lambda |x|^2 / 2 after two steps")


def _secant(subject: Subject) -> Finding:
    """A gradient that halves tells y = -g / 2, and H y = s makes the step repeat."""
    g1, g2 = np.array([1.0, 0.2, -0.3]), np.array([0.1, 0.4, 0.2])
    g = np.stack([g1, g2, 0.5 * g2, 0.25 * g2])
    points = path(subject, ITERATIONS, np.zeros(3), tape(g, subject.dtype), 4)
    taken = np.diff(points, axis=0)
    words = "the secant condition, H y = s: a step repeated where the gradient halves"
    return agree(subject, taken[2:], np.stack([taken[1], taken[1]]), words, within=1e-9)


def _bounded(subject: Subject) -> Finding:
    """The worst quadratic of 41 dimensions, ten steps from its origin."""
    problem = analytic("nesterov_worst_case(dim=41, smoothness=2.0)")
    plain = {"lr": 0.5, "weight_decay": 0.0, "momentum": 0.8, "nesterov": True}
    hyper = plain if subject.name == "SGD" else ITERATIONS

    def loss(x: Tensor, t: int) -> Tensor:
        return problem.f(x.flatten())

    points = path(subject, hyper, np.zeros(41), loss, 10)
    lowest = problem.facts.minimum or 0.0
    gaps = problem.f(torch.from_numpy(points)).numpy()[1:] - lowest
    k = np.arange(1.0, 11)
    bound = 2.0 / 8 * (1 / (k + 1) - 1 / 42)
    ratio = float((gaps / bound).min())
    return Finding(
        holds=ratio >= 1 - 1e-6,
        expected="a gap of no less than L / 8 (1 / (k + 1) - 1 / (n + 1)) after k steps",
        seen=f"{ratio:.4f} times that at least",
        size=ratio,
    )


LAWS = (
    Law(
        name="the minimum of a quadratic in one step",
        source=f"{NOCEDAL}, section 3.3",
        applies=NEWTONS,
        test=_one_step,
    ),
    Law(
        name="a share of Newton's step, alike in all directions",
        source=f"{NOCEDAL}, section 3.3",
        applies=NEWTONS,
        test=_share,
    ),
    Law(
        name="Newton's method is attracted by a saddle",
        source=DAUPHIN,
        applies=claims("Newton"),
        test=_attracted,
        expected_failure=True,
    ),
    Law(
        name="a saddle repels saddle-free Newton",
        source=DAUPHIN,
        applies=claims("SaddleFreeNewton"),
        test=_repelled,
    ),
    Law(
        name="L-BFGS ends on a round bowl in two steps",
        source=LIU,
        applies=claims("LBFGS"),
        test=_round,
    ),
    Law(
        name="L-BFGS meets the secant condition",
        source=f"{NOCEDAL}, equation 6.6",
        applies=claims("LBFGS"),
        test=_secant,
    ),
    Law(
        name="no faster than the lower bound",
        source="Nesterov (2004), Introductory lectures on convex optimization, theorem 2.1.7",
        applies=claims("SGD", "LBFGS"),
        test=_bounded,
        double=True,
    ),
)
