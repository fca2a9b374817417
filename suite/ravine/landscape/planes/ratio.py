"""How far from convex a surface is on a plane: extreme eigenvalues of its whole Hessian."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from ravine.landscape.operators import hessian
from ravine.landscape.planes.plane import Listener
from ravine.landscape.sharing.evaluate import cell
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import Surface


@dataclass(frozen=True, kw_only=True, eq=False)
class Ratios:
    """Smallest and largest eigenvalue of the Hessian at every cell, indexed `[y, x]`.

    Args:
        x: a of every column.
        y: b of every row.
        smallest: eigenvalue; NaN where the Hessian is not finite.
        largest: eigenvalue.
        residual: the larger |H v - value v| of the two.
        converged: whether both residuals are within the tolerance.
        tolerance: relative to the eigenvalue that is larger in size.
        products: with the Hessian, over all cells.
    """

    x: Float64[np.ndarray, " nx"]
    y: Float64[np.ndarray, " ny"]
    smallest: Float64[np.ndarray, "ny nx"]
    largest: Float64[np.ndarray, "ny nx"]
    residual: Float64[np.ndarray, "ny nx"]
    converged: Bool[np.ndarray, "ny nx"]
    tolerance: float
    products: int

    @property
    def ratio(self) -> Float64[np.ndarray, "ny nx"]:
        """|smallest / largest|, 0 where the smallest is not negative."""
        with np.errstate(invalid="ignore", divide="ignore"):
            found: Float64[np.ndarray, "ny nx"] = np.abs(
                np.minimum(self.smallest, 0.0) / self.largest
            )
        return found


def ratios(
    surface: Surface,
    centre: Float[Tensor, " P"],
    u: Float[Tensor, " P"],
    v: Float[Tensor, " P"],
    x: Float64[np.ndarray, " nx"] | Sequence[float],
    y: Float64[np.ndarray, " ny"] | Sequence[float],
    *,
    tol: float = 1e-2,
    most: int = 60,
    listener: Listener = lambda share, seconds: None,
) -> Ratios:
    """The extreme eigenvalues on a coarse grid of a plane.

    A cell without convergence keeps its last values, with their residual.

    Args:
        surface: f; where it has kinks, its Hessian is that between them.
        centre: theta.
        u: direction of the columns.
        v: direction of the rows.
        x: a of every column.
        y: b of every row.
        tol: of both residuals, relative to the eigenvalue that is larger in size.
        most: products at each cell.
        listener: told of progress.

    Raises:
        BadValue: the surface is not twice differentiable.

    References:
        Li, Xu, Taylor, Studer and Goldstein (2018). Visualizing the loss landscape of neural
        nets. arXiv 1712.09913, section 6.
    """
    columns, rows = np.array(x, dtype=np.float64), np.array(y, dtype=np.float64)
    shape = (len(rows), len(columns))
    smallest, largest, residual = (np.full(shape, np.nan) for _ in range(3))
    converged, products = np.zeros(shape, dtype=bool), 0
    began = warm = time.perf_counter()
    for count, (j, i) in enumerate(np.ndindex(shape), 1):
        at = cell((centre, u, v), float(columns[i]), float(rows[j]))
        found = extreme(hessian(surface, at), 1, 1, tol=tol, most=most)
        largest[j, i], smallest[j, i] = found.values[0], found.values[-1]
        residual[j, i] = max(found.residuals)
        scale = max(abs(found.values[0]), abs(found.values[-1]))
        # what a ratio can be off by; an eigenvalue near zero need not be known to more
        converged[j, i] = residual[j, i] <= tol * scale
        products += found.products
        warm = time.perf_counter() if count == 1 else warm
        # the first cell pays for what is set up once
        each = (time.perf_counter() - warm) / (count - 1) if count > 1 else warm - began
        listener(count / converged.size, each * (converged.size - count))
    return Ratios(
        x=columns,
        y=rows,
        smallest=smallest,
        largest=largest,
        residual=residual,
        converged=converged,
        tolerance=tol,
        products=products,
    )
