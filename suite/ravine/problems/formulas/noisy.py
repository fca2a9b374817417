"""Families of gradient noise over any problem given by a formula.

The loss that is scored stays exact; only the gradient is disturbed, by draws that all
settings of a comparison share.  A multiplier and an offset may be combined by nesting
one wrapper in another: g becomes multiplier * g + offset, whatever the order of nesting.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, at_most, positive
from ravine.problems.base import Facts, Goal
from ravine.problems.catalogue import analytic, problems
from ravine.problems.noise import Noise, Sampler
from ravine.registry import Id


def _coarse(facts: Facts, hardest: float = 1e-3) -> Facts:
    """Facts without the relative gaps that inexact gradients put out of reach.

    Targets that are values stay as they are.
    """
    if facts.goal is not Goal.MINIMUM:
        return facts
    # a little slack, for 1e-3 may have been computed
    kept = tuple(t for t in facts.targets if t >= hardest * (1 - 1e-9))
    return replace(facts, targets=kept or facts.targets[:1])


def _disturbed(
    base: str | Id,
    multiplier: Sampler | None = None,
    offset: Sampler | None = None,
    memory: int = 1,
    hardest: float = 1e-3,
) -> Analytic:
    """The base with one more part of noise, and targets no harder than the noise allows."""
    inner = analytic(base)
    noise = inner.noise or Noise()
    added: dict[str, Any] = {"multiplier": multiplier} if offset is None else {"offset": offset}
    (part,) = added
    if getattr(noise, part) is not None:
        raise BadValue(f"`{inner.name}` has a noisy {part} already; wrap a problem without")
    if memory > 1:
        added["memory"] = memory
    return replace(
        inner,
        noise=replace(noise, **added),
        facts=_coarse(inner.facts, hardest),
        traits=replace(inner.traits, stochastic=True),
    )


@problems.register("noise", "analytic")
def gaussian_noise(base: str | Id = "sphere", scale: float = 0.1) -> Analytic:
    """Gaussian noise added to every gradient entry.

    f(x) = base(x), with gradient g + scale * xi, xi standard normal.

    The noise does not fade at the minimum, so a constant rate ends in a cloud whose loss
    grows with the rate; progress needs decay or averaging.

    Args:
        base: the id of a formula.
        scale: standard deviation of an entry's noise.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization,
        additive noise. arXiv 1312.6055.
    """
    positive("scale", scale)

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return scale * random.standard_normal((steps, dim))

    return _disturbed(base, offset=offset)


@problems.register("noise", "analytic")
def multiplicative_noise(base: str | Id = "ellipsoid", scale: float = 1.0) -> Analytic:
    """Noise in proportion to the gradient.

    f(x) = base(x), with gradient (1 + scale * xi) g entry by entry, xi standard normal.

    Unbiased, and it fades with the gradient: constant rates converge, but only below
    2 / ((1 + scale^2) lambda_max) on a quadratic, in the mean square.

    Args:
        base: the id of a formula.
        scale: standard deviation relative to the gradient entry.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization,
        multiplicative noise (there log-normal). arXiv 1312.6055.
    """
    positive("scale", scale)

    def multiplier(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return 1 + scale * random.standard_normal((steps, dim))

    return _disturbed(base, multiplier=multiplier)


@problems.register("noise", "analytic")
def cauchy_noise(base: str | Id = "sphere", scale: float = 0.01) -> Analytic:
    """Noise with tails so heavy that it has neither variance nor mean.

    f(x) = base(x), with gradient g + scale * xi, xi standard Cauchy (median 0, quartiles
    -1 and 1).

    Averages do not help, for the average of Cauchy numbers is as heavy as one of them;
    methods that clip or use signs alone survive.

    Args:
        base: the id of a formula.
        scale: half the distance between the quartiles.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization, Cauchy
        noise; Zhang et al. (2020). Why are adaptive methods good for attention models?
        arXiv 1912.03194.
    """
    positive("scale", scale)

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return scale * random.standard_cauchy((steps, dim))

    return _disturbed(base, offset=offset, hardest=1e-2)


@problems.register("noise", "analytic")
def mask_out(base: str | Id = "rosenbrock", probability: float = 0.5) -> Analytic:
    """Gradient entries that are lost at random.

    f(x) = base(x), with each gradient entry set to 0 with the given probability p.

    Biased: the mean gradient is 1 - p times the right one, in every coordinate alike, so
    its direction is right on average and never in a single step.

    Args:
        base: the id of a formula.
        probability: p, below 1.

    References:
        Schaul, Antonoglou, Silver (2014). Unit Tests for Stochastic Optimization,
        mask-out noise. arXiv 1312.6055.
    """
    positive("probability", probability)
    at_most("probability", probability, 0.999)

    def multiplier(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return np.where(random.random((steps, dim)) < probability, 0.0, 1.0)

    return _disturbed(base, multiplier=multiplier)


@problems.register("noise", "analytic")
def sparse_gradient(base: str | Id = "ellipsoid", density: float = 0.1) -> Analytic:
    """Gradients of which few entries are not zero, as of rare words.

    f(x) = base(x), with each gradient entry multiplied by 1/p with probability p, else by
    0.

    Unbiased, with variance (1/p - 1) g^2.  A running average of squares forgets between
    two visits, so what comes at last is divided by too small a number.

    Args:
        base: the id of a formula.
        density: p, the share of entries that are not zero.

    References:
        Duchi, Hazan, Singer (2011). Adaptive subgradient methods for online learning and
        stochastic optimization. JMLR 12.
    """
    positive("density", density)
    at_most("density", density, 1.0)

    def multiplier(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return np.where(random.random((steps, dim)) < density, 1 / density, 0.0)

    return _disturbed(base, multiplier=multiplier)


@problems.register("noise", "analytic")
def autocorrelated_noise(
    base: str | Id = "sphere", scale: float = 0.1, memory: int = 10
) -> Analytic:
    """Gaussian noise that changes slowly, as from data that are not shuffled.

    f(x) = base(x), with gradient g + scale * xi_t, xi_t = (z_t + ... + z_{t-m+1}) / m^(1/2)
    of independent standard normal z and the memory m.

    Each step's noise is that of `gaussian_noise`, but m steps agree nearly, with
    correlation 1 - k/m at a distance of k < m steps, and push in one direction together.

    Args:
        base: the id of a formula.
        scale: standard deviation of an entry's noise.
        memory: m, in steps, up to 64.

    References:
        Kühn, Rosenow (2023). Anti-correlated noise in epoch-based stochastic gradient
        descent, on what shuffling prevents. arXiv 2306.05300.
    """
    positive("scale", scale)
    at_least("memory", memory, 2)
    at_most("memory", memory, 64)

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return scale * random.standard_normal((steps, dim))

    return _disturbed(base, offset=offset, memory=memory)


@problems.register("noise", "analytic")
def burst_noise(
    base: str | Id = "sphere", scale: float = 0.01, outlier: float = 10.0, probability: float = 0.01
) -> Analytic:
    """Small noise with rare outliers, as from corrupt batches.

    f(x) = base(x), with gradient g + s * xi, xi standard normal; for a whole step s is the
    outlier scale with the given probability, else the scale.

    The variance is finite, unlike that of Cauchy noise, but almost all of it comes from
    one step in a hundred: estimates of it are wrong for most of a run.

    Args:
        base: the id of a formula.
        scale: standard deviation of an entry's noise at most steps.
        outlier: standard deviation at an outlying step.
        probability: of an outlying step.

    References:
        Tukey (1960). A survey of sampling from contaminated distributions. In
        Contributions to Probability and Statistics, Stanford University Press.
    """
    positive("scale", scale)
    positive("outlier", outlier)
    positive("probability", probability)
    at_most("probability", probability, 1.0)

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        size = np.where(random.random((steps, 1)) < probability, outlier, scale)
        return size * random.standard_normal((steps, dim))

    return _disturbed(base, offset=offset, hardest=1e-2)


@problems.register("noise", "analytic")
def quantised(base: str | Id = "sphere", quantum: float = 0.01) -> Analytic:
    """A problem whose gradients are rounded, as in arithmetic of few bits.

    f(x) = base(x), with each gradient entry rounded to the nearest multiple of the
    quantum.

    Deterministic and biased: entries below half a quantum are lost, so every method that
    only rescales gradients stops at a floor.

    Args:
        base: the id of a formula.
        quantum: the grid of representable gradients.

    References:
        Gupta, Agrawal, Gopalakrishnan, Narayanan (2015). Deep learning with limited
        numerical precision (there also with random rounding). arXiv 1502.02551.
    """
    positive("quantum", quantum)
    inner = analytic(base)
    noise = inner.noise or Noise()
    if noise.quantum:
        raise BadValue(f"`{inner.name}` is quantised already; quantise it once")
    return replace(inner, noise=replace(noise, quantum=quantum), facts=_coarse(inner.facts))
