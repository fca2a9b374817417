"""Sums of bumps, each a basin of its own, on a plain where gradients vanish."""

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ravine.problems.analytic import Analytic
from ravine.problems.arguments import at_least
from ravine.problems.arithmetic import total
from ravine.problems.base import CriticalPoint, Facts, Goal, Kind
from ravine.problems.catalogue import problems
from ravine.problems.draws import generator
from ravine.problems.formulas.points import critical, heights


@problems.register("multimodal", "analytic")
def peaks() -> Analytic:
    """Three hollows and three hills made of a few Gaussians, flat around them.

    f(x, y) = 3 (1 - x)^2 exp(-x^2 - (y + 1)^2) - 10 (x/5 - x^3 - y^5) exp(-x^2 - y^2)
              - exp(-(x + 1)^2 - y^2) / 3.

    Away from the middle the gradient vanishes exponentially.

    References:
        The MathWorks. MATLAB, function `peaks`.
    """

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        aa, bb = x.square().unbind(-1)
        hill = 3 * (1 - a).square() * torch.exp(-aa - (b + 1).square())
        wave = ((2 - 10 * aa) * a - 10 * bb.square() * b) * torch.exp(-aa - bb)
        return hill - wave - torch.exp(-(a + 1).square() - bb) / 3

    minima = critical(
        Kind.MINIMUM,
        (0.2964455538468, 0.3201962476668, -0.06493586825553),
        (-1.347396244368, 0.204518866097, -3.0498494028),
        (0.2282789205564, -1.6255349575, -6.551133332836),
    )
    saddles = critical(
        Kind.SADDLE,
        (0.4163233216785, -0.3941450984024, 0.4085479245941),
        (-0.2659375568372, 0.4667399937263, 0.788293462679),
        (1.098272834335, 0.8544609795248, 2.249191661527),
    )
    maxima = critical(
        Kind.MAXIMUM,
        (1.285684697241, -0.004847559075594, 3.592489918003),
        (-0.4600245180344, -0.6291965087168, 3.776580998532),
        (-0.009317581959954, 1.581367962939, 8.106213589442),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=(-3.0, 3.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima + saddles + maxima,
            complete=True,
            goal=Goal.BASIN,
            targets=heights(minima[:-1]),
            source="Newton search in float64",
        ),
    )


@problems.register("multimodal", "analytic")
def langermann() -> Analytic:
    """Rings of waves around five centres, which add up and cancel.

    f(x) = -sum_k c_k exp(-d_k / pi) cos(pi d_k), d_k = |x - a_k|^2, five centres a_k.

    Some seven hundred basins in no order, and waves that get finer outwards while they
    die away.

    References:
        Bersini, Dorigo, Langerman, Seront, Gambardella (1996). Results of the first
        international contest on evolutionary optimisation. ICEC 1996, 611-615.
        doi 10.1109/ICEC.1996.542670.
    """
    centres = torch.tensor(
        [[3.0, 5.0], [5.0, 2.0], [2.0, 1.0], [1.0, 4.0], [7.0, 9.0]], dtype=torch.float64
    )
    weights = torch.tensor([-1.0, -2.0, -5.0, -2.0, -3.0], dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        d = total((x.unsqueeze(-2) - centres.to(x)).square())
        return total(weights.to(x) * torch.exp(d / -math.pi) * torch.cos(math.pi * d))

    minima = critical(
        Kind.MINIMUM,
        (1.204218033105, 3.357678125701, -0.9767989290287),
        (3.88322817712, 0.3504411068834, -1.970603314561),
        (0.8395093516672, 2.61683852865, -2.486764177901),
        (6.999951020075, 8.999951170543, -3.000037600555),
        (2.18498658431, 2.386136336526, -3.363099394419),
        (1.928939495219, 1.243795363711, -4.892808778962),
        (2.241810512734, 1.091887949536, -4.904366272651),
        (2.002992119934, 1.006095940292, -5.162126159964),
    )
    return Analytic(
        f=f,
        dim=2,
        domain=(0.0, 10.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima,
            goal=Goal.BASIN,
            targets=heights(minima[:-1]),
            source="Newton search from 20000 points in float64",
        ),
    )


@problems.register("multimodal", "analytic")
def shekel() -> Analytic:
    """Ten foxholes in four dimensions, the narrowest of them the deepest.

    f(x) = -sum_{k=1..10} 1 / (|x - a_k|^2 + b_k), ten centres a_k and widths b_k.

    Between the holes there is almost no slope, and the widest of them are not the best.

    References:
        Shekel (1971). Test functions for multimodal search techniques. Fifth Annual
        Princeton Conference on Information Science and Systems, 354-359.
        Dixon, Szegö (1978). The global optimization problem: an introduction. In: Towards
        Global Optimisation 2, 1-15. North-Holland.
    """
    centres = torch.tensor(
        [
            [4.0, 4.0, 4.0, 4.0],
            [1.0, 1.0, 1.0, 1.0],
            [8.0, 8.0, 8.0, 8.0],
            [6.0, 6.0, 6.0, 6.0],
            [3.0, 7.0, 3.0, 7.0],
            [2.0, 9.0, 2.0, 9.0],
            [5.0, 5.0, 3.0, 3.0],
            [8.0, 1.0, 8.0, 1.0],
            [6.0, 2.0, 6.0, 2.0],
            [7.0, 3.6, 7.0, 3.6],
        ],
        dtype=torch.float64,
    )
    widths = torch.tensor([0.1, 0.2, 0.2, 0.4, 0.4, 0.6, 0.3, 0.7, 0.5, 0.5], dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        d = total((x.unsqueeze(-2) - centres.to(x)).square())
        return total(-1 / (d + widths.to(x)))

    minima = critical(
        Kind.MINIMUM,
        (7.986775944149, 1.012238792341, 7.986440909124, 1.011903757316, -1.676553250239),
        (2.005101084389, 8.991293065605, 2.004914877311, 8.991106858527, -1.859480301217),
        (6.00557890531, 2.010014983664, 6.004370063085, 2.008806141439, -2.42173402726),
        (6.991635363691, 3.595579854279, 6.990656445772, 3.59460093636, -2.427335200074),
        (3.001273589844, 7.000228516007, 3.000732798802, 6.999687724965, -2.806630720801),
        (5.999013451206, 5.997283664576, 5.998236248717, 5.996506462087, -2.87114270523),
        (4.994872099377, 4.993981460812, 3.007555913013, 3.006665274448, -3.835426803209),
        (1.000366260504, 1.000302242612, 1.000316987885, 1.000252969994, -5.128480786627),
        (7.999478459396, 7.999453550264, 7.999461304891, 7.999436395759, -5.175646741648),
        (4.000746531592, 4.000592934139, 3.99966339804, 3.999509800587, -10.53640981669),
    )
    return Analytic(
        f=f,
        dim=4,
        domain=(0.0, 10.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima,
            goal=Goal.BASIN,
            targets=heights(minima[1:-1]),
            source="Newton search from 6000 points in float64",
        ),
    )


@problems.register("multimodal", "analytic")
def hartmann_3() -> Analytic:
    """Four stretched Gaussians in three dimensions, which leave three basins.

    f(x) = -sum_{k=1..4} c_k exp(-sum_i A_ki (x_i - P_ki)^2).

    At the best minimum the curvatures differ by a factor of 160.

    References:
        Hartman (1973). Some experiments in global optimization. Naval Research Logistics
        Quarterly 20, 569-576. doi 10.1002/nav.3800200316.
    """
    minima = critical(
        Kind.MINIMUM,
        (0.3687227270693, 0.1175616288247, 0.2675737430152, -1.000816863561),
        (0.1093374783718, 0.8605242257019, 0.5641231666105, -3.089764134383),
        (0.1145888766551, 0.5556488946169, 0.8525469846867, -3.862779787333),
    )
    stretches = [[3.0, 10.0, 30.0], [0.1, 10.0, 35.0]] * 2
    centres = [
        [0.3689, 0.1170, 0.2673],
        [0.4699, 0.4387, 0.7470],
        [0.1091, 0.8732, 0.5547],
        [0.0381, 0.5743, 0.8828],
    ]
    return _hartmann(stretches, centres, minima)


@problems.register("multimodal", "analytic")
def hartmann_6() -> Analytic:
    """Four stretched Gaussians in six dimensions, which leave two basins.

    f(x) = -sum_{k=1..4} c_k exp(-sum_i A_ki (x_i - P_ki)^2).

    The two basins are almost equally deep; plain descent from three starts in ten ends in
    the worse one, and first crosses a plain.

    References:
        Hartman (1973). Some experiments in global optimization. Naval Research Logistics
        Quarterly 20, 569-576. doi 10.1002/nav.3800200316.
    """
    minima = critical(
        Kind.MINIMUM,
        (
            0.4046531277062,
            0.8824449239724,
            0.8461015704782,
            0.5739896924304,
            0.1389266036672,
            0.03849589247824,
            -3.203161918396,
        ),
        (
            0.2016895110067,
            0.1500106918235,
            0.4768739742219,
            0.2753324304941,
            0.3116516166001,
            0.6573005340656,
            -3.322368011416,
        ),
    )
    stretches = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
    centres = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
    return _hartmann(stretches, centres, minima)


def _hartmann(
    stretches: list[list[float]], centres: list[list[float]], minima: tuple[CriticalPoint, ...]
) -> Analytic:
    A = torch.tensor(stretches, dtype=torch.float64)
    P = torch.tensor(centres, dtype=torch.float64)
    c = torch.tensor([1.0, 1.2, 3.0, 3.2], dtype=torch.float64)

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        d = total(A.to(x) * (x.unsqueeze(-2) - P.to(x)).square())
        return total(-c.to(x) * torch.exp(-d))

    return Analytic(
        f=f,
        dim=A.shape[-1],
        domain=(0.0, 1.0),
        facts=Facts(
            minimum=minima[-1].value,
            minimizers=(minima[-1].x,),
            critical_points=minima,
            goal=Goal.BASIN,
            targets=heights(minima[:-1]),
            source="Newton search from 4000 points in float64",
        ),
    )


@problems.register("multimodal", "analytic")
def gaussian_peaks(dim: int = 2, count: int = 21, layout: int = 0) -> Analytic:
    """Hollows of random place and shape; where some overlap, the deepest counts.

    f(x) = 10 - max_k w_k exp(-sum_i c_ki (x_i - y_ki)^2 / (2 n)),
    w_1 = 10, the other w_k evenly from 1.1 to 9.1; y and c drawn at random.

    There is no structure to exploit: the best hollow has nothing to do with its
    neighbours.  Every minimum is known exactly, which sums of Gaussians do not allow.

    Args:
        dim: n, the number of coordinates.
        count: number of hollows.
        layout: number of the draw.

    References:
        Gallagher, Yuan (2006). A general-purpose tunable landscape generator. IEEE
        Transactions on Evolutionary Computation 10(5), 590-603.
        doi 10.1109/TEVC.2005.863628.
        Hansen, Finck, Ros, Auger (2009). Real-Parameter Black-Box Optimization
        Benchmarking 2009: Noiseless Functions Definitions. INRIA RR-6829, f21 and f22
        (rotated).
    """
    at_least("dim", dim, 1)
    at_least("count", count, 2)
    draw = generator("gaussian_peaks", dim, count, layout)
    places = draw.uniform(-4.5, 4.5, (count, dim))
    shapes = 10 ** draw.uniform(-0.5, 1.5, (count, dim)) / (2 * dim)
    depths = np.concatenate([[10.0], np.linspace(9.1, 1.1, count - 1)])
    y, c, w = (torch.from_numpy(part) for part in (places, shapes, depths))

    def f(x: Float[Tensor, "*stack n"]) -> Float[Tensor, "*stack"]:
        d = total(c.to(x) * (x.unsqueeze(-2) - y.to(x)).square())
        return 10 - (w.to(x) * torch.exp(-d)).amax(-1)

    # a hollow counts unless a deeper one reaches below its lowest point
    gaps = places[:, None] - places
    reach = depths * np.exp(-(shapes * gaps**2).sum(-1))
    seen = [k for k in range(count) if reach[k].argmax() == k]
    minima = critical(
        Kind.MINIMUM, *((*places[k].tolist(), 10 - float(depths[k])) for k in reversed(seen))
    )
    curvatures = sorted((20 * shapes[0]).tolist())
    return Analytic(
        f=f,
        dim=dim,
        facts=Facts(
            minimum=0.0,
            minimizers=(minima[-1].x,),
            critical_points=minima,
            eigenvalues=tuple(curvatures),
            condition=curvatures[-1] / curvatures[0],
            goal=Goal.BASIN,
            targets=heights(minima[:-1])[-8:],
            source="by construction",
        ),
    )
