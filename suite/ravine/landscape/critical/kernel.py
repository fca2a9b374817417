"""What third and fourth derivatives say of a critical point whose Hessian is singular.

Near such a point f splits into a nondegenerate quadratic form and a function of the kernel
alone.  Its third derivative is that of f along the kernel; its fourth is
D4[n,n,n,n] - 3 D3[n,n,.] H+ D3[n,n,.], for the other coordinates follow the kernel's: without
the second term (y - x^2)^2 would seem to rise along x.
"""

from dataclasses import dataclass
from math import comb
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.landscape.critical.derivatives import along
from ravine.landscape.surface import Surface
from ravine.problems.draws import generator

Outcome = Literal["minimum", "maximum", "neither", "unsettled"]

FITTED = 6
"""Dimensions of a kernel up to which the fourth derivative is known in all its directions."""

SAMPLED = 64
"""Directions that are tried in a larger kernel."""

ZERO = 1e-6
"""A fourth derivative below this share of the largest terms at hand is taken as zero."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """How higher derivatives settle a degenerate critical point, if they do.

    Args:
        outcome: minimum, maximum, neither, or unsettled.
        order: of the derivative that settled it; None where none did.
        third: largest |D3 f [n, n, n]| over unit directions n of the kernel.
        lowest: smallest value there of the fourth derivative, freed of the coupling to the
            other coordinates.
        highest: likewise the largest.
        directions: of the kernel in which derivatives were taken.
        why: it is unsettled; empty where it is settled.
    """

    outcome: Outcome
    order: int | None = None
    third: float = float("nan")
    lowest: float = float("nan")
    highest: float = float("nan")
    directions: int = 0
    why: str = ""

    def __str__(self) -> str:
        """As `minimum by fourth derivative`."""
        if self.order is None:
            return f"unsettled: {self.why}"
        by = {3: "third", 4: "fourth"}[self.order]
        what = "neither minimum nor maximum" if self.outcome == "neither" else self.outcome
        return f"{what} by {by} derivative"


def settle(
    surface: Surface,
    x: Float[Tensor, " P"],
    eigenvalues: Float[Tensor, " r"],
    vectors: Float[Tensor, "P r"],
    tau: float,
    delta: float,
) -> Settled:
    """Look along the kernel of the Hessian of a degenerate critical point.

    A third derivative that is not zero in some direction leaves neither minimum nor maximum.
    Else the fourth decides where it has one sign in every direction of the kernel, the one of
    the other eigenvalues, or the opposite sign in some direction.  In a kernel of more than
    `FITTED` dimensions only what one direction proves is said.

    Args:
        surface: f.
        x: the point.
        eigenvalues: of its Hessian, none of opposite signs beyond tau.
        vectors: the eigenvectors as columns.
        tau: eigenvalues within it are zero.
        delta: relative error of the derivatives.

    References:
        Poston and Stewart (1978). Catastrophe Theory and Its Applications, chapter 4 (the
        splitting lemma). Pitman.
    """
    if not surface.smooth:
        return Settled(outcome="unsettled", why="the surface has kinks")
    flat = eigenvalues.abs() <= tau
    basis, rest = vectors[:, flat], vectors[:, ~flat]
    size = basis.shape[1]
    coordinates = _directions(size)
    n = coordinates @ basis.T
    _, _, cubic, quartic = along(surface, x.expand(len(n), -1), n, 4)
    third, fourth = (cubic * n).sum(-1), (quartic * n).sum(-1)
    coupling = ((cubic @ rest).square() / eigenvalues[~flat]).sum(-1)
    reduced = fourth - 3 * coupling
    largest = float(eigenvalues.abs().max())
    scale = max(largest, float(fourth.abs().max()), 3 * float(coupling.abs().max()))
    if not bool((third.isfinite() & reduced.isfinite()).all()):
        return Settled(outcome="unsettled", why="a higher derivative is not finite")
    steepest = float(third.abs().max())
    # a point that is off by d from one without a third derivative has the third derivative
    # d D4 and the eigenvalue d^2 D4 / 2
    bent = float(fourth.abs().max()) * float(eigenvalues[flat].abs().max())
    if steepest > max(delta * max(scale, steepest), float((10 * bent) ** 0.5)):
        return Settled(outcome="neither", order=3, third=steepest, directions=len(n))
    exact = size <= FITTED
    lowest, highest = float(reduced.min()), float(reduced.max())
    if 1 < size <= FITTED and float(reduced.abs().max()) > ZERO * scale:
        lowest, highest = _extremes(coordinates, reduced)
    outcome = _by_fourth(
        up=bool((eigenvalues > tau).any()),
        down=bool((eigenvalues < -tau).any()),
        lowest=lowest,
        highest=highest,
        zero=ZERO * scale,
        exact=exact,
    )
    why = ""
    if outcome == "unsettled":
        why = "the fourth derivative vanishes in some direction of the kernel"
        if not exact:
            why = f"the kernel has {size} dimensions, of which {len(n)} directions were tried"
    return Settled(
        outcome=outcome,
        order=None if outcome == "unsettled" else 4,
        third=steepest,
        lowest=lowest,
        highest=highest,
        directions=len(n),
        why=why,
    )


def _by_fourth(
    *, up: bool, down: bool, lowest: float, highest: float, zero: float, exact: bool
) -> Outcome:
    falls, rises = lowest < -zero, highest > zero
    if (falls and (rises or up)) or (rises and down):
        return "neither"
    if exact and lowest > zero:
        return "minimum"
    if exact and highest < -zero:
        return "maximum"
    return "unsettled"


def _directions(size: int) -> Float64[Tensor, "rows size"]:
    """Unit vectors, enough to know a quartic form of a small kernel by its values."""
    if size == 1:
        return torch.ones(1, 1, dtype=torch.float64)
    count = 2 * comb(size + 3, 4) if size <= FITTED else SAMPLED
    draws = torch.from_numpy(generator("kernel", size).standard_normal((count, size)))
    directions: Float64[Tensor, "rows size"] = draws / draws.norm(dim=-1, keepdim=True)
    return directions


def _extremes(
    n: Float64[Tensor, "rows size"], values: Float64[Tensor, " rows"]
) -> tuple[float, float]:
    """Least and greatest value on the sphere of the quartic form with given values.

    The form is fitted, which is exact; then the best of many directions are moved by
    projected gradient steps.
    """
    size = n.shape[1]
    pairs = _squares(n.numpy())
    features = (pairs[:, :, None] * pairs[:, None, :]).reshape(len(pairs), -1)
    # the solution of least norm is symmetric
    form = np.linalg.lstsq(features, values.numpy(), rcond=None)[0].reshape(size**2, size**2)
    many = generator("sphere").standard_normal((2048, size))
    many /= np.linalg.norm(many, axis=1, keepdims=True)
    stride = 1 / (12 * np.linalg.norm(form) + 1e-300)
    ends = []
    for sign in (1.0, -1.0):
        own = sign * form
        pairs = _squares(many)
        best = many[np.argsort(np.einsum("ia,ab,ib->i", pairs, own, pairs))[:16]]
        for _ in range(300):
            slope = 4 * np.einsum(
                "ijk,ik->ij", (_squares(best) @ own).reshape(-1, size, size), best
            )
            best = best - stride * slope
            best /= np.linalg.norm(best, axis=1, keepdims=True)
        pairs = _squares(best)
        ends.append(sign * float(np.einsum("ia,ab,ib->i", pairs, own, pairs).min()))
    return ends[0], ends[1]


def _squares(n: Float64[np.ndarray, "rows size"]) -> Float64[np.ndarray, "rows pairs"]:
    products: Float64[np.ndarray, "rows pairs"] = (n[:, :, None] * n[:, None, :]).reshape(
        len(n), -1
    )
    return products
