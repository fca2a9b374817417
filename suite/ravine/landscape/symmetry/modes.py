"""Directions along which a symmetry holds the loss still, and what follows for its derivatives."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.landscape.operators import hessian
from ravine.landscape.surface import Surface, gradient, loss
from ravine.landscape.symmetry.groups import Groups, flat, named


@dataclass(frozen=True, eq=False)
class Modes:
    """Directions of continuous symmetries at a point.

    Args:
        names: of each direction, `scale 0[3]` or `shift 2.bias`.
        generators: D of the scalings that leave the loss as it is, its diagonal, `[k, P]`;
            0 throughout for a shift.
        directions: the tangents: D theta of a scaling, the shift itself, `[k, P]`.
        exact: whether the loss does not change at all; false behind a batch normalisation,
            by the eps that it adds to a variance.
    """

    names: tuple[str, ...]
    generators: Float[Tensor, "k P"]
    directions: Float[Tensor, "k P"]
    exact: tuple[bool, ...]


@dataclass(frozen=True, eq=False)
class Identities:
    """How well gradient and Hessian keep to a network's symmetries at a point.

    Args:
        names: of the directions.
        exact: see `Modes`.
        slopes: |g . D theta| over ||g|| ||D theta||, which is 0.
        curvatures: ||H D theta + D g|| over ||H D theta|| + ||D g||, which is 0; for a shift
            ||H v|| over the largest such norm of any direction.
        gradient: ||g||.
        vanishing: ||H D theta|| over ||D theta||, the curvature that a direction shows, which
            falls to zero with the gradient.
    """

    names: tuple[str, ...]
    exact: tuple[bool, ...]
    slopes: tuple[float, ...]
    curvatures: tuple[float, ...]
    gradient: float
    vanishing: tuple[float, ...]

    @property
    def worst(self) -> float:
        """The largest residual of an exact symmetry."""
        found = (*_kept(self.slopes, self.exact), *_kept(self.curvatures, self.exact))
        return max(found, default=0.0)


def _kept(values: tuple[float, ...], kept: tuple[bool, ...]) -> Iterator[float]:
    """The values that are kept."""
    return (value for value, keep in zip(values, kept, strict=True) if keep)


def modes(groups: Groups, x: Float[Tensor, " P"], surface: Surface | None = None) -> Modes:
    """The directions of all continuous symmetries at a point.

    A unit behind which all is positively homogeneous: D is 1 on its incoming weights, bias,
    gain and shift, -1 on its outgoing weights.  A unit that is batch-normalised: 1 on its
    incoming weights.  With a surface whose loss does not change when one number is added to
    all outputs, as that of a softmax: the shift of all output biases, and of the output
    weights of each input.

    Args:
        groups: of the network.
        x: the point.
        surface: on which shifts of the outputs are tried; without one there are none.
    """
    point = named(groups, x)
    names, generators, directions, exact = [], [], [], []
    for scaling in groups.scalable:
        slots = [slot for slot in scaling.slots if slot.name in groups.shapes]
        if not scaling.positive or not slots:
            continue
        for unit in range(scaling.size):
            diagonal = {n: torch.zeros_like(p) for n, p in point.items()}
            for slot in slots:
                begin = unit * slot.block
                diagonal[slot.name].narrow(slot.axis, begin, slot.block).add_(slot.power)
            generator = flat(groups, diagonal)
            names.append(f"scale {scaling.name}[{unit}]")
            generators.append(generator)
            directions.append(generator * x)
            exact.append(scaling.eps == 0)
    for name, shift in _shifts(groups, x, surface):
        names.append(name)
        generators.append(torch.zeros_like(x))
        directions.append(shift)
        exact.append(True)
    none = x.new_zeros(0, len(x))
    return Modes(
        names=tuple(names),
        generators=torch.stack(generators) if generators else none,
        directions=torch.stack(directions) if directions else none,
        exact=tuple(exact),
    )


def symmetry_directions(
    groups: Groups, x: Float[Tensor, " P"], surface: Surface | None = None
) -> Float[Tensor, "k P"]:
    """The tangents of all continuous symmetries at a point, as rows; see `modes`.

    At a critical point they lie in the kernel of the Hessian.  They are neither normalised
    nor orthogonal, and a unit that is zero throughout has a row of zeros.

    Args:
        groups: of the network.
        x: the point.
        surface: on which shifts of the outputs are tried; without one there are none.
    """
    return modes(groups, x, surface).directions


def identities(surface: Surface, groups: Groups, x: Float[Tensor, " P"]) -> Identities:
    """Check g . D theta = 0 and H D theta = -D g for every continuous symmetry, in float64.

    f(e^(tD) theta) = f(theta) for all t; its derivative by t, and the gradient of that, give
    the two.  For a shift v, g . v = 0 and H v = 0.  They hold wherever f is twice
    differentiable, not only at critical points.  Behind a batch normalisation with eps > 0
    they hold up to about eps over the variance, and only if the derivative passes through
    the moments: with the policy `batch`.

    Args:
        surface: f.
        groups: of the network.
        x: the point.

    References:
        Kunin, Sagastuy-Brena, Ganguli, Yamins and Tanaka (2021). Neural mechanics: symmetry
        and broken conservation laws in deep learning dynamics. arXiv 2012.04728.
    """
    x = x.double()
    found = modes(groups, x, surface)
    g = gradient(surface, x)
    images = hessian(surface, x)(found.directions)
    pulled = found.generators * g
    slopes = (found.directions @ g).abs() / _positive(found.directions.norm(dim=1) * g.norm())
    size = images.norm(dim=1) + pulled.norm(dim=1)
    size = torch.where(found.generators.any(1), size, size.max() if len(size) else 1.0)
    curvatures = (images + pulled).norm(dim=1) / _positive(size)
    vanishing = images.norm(dim=1) / _positive(found.directions.norm(dim=1))
    return Identities(
        names=found.names,
        exact=found.exact,
        slopes=tuple(slopes.tolist()),
        curvatures=tuple(curvatures.tolist()),
        gradient=float(g.norm()),
        vanishing=tuple(vanishing.tolist()),
    )


def _shifts(
    groups: Groups, x: Tensor, surface: Surface | None
) -> Iterator[tuple[str, Float[Tensor, " P"]]]:
    """One number added to all outputs: by the biases, or by the weights of one input."""
    found = []
    for slot in groups.outputs:
        shape = groups.shapes.get(slot.name)
        if shape is None:
            continue
        for entry in range(1 if len(shape) == 1 else shape[1 - slot.axis]):
            point = {n: torch.zeros(s, dtype=x.dtype) for n, s in groups.shapes.items()}
            if len(shape) == 1:
                point[slot.name].fill_(1.0)
            else:
                point[slot.name].select(1 - slot.axis, entry).fill_(1.0)
            name = f"shift {slot.name}" + ("" if len(shape) == 1 else f"[:, {entry}]")
            found.append((name, flat(groups, point)))
    if surface is None or not found:
        return
    here = x.double()
    moved = torch.stack([here, *(here + shift.double() for _, shift in found)])
    values = loss(surface, moved)
    # all or none: behind a dead unit a single shift changes nothing by chance
    if bool(((values - values[0]).abs() <= 1e-9 * values[0].abs()).all()):
        yield from found


def _positive(norms: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Norms by which may be divided."""
    return norms.clamp(min=torch.finfo(norms.dtype).tiny)
