"""Laws of methods for matrices: steps with singular values near 1, and factored moments."""

import numpy as np

from ravine.regression.theory.law import Array, Finding, Law, Subject, agree, claims
from ravine.regression.theory.paths import advances, follow, repeated

JORDAN = "Jordan et al. (2024), https://kellerjordan.github.io/posts/muon/"
SHAZEER = "Shazeer, Stern (2018), arXiv 1804.04235"

MUON = {"lr": 0.1, "weight_decay": 0.0}
ADAFACTOR = {"lr": 0.05, "eps": (1e-12, 1e-3), "weight_decay": 0.0}

LOW, HIGH = 0.68, 1.13
"""Where five iterations of the published polynomial bring singular values to."""

EIGHT_BITS = 0.05
"""What its rounding to bfloat16 may add, as it is 2^-8 in each of some dozen products."""


def spectral(rows: int, columns: int, values: Array, seed: int) -> Array:
    """A matrix with given singular values, turned at random."""
    random = np.random.default_rng(seed)
    left, _ = np.linalg.qr(random.normal(size=(rows, len(values))))
    right, _ = np.linalg.qr(random.normal(size=(columns, len(values))))
    found: Array = left @ np.diag(values) @ right.T
    return found


def _orthogonal(subject: Subject) -> Finding:
    """Gradients of condition 30, wide and tall; a tall one's rate is raised by a root."""
    found = []
    for rows, columns in ((4, 7), (9, 4), (5, 5)):
        values = np.geomspace(1.0, 1 / 30, min(rows, columns))
        g = spectral(rows, columns, values, seed=rows)
        (taken,) = advances(follow(subject, MUON, np.zeros((rows, columns)), g[None]))
        sizes = np.linalg.svd(taken, compute_uv=False) / 0.1 / max(1.0, rows / columns) ** 0.5
        found += [float(sizes.min()), float(sizes.max())]
    low, high = min(found), max(found)
    return Finding(
        holds=low > LOW - EIGHT_BITS and high < HIGH + EIGHT_BITS,
        expected=f"steps of singular values from {LOW} to {HIGH} rates",
        seen=f"from {low:.3f} to {high:.3f}",
        n=3,
    )


def _aligned(subject: Subject) -> Finding:
    """The polar factor u v' of g = u s v', in whose direction the step is."""
    g = spectral(5, 5, np.geomspace(1.0, 1 / 10, 5), seed=1)
    (taken,) = advances(follow(subject, MUON, np.zeros((5, 5)), g[None]))
    left, _, right = np.linalg.svd(g)
    cosine = float((taken * (left @ right)).sum() / (np.linalg.norm(taken) * 5**0.5))
    return Finding(
        holds=cosine > 0.95,
        expected="steps along the gradient's nearest orthogonal matrix, cosine above 0.95",
        seen=f"cosine {cosine:.3f}",
        size=1 - cosine,
    )


def _muon_scale(subject: Subject) -> Finding:
    g = np.random.default_rng(7).normal(size=(8, 4, 3))
    start = np.zeros((4, 3))
    wanted = follow(subject, MUON, start, g)[1:]
    found = follow(subject, MUON, start, 1024 * g)[1:]
    return agree(subject, found, wanted, "the same path for 1024 g", within=1e-6)


def _muon_rate(subject: Subject) -> Finding:
    g = np.random.default_rng(8).normal(size=(8, 4, 3))
    start = np.zeros((4, 3))
    wanted = 3 * follow(subject, MUON, start, g)[1:]
    found = follow(subject, {**MUON, "lr": 0.3}, start, g)[1:]
    return agree(subject, found, wanted, "three times the way at three times the rate", within=1e-6)


def _clipped(subject: Subject) -> Finding:
    """A gradient tenfold that of the first step is longer than its root by 1.31, cut to 1.2."""
    start = np.array([3.0, -4.0, 1.0, 2.0])
    g = np.array([1e-3, -0.5, 20.0, 1.0]) * np.array([[1.0], [10.0]])
    points = follow(subject, {**ADAFACTOR, "d": 1.2}, start, g)
    sizes = np.sqrt(np.mean(points[:-1] ** 2, axis=1, keepdims=True))
    wanted = 0.05 * sizes * np.array([[1.0], [1.2]]) * np.sign(g)
    words = "steps of rms(x) lr min(d, g / sqrt(v))"
    return agree(subject, advances(points), wanted, words)


def _relative(subject: Subject) -> Finding:
    random = np.random.default_rng(9)
    start, g = random.normal(size=(4, 3)), random.normal(size=(12, 4, 3))
    wanted = 1024 * (follow(subject, ADAFACTOR, start, g)[1:] - start)
    found = follow(subject, ADAFACTOR, 1024 * start, g)[1:] - 1024 * start
    return agree(subject, found, wanted, "steps relative to the point: 1024 times from 1024 x")


def _adafactor_scale(subject: Subject) -> Finding:
    random = np.random.default_rng(10)
    start, g = random.normal(size=(4, 3)), random.normal(size=(12, 4, 3))
    wanted = follow(subject, ADAFACTOR, start, g)[1:] - start
    found = follow(subject, ADAFACTOR, start, 1024 * g)[1:] - start
    return agree(subject, found, wanted, "the same path for 1024 g")


def _slows(subject: Subject) -> Finding:
    """A constant gradient of rank 1, whose moments the factors hold exactly."""
    start = np.random.default_rng(11).normal(size=(4, 3))
    g = repeated(np.outer([1.0, -2.0, 0.5, 3.0], [0.1, 1.0, -4.0]), 20)
    points = follow(subject, {**ADAFACTOR, "lr": 0.4}, start, g)
    t = np.arange(1.0, 21)[:, None, None]
    sizes = np.sqrt(np.mean(points[:-1] ** 2, axis=(1, 2), keepdims=True))
    wanted = np.maximum(sizes, 1e-3) * np.minimum(0.4, 1 / np.sqrt(t)) * np.sign(g)
    words = "steps of rms(x) min(lr, 1 / sqrt(t)) sign(g)"
    return agree(subject, advances(points), wanted, words)


LAWS = (
    Law(
        name="Muon's step is nearly orthogonal",
        source=JORDAN,
        applies=claims("Muon"),
        test=_orthogonal,
    ),
    Law(
        name="Muon steps along the polar factor",
        source=JORDAN,
        applies=claims("Muon"),
        test=_aligned,
    ),
    Law(
        name="Muon does not see the gradient's scale",
        source=JORDAN,
        applies=claims("Muon"),
        test=_muon_scale,
    ),
    Law(
        name="Muon's way is proportional to its rate",
        source=JORDAN,
        applies=claims("Muon"),
        test=_muon_rate,
    ),
    Law(
        name="Adafactor clips its step",
        source=f"{SHAZEER}, algorithm 4",
        applies=claims("Adafactor"),
        test=_clipped,
    ),
    Law(
        name="Adafactor's steps are relative",
        source=f"{SHAZEER}, section 8",
        applies=claims("Adafactor"),
        test=_relative,
    ),
    Law(
        name="Adafactor does not see the gradient's scale",
        source=f"{SHAZEER}, algorithm 4",
        applies=claims("Adafactor"),
        test=_adafactor_scale,
    ),
    Law(
        name="Adafactor slows down as 1 / sqrt(t), and factors rank 1 exactly",
        source=f"{SHAZEER}, sections 3 and 9",
        applies=claims("Adafactor"),
        test=_slows,
    ),
)
