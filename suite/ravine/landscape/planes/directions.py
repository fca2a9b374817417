"""Two directions that span a plane: random by filter, or given by vectors or points."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from ravine.errors import BadValue
from ravine.landscape.surface import Surface
from ravine.problems import arguments
from ravine.problems.base import Problem
from ravine.problems.draws import generator
from ravine.problems.modules.module import ModuleProblem

Scale = Literal["filter", "layer", "model", "none"]
SCALES = ("filter", "layer", "model", "none")
"""What a random direction is made as long as: every filter, every parameter, or all of them."""

Bias = Literal["zero", "join", "free"]
BIASES = ("zero", "join", "free")
"""Vectors in a random direction: none, biases as a part of their filters, or drawn like all."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Directions:
    """Two vectors that span a plane.

    Args:
        u: of the first coordinate.
        v: of the second.
        kind: how they came about, in words.
        seed: of random ones.
        labels: of the coordinates.
    """

    u: Float[Tensor, " P"]
    v: Float[Tensor, " P"]
    kind: str
    seed: int | None = None
    labels: tuple[str, str] = ("a", "b")

    @property
    def cosine(self) -> float:
        """Between the two; 0 if the picture has right angles."""
        return cosine(self.u, self.v)


def cosine(u: Float[Tensor, " P"], v: Float[Tensor, " P"]) -> float:
    """The cosine u'v / (|u| |v|) in float64; 0 where one is zero.

    Example:
        >>> round(cosine(torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])), 6)
        0.707107
    """
    one, two = u.double(), v.double()
    scale = one.norm() * two.norm()
    return float(one @ two / scale) if scale > 0 else 0.0


def random(
    surface: Surface,
    centre: Float[Tensor, " P"],
    seed: int = 0,
    *,
    scale: Scale = "filter",
    bias: Bias = "zero",
    filters: Mapping[str, Int[Tensor, " numbers"]] | None = None,
) -> Directions:
    """Two Gaussian directions, scaled filter by filter to the weights of a point.

    d_f <- d_f |w_f| / |d_f| for every filter f: the numbers of a weight that lead to one
    output, its first axis unless `filters` says otherwise.  Within each filter of two numbers
    or more the second direction is made orthogonal to the first before both are scaled, so
    that scaling keeps the right angle; `cosine` tells what filters of one number leave.  A
    filter of zeros gives a direction of zeros.

    With biases at zero the plane does not change under the rescaling of rectified layers;
    with biases joined to their filters it does not where the layer behind has none.

    Args:
        surface: names and shapes.
        centre: the weights.
        seed: of the draw, which depends on the parameter's name and shape besides.
        scale: `filter`; `layer` for one scale in each parameter, `model` for one in all;
            `none` for the Gaussian itself.
        bias: `zero`, vectors and numbers stay where they are; `join`, a vector `x.bias` is
            a part of the filters of `x.weight`; `free`, they are drawn like all else, each
            scaled as a whole.
        filters: the filter of every number of a weight, by name; from `filters`.

    Raises:
        BadValue: an argument is outside its domain, or nothing is left to move.

    References:
        Li, Xu, Taylor, Studer and Goldstein (2018). Visualizing the loss landscape of neural
        nets. arXiv 1712.09913.
    """
    arguments.choice("scale", scale, SCALES)
    arguments.choice("bias", bias, BIASES)
    weights = centre.double()
    index = _groups(surface, scale, bias, filters or {})
    count = int(index.max()) + 1 if len(index) else 0
    if count <= 0:
        raise BadValue(
            f"`{surface.name}` has no weights of two dimensions to draw a direction for; ask for "
            f"bias=free"
        )
    one, two = (_drawn(surface, seed, axis) * (index >= 0) for axis in ("u", "v"))
    # numbers that stay where they are form a group of their own, of zeros
    place = torch.where(index >= 0, index, count)

    def sums(x: Float[Tensor, " P"]) -> Float[Tensor, " groups"]:
        return torch.zeros(count + 1, dtype=torch.float64).index_add_(0, place, x)

    sizes = sums((index >= 0).double())
    along = torch.where(sizes > 1, sums(one * two) / sums(one.square()).clamp_min(1e-300), 0.0)
    two = two - along[place] * one
    if scale != "none":
        wanted = sums(weights.square()).sqrt()
        one, two = (
            d * (wanted / sums(d.square()).sqrt().clamp_min(1e-300))[place] for d in (one, two)
        )
    if not bool(one.any()):
        raise BadValue(
            f"all weights of `{surface.name}` are zero here, and so is every direction scaled to "
            f"them; ask for scale=none"
        )
    words = {
        "filter": "random, filter-normalised",
        "layer": "random, layer-normalised",
        "model": "random, as long as the weights",
        "none": "random, not normalised",
    }
    said = {"zero": "", "join": ", biases in their filters", "free": ", biases drawn too"}
    return Directions(
        u=one.to(centre.dtype),
        v=two.to(centre.dtype),
        kind=words[scale] + said[bias],
        seed=seed,
    )


def along(
    u: Float[Tensor, " P"],
    v: Float[Tensor, " P"],
    kind: str = "along given vectors",
    labels: tuple[str, str] = ("a", "b"),
) -> Directions:
    """Two given vectors, as eigenvectors or principal components, made unit vectors.

    Raises:
        BadValue: one of them is zero or not finite, or they are parallel.
    """
    for vector in (u, v):
        if not bool(vector.isfinite().all()) or not bool(vector.any()):
            raise BadValue("a direction must be finite and not zero; give another")
    if abs(cosine(u, v)) > 1 - 1e-6:
        raise BadValue("the two directions are parallel and span no plane; give others")
    one, two = (d.double() / d.double().norm() for d in (u, v))
    return Directions(u=one.to(u.dtype), v=two.to(v.dtype), kind=kind, labels=labels)


@dataclass(frozen=True, kw_only=True, eq=False)
class Through:
    """The plane through three points, in true proportions.

    Args:
        directions: unit vectors at right angles, the first from the first point to the second.
        places: coordinates of the three points; the first has (0, 0).
    """

    directions: Directions
    places: tuple[tuple[float, float], ...]

    def ranges(self, margin: float = 0.25) -> tuple[tuple[float, float], tuple[float, float]]:
        """Low and high of both coordinates, around the points and a share of their extent."""
        sides = []
        for values in zip(*self.places, strict=True):
            extent = max(values) - min(values)
            sides.append((min(values) - margin * extent, max(values) + margin * extent))
        return sides[0], sides[1]


def through(
    one: Float[Tensor, " P"], two: Float[Tensor, " P"], three: Float[Tensor, " P"]
) -> Through:
    """The directions of the plane through three points, whose centre is the first.

    u is along two - one; v is the part of three - one at right angles to u.

    Raises:
        BadValue: the points lie on a line.

    References:
        Garipov et al. (2018). Loss surfaces, mode connectivity, and fast ensembling of DNNs.
        arXiv 1802.10026.
    """
    first, second = (point.double() - one.double() for point in (two, three))
    length = first.norm()
    if length == 0 or not bool(second.any()):
        raise BadValue("two of the three points are the same; give three that differ")
    u = first / length
    part = float(second @ u)
    rest = second - part * u
    rest = rest - (rest @ u) * u
    height = rest.norm()
    if height <= 1e-6 * second.norm():
        raise BadValue("the three points lie on a line and span no plane; give another third one")
    v = rest / height
    return Through(
        directions=Directions(
            u=u.to(one.dtype),
            v=v.to(one.dtype),
            kind="through three points",
            labels=("distance towards the second point", "distance from that line"),
        ),
        places=((0.0, 0.0), (float(length), 0.0), (part, float(height))),
    )


def filters(problem: Problem) -> dict[str, Int[Tensor, " numbers"]]:
    """The filter of every number of those weights of a module whose outputs are no first axis.

    In a transposed convolution `[inputs, outputs / groups, *kernel]` the filter of output o
    of group g is `[inputs of g, o, *kernel]`.

    Args:
        problem: a user's module; any other has its outputs first.
    """
    if not isinstance(problem, ModuleProblem):
        return {}
    return dict(_transposed(problem.findings.passes.template.module))


def _transposed(module: nn.Module) -> Iterator[tuple[str, Int[Tensor, " numbers"]]]:
    for name, part in module.named_modules():
        if isinstance(part, _ConvTransposeNd):
            inputs, outputs, *kernel = part.weight.shape
            group = torch.arange(inputs) // (inputs // part.groups)
            index = group[:, None] * outputs + torch.arange(outputs)
            whole = index.repeat_interleave(math.prod(kernel))
            yield f"{name}.weight" if name else "weight", whole


def _groups(
    surface: Surface, scale: Scale, bias: Bias, filters: Mapping[str, Int[Tensor, " numbers"]]
) -> Int[Tensor, " P"]:
    """The group of every coordinate, whose numbers are scaled together; -1 for what stays."""
    index, first = torch.full((surface.size,), -1), 0
    begins: dict[str, int] = {}
    for name, where in surface.slices.items():
        shape = surface.shapes[name]
        if len(shape) < 2:
            continue
        size = math.prod(shape)
        own = filters.get(name, torch.arange(shape[0]).repeat_interleave(size // max(1, shape[0])))
        own = own if scale == "filter" else torch.zeros(size, dtype=torch.int64)
        begins[name] = first
        index[where] = own + first
        first += 0 if scale in ("model", "none") else int(own.max()) + 1 if size else 0
    for name, where in surface.slices.items():
        shape = surface.shapes[name]
        if len(shape) >= 2 or bias == "zero":
            continue
        weight = f"{name.removesuffix('bias')}weight"
        if bias == "free":
            index[where] = first
            first += 0 if scale in ("model", "none") else 1
        elif name.endswith("bias") and weight in begins:
            outputs = int(index[surface.slices[weight]].max()) - begins[weight] + 1
            if scale != "filter" or outputs == math.prod(shape):
                step = torch.arange(math.prod(shape)) if scale == "filter" else 0
                index[where] = begins[weight] + step
    return index


def _drawn(surface: Surface, seed: int, axis: str) -> Float[Tensor, " P"]:
    return torch.cat(
        [
            torch.from_numpy(
                generator("direction", axis, name, *shape, seed).standard_normal(math.prod(shape))
            )
            for name, shape in surface.shapes.items()
        ]
    )
