"""Problems about which a theorem says what a method does."""

import math
from collections.abc import Sequence
from itertools import product as combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least, at_most, positive
from ravine.problems.arithmetic import softplus, total
from ravine.problems.base import NOISY_GAPS, CriticalPoint, Facts, Goal, Kind, Traits
from ravine.problems.catalogue import problems
from ravine.problems.draws import generator
from ravine.problems.noise import Noise


def _quadratic(eigenvalues: Sequence[float]) -> tuple[Float[Tensor, "n"], Facts]:
    """Weights and facts of 1/2 sum_i lambda_i x_i^2."""
    curvatures = tuple(sorted(float(e) for e in eigenvalues))
    origin = (0.0,) * len(curvatures)
    return torch.tensor(eigenvalues, dtype=torch.float64) / 2, Facts(
        minimum=0.0,
        minimizers=(origin,),
        critical_points=(CriticalPoint(origin, 0.0, Kind.MINIMUM),),
        complete=True,
        eigenvalues=curvatures,
        condition=curvatures[-1] / curvatures[0],
        smoothness=curvatures[-1],
        strong_convexity=curvatures[0],
    )


@problems.register("theory", "convex", "analytic")
def quadratic(eigenvalues: tuple[float, ...] = (1.0, 10.0)) -> Analytic:
    """A quadratic of given curvatures, on which the classical rates are exact.

    f(x) = 1/2 sum_i lambda_i x_i^2.

    Gradient descent converges exactly for lr < 2 / lambda_max, with the rate
    max |1 - lr lambda_i|; for momentum and Nesterov's method see `ravine.problems.formulas.rates`.

    Args:
        eigenvalues: the lambda_i, positive.

    References:
        Polyak (1987). Introduction to Optimization, 1.4 and 3.2. Optimization Software.
    """
    at_least("number of eigenvalues", len(eigenvalues), 1)
    for eigenvalue in eigenvalues:
        positive("eigenvalues", eigenvalue)
    weights, facts = _quadratic(eigenvalues)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(weights.to(x) * x.square())

    return Analytic(f=f, dim=len(eigenvalues), facts=facts)


@problems.register("theory", "noise", "convex", "analytic")
def noisy_quadratic(dim: int = 10, batch: int = 1) -> Analytic:
    """The noisy quadratic model of neural network training.

    f(x) = 1/2 sum_i h_i x_i^2 with h_i = 1/i, with Gaussian gradient noise of covariance
    diag(h_i) / B for the batch size B.

    Steep directions are noisy ones, so a rate that makes them quiet is slow in all
    others.  The expected loss of plain descent is known at every step: `expected_loss`.

    Args:
        dim: n.
        batch: B.

    References:
        Zhang, Li, Nado, Martens, Sachdeva, Dahl, Shallue, Grosse (2019). Which
        algorithmic choices matter at which batch sizes? Insights from a noisy quadratic
        model. arXiv 1907.04164.
    """
    at_least("dim", dim, 1)
    at_least("batch", batch, 1)
    curvatures = 1 / np.arange(1.0, dim + 1)
    weights, facts = _quadratic(curvatures.tolist())

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        return total(weights.to(x) * x.square())

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        return np.sqrt(curvatures / batch) * random.standard_normal((steps, dim))

    return Analytic(
        f=f,
        dim=dim,
        start_at=(1.0,) * dim,
        noise=Noise(offset=offset),
        facts=Facts(
            minimum=0.0,
            minimizers=facts.minimizers,
            eigenvalues=facts.eigenvalues,
            condition=facts.condition,
            smoothness=facts.smoothness,
            strong_convexity=facts.strong_convexity,
            targets=NOISY_GAPS,
        ),
        traits=Traits(stochastic=True),
    )


def expected_loss(start: Sequence[float], lr: float, steps: int, batch: int = 1) -> np.ndarray:
    """Expected loss of plain descent on `noisy_quadratic`, exact at every step.

    E f(x_t) = 1/2 sum_i h_i m_i(t) with m_i(0) = x_i(0)^2 and
    m_i(t+1) = (1 - lr h_i)^2 m_i(t) + lr^2 h_i / B.

    Args:
        start: x(0).
        lr: learning rate.
        steps: T.
        batch: B.

    Returns:
        The expectations before step 0, 1, ..., T, `[T + 1]`.

    Example:
        >>> expected_loss([1.0], lr=1.0, steps=2)
        array([0.5, 0.5, 0.5])

    References:
        Zhang et al. (2019). arXiv 1907.04164, equation (3) and appendix.
    """
    curvatures = 1 / np.arange(1.0, len(start) + 1)
    moments = np.empty((steps + 1, len(start)))
    moments[0] = np.square(start)
    for t in range(steps):
        moments[t + 1] = (1 - lr * curvatures) ** 2 * moments[t] + lr**2 * curvatures / batch
    return np.asarray(moments @ curvatures / 2)


def steady_loss(dim: int, lr: float, batch: int = 1) -> float:
    """What `expected_loss` tends to, sum_i lr h_i / (2 B (2 - lr h_i)), for lr < 2.

    Example:
        >>> steady_loss(1, lr=1.0)
        0.5
    """
    curvatures = 1 / np.arange(1.0, dim + 1)
    return float(np.sum(lr * curvatures / (2 * batch * (2 - lr * curvatures))))


@problems.register("theory", "noise", "convex", "analytic")
def reddi(large: float = 1010.0, small: float = 10.0, probability: float = 0.01) -> Analytic:
    """The convex problem on which Adam goes to the worst point.

    f(x) = c x on [-1, 1], the mean of the slopes `large` with the given probability p and
    -`small` otherwise: c = p large - (1 - p) small, 0.2 by default; minimum -c at -1.

    A rare large gradient points the right way, many small ones the wrong way.  Adam
    divides the large one by its own size and forgets it soon, so with beta_2 = 0.99 it
    drifts to +1; AMSGrad, which does not forget, does not.  The defaults are the paper's
    experiment and need millions of steps; `reddi(large=5, small=1, probability=0.25)`
    shows the same within hundreds, with beta_1 = 0 and beta_2 = 1/26.

    Args:
        large: the rare slope.
        small: minus the common slope.
        probability: p, of the rare slope; large enough to make c positive.

    References:
        Reddi, Kale, Kumar (2018). On the convergence of Adam and beyond, theorems 1 and 3
        and section 5. arXiv 1904.09237.
    """
    positive("large", large)
    positive("small", small)
    at_most("probability", probability, 1.0)
    slope = probability * large - (1 - probability) * small
    if not slope > 0:
        raise BadValue(f"the mean slope must be positive, got {slope}; raise `probability`")

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        return slope * x[..., 0]

    def multiplier(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        rare = random.random((steps, dim)) < probability
        return np.where(rare, large / slope, -small / slope)

    return Analytic(
        f=f,
        dim=1,
        domain=(-1.0, 1.0),
        start_at=(0.0,),
        noise=Noise(multiplier=multiplier),
        facts=Facts(minimum=-slope, minimizers=((-1.0,),), targets=NOISY_GAPS),
        traits=Traits(stochastic=True, box=((-1.0, 1.0),)),
    )


@problems.register("theory", "convex", "analytic")
def lessard() -> Analytic:
    """The strongly convex function on which the well-tuned heavy ball never arrives.

    f(x) has the gradient 25 x for x < 1, x + 24 for 1 <= x < 2 and 25 x - 24 for x >= 2,
    and f(0) = 0.

    With L = 25 and m = 1 the tuning that is optimal on quadratics, lr = 1/9 and momentum
    4/9, enters a cycle of period 3 from starts in [3.07, 3.46], among which runs begin;
    gradient descent and Nesterov's method converge.

    References:
        Lessard, Recht, Packard (2016). Analysis and design of optimization algorithms via
        integral quadratic constraints, 4.6. arXiv 1408.3595.
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        z = x[..., 0]
        steep = 12.5 * z.square()
        gentle = 0.5 * z.square() + 24 * z - 12
        beyond = steep - 24 * z + 36
        return torch.where(z < 1, steep, torch.where(z < 2, gentle, beyond))

    return Analytic(
        f=f,
        dim=1,
        start_at=(3.265,),
        spread=0.195,
        shift=0.0,  # the cycle is known by its numbers
        facts=Facts(
            minimum=0.0,
            minimizers=((0.0,),),
            critical_points=(CriticalPoint((0.0,), 0.0, Kind.MINIMUM),),
            complete=True,
            eigenvalues=(25.0,),
            condition=1.0,
            smoothness=25.0,
            strong_convexity=1.0,
        ),
    )


@problems.register("theory", "saddle", "analytic")
def octopus(
    dim: int = 5, tau: float = math.e, smoothness: float = 2.0, gamma: float = 1.0
) -> Analytic:
    """A chain of strict saddles, each of which takes plain descent longer than the last.

    f(x) = sum_i (1 - a_i) L x_i^2 + a_i p(|x_i|) with a_1 = 1, a_i = s(|x_{i-1}| / tau - 1)
    and s the quintic step from 0 to 1 on [0, 1]; p(z) = -gamma z^2 up to tau,
    L (z - 4 tau)^2 - nu from 2 tau on, and between them the quartic
    -gamma z^2 + (10 gamma - 14 L) (z - tau)^3 / (3 tau) + (5 L - 3 gamma) (z - tau)^4 /
    (2 tau^2).  Minimum -n nu at |x_i| = 4 tau, with nu = (37 L + 13 gamma) tau^2 / 6.

    Where coordinate i - 1 has not left yet, coordinate i is pulled to 0, by a factor each
    step; the time to leave grows as ((L + gamma) / gamma)^i.  Noise ends that: perturbed
    descent leaves all saddles in about the same time.  Targets are values, each half way
    down behind one more saddle.

    On the paper's domain, a tube along the way from saddle to saddle, this is its
    function exactly (all signs mirrored).  Outside of it the paper extends the function
    by Whitney's theorem, without a formula; here the sum itself is the extension.  It is
    twice continuously differentiable, and each critical point that is no minimum has a
    coordinate at 0 with curvature -2 gamma, so it is a strict saddle.

    Args:
        dim: n, the number of saddles in the chain.
        tau: width of a saddle.
        smoothness: L, half the positive curvature.
        gamma: half the negative curvature.

    References:
        Du, Jin, Lee, Jordan, Póczos, Singh (2017). Gradient descent can take exponential
        time to escape saddle points, section 4. arXiv 1705.10412.
    """
    at_least("dim", dim, 2)
    for name, value in (("tau", tau), ("smoothness", smoothness), ("gamma", gamma)):
        positive(name, value)
    if not smoothness >= gamma:
        raise BadValue(f"`smoothness` must be at least `gamma`, got {smoothness} < {gamma}; swap")
    nu = (37 * smoothness + 13 * gamma) / 6 * tau**2
    cubic = tau**2 * (10 * gamma - 14 * smoothness) / 3
    quartic = tau**2 * (5 * smoothness - 3 * gamma) / 2

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        size, square = x.abs(), x.square()
        t = (size / tau - 1).clamp(0, 1)
        cube = t**3
        leaving = cube * (cubic + quartic * t) - gamma * square
        settled = smoothness * (size - 4 * tau).square() - nu
        free = torch.where(size <= 2 * tau, leaving, settled)
        step = cube * (10 + t * (6 * t - 15))
        gate = torch.cat([torch.ones_like(step[..., :1]), step[..., :-1]], -1)
        bound = smoothness * square
        return total(bound + gate * (free - bound))

    far = 4 * tau
    signs = combinations((far, -far), repeat=dim) if dim <= 4 else [(far,) * dim, (-far,) * dim]
    saddles = [(far,) * k + (0.0,) * (dim - k) for k in range(dim)]
    return Analytic(
        f=f,
        dim=dim,
        domain=(-6 * tau, 6 * tau),
        start_at=(0.0,) * dim,
        spread=1.0,
        facts=Facts(
            minimum=-dim * nu,
            minimizers=tuple(signs),
            critical_points=tuple(
                CriticalPoint(x, -k * nu, Kind.SADDLE) for k, x in enumerate(saddles)
            ),
            eigenvalues=(2.0 * smoothness,) * dim,
            condition=1.0,
            goal=Goal.ESCAPE,
            targets=tuple(-(k + 0.5) * nu for k in range(dim)),
        ),
    )


@problems.register("theory", "convex", "analytic")
def separable_logistic(dim: int = 2) -> Analytic:
    """Logistic regression on data that a plane separates: the loss has no minimum.

    f(x) = 1/m sum_i log(1 + exp(-z_i'x)) over m = 20 fixed examples z_i, each with
    z_i'u >= 1/4 for u = (1, ..., 1) / sqrt(n).

    The infimum 0 is approached as |x| grows, and the direction, not the length, is what
    is learnt: gradient descent's tends to the largest margin, an adaptive method's need
    not.  Targets are values.

    Args:
        dim: n.

    References:
        Wilson, Roelofs, Stern, Srebro, Recht (2017). The marginal value of adaptive
        gradient methods in machine learning. arXiv 1705.08292; Soudry, Hoffer, Nacson,
        Gunasekar, Srebro (2018). arXiv 1710.10345.
    """
    at_least("dim", dim, 2)
    random = generator("separable_logistic", dim)
    unit = np.full(dim, 1 / math.sqrt(dim))
    across = random.standard_normal((20, dim))
    across -= np.outer(across @ unit, unit)
    examples = across + np.outer(0.25 + random.exponential(0.5, 20), unit)
    z = torch.from_numpy(examples)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        margins = total(z.to(x) * x.unsqueeze(-2))
        return total(softplus(-margins)) / 20

    steepest = float(np.linalg.eigvalsh(examples.T @ examples)[-1]) / 80
    return Analytic(
        f=f,
        dim=dim,
        domain=(-20.0, 20.0),
        start_at=(0.0,) * dim,
        spread=0.1,
        facts=Facts(
            smoothness=steepest,
            goal=Goal.ESCAPE,
            targets=(0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001),
        ),
    )


@problems.register("theory", "analytic")
def newton_cycle() -> Analytic:
    """The quartic on which Newton's method goes back and forth for ever.

    f(x) = x^4 / 4 - x^2 + 2 x, with f'(x) = x^3 - 2 x + 2, minimum at -1.7693.

    Newton's method for f' = 0 jumps from 0 to 1 and back, a cycle that attracts its
    neighbourhood, where runs begin; first-order methods walk to the minimum.

    References:
        Strang (1991). A chaotic search for i. The College Mathematics Journal 22(1);
        Press et al. (2007). Numerical Recipes, 9.4 (Newton's cycles).
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        z = x[..., 0]
        square = z.square()
        return square * (0.25 * square - 1) + 2 * z

    (lowest,) = (float(r.real) for r in np.roots([1.0, 0.0, -2.0, 2.0]) if abs(r.imag) < 1e-9)
    value = lowest**4 / 4 - lowest**2 + 2 * lowest
    return Analytic(
        f=f,
        dim=1,
        domain=(-3.0, 3.0),
        start_at=(0.0,),
        spread=0.05,
        facts=Facts(
            minimum=value,
            minimizers=((lowest,),),
            critical_points=(CriticalPoint((lowest,), value, Kind.MINIMUM),),
            complete=True,
            eigenvalues=(3 * lowest**2 - 2,),
            condition=1.0,
        ),
    )
