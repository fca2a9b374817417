"""Principal components of trajectories, and the loss on the plane that they span."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.surface import LIVE_FLOATS, Surface, loss
from ravine.problems import arguments
from ravine.problems.draws import generator

About = Literal["end", "mean", "axes"]

BLOCK = 2**24
"""Numbers of float64 that are worked on at once: 128 MB."""

MARGIN = 0.2
"""Of the path's extent, left free around it on a grid."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Components:
    """The directions in which one or several paths vary most, and where their points lie.

    Args:
        about: `end`: differences from where the paths end (from the mean of several ends);
            `mean`: from the mean of all points; `axes`: the coordinates themselves.
        lengths: points of each path.
        origin: what the directions are taken about.
        directions: orthonormal.
        coordinates: of every point along them, path after path.
        residuals: distance of every point from the plane.
        distances: of every point from the origin.
        uncentred: shares of the squared differences from the end, largest first.
        centred: shares of the variance about the mean, largest first.
        held: share of the squared distances from the origin that the directions hold; not a
            number where all points are the same.
        by_chance: what as many random directions hold.
        rank: how many of the directions are the paths' own; the rest are drawn at random,
            for the paths span no more.
    """

    about: About
    lengths: tuple[int, ...]
    origin: Float[Tensor, " P"]
    directions: Float[Tensor, "count P"]
    coordinates: Float[Tensor, "T count"]
    residuals: Float[Tensor, " T"]
    distances: Float[Tensor, " T"]
    uncentred: Float[Tensor, " most"]
    centred: Float[Tensor, " most"]
    held: float
    by_chance: float
    rank: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trajectories:
    """Paths on the plane of their components: the loss there, and the loss where they went.

    Args:
        surface: name of the problem.
        split: which data.
        names: of the paths.
        steps: of each path's points.
        plane: the components.
        losses: at the points themselves.
        plane_losses: at the points' projections onto the plane.
        x: coordinates of the grid's columns along the first direction.
        y: coordinates of the grid's rows along the second.
        grid: the loss on the plane.
    """

    surface: str
    split: str
    names: tuple[str, ...]
    steps: tuple[tuple[int, ...], ...]
    plane: Components
    losses: Float[Tensor, " T"]
    plane_losses: Float[Tensor, " T"]
    x: Float[Tensor, " columns"]
    y: Float[Tensor, " rows"]
    grid: Float[Tensor, "rows columns"]

    @property
    def places(self) -> tuple[slice, ...]:
        """Where each path's points lie among all."""
        return spans(self.plane.lengths)


def components(
    points: Float[Tensor, "T P"] | Sequence[Float[Tensor, "..."]],
    about: About = "end",
    count: int = 2,
) -> Components:
    """Principal components of one path, or of several in one plane.

    The eigenvectors of the Gram matrix of the points' differences from the origin, `T` by
    `T`, in float64 and added up over blocks of coordinates, so that many parameters need no
    copy.  Read the shares beside what chance gives: in many dimensions a random walk's own
    first two components hold 61 % and 15 % of its variance.

    Args:
        points: one path `[T, P]`, or several `[T_i, P]`.
        about: see `Components`.
        count: directions.

    Raises:
        BadValue: points are not finite, or have fewer coordinates than `count`.

    References:
        Li, Xu, Taylor, Studer and Goldstein (2018). Visualizing the loss landscape of neural
        nets. arXiv 1712.09913.
        Antognini and Sohl-Dickstein (2018). PCA of high dimensional random walks with
        comparison to neural network training. arXiv 1806.08805.

    Example:
        >>> path = torch.tensor([[3.0, 4.0], [1.5, 2.0], [0.0, 0.0]])
        >>> found = components(path)
        >>> found.rank, [round(c, 12) for c in found.coordinates[:2, 0].tolist()]
        (1, [5.0, 2.5])
    """
    arguments.choice("about", about, ("end", "mean", "axes"))
    paths = [points] if isinstance(points, Tensor) else list(points)
    size = _checked(paths, count)
    lengths = tuple(map(len, paths))
    ends = torch.stack([p[-1].double() for p in paths]).mean(0)
    gram = torch.zeros(sum(lengths), sum(lengths), dtype=torch.float64)
    for block, x in _streamed(paths):
        x -= ends[block]
        gram += x @ x.T
    middle = gram - gram.mean(0) - gram.mean(1, keepdim=True) + gram.mean()
    spectra = {"end": torch.linalg.eigh(gram), "mean": torch.linalg.eigh(middle)}
    uncentred, centred = (_shares(spectra[name].eigenvalues)[:size] for name in ("end", "mean"))
    if about == "axes":
        if size != count:
            raise BadValue(f"`about=axes` is for points of {count} coordinates, got {size}")
        origin, directions = torch.zeros(size, dtype=torch.float64), torch.eye(size).double()
        rank = count
    else:
        origin = ends
        if about == "mean":
            origin = torch.stack([p.sum(0, dtype=torch.float64) for p in paths]).sum(0)
            origin /= sum(lengths)
        values, vectors = spectra[about].eigenvalues.flip(0), spectra[about].eigenvectors.flip(1)
        noise = len(values) * torch.finfo(torch.float64).eps * values[0]
        rank = min(count, int((values > noise).sum()))
        found = torch.zeros(rank, size, dtype=torch.float64)
        for block, x in _streamed(paths):
            found[:, block] = vectors[:, :rank].T @ (x - origin[block])
        directions = orthonormal(found, count)
    coordinates, residuals, distances = _placed(paths, origin, directions)
    if about != "axes":
        # an eigenvector has no sign of its own; the farthest point gives it one
        far = coordinates.gather(0, coordinates.abs().argmax(0, keepdim=True))[0]
        sign = torch.where(far < 0, -1.0, 1.0)
        coordinates, directions = coordinates * sign, directions * sign[:, None]
    chance = orthonormal(torch.zeros(0, size, dtype=torch.float64), count)
    total = distances.square().sum()
    return Components(
        about=about,
        lengths=lengths,
        origin=origin,
        directions=directions,
        coordinates=coordinates,
        residuals=residuals,
        distances=distances,
        uncentred=uncentred,
        centred=centred,
        held=float(coordinates.square().sum() / total),
        by_chance=float(_placed(paths, origin, chance)[0].square().sum() / total),
        rank=rank,
    )


def trajectories(
    surface: Surface,
    paths: Sequence[Float[Tensor, "..."]],
    names: Sequence[str],
    steps: Sequence[Sequence[int]],
    *,
    about: About = "end",
    grid: int = 31,
    shown: Float[Tensor, "n P"] | None = None,
    listener: Callable[[float], None] = lambda share: None,
) -> Trajectories:
    """Paths in the plane of their first two components, with the loss on it and on them.

    What a plane shows below a path is the loss of the path's projection, not of the path;
    both are recorded.

    Args:
        surface: the loss.
        paths: points of each, `[T_i, P]`.
        names: of each.
        steps: at which each path's points were kept.
        about: see `Components`.
        grid: points along each side of the plane.
        shown: further points whose projections the grid includes.
        listener: told the share of the work that is done.

    Raises:
        BadValue: no path moves, or see `components`.
    """
    arguments.whole("grid", grid, 2)
    plane = components(paths, about)
    if not plane.distances.max() > 0:
        raise BadValue("no path moves, so there is no plane; give a path that does")
    marks = plane.coordinates
    if shown is not None:
        marks = torch.cat([marks, (shown.double() - plane.origin) @ plane.directions.T])
    x, y = _window(marks, grid)
    dtype = paths[0].dtype
    rows = []
    for i, height in enumerate(y):
        row = torch.stack([x, height.expand(len(x))], -1)
        rows.append(losses_at(surface, plane.origin, plane.directions, row, dtype))
        listener((i + 1) / (grid + 2))
    projected = losses_at(surface, plane.origin, plane.directions, plane.coordinates, dtype)
    return Trajectories(
        surface=surface.name,
        split=surface.split,
        names=tuple(names),
        steps=tuple(tuple(s) for s in steps),
        plane=plane,
        losses=torch.cat([loss(surface, path) for path in paths]),
        plane_losses=projected,
        x=x,
        y=y,
        grid=torch.stack(rows),
    )


def losses_at(
    surface: Surface,
    origin: Float[Tensor, " P"],
    directions: Float[Tensor, "count P"],
    coordinates: Float[Tensor, "n count"],
    dtype: torch.dtype,
) -> Float[Tensor, " n"]:
    """The loss at origin + coordinates . directions, some points at a time.

    Args:
        surface: the loss.
        origin: in float64, as the directions.
        directions: of the plane.
        coordinates: of the points along them.
        dtype: of the points at which the loss is taken.
    """
    size = max(1, LIVE_FLOATS // surface.size)
    parts = torch.split(coordinates, size)
    return torch.cat([loss(surface, (origin + c @ directions).to(dtype)) for c in parts])


def orthonormal(
    given: Float[Tensor, "rank P"], count: int, *key: str | int
) -> Float[Tensor, "count P"]:
    """Given directions made orthonormal in their order, and random ones up to a count.

    Args:
        given: linearly independent.
        count: directions wanted.
        key: of the random draw.
    """
    rank, size = given.shape
    drawn = generator("direction", size, *key).standard_normal((count - rank, size))
    scaled = given / given.norm(dim=1, keepdim=True)
    q, r = torch.linalg.qr(torch.cat([scaled, torch.from_numpy(drawn)]).T)
    signed: Tensor = q * torch.where(r.diagonal() < 0, -1.0, 1.0)
    return signed.T.contiguous()


def spans(lengths: Sequence[int]) -> tuple[slice, ...]:
    """Where parts of given lengths lie in their concatenation.

    Example:
        >>> spans((2, 3))
        (slice(0, 2, None), slice(2, 5, None))
    """
    stops = [sum(lengths[: i + 1]) for i in range(len(lengths))]
    return tuple(slice(b - n, b) for b, n in zip(stops, lengths, strict=True))


def _checked(paths: Sequence[Float[Tensor, "..."]], count: int) -> int:
    arguments.whole("count", count, 1)
    if not paths or any(p.dim() != 2 or p.shape[1] != paths[0].shape[1] for p in paths):
        raise BadValue("paths must be matrices [points, coordinates] of one width; give such")
    size: int = paths[0].shape[1]
    if size < count:
        raise BadValue(f"{count} directions need as many coordinates, got {size}; ask for fewer")
    if not all(bool(p.isfinite().all()) for p in paths):
        raise BadValue("a path has numbers that are not finite; leave out where it diverged")
    return size


def _streamed(
    paths: Sequence[Float[Tensor, "..."]],
) -> Iterator[tuple[slice, Float[Tensor, "T block"]]]:
    """All points' coordinates in float64, a block of them at a time."""
    size, width = paths[0].shape[1], max(1, BLOCK // sum(map(len, paths)))
    for first in range(0, size, width):
        block = slice(first, min(first + width, size))
        yield block, torch.cat([p[:, block].detach().cpu().double() for p in paths])


def _placed(
    paths: Sequence[Float[Tensor, "..."]],
    origin: Float[Tensor, " P"],
    directions: Float[Tensor, "count P"],
) -> tuple[Float[Tensor, "T count"], Float[Tensor, " T"], Float[Tensor, " T"]]:
    """Coordinates of all points, their distances from the plane and from the origin."""
    points = sum(map(len, paths))
    coordinates = torch.zeros(points, len(directions), dtype=torch.float64)
    distances, residuals = torch.zeros(2, points, dtype=torch.float64)
    for block, x in _streamed(paths):
        coordinates += (x - origin[block]) @ directions[:, block].T
        distances += (x - origin[block]).square().sum(1)
    for block, x in _streamed(paths):
        off = x - origin[block] - coordinates @ directions[:, block]
        residuals += off.square().sum(1)
    return coordinates, residuals.sqrt(), distances.sqrt()


def _shares(eigenvalues: Float[Tensor, " T"]) -> Float[Tensor, " T"]:
    values = eigenvalues.flip(0).clamp(min=0)
    shares: Tensor = values / values.sum().clamp(min=torch.finfo(torch.float64).tiny)
    return shares


def _window(
    coordinates: Float[Tensor, "T two"], grid: int
) -> tuple[Float[Tensor, " columns"], Float[Tensor, " rows"]]:
    """Coordinates of a grid around all points; an axis along which nothing moves gets some."""
    low, high = coordinates.amin(0), coordinates.amax(0)
    extent = high - low
    least = 0.3 * extent.max()
    flat = extent < 1e-6 * extent.max()
    half = torch.where(flat, least, extent) * (0.5 + MARGIN)
    middle = (low + high) / 2
    x, y = (
        torch.linspace(float(m - h), float(m + h), grid, dtype=torch.float64)
        for m, h in zip(middle, half, strict=True)
    )
    return x, y
