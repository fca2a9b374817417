"""Curves fitted to data by least squares: few parameters, strongly entangled."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arithmetic import total
from ravine.problems.base import Facts
from ravine.problems.catalogue import problems
from ravine.problems.formulas.spectra import zero_residual_facts


@problems.register("conditioned", "fit", "analytic")
def brown_dennis() -> Analytic:
    """A fit of fourth powers whose residual stays large.

    f(x) = sum_i ((x_1 + t_i x_2 - e^t_i)^2 + (x_3 + x_4 sin t_i - cos t_i)^2)^2 with
    t_i = i / 5, i = 1 ... 20.

    The minimum is 85822.2, not zero, so approximations of the Hessian by J'J are poor;
    the gradient at the start is 1e6 times what a rate of 1e-3 bears.

    References:
        Moré, Garbow, Hillstrom (1981). Testing unconstrained optimization software. ACM
        Transactions on Mathematical Software 7(1), problem 16. doi 10.1145/355934.355936.
    """
    t = torch.arange(1, 21, dtype=torch.float64) / 5
    exp, sin, cos = torch.exp(t), torch.sin(t), torch.cos(t)

    def f(x: Float[Tensor, "*stack 4"]) -> Float[Tensor, "*stack"]:
        a, b, c, d = x.unsqueeze(-1).unbind(-2)
        line = a + b * t.to(x) - exp.to(x)
        wave = c + d * sin.to(x) - cos.to(x)
        return total((line.square() + wave.square()).square())

    best = (-11.5944399047622, 13.2036300512072, -0.40343948817686, 0.236778774455736)
    curvatures = (1230.66845519, 2292.1424821, 4327.45827809, 93031.79478286)
    return Analytic(
        f=f,
        dim=4,
        domain=(-30.0, 30.0),
        start_at=(25.0, 5.0, -5.0, -1.0),
        facts=Facts(
            minimum=85822.20162635634,
            minimizers=(best,),
            eigenvalues=curvatures,
            condition=curvatures[-1] / curvatures[0],
        ),
    )


@problems.register("conditioned", "fit", "analytic")
def kowalik_osborne() -> Analytic:
    """A rational rate law fitted to eleven measurements of an enzyme.

    f(x) = sum_i (y_i - x_1 (u_i^2 + u_i x_2) / (u_i^2 + u_i x_3 + x_4))^2.

    All values are small (minimum 3.075e-4), the condition is 3000, and the rate that suits
    a problem of this size does not suit the others.

    References:
        Kowalik, Osborne (1968). Methods for Unconstrained Optimization Problems. Elsevier;
        Moré, Garbow, Hillstrom (1981), problem 15. doi 10.1145/355934.355936.
    """
    y = torch.tensor(
        [0.1957, 0.1947, 0.1735, 0.16, 0.0844, 0.0627, 0.0456, 0.0342, 0.0323, 0.0235, 0.0246],
        dtype=torch.float64,
    )
    u = torch.tensor(
        [4.0, 2.0, 1.0, 0.5, 0.25, 0.167, 0.125, 0.1, 0.0833, 0.0714, 0.0625],
        dtype=torch.float64,
    )

    def f(x: Float[Tensor, "*stack 4"]) -> Float[Tensor, "*stack"]:
        a, b, c, d = x.unsqueeze(-1).unbind(-2)
        v = u.to(x)
        law = a * (v.square() + v * b) / (v.square() + v * c + d)
        return total((y.to(x) - law).square())

    best = (0.192806934579038, 0.191282328734367, 0.123056506926321, 0.136062330683795)
    curvatures = (2.89734661e-03, 1.76835923e-02, 9.21311398e-01, 8.84759565)
    return Analytic(
        f=f,
        dim=4,
        domain=(0.0, 1.0),
        start_at=(0.25, 0.39, 0.415, 0.39),
        spread=0.05,
        facts=Facts(
            minimum=0.00030750560384923805,
            minimizers=(best,),
            eigenvalues=curvatures,
            condition=curvatures[-1] / curvatures[0],
        ),
    )


@problems.register("conditioned", "fit", "analytic")
def box_3d() -> Analytic:
    """A difference of two exponentials fitted to another, with a line of solutions.

    f(x) = sum_i (e^(-t_i x_1) - e^(-t_i x_2) - x_3 (e^-t_i - e^(-10 t_i)))^2 with
    t_i = i / 10, i = 1 ... 10; zero at (1, 10, 1), at (10, 1, -1) and on the line
    x_1 = x_2, x_3 = 0.

    Exponentials of large arguments do not change: the start lies where the first and
    second coordinates have almost no gradient.

    References:
        Box (1966). A comparison of several current optimization methods. The Computer
        Journal 9(1). doi 10.1093/comjnl/9.1.67; Moré, Garbow, Hillstrom (1981), problem 12.
    """
    t = torch.arange(1, 11, dtype=torch.float64) / 10
    shape = torch.exp(-t) - torch.exp(-10 * t)

    def f(x: Float[Tensor, "*stack 3"]) -> Float[Tensor, "*stack"]:
        a, b, c = x.unsqueeze(-1).unbind(-2)
        decays = torch.exp(-a * t.to(x)) - torch.exp(-b * t.to(x))
        return total((decays - c * shape.to(x)).square())

    s = t.numpy()
    jacobian = np.stack([-s * np.exp(-s), s * np.exp(-10 * s), -shape.numpy()], 1)
    return Analytic(
        f=f,
        dim=3,
        domain=((-1.0, 12.0), (-1.0, 12.0), (-2.0, 22.0)),
        start_at=(0.0, 10.0, 20.0),
        facts=zero_residual_facts(jacobian, ((1.0, 10.0, 1.0), (10.0, 1.0, -1.0), (2.0, 2.0, 0.0))),
    )


@problems.register("conditioned", "fit", "analytic")
def jennrich_sampson() -> Analytic:
    """Two exponentials fitted to a line, beside an exponential wall.

    f(x) = sum_i (2 + 2 i - e^(i x_1) - e^(i x_2))^2, i = 1 ... 10.

    The minimum 124.362 is at x_1 = x_2 = 0.2578; a step of 0.5 too far multiplies the
    loss by 1e4.

    References:
        Jennrich, Sampson (1968). Application of stepwise regression to nonlinear
        estimation. Technometrics 10(1); Moré, Garbow, Hillstrom (1981), problem 6.
        doi 10.1145/355934.355936.
    """
    i = torch.arange(1, 11, dtype=torch.float64)

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unsqueeze(-1).unbind(-2)
        sums = torch.exp(a * i.to(x)) + torch.exp(b * i.to(x))
        return total((2 + 2 * i.to(x) - sums).square())

    best = 0.257825213670364
    curvatures = (4484.24720364, 135786.04175553)
    return Analytic(
        f=f,
        dim=2,
        domain=(-1.0, 1.0),
        start_at=(0.3, 0.4),
        spread=0.05,
        facts=Facts(
            minimum=124.36218235561483,
            minimizers=((best, best),),
            eigenvalues=curvatures,
            condition=curvatures[-1] / curvatures[0],
        ),
    )
