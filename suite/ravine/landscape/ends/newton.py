"""Whether a critical point is near: Newton's method from many points at once, kept close."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ravine.landscape.ends.place import NEAR
from ravine.landscape.ends.terrain import Terrain
from ravine.landscape.operators import hessians
from ravine.landscape.surface import loss_and_gradient

STEPS = 8
"""Newton steps at most."""

ARRIVED = {torch.float64: 1e-8, torch.float32: 1e-5}
"""The search ends where the next step, by the ratio of the last two, is as short as this share
of the width."""

ZERO = {torch.float64: 1e-9, torch.float32: 1e-4}
"""An eigenvalue is zero within this share of the largest, or of the domain's typical slope."""

SINGULAR = (0.3, 0.85)
"""Ratio of successive steps at a critical point without full curvature: (p - 2) / (p - 1)
where f grows with the power p, from a third (with room) to the eighth; on an exponential tail
it is 1, at a regular point it falls to 0."""


@dataclass(frozen=True, slots=True, eq=False)
class Bend:
    """Value, slope and curvature of every point, lengths measured in widths.

    Args:
        value: f.
        gradient: df / du for u = x / width, zero where a bound of the box holds against it.
        eigenvalues: of the Hessian by u, ascending; that of a held coordinate is set to the
            largest size, so that it counts as curved upwards.
        eigenvectors: in columns.
        held: coordinates that a bound of the box holds.
        defined: slope and curvature are finite; where not they are given as zero.
    """

    value: Float[Tensor, " runs"]
    gradient: Float[Tensor, "runs P"]
    eigenvalues: Float[Tensor, "runs P"]
    eigenvectors: Float[Tensor, "runs P P"]
    held: Bool[Tensor, "runs P"]
    defined: Bool[Tensor, " runs"]

    @property
    def largest(self) -> Float[Tensor, " runs"]:
        """The largest size of an eigenvalue."""
        return self.eigenvalues.abs().amax(-1)

    @property
    def slope(self) -> Float[Tensor, " runs"]:
        """The length of the gradient."""
        length: Tensor = self.gradient.norm(dim=-1)
        return length

    @property
    def components(self) -> Float[Tensor, "runs P"]:
        """The gradient by eigenvectors."""
        return (self.eigenvectors.mT @ self.gradient[..., None])[..., 0]


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What Newton's method found from every point.

    Args:
        found: a critical point lies within `NEAR`.
        singular: the method converged only linearly, so the Hessian has a zero there.
        distance: to where it stopped and what was left of the way, in widths.
        next: the step that would follow, by the ratio of the last two, in widths.
        value: f there.
        eigenvalues: of the Hessian there.
    """

    found: Bool[Tensor, " runs"]
    singular: Bool[Tensor, " runs"]
    distance: Float[Tensor, " runs"]
    next: Float[Tensor, " runs"]
    value: Float[Tensor, " runs"]
    eigenvalues: Float[Tensor, "runs P"]


def bend(
    terrain: Terrain, x: Float[Tensor, "runs P"], held: Bool[Tensor, "runs P"] | None = None
) -> Bend:
    """Take f, its gradient and its Hessian at many points.

    Args:
        terrain: where.
        x: points in its coordinates.
        held: coordinates to be held; by default those at a bound that the loss falls towards.
    """
    ground, width = terrain.surface, terrain.width
    value, slope = loss_and_gradient(ground, x)
    gradient = slope.double() * width
    matrix = hessians(ground, x).double() * width * width[:, None]
    defined = gradient.isfinite().all(-1) & matrix.isfinite().flatten(1).all(-1)
    gradient = torch.where(defined[:, None], gradient, 0.0)
    matrix = torch.where(defined[:, None, None], matrix, 0.0)
    if held is None:
        held = _held(terrain, x, gradient)
    if bool(held.any()):
        gradient = gradient.masked_fill(held, 0.0)
        matrix = matrix.masked_fill(held[:, None] | held[..., None], 0.0)
        size = matrix.flatten(1).abs().amax(-1).clamp(min=terrain.slope, max=None)
        matrix = matrix + torch.diag_embed(held * size[:, None])
    eigenvalues, eigenvectors = torch.linalg.eigh(matrix)
    return Bend(value, gradient, eigenvalues, eigenvectors, held, defined)


def _held(
    terrain: Terrain, x: Float[Tensor, "runs P"], gradient: Float[Tensor, "runs P"]
) -> Bool[Tensor, "runs P"]:
    if terrain.box is None:
        return torch.zeros_like(gradient, dtype=torch.bool)
    low, high = terrain.box.unbind(-1)
    room = 1e-9 * terrain.width
    return ((x <= low + room) & (gradient > 0)) | ((x >= high - room) & (gradient < 0))


def tolerance(terrain: Terrain, near: Search) -> Float[Tensor, " runs"]:
    """The size within which an eigenvalue is zero: by rounding, and by what is left of the way."""
    scale = near.eigenvalues.abs().amax(-1).clamp(min=terrain.slope)
    return scale * (near.next / NEAR).clamp(min=ZERO[terrain.surface.dtype])


def search(terrain: Terrain, x: Float[Tensor, "runs P"], here: Bend) -> Search:
    """Follow Newton's method from every point for as long as it stays within `NEAR`.

    The steps are -|H|^-1 g with the signs of the eigenvalues, so that it is drawn to saddles
    and maxima as well as to minima.  Converging to a critical point is what tells one from a
    place where the gradient is merely small: on an exponential tail all steps are as long.

    Args:
        terrain: where.
        x: points in its coordinates.
        here: from `bend`, at x.

    References:
        Deuflhard (2011). Newton methods for nonlinear problems, 2.1. Springer.
        Frye, Simon, Wadia, Ligeralde, DeWeese, Bouchard (2021). Critical point-finding methods
        reveal gradient-flat regions of deep network losses. arXiv 2003.10397.
    """
    low, high = SINGULAR
    found, singular = (torch.zeros(len(x), dtype=torch.bool) for _ in range(2))
    distance, after = (torch.full((len(x),), torch.inf, dtype=torch.float64) for _ in range(2))
    value, eigenvalues = here.value.clone(), here.eigenvalues.clone()
    rows, point, state = torch.arange(len(x)), x, here
    before = torch.full_like(distance, torch.nan)
    for trial in range(STEPS):
        step = _step(terrain, state)
        length = step.norm(dim=-1)
        ratio = length / before
        # a geometric series goes on for so long
        left = length / (1 - ratio.nan_to_num(0.0).clamp(max=0.9))
        way = ((point - x[rows]).double() / terrain.width).norm(dim=-1) + left
        close = state.defined & (way <= NEAR)
        slow = close & (ratio >= low) & (ratio <= high)
        following = length * ratio.nan_to_num(1.0).clamp(max=1.0)
        there = close & (following <= ARRIVED[terrain.surface.dtype])
        if trial == STEPS - 1:
            there = there | slow
        found[rows], singular[rows] = there, there & slow
        distance[rows], after[rows] = way, following
        value[rows], eigenvalues[rows] = state.value, state.eigenvalues
        on = close & ~there
        if trial == STEPS - 1 or not bool(on.any()):
            break
        rows, before = rows[on], length[on]
        point = point[on] + (step[on] * terrain.width).to(point.dtype)
        if terrain.box is not None:
            point = point.clamp(*terrain.box.unbind(-1))
        state = bend(terrain, point, state.held[on])
    return Search(found, singular, distance, after, value, eigenvalues)


def _step(terrain: Terrain, state: Bend) -> Float[Tensor, "runs P"]:
    """Newton's step, in widths; zero where all is zero."""
    floor = (ZERO[terrain.surface.dtype] * state.largest).clamp(min=1e-300)[:, None]
    size = state.eigenvalues.abs().maximum(floor)
    signed = torch.where(state.eigenvalues < 0, -size, size)
    step = -(state.eigenvectors @ (state.components / signed)[..., None])[..., 0]
    return step.nan_to_num(nan=torch.inf)
