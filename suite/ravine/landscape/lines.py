"""The loss along straight lines between points, and what such a curve looks like in numbers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.errors import BadValue
from ravine.landscape.along import scores
from ravine.landscape.sharing.evaluate import WAYS, Way
from ravine.landscape.surface import Surface, unpack
from ravine.problems import arguments

Measure = Literal["loss", "error"]

Alphas = Sequence[float] | Float[Tensor, " given"] | Float[np.ndarray, " given"]
"""Where on a line, in any order."""

BETWEEN = tuple(i / 50 for i in range(51))
"""From one end to the other."""

TOLERANCE = 1e-6
"""Of the range between the ends: what is less than this apart counts as equal."""

ROUNDING = 16
"""Units in the last place by which a mean over examples may be wrong."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Line:
    """Loss and error at theta(alpha) = start + alpha (end - start).

    Values that are not finite are kept as they are.

    Args:
        problem: of the surface.
        split: which data: `train`, `test`, or empty for a formula.
        start: theta(0).
        end: theta(1).
        alphas: ascending; 0 and 1 are always among them.
        losses: at each alpha.
        errors: share of wrong answers, where there are right ones.
        examples: that losses and errors are means over.
        batch_norm: how batch normalisation was done; empty without any.
        way: `shared` or `plain`.
        reason: which weights' products are shared, or why none are.
    """

    problem: str
    split: str
    start: Float[Tensor, " P"]
    end: Float[Tensor, " P"]
    alphas: Float64[Tensor, " A"]
    losses: Float64[Tensor, " A"]
    errors: Float64[Tensor, " A"] | None
    examples: int
    batch_norm: str
    way: str = "plain"
    reason: str = ""

    @property
    def distance(self) -> float:
        """||end - start||."""
        return float((self.end.double() - self.start.double()).norm())


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a curve along a line looks like.

    Two values are equal that differ by less than a tolerance: a share of the range between
    the ends, and what rounding may do to the value itself.  Values that are not finite are
    left out; what they leave unknown is None or nan.

    Args:
        ends: values at alpha 0 and 1.
        monotone: never rising from 0 to 1.
        rise: the most by which a value from 0 to 1 lies above one before it, the last one
            included.
        final_rise: by how much the value at 1 lies above the lowest one from 0 to 1.
        height: of the barrier, the most by which a value from 0 to 1 lies above the chord
            (1 - alpha) f(0) + alpha f(1).
        at: the alpha of the barrier.
        convex: no value from 0 to 1 lies above the chord of its neighbours.
        bend: the smallest second divided difference 2 f[a, b, c] of neighbours from 0 to 1,
            which is the second derivative somewhere between them; of those that rounding
            leaves.
        minima: alphas of local minima on the whole line: lower than what lies on both
            sides, plateaus counted once by their middle; the first and the last alpha never.
        maxima: likewise.
        lowest: value of the global minimum over the alphas.
        lowest_at: its alpha.
        nonfinite: how many values are left out.
        tolerance: between the ends, without rounding.
    """

    ends: tuple[float, float]
    monotone: bool | None
    rise: float
    final_rise: float
    height: float
    at: float
    convex: bool | None
    bend: float
    minima: tuple[float, ...]
    maxima: tuple[float, ...]
    lowest: float
    lowest_at: float
    nonfinite: int
    tolerance: float


def line(
    surface: Surface,
    start: Float[Tensor, " P"],
    end: Float[Tensor, " P"],
    alphas: Alphas = BETWEEN,
    *,
    way: Way = "auto",
) -> Line:
    """The loss along the straight line through two points.

    f(start + alpha (end - start)), every point computed from the ends, in their dtype.  Points
    are evaluated in stacks or, where a line has many and that is worth it, with the first
    layers' products computed once for all (see `sharing.evaluate`): A X + alpha D X for
    (A + alpha D) X, which is the same but for rounding, in float32 about 1e-6 of the loss.
    At alpha 0 and 1 the line is f itself.  The shape of a line says nothing of the test
    accuracy at its end, nor of what lies beside it.

    Args:
        surface: f.
        start: the point at alpha 0.
        end: the point at alpha 1.
        alphas: any; 0 and 1 are added where they are missing.
        way: `auto`, `shared` or `plain`: first layers shared where that is worth it, always,
            never.

    Raises:
        BadValue: the ends are no two points of the surface, or an alpha is not finite,
            or `way` is `shared` and nothing can be.

    References:
        Goodfellow, Vinyals and Saxe (2015). Qualitatively characterizing neural network
        optimization problems. arXiv 1412.6544.  Vlaar and Frankle (2022). What can linear
        interpolation of neural network loss landscapes tell us? arXiv 2106.16004.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> ground = surface(problem("sphere(dim=2)"))
        >>> ends = torch.tensor([[1.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
        >>> line(ground, *ends, [0, 0.5, 1]).losses.tolist()
        [2.0, 0.5, 0.0]
    """
    return lines({surface.split: surface}, start[None], end[None], alphas, way=way)[0][
        surface.split
    ]


def lines(
    surfaces: Mapping[str, Surface],
    starts: Float[Tensor, "k P"],
    ends: Float[Tensor, "k P"],
    alphas: Alphas = BETWEEN,
    *,
    way: Way = "auto",
    listener: Callable[[float], None] = lambda share: None,
) -> tuple[dict[str, Line], ...]:
    """Lines through many pairs of points on several surfaces, evaluated together.

    Args:
        surfaces: by name, as `train` and `test`; of one problem.
        starts: points at alpha 0.
        ends: points at alpha 1, one for each start.
        alphas: see `line`.
        way: see `line`.
        listener: told the share of points that are evaluated.

    Returns:
        For each pair a line on each surface.

    Raises:
        BadValue: see `line`.
    """
    arguments.choice("way", way, WAYS)
    starts, ends = checked(surfaces, starts, ends)
    grid = _grid(alphas).expand(len(starts), -1)
    found = scores(surfaces, starts, ends, grid, listener, way)
    return tuple(
        {
            name: assembled(
                surfaces[name],
                starts[i],
                ends[i],
                grid[i],
                *values[:, i],
                way=found.ways[i],
                reason=found.reasons[i],
            )
            for name, values in found.values.items()
        }
        for i in range(len(starts))
    )


def profile(line: Line, measure: Measure = "loss", tolerance: float = TOLERANCE) -> Profile:
    """What the curve of loss or error looks like.

    Args:
        line: on which it lies.
        measure: `loss` or `error`.
        tolerance: differences that count as none, as a share of the range between the ends.

    Raises:
        BadValue: the line has no errors.

    References:
        Lucas et al. (2021). Analyzing monotonic linear interpolation in neural network loss
        landscapes. arXiv 2104.11044.

    Example:
        >>> from ravine import problem
        >>> from ravine.landscape.sources import surface
        >>> wells = surface(problem("double_well(dim=1)"))
        >>> ends = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
        >>> found = profile(line(wells, *ends, [i / 100 for i in range(-100, 201)]))
        >>> found.monotone, found.at, found.minima
        (False, 0.5, (0.0, 1.0))
    """
    given = line.losses if measure == "loss" else line.errors
    if given is None:
        raise BadValue(f"nothing is right or wrong on `{line.problem}`; take the loss")
    alphas, values = line.alphas.cpu().numpy(), given.cpu().numpy()
    inner = (alphas >= 0) & (alphas <= 1)
    finite = np.isfinite(values)
    first, last = values[alphas == 0].item(), values[alphas == 1].item()
    whole = bool(finite[inner].all())
    x, f = alphas[inner & finite], values[inner & finite]
    slack = tolerance * float(np.ptp(f)) if len(f) else 0.0
    rounding = ROUNDING * torch.finfo(line.start.dtype).eps

    rises = f - np.minimum.accumulate(f)
    noise = rounding * (np.abs(f).max() if len(f) else 0.0)
    over = f - ((1 - x) * first + x * last)
    top = int(over.argmax()) if len(over) and np.isfinite([first, last]).all() else None
    excess, second = _bends(x, f)
    certain = second[np.abs(excess) > noise]
    kept, heights = alphas[finite], values[finite]
    valleys, hills = _extremes(heights, slack + rounding * np.abs(heights))
    low = int(heights.argmin()) if len(heights) else None
    return Profile(
        ends=(first, last),
        monotone=bool((rises <= slack + noise).all()) if whole else None,
        rise=float(rises.max()) if len(f) else np.nan,
        final_rise=float(last - f.min()) if len(f) else np.nan,
        height=np.nan if top is None else float(over[top]),
        at=np.nan if top is None else float(x[top]),
        convex=bool((excess <= slack + noise).all()) if whole else None,
        bend=float(certain.min()) if len(certain) else np.nan,
        minima=tuple(map(float, kept[valleys])),
        maxima=tuple(map(float, kept[hills])),
        lowest=np.nan if low is None else float(heights[low]),
        lowest_at=np.nan if low is None else float(kept[low]),
        nonfinite=int((~finite).sum()),
        tolerance=slack,
    )


def assembled(
    surface: Surface,
    start: Float[Tensor, " P"],
    end: Float[Tensor, " P"],
    alphas: Float64[Tensor, " A"],
    losses: Float64[Tensor, " A"],
    errors: Float64[Tensor, " A"] | None = None,
    *,
    way: str = "plain",
    reason: str = "",
) -> Line:
    """A line with what its surface says of itself."""
    return Line(
        problem=surface.name,
        split=surface.split,
        start=start,
        end=end,
        alphas=alphas,
        losses=losses,
        errors=errors,
        examples=surface.examples,
        batch_norm=surface.batch_norm,
        way=way,
        reason=reason,
    )


def checked(
    surfaces: Mapping[str, Surface], starts: Float[Tensor, "..."], ends: Float[Tensor, "..."]
) -> tuple[Float[Tensor, "k P"], Float[Tensor, "k P"]]:
    """The ends in one dtype, as points of every surface.

    Raises:
        BadValue: they are no such points, or not as many starts as ends.
    """
    if not surfaces:
        raise BadValue("a line needs a surface; give one")
    if starts.shape != ends.shape or not starts.is_floating_point() or not ends.is_floating_point():
        raise BadValue(
            f"a line needs as many starts as ends, of floating point numbers, got "
            f"{list(starts.shape)} and {list(ends.shape)}; give two points each"
        )
    dtype = torch.promote_types(starts.dtype, ends.dtype)
    starts, ends = (x.detach().to(dtype) for x in (starts, ends))
    for surface in surfaces.values():
        unpack(surface, starts)
    return starts, ends


def _grid(alphas: Alphas) -> Float64[Tensor, " A"]:
    """Ascending and distinct, with 0 and 1 among them."""
    given = torch.as_tensor(alphas, dtype=torch.float64).detach().cpu().clone().numpy()
    if given.ndim != 1 or not np.isfinite(given).all():
        raise BadValue(f"`alphas` must be a list of finite numbers, got {alphas}; give such")
    # a grid that comes within rounding of an end means the end
    for end in (0.0, 1.0):
        given[np.abs(given - end) < 1e-9] = end
    return torch.from_numpy(np.union1d(given, [0.0, 1.0]))


def _bends(
    x: Float64[np.ndarray, " n"], f: Float64[np.ndarray, " n"]
) -> tuple[Float64[np.ndarray, " m"], Float64[np.ndarray, " m"]]:
    """How far inner values lie above the chord of their neighbours, and 2 f[a, b, c]."""
    if len(x) < 3:
        return np.empty(0), np.empty(0)
    before, after = x[1:-1] - x[:-2], x[2:] - x[1:-1]
    share = before / (before + after)
    excess = f[1:-1] - ((1 - share) * f[:-2] + share * f[2:])
    return excess, -2 * excess / (before * after)


def _extremes(
    f: Float64[np.ndarray, " n"], slack: Float64[np.ndarray, " n"]
) -> tuple[list[int], list[int]]:
    """Where valleys and hills lie that are deeper than the slack on both sides.

    One pass: an extreme is one as soon as a later value has left it by more than the slack.
    """
    found: dict[int, list[int]] = {-1: [], 1: []}
    way, low, high = 0, [0, 0], [0, 0]  # first and last place of the lowest, highest since
    for i in range(1, len(f)):
        for sign, place in ((-1, low), (1, high)):
            if sign * f[i] > sign * f[place[0]]:
                place[:] = i, i
            elif f[i] == f[place[0]]:
                place[1] = i
        if way <= 0 and f[i] > f[low[0]] + max(slack[i], slack[low[0]]):
            if way:
                found[-1].append(sum(low) // 2)
            way, high[:] = 1, (i, i)
        elif way >= 0 and f[i] < f[high[0]] - max(slack[i], slack[high[0]]):
            if way:
                found[1].append(sum(high) // 2)
            way, low[:] = -1, (i, i)
    return found[-1], found[1]
