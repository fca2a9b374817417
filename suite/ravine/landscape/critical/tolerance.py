"""How far from zero an eigenvalue must be to count, and what that is made up of."""

from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.landscape.critical.derivatives import along
from ravine.landscape.surface import Surface
from ravine.problems.draws import generator

ROUNDING = 10.0
"""c in c P eps lambda_max."""

POSITION = 50.0
"""Times the change of an eigenvalue over the uncertainty of the point."""

DELTA = {torch.float64: 1e-9, torch.float32: 1e-4}
"""Relative error that products with a Hessian have in a dtype."""

SMALLEST = 32
"""Eigenvalues at most, the nearest to zero, whose change with the point is looked at."""

EPS = torch.finfo(torch.float64).eps

_BESIDE = 1e-3  # of the scale: where the curvature of the neighbourhood is taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Eigenvalues within `total` of zero count as zero; the largest of its parts.

    Args:
        rounding: c P eps max(lambda_max, K) with c = 10, and K the change of the Hessian
            over the scale of the coordinates, by its slope at the point.
        products: delta lambda_max, with delta = 1e-9 in float64 and 1e-4 in float32.
        residual: the largest residual of the eigenpairs; 0 where the matrix was dense.
        symmetry: 10 |H d| over known unit directions d of symmetry, at critical points.
        position: 50 times the change of an eigenvalue over the Newton step that is left and
            over the rounding of the gradient, if that is more than the eigenvalue itself:
            so it is next to a degenerate point; 0 next to a regular one.
    """

    rounding: float
    products: float
    residual: float = 0.0
    symmetry: float = 0.0
    position: float = 0.0

    @property
    def total(self) -> float:
        """Tau."""
        return float(max(asdict(self).values()))

    @property
    def source(self) -> str:
        """The name of the largest part."""
        parts: dict[str, float] = asdict(self)
        return max(parts, key=parts.__getitem__)


def surroundings(
    surface: Surface,
    x: Float64[Tensor, "n P"],
    vectors: Float64[Tensor, "n P k"],
    scale: Float64[Tensor, " n"],
) -> Float64[Tensor, " n"]:
    """K: how much the Hessian changes over the scale, by its slope in a random direction."""
    away = torch.from_numpy(generator("beside", x.shape[-1]).standard_normal(x.shape[-1]))
    beside = _BESIDE * scale[:, None] * away / away.norm()
    change = _images(surface, x + beside, vectors) - _images(surface, x, vectors)
    return torch.nan_to_num(change.flatten(1).norm(dim=-1) / _BESIDE, posinf=0.0)


def shifts(
    surface: Surface,
    x: Float64[Tensor, "n P"],
    vectors: Float64[Tensor, "n P k"],
    step: Float64[Tensor, "n P"],
) -> Float64[Tensor, "n k"]:
    """How far each eigenvalue moves, to first order, where the point moves by a step."""
    change = _images(surface, x - step, vectors) - _images(surface, x, vectors)
    return torch.nan_to_num((change * vectors.mT).sum(-1).abs(), posinf=0.0)


def _images(
    surface: Surface, x: Float64[Tensor, "n P"], vectors: Float64[Tensor, "n P k"]
) -> Float64[Tensor, "n k P"]:
    n, size, k = vectors.shape
    points = x[:, None].expand(n, k, size).reshape(-1, size)
    return along(surface, points, vectors.mT.reshape(-1, size), 2)[1].view(n, k, size)
