"""What a gradient step should do by the quadratic model of the loss, and what it does."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.landscape.operators import Operator, hessian
from ravine.landscape.spectrum.lanczos import Eigenpairs, extreme
from ravine.landscape.surface import Surface, loss, loss_and_gradient


@dataclass(frozen=True, slots=True, kw_only=True)
class Descent:
    """One point of a run, on one batch: gradient g, Hessian H, and the step -R g.

    R is the learning rate, or the diagonal of the rates of parameter groups.

    Args:
        loss: f(x).
        gg: g'g.
        ghg: g'Hg.
        rate: the learning rate; the largest where there are several; NaN where unknown.
        linear: -g'Rg, the change that the gradient alone predicts.
        quadratic: (Rg)'H(Rg) / 2, what curvature adds to it.
        actual: f(x - Rg) - f(x).
        cosine: between g and the gradient at the previous look; NaN without one.
        sharpness: largest eigenvalue of H; NaN where it was not asked for.
        residual: of the sharpness.
        converged: of the sharpness.
        threshold: the sharpness at which steps at this rate become unstable on a quadratic;
            2 / rate for gradient descent, NaN for methods without such a number.
    """

    loss: float
    gg: float
    ghg: float
    rate: float
    linear: float
    quadratic: float
    actual: float
    cosine: float = math.nan
    sharpness: float = math.nan
    residual: float = math.nan
    converged: bool = True
    threshold: float = math.nan

    @property
    def curvature(self) -> float:
        """Along the gradient, g'Hg / g'g."""
        return self.ghg / self.gg if self.gg else math.nan

    @property
    def predicted(self) -> float:
        """Change of the loss by a gradient step in the quadratic model.

        -rate g'g + rate^2 g'Hg / 2.
        """
        return self.linear + self.quadratic

    @property
    def ill_conditioned(self) -> bool:
        """Whether curvature takes back more than the gradient gains.

        rate^2 g'Hg / 2 > rate g'g, so that a gradient step is predicted to go uphill.

        References:
            Goodfellow, Bengio and Courville (2016). Deep Learning, section 8.2.1.
        """
        return self.quadratic > -self.linear

    @property
    def stability(self) -> float:
        """Sharpness times rate over 2; gradient descent is stable on a quadratic below 1."""
        return self.sharpness * self.rate / 2


def descent(
    surface: Surface,
    x: Float[Tensor, " P"],
    rates: float | Float[Tensor, " P"],
    *,
    previous: Float[Tensor, " P"] | None = None,
    sharp: bool = True,
    tol: float = 1e-2,
    momentum: float = 0.0,
) -> Descent:
    """Measure the gradient step at one point.

    Args:
        surface: f, the loss that the step descends.
        x: the point.
        rates: of every coordinate, or the one learning rate.
        previous: gradient of an earlier step.
        sharp: also compute the largest eigenvalue of the Hessian.
        tol: of its residual, relative to it.
        momentum: beta of heavy-ball momentum, whose threshold is (2 + 2 beta) / rate.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> bowl = surface(problem("sphere(dim=2)"))
        >>> step = descent(bowl, torch.tensor([2.0, 0.0], dtype=torch.float64), 0.25)
        >>> step.predicted, step.actual, step.stability
        (-3.0, -3.0, 0.25)
    """
    bend = hessian(surface, x)
    top = extreme(bend, largest=1, tol=tol) if sharp else None
    value, slope = loss_and_gradient(surface, x)
    rate = rates if isinstance(rates, float) else rates.max().item()
    threshold = (2 + 2 * momentum) / rate if rate > 0 else math.nan
    return measured(surface, x, bend, value, slope, rates, previous, top, threshold)


def measured(
    surface: Surface,
    x: Float[Tensor, " P"],
    bend: Operator,
    value: Float[Tensor, ""],
    slope: Float[Tensor, " P"],
    rates: float | Float[Tensor, " P"],
    previous: Float[Tensor, " P"] | None,
    top: Eigenpairs | None,
    threshold: float,
) -> Descent:
    """A `Descent` from parts that its caller goes on using."""
    step = -(rates * slope).to(slope.dtype)
    one_rate = isinstance(rates, float)
    rate = rates if isinstance(rates, float) else rates.max().item()
    bent = bend(slope[None] if one_rate else torch.stack([slope, step]))
    ghg = dot(slope, bent[0])
    return Descent(
        loss=value.item(),
        gg=dot(slope, slope),
        ghg=ghg,
        rate=rate,
        linear=dot(slope, step),
        quadratic=rate**2 * ghg / 2 if one_rate else dot(step, bent[1]) / 2,
        actual=(loss(surface, x + step) - value).item(),
        cosine=math.nan if previous is None else cosine(slope, previous),
        sharpness=math.nan if top is None else top.values[0],
        residual=math.nan if top is None else top.residuals[0],
        converged=top is None or top.converged[0],
        threshold=threshold,
    )


def dot(a: Float[Tensor, " P"], b: Float[Tensor, " P"]) -> float:
    """a'b, added up in float64."""
    return torch.dot(a.double(), b.double()).item()


def cosine(a: Float[Tensor, " P"], b: Float[Tensor, " P"]) -> float:
    """Of the angle between two vectors; NaN where one is zero."""
    lengths = math.sqrt(dot(a, a) * dot(b, b))
    return dot(a, b) / lengths if lengths else math.nan
