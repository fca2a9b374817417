"""What a plane shows: curvature at its centre, widths, negative curvature, and their spread."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.planes.directions import Directions
from ravine.landscape.planes.plane import Listener, Plane, plane
from ravine.landscape.sharing.evaluate import Way
from ravine.landscape.surface import Surface

NOISE = 16
"""Units of rounding of a loss by which a second difference may err."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Curvature:
    """Second derivatives of a plane in its own two coordinates, by central differences.

    They are those of the plane alone: a cell where they are positive may be a saddle of the
    whole surface, while one where they are not is not convex in the whole either.

    Args:
        smallest: eigenvalue of the 2 x 2 matrix at each inner cell, `[y, x]`; NaN on the rim
            and beside losses that are not finite.
        largest: the other.
        noise: what rounding can make of a curvature, at each inner cell.
    """

    smallest: Float64[np.ndarray, "ny nx"]
    largest: Float64[np.ndarray, "ny nx"]
    noise: Float64[np.ndarray, "ny nx"]

    @property
    def cells(self) -> int:
        """Inner cells whose curvature is known."""
        return int(np.isfinite(self.smallest).sum())

    @property
    def negative(self) -> float:
        """Share of these that curve downwards in some direction of the plane, beyond rounding."""
        return self._share(self.smallest < -self.noise)

    @property
    def undecided(self) -> float:
        """Share of these whose smallest curvature is zero to rounding."""
        return self._share(np.abs(self.smallest) <= self.noise)

    def _share(self, cells: np.ndarray) -> float:
        return float(cells.sum() / self.cells) if self.cells else np.nan


def curvature(found: Plane) -> Curvature:
    """The 2-D Hessian of a plane at its inner cells, for any ascending coordinates.

    On rectified networks the differences smooth over kinks at the scale of a cell.
    """
    f, rim = found.loss, np.full(found.loss.shape, np.nan)
    smallest, largest, noise = rim.copy(), rim.copy(), rim.copy()
    if min(f.shape) >= 3:
        with np.errstate(invalid="ignore", over="ignore"):
            xx = _second(f[1:-1], found.x, 1)
            yy = _second(f[:, 1:-1], found.y, 0)
            across, down = found.x[2:] - found.x[:-2], (found.y[2:] - found.y[:-2])[:, None]
            xy = (f[2:, 2:] - f[2:, :-2] - f[:-2, 2:] + f[:-2, :-2]) / across / down
            middle, apart = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
            inner = (slice(1, -1), slice(1, -1))
            known = np.isfinite(middle) & np.isfinite(apart)
            smallest[inner] = np.where(known, middle - apart, np.nan)
            largest[inner] = np.where(known, middle + apart, np.nan)
            step = min(np.diff(found.x).min(), np.diff(found.y).min())
            unit = torch.finfo(getattr(torch, found.dtype)).eps
            noise[inner] = NOISE * unit * _largest(np.abs(f)) / step**2
    return Curvature(smallest=smallest, largest=largest, noise=noise)


def width(found: Plane, axis: int) -> float:
    """How far apart the line through the centre crosses half its height, along one coordinate.

    Half height is f(theta) + (max - f(theta)) / 2 for the largest finite loss on the line, so
    the width depends on the range that is shown.  Crossings next to the centre are taken,
    linear between cells.

    Args:
        found: the plane.
        axis: 0 along x, 1 along y.

    Returns:
        The width in units of the coordinate; NaN without a centre cell, or where the line
        does not rise to half its height on both sides.
    """
    cell = found.centre_cell
    if cell is None or not np.isfinite(found.centre_loss):
        return np.nan
    line, at = (found.loss[cell[0]], cell[1]) if axis == 0 else (found.loss[:, cell[1]], cell[0])
    along = found.x if axis == 0 else found.y
    finite = line[np.isfinite(line)]
    half = found.centre_loss + (finite.max() - found.centre_loss) / 2
    if half <= found.centre_loss:
        return np.nan
    sides = (
        _crossing(line[at:], along[at:], half),
        _crossing(line[at::-1], along[at::-1], half),
    )
    return abs(sides[0] - sides[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class Spread:
    """Planes through one point over several draws of their directions.

    Args:
        planes: one for each seed, on one grid.
        lower: quartile of the losses at each cell, `[y, x]`; NaN where one is not a number.
        median: likewise.
        upper: quartile likewise.
    """

    planes: tuple[Plane, ...]
    lower: Float64[np.ndarray, "ny nx"]
    median: Float64[np.ndarray, "ny nx"]
    upper: Float64[np.ndarray, "ny nx"]

    @property
    def relative(self) -> float:
        """Median over the cells of the interquartile range over the height above the centre."""
        height = np.abs(self.median - self.planes[0].centre_loss)
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = (self.upper - self.lower) / height
        shares = shares[np.isfinite(shares)]
        return float(np.median(shares)) if len(shares) else np.nan


def spread(
    surface: Surface,
    centre: Float[Tensor, " P"],
    draw: Callable[[int | None], Directions],
    x: Float64[np.ndarray, " nx"] | Sequence[float],
    y: Float64[np.ndarray, " ny"] | Sequence[float],
    seeds: Sequence[int | None] = range(5),
    *,
    way: Way = "auto",
    folder: Path | None = None,
    listener: Listener = lambda share, seconds: None,
) -> Spread:
    """The plane of each seed's directions on one grid, and how far they differ cell by cell.

    Args:
        surface: f.
        centre: theta.
        draw: directions of a seed, as `lambda seed: random(surface, centre, seed)`.
        x: as in `plane`.
        y: as in `plane`.
        seeds: of the directions; None for directions that need none.
        way: as in `plane`.
        folder: as in `plane`.
        listener: told of progress over all planes.

    Raises:
        BadValue: there are no seeds, or one is there twice.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise BadValue(f"`seeds` must be different numbers, at least one, got {list(seeds)}")
    found: list[Plane] = []

    def told(share: float, seconds: float) -> None:
        before = sum(one.seconds for one in found)
        done = (len(found) + share) / len(seeds)
        rest = len(seeds) - len(found) - 1
        each = seconds / (1 - share) if share < 1 else before / max(1, len(found))
        listener(done, seconds + rest * each)

    for seed in seeds:
        sides = draw(seed)
        found.append(
            plane(
                surface,
                centre,
                sides.u,
                sides.v,
                x,
                y,
                kind=sides.kind,
                seed=seed,
                labels=sides.labels,
                way=way,
                folder=folder,
                listener=told,
            )
        )
    stack = np.stack([one.loss for one in found])
    known = np.isfinite(stack).all(0)
    quartiles = np.quantile(np.where(known, stack, 0.0), (0.25, 0.5, 0.75), axis=0)
    lower, median, upper = np.where(known, quartiles, np.nan)
    return Spread(planes=tuple(found), lower=lower, median=median, upper=upper)


def _second(
    f: Float64[np.ndarray, "rows columns"], at: Float64[np.ndarray, " n"], axis: int
) -> Float64[np.ndarray, "inner_rows inner_columns"]:
    steps = np.diff(at)
    steps = steps if axis == 1 else steps[:, None]
    slopes = np.diff(f, axis=axis) / steps
    before, after = (steps[..., :-1], steps[..., 1:]) if axis == 1 else (steps[:-1], steps[1:])
    second: Float64[np.ndarray, "..."] = np.diff(slopes, axis=axis) / ((before + after) / 2)
    return second


def _largest(f: Float64[np.ndarray, "ny nx"]) -> Float64[np.ndarray, "inner_y inner_x"]:
    windows = np.lib.stride_tricks.sliding_window_view(f, (3, 3))
    found: Float64[np.ndarray, "..."] = windows.max((2, 3))
    return found


def _crossing(
    line: Float64[np.ndarray, " n"], at: Float64[np.ndarray, " n"], level: float
) -> float:
    for i in range(1, len(line)):
        if not np.isfinite(line[i]):
            return np.nan
        if line[i] >= level:
            share = (level - line[i - 1]) / (line[i] - line[i - 1])
            return float(at[i - 1] + share * (at[i] - at[i - 1]))
    return np.nan
