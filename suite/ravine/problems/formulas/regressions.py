"""Linear models trained on all their examples at once: least squares and logistic loss."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import softplus, total
from ravine.problems.base import CriticalPoint, Facts, Goal, Kind
from ravine.problems.catalogue import problems
from ravine.problems.draws import generator
from ravine.problems.formulas.spectra import quadratic_facts
from ravine.problems.matrices import multiply


@problems.register("conditioned", "convex", "neural", "analytic")
def least_squares(condition: float = 100.0, dim: int = 5) -> Analytic:
    """Linear regression on correlated features, as ill-conditioned as is asked for.

    f(w) = 1/(2m) |X w - y|^2 over m = 4 n fixed examples, with X = sqrt(m) Q diag(s) R', Q of
    orthonormal columns, R a rotation and s_i^2 evenly spaced on a log scale from
    1 / condition to 1: these are the eigenvalues of the Hessian X'X / m.

    The answers are y = X w* + r with r orthogonal to the columns of X, so w* is the
    minimizer, and |r|^2 / (2m) = 1/8 the minimum.

    Args:
        condition: of X'X / m, at least 1; that of X is its root.
        dim: n, at least 2.

    Raises:
        BadValue: an argument is outside its domain.

    References:
        Golub, Van Loan (2013). Matrix Computations, 5.3. Johns Hopkins University Press.
    """
    at_least("condition", condition, 1.0)
    at_least("dim", dim, 2)
    count = 4 * dim
    random = generator("least_squares", dim)
    # the last column of Q is the residual's direction
    q, _ = np.linalg.qr(random.standard_normal((count, dim + 1)))
    turn, _ = np.linalg.qr(random.standard_normal((dim, dim)))
    roots = np.sqrt(np.logspace(-math.log10(condition), 0, dim))
    features = math.sqrt(count) * (q[:, :dim] * roots) @ turn.T
    best = 2 * np.sign(random.standard_normal(dim)) * (0.5 + random.random(dim))
    residual = math.sqrt(count) / 2 * q[:, dim]
    inputs = torch.from_numpy(features)
    answers = torch.from_numpy(features @ best + residual)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        outputs = multiply(inputs.to(x), x.unsqueeze(-1)).squeeze(-1)
        return 0.5 / count * total((outputs - answers.to(x)).square())

    return Analytic(
        f=f,
        dim=dim,
        start_at=(0.0,) * dim,
        facts=quadratic_facts(features.T @ features / count, best, 0.125),
    )


@problems.register("convex", "neural", "analytic")
def logistic(separable: bool = False, dim: int = 3) -> Analytic:
    """Logistic regression on two clouds of points, with an intercept.

    f(w) = 1/m sum_i log(1 + exp(-y_i (w'(z_i, 1)))) over m = 10 n fixed examples z_i with
    n - 1 features and labels y_i of either sign, as many of each.

    The clouds overlap by default: no plane parts them, the minimum is finite and attained at
    one point, and the loss is strictly but not strongly convex.  Where they are separable,
    mirrored to their own side of a plane and moved away from it by 1/4, the infimum 0 is
    not attained, and targets are values.  `separable_logistic` is the same without an
    intercept.

    Args:
        separable: whether a plane parts the classes.
        dim: n, with the intercept, at least 2.

    Raises:
        BadValue: there are too few coordinates.

    References:
        Albert, Anderson (1984). On the existence of maximum likelihood estimates in logistic
        regression models. Biometrika 71(1). doi 10.1093/biomet/71.1.1.
        Soudry, Hoffer, Nacson, Gunasekar, Srebro (2018). The implicit bias of gradient
        descent on separable data. JMLR 19. arXiv 1710.10345.
    """
    at_least("dim", dim, 2)
    examples = _clouds(separable, dim)
    count = len(examples)
    rows = torch.from_numpy(examples)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        margins = multiply(rows.to(x), x.unsqueeze(-1)).squeeze(-1)
        return total(softplus(-margins)) / count

    # the second derivative of log(1 + e^-z) is at most 1/4
    smoothness = float(np.linalg.eigvalsh(examples.T @ examples)[-1]) / (4 * count)
    if separable:
        facts = Facts(
            smoothness=smoothness,
            goal=Goal.ESCAPE,
            targets=(0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.001),
        )
    else:
        facts = _fitted(examples, smoothness)
    return Analytic(f=f, dim=dim, domain=(-20.0, 20.0), start_at=(0.0,) * dim, facts=facts)


def _clouds(separable: bool, dim: int) -> Float[np.ndarray, "m {dim}"]:
    """Examples times their labels, y_i (z_i, 1)."""
    random = generator("logistic", dim)
    labels = np.resize([1.0, -1.0], 10 * dim)
    unit = np.full(dim - 1, 1 / math.sqrt(dim - 1))
    features = random.standard_normal((10 * dim, dim - 1)) * np.linspace(0.5, 2.0, dim - 1)
    along = features @ unit
    side = labels * (0.25 + np.abs(along)) if separable else along + 0.5 * labels
    features += np.outer(side - along, unit)
    return labels[:, None] * np.column_stack([features, np.ones(len(labels))])


def _fitted(examples: Float[np.ndarray, "m n"], smoothness: float) -> Facts:
    """Facts of the loss on classes that overlap, by Newton's method with halved steps."""

    def loss(w: np.ndarray) -> float:
        return float(np.logaddexp(0, -examples @ w).mean())

    w = np.zeros(examples.shape[1])
    hessian = np.eye(len(w))
    for _ in range(30):
        wrong = 0.5 * (1 - np.tanh(0.5 * examples @ w))
        hessian = (examples.T * (wrong * (1 - wrong))) @ examples / len(examples)
        step = np.linalg.solve(hessian, examples.T @ wrong / len(examples))
        while loss(w + step) > loss(w) + 1e-15:
            step /= 2
        w = w + step
    eigenvalues = tuple(np.linalg.eigvalsh(hessian).tolist())
    return Facts(
        minimum=loss(w),
        minimizers=(tuple(w.tolist()),),
        critical_points=(CriticalPoint(tuple(w.tolist()), loss(w), Kind.MINIMUM),),
        complete=True,
        eigenvalues=eigenvalues,
        condition=eigenvalues[-1] / eigenvalues[0],
        smoothness=smoothness,
        source="Newton's method, to rounding",
    )
