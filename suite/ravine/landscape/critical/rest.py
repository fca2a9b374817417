"""Where the gradient is smallest: Levenberg and Marquardt's method, all starts at once."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

from ravine.landscape.operators import hessians
from ravine.landscape.surface import Surface, loss_and_gradient

_DAMPING = 1e-3  # to begin with, as a share of the largest squared eigenvalue
_LEAST = 1e-20  # likewise, to end with
_RANK = 1e-14  # of the largest eigenvalue: below, it is none
_FREE = 1e-16  # likewise: below, steps count as undamped
_ARRIVED = 1e-13  # of the scale: a step after which a start is at rest
_REFUSED = 8  # steps in a row that do not lower the gradient
_FINE = 1e-9  # of the scale: two refused steps of this length are rounding
_DESCENT = 60  # steps downhill
_STRIDE = 0.05  # of the scale: the longest of them


@dataclass(frozen=True, slots=True, eq=False)
class Rest:
    """Where starts came to rest.

    Args:
        x: the points.
        values: f there.
        gradients: g there.
        steps: lengths of the Newton steps H+ g that are left.
        flatness: |H g| / (lambda_max |g|), small where the gradient is no way to a zero of it.
        rested: whether it was at rest before the iterations were over.
        finite: whether the gradient and the Hessian could be followed.
    """

    x: Float64[Tensor, "n P"]
    values: Float64[Tensor, " n"]
    gradients: Float64[Tensor, "n P"]
    steps: Float64[Tensor, " n"]
    flatness: Float64[Tensor, " n"]
    rested: Bool[Tensor, " n"]
    finite: Bool[Tensor, " n"]


def rest(
    surface: Surface,
    starts: Float64[Tensor, "n P"],
    scale: Float64[Tensor, " n"],
    far: Callable[[Float64[Tensor, "n P"]], Bool[Tensor, " n"]],
    iterations: int,
    listener: Callable[[float], None] = lambda share: None,
) -> Rest:
    """Lower |grad f|^2 / 2 from every start until it rests.

    A step is s = -(H^2 + mu)^-1 H g.  The damping mu is each start's own: it falls by up to
    ten times where the gradient shrinks as a linear model of it says, and grows ever faster
    where it does not shrink.  A start rests where its step is nothing beside its scale, or
    where no step lowers the gradient any more.

    Args:
        surface: f.
        starts: points.
        scale: of the coordinates of each.
        far: points that are given up.
        iterations: at most so many.
        listener: told the share of iterations that are done.
    """
    x = starts.clone()
    values, g = loss_and_gradient(surface, x)
    height = 0.5 * g.square().sum(-1)
    eigenvalues = torch.zeros_like(x)
    vectors = torch.zeros(*x.shape, x.shape[-1], dtype=x.dtype)
    finite = height.isfinite()
    mu, growth = torch.full_like(height, torch.nan), torch.full_like(height, 2.0)
    refused = torch.zeros(len(x), dtype=torch.int64)
    moved = torch.ones(len(x), dtype=torch.bool)
    active = finite.clone()
    for iteration in range(iterations):
        new = (active & moved).nonzero()[:, 0]
        if len(new):
            matrices = hessians(surface, x[new])
            sound = matrices.flatten(1).isfinite().all(-1)
            finite[new] &= sound
            active[new] &= sound
            new, matrices = new[sound], matrices[sound]
            eigenvalues[new], vectors[new] = torch.linalg.eigh(matrices)
        at = active.nonzero()[:, 0]
        if not len(at):
            break
        squares, old = eigenvalues[at].square(), height[at]
        largest = squares.amax(-1)
        damping = mu[at] if iteration else _DAMPING * largest
        damping = torch.maximum(damping, _LEAST * largest)
        along = (vectors[at].mT @ g[at, :, None])[..., 0]
        divisor = squares + damping[:, None]
        inverse = torch.where(divisor > 0, 1 / divisor, 0.0)
        step = -(vectors[at] @ (eigenvalues[at] * inverse * along)[..., None])[..., 0]
        left = torch.where(divisor > 0, damping[:, None] * inverse, 1.0) * along
        foreseen = old - 0.5 * left.square().sum(-1)
        trial = x[at] + step
        value, slope = loss_and_gradient(surface, trial)
        lower = 0.5 * slope.square().sum(-1)
        better = lower < old
        agreement = torch.where(better, (old - lower) / foreseen, 0.0)
        mu[at] = damping * torch.where(
            better, (1 - (2 * agreement - 1) ** 3).clamp(0.1, 2.0), growth[at]
        )
        growth[at] = torch.where(better, 2.0, 2 * growth[at])
        refused[at] = torch.where(better, 0, refused[at] + 1)
        moved[at] = better
        length = step.norm(dim=-1)
        taken = at[better]
        x[taken], g[taken] = trial[better], slope[better]
        values[taken], height[taken] = value[better], lower[better]
        # a strongly damped step is short along the flattest ways, arrived or not
        free = damping <= _FREE * largest
        arrived = (better & free & (length <= _ARRIVED * scale[at])) | (height[at] == 0)
        arrived |= (refused[at] >= 2) & (length <= _FINE * scale[at])
        active[at] = ~(arrived | (refused[at] >= _REFUSED) | far(x[at]))
        listener((iteration + 1) / iterations)
    # the last points of unfinished starts have no eigenvalues of their own yet
    along = (vectors.mT @ g[..., None])[..., 0]
    sizes = eigenvalues.abs()
    known = sizes > _RANK * sizes.amax(-1, keepdim=True)
    steps = torch.where(known, along / eigenvalues, 0.0).norm(dim=-1)
    curved = (eigenvalues * along).norm(dim=-1)
    flatness = curved / (sizes.amax(-1) * g.norm(dim=-1))
    return Rest(x, values, g, steps, torch.nan_to_num(flatness), ~active, finite)


def downhill(
    surface: Surface, starts: Float64[Tensor, "n P"], scale: Float64[Tensor, " n"]
) -> Float64[Tensor, "n P"]:
    """Lead starts towards minima, by Newton's steps with the absolute values of curvatures.

    Far out, where the gradient falls with the distance, lowering it leads ever farther out.

    Args:
        surface: f.
        starts: points.
        scale: a step is at most a twentieth of it.
    """
    x = starts.clone()
    for _ in range(_DESCENT):
        _, g = loss_and_gradient(surface, x)
        matrices = hessians(surface, x)
        sound = matrices.flatten(1).isfinite().all(-1) & g.isfinite().all(-1)
        if not bool(sound.any()):
            break
        own, slope = matrices[sound], g[sound]
        eigenvalues, vectors = torch.linalg.eigh(own)
        size = eigenvalues.abs()
        size = size.clamp(min=1e-12 * size.amax(-1, keepdim=True) + 1e-300)
        along = (vectors.mT @ slope[..., None]) / size[..., None]
        step = (vectors @ along)[..., 0]
        longest = _STRIDE * scale[sound] / step.norm(dim=-1).clamp(min=1e-300)
        x[sound] -= step * longest.clamp(max=1.0)[:, None]
    return x
