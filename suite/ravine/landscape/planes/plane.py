"""The loss on a grid of a plane through a point, cell by cell and without gaps."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64, Int8
from torch import Tensor

from ravine.errors import BadValue, RavineError
from ravine.landscape.planes import store
from ravine.landscape.planes.directions import cosine
from ravine.landscape.sharing.evaluate import (
    WAYS,
    Coefficients,
    Components,
    Scores,
    Sharing,
    Way,
    alike,
    cell,
    share,
)
from ravine.landscape.surface import Surface, blocks, loss
from ravine.problems import arguments

Listener = Callable[[float, float], None]
"""Told the share of cells that are done and the seconds that the others should take."""


class Status(IntEnum):
    """What the loss of a cell is."""

    FINITE = 0
    INFINITE = 1
    NOT_A_NUMBER = 2


@dataclass(frozen=True, kw_only=True, eq=False)
class Plane:
    """f(theta + a u + b v) at every a in `x` and b in `y`.

    Args:
        problem: name of the surface.
        centre: theta.
        u: direction of the columns' coordinate.
        v: direction of the rows' coordinate.
        x: a of every column, ascending.
        y: b of every row, ascending.
        loss: indexed `[row, column]`, that is `[y, x]`; what is not finite is kept.
        status: a `Status` for every cell.
        centre_loss: f(theta).
        kind: how the directions came about.
        seed: of random directions.
        labels: of the coordinates.
        way: `shared` or `plain`.
        reason: which weights' products are shared, or why none are.
        known: cells that were read and not computed.
        seconds: that the others took.
        batch_norm: how batch normalisation was done; empty without any.
        split: which data.
        examples: how many.
        dtype: in which the surface was evaluated.
    """

    problem: str
    centre: Float[Tensor, " P"]
    u: Float[Tensor, " P"]
    v: Float[Tensor, " P"]
    x: Float64[np.ndarray, " nx"]
    y: Float64[np.ndarray, " ny"]
    loss: Float64[np.ndarray, "ny nx"]
    centre_loss: float
    kind: str = ""
    seed: int | None = None
    labels: tuple[str, str] = ("a", "b")
    way: str = "plain"
    reason: str = ""
    known: int = 0
    seconds: float = 0.0
    batch_norm: str = ""
    split: str = ""
    examples: int = 1
    dtype: str = "float64"

    @property
    def status(self) -> Int8[np.ndarray, "ny nx"]:
        """A `Status` for every cell."""
        kinds = np.full(self.loss.shape, Status.FINITE, dtype=np.int8)
        kinds[np.isinf(self.loss)] = Status.INFINITE
        kinds[np.isnan(self.loss)] = Status.NOT_A_NUMBER
        return kinds

    @property
    def cosine(self) -> float:
        """Between the directions."""
        return cosine(self.u, self.v)

    @property
    def lengths(self) -> tuple[float, float]:
        """Of the directions: the distance in parameters of a unit of each coordinate."""
        return float(self.u.double().norm()), float(self.v.double().norm())

    @property
    def centre_cell(self) -> tuple[int, int] | None:
        """Row and column of theta itself; None where the grid does not hold it."""
        rows, columns = np.flatnonzero(self.y == 0), np.flatnonzero(self.x == 0)
        return (int(rows[0]), int(columns[0])) if len(rows) and len(columns) else None


def coordinates(low: float, high: float, points: int) -> Float64[np.ndarray, " points"]:
    """Equal steps from low to high, both included; zero is exact in the middle of -s to s.

    Raises:
        BadValue: the range is empty or not finite, or there are fewer than 2 points.

    Example:
        >>> coordinates(-0.3, 0.3, 3).tolist(), coordinates(0.0, 1.0, 3).tolist()
        ([-0.3, 0.0, 0.3], [0.0, 0.5, 1.0])
    """
    arguments.whole("points", points, 2)
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise BadValue(f"a range must go from a lower to a higher number, got {low} to {high}")
    step = np.arange(points)
    return (low * step[::-1] + high * step) / (points - 1)


def holding_zero(low: float, high: float, points: int) -> Float64[np.ndarray, " points"]:
    """Equal steps that reach from low to high or a little beyond, one of them exactly at zero.

    Raises:
        BadValue: as in `coordinates`, or zero lies outside.

    Example:
        >>> holding_zero(-0.5, 1.0, 5).tolist()
        [-0.5, 0.0, 0.5, 1.0, 1.5]
    """
    arguments.whole("points", points, 3)
    if not low <= 0 <= high:
        raise BadValue(f"a range must hold zero, got {low} to {high}; use `coordinates`")
    coordinates(low, high, points)
    step = (high - low) / (points - 2)
    found: Float64[np.ndarray, " points"] = step * (np.arange(points) - math.ceil(-low / step))
    return found


def centred(span: float, points: int) -> Float64[np.ndarray, " points"]:
    """From -span to span, symmetrical to the bit, with an exact zero in the middle.

    Raises:
        BadValue: the number of points is even, or the span not positive.
    """
    arguments.whole("points", points, 3)
    if points % 2 == 0:
        raise BadValue(
            f"`points` must be odd, so that one cell is the centre, got {points}; use {points + 1}"
        )
    if not (math.isfinite(span) and span > 0):
        raise BadValue(f"`span` must be positive, got {span}; use 1.0")
    return coordinates(-span, span, points)


def plane(
    surface: Surface,
    centre: Float[Tensor, " P"],
    u: Float[Tensor, " P"],
    v: Float[Tensor, " P"],
    x: Float64[np.ndarray, " nx"] | Sequence[float],
    y: Float64[np.ndarray, " ny"] | Sequence[float],
    *,
    kind: str = "along given vectors",
    seed: int | None = None,
    labels: tuple[str, str] = ("a", "b"),
    way: Way = "auto",
    folder: Path | None = None,
    listener: Listener = lambda share, seconds: None,
) -> Plane:
    """Evaluate a surface on a grid of the plane theta + a u + b v.

    Every cell is computed from theta itself, in the dtype of theta; nothing adds up from cell
    to cell.  Rows are stacked, by as many cells as fit into 256 MB, or go cell by cell with
    first layers computed once for the whole plane (see `sharing.evaluate`).  A grid that holds
    (0, 0) has f(theta) itself there.

    Args:
        surface: f.
        centre: theta.
        u: direction of the columns.
        v: direction of the rows.
        x: a of every column, ascending; `centred` and `coordinates` make such.
        y: b of every row, ascending.
        kind: how the directions came about, for the record.
        seed: likewise.
        labels: of the coordinates, for figures.
        way: `auto`, `shared` or `plain`.
        folder: where finished rows are kept; a plane that is there is read, not computed.
        listener: told of progress.

    Raises:
        BadValue: an argument is outside its domain, or `way` is `shared` and nothing can be.
        StoreError: the folder cannot be used.
    """
    arguments.choice("way", way, WAYS)
    columns, lines = _ascending("x", x), _ascending("y", y)
    components = _checked(surface, centre, u, v)
    here = loss(surface, centre).item()
    corners = [(float(a), float(b)) for a, b in ((columns[0], lines[0]), (columns[-1], lines[-1]))]

    def plainly(at: Coefficients) -> Scores:
        return {"": loss(surface, cell(components, *at)).view(1, 1).cpu()}

    sharing, reason = None, "asked for"
    if way != "plain":
        sharing, reason = share(
            {"": surface},
            components,
            lambda ground, *given: (ground.mean(*given),),
            [*corners, (0.0, 0.0)],
            plainly,
            len(columns) * len(lines),
            always=way == "shared",
        )
        if sharing is None and way == "shared":
            raise BadValue(f"nothing can be shared on `{surface.name}`: {reason}; use way=plain")
    used = "plain" if sharing is None else "shared"
    name, done = "", list[int]()
    values = np.full((len(lines), len(columns)), np.nan)
    if folder is not None:
        felt = [plainly(corner)[""].item() for corner in corners]
        name = store.key(surface, components, (columns, lines), used, repr((here, felt)))
        done = store.rows(folder, name, len(lines))
        values = store.read(folder, name, len(lines), len(columns))
    left = sorted(set(range(len(lines))) - set(done))
    began = warm = time.perf_counter()
    for count, row in enumerate(left, 1):
        values[row] = _row(surface, components, sharing, columns, float(lines[row]))
        if folder is not None:
            store.write_row(folder, name, row, values[row])
        warm = time.perf_counter() if count == 1 else warm
        # the first row pays for what is set up once
        each = (time.perf_counter() - warm) / (count - 1) if count > 1 else warm - began
        listener(1 - (len(left) - count) / len(lines), each * (len(left) - count))
    if folder is not None and left:
        store.write_whole(folder, name, values)
    _pin(values, columns, lines, here, centre.dtype)
    return Plane(
        problem=surface.name,
        centre=centre,
        u=u,
        v=v,
        x=columns,
        y=lines,
        loss=values,
        centre_loss=here,
        kind=kind,
        seed=seed,
        labels=labels,
        way=used,
        reason=reason,
        known=(len(lines) - len(left)) * len(columns),
        seconds=time.perf_counter() - began,
        batch_norm=surface.batch_norm,
        split=surface.split,
        examples=surface.examples,
        dtype=str(centre.dtype).removeprefix("torch."),
    )


def _row(
    surface: Surface,
    components: Components,
    sharing: Sharing | None,
    x: Float64[np.ndarray, " nx"],
    y: float,
) -> Float64[np.ndarray, " nx"]:
    if sharing is not None:
        return sharing.row(x.tolist(), y)[""][0].numpy()
    values = np.empty(len(x))
    a = torch.from_numpy(x).to(components[0])[:, None]
    for block in blocks(surface, len(x)):
        values[block] = loss(surface, cell(components, a[block], y)).cpu().numpy()
    return values


def _pin(
    values: Float64[np.ndarray, "ny nx"],
    x: Float64[np.ndarray, " nx"],
    y: Float64[np.ndarray, " ny"],
    here: float,
    dtype: torch.dtype,
) -> None:
    """Insist that the cell of theta has the loss of theta, and give it its very bits."""
    at = np.ix_(y == 0, x == 0)
    if math.isfinite(here) and not all(
        alike(value, here, dtype) for value in values[at].ravel().tolist()
    ):
        raise RavineError(
            f"the centre of the plane has loss {float(values[at].max()):.9g}, and the point itself "
            f"{here:.9g}; the surface is no function of the point alone"
        )
    values[at] = here


def _ascending(name: str, given: object) -> Float64[np.ndarray, " n"]:
    array = np.array(given, dtype=np.float64)
    if array.ndim != 1 or not len(array) or not bool(np.isfinite(array).all()):
        raise BadValue(f"`{name}` must be a list of finite numbers; use `centred(1.0, 51)`")
    if not bool((np.diff(array) > 0).all()):
        raise BadValue(f"`{name}` must ascend; sort it and leave repeated values out")
    return array


def _checked(
    surface: Surface, centre: Float[Tensor, " P"], u: Float[Tensor, " P"], v: Float[Tensor, " P"]
) -> Components:
    for name, vector in (("centre", centre), ("u", u), ("v", v)):
        if tuple(vector.shape) != (surface.size,):
            raise BadValue(
                f"`{name}` must have the {surface.size} coordinates of `{surface.name}`, got "
                f"{list(vector.shape)}; give as many"
            )
        if not bool(vector.isfinite().all()):
            raise BadValue(f"`{name}` must be finite; give another")
    if abs(cosine(u, v)) > 1 - 1e-9 or not bool(u.any()) or not bool(v.any()):
        raise BadValue("`u` and `v` must span a plane; give two that are not parallel")
    theta = centre.detach()
    return theta, u.detach().to(theta), v.detach().to(theta)
