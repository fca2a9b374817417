"""How the loss came down: quartiles over seeds of what runs passed through, and their pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from jaxtyping import Float64, Int64
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from ravine.records.schema import Outcome
from ravine.reporting.drawing import (
    CROWD,
    Look,
    canvas,
    legend_beside,
    legend_outside,
    looks,
    nothing,
    plain_decades,
    styled,
    wrapped,
)

FLOOR = 1e-12
"""Gaps below it are drawn at it: rounding, not progress."""

_FAR = 1e3  # times the value at the start: what is drawn at most
_BEYOND = 1e30  # further than anything that is drawn


@dataclass(frozen=True, slots=True)
class Band:
    """The quartiles of one setting's runs at every checkpoint.

    Args:
        label: the method, or the setting where a method has several.
        method: the method.
        steps: checkpoints, ascending.
        low: lower quartile; infinite where runs diverged.
        middle: median.
        high: upper quartile.
        relative: the values are relative gaps, else losses.
    """

    label: str
    method: str
    steps: Int64[np.ndarray, " marks"]
    low: Float64[np.ndarray, " marks"]
    middle: Float64[np.ndarray, " marks"]
    high: Float64[np.ndarray, " marks"]
    relative: bool


def bands(runs: pl.DataFrame, problem: str) -> Iterator[Band]:
    """Sum up the traces of every setting on a problem.

        gap = (f(x) - f*) / (f(x0) - f*)

    where the minimum f* is known, else the loss itself.  A run that ended keeps its last
    value, a diverged one becomes infinite.

    Args:
        runs: rows with `problem`, `method`, `setting`, `outcome`, `start`, `minimum`,
            `trace_step`, `trace_loss`.
        problem: which one.
    """
    here = runs.filter((pl.col("problem") == problem) & (pl.col("trace_step").list.len() > 0))
    several = dict(here.group_by("method").agg(pl.col("setting").n_unique()).iter_rows())
    # all or none, so that one plot has one unit
    relative = not here.is_empty() and bool(
        (here["start"] > here["minimum"]).fill_null(False).all()
    )
    for (method, setting), group in here.group_by("method", "setting", maintain_order=True):
        steps = np.unique(np.concatenate([np.asarray(t) for t in group["trace_step"]]))
        values = np.stack([_values(row, steps, relative) for row in group.iter_rows(named=True)])
        # the lower of two middle values: the mean of a number and infinity says nothing
        low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0, method="lower")
        label = str(setting if several[method] > 1 else method)
        yield Band(label, str(method), steps, low, middle, high, relative)


def _values(
    row: dict[str, object], steps: Int64[np.ndarray, " marks"], relative: bool
) -> Float64[np.ndarray, " marks"]:
    at = np.asarray(row["trace_step"])
    losses = np.asarray(row["trace_loss"], float)
    values = losses[np.searchsorted(at, steps, side="right").clip(1) - 1]
    if relative:
        start, minimum = float(str(row["start"])), float(str(row["minimum"]))
        values = (values - minimum) / (start - minimum)
    gone = np.isnan(values)
    if row["outcome"] == Outcome.DIVERGED:
        gone |= steps > at[-1]
    return np.asarray(np.where(gone, np.inf, values))


@styled
def convergence_figure(runs: pl.DataFrame, problem: str, methods: Sequence[str] = ()) -> Figure:
    """Draw the median and quartiles over seeds of the gap against steps.

    Args:
        runs: of the chosen settings; a method with several gets a line for each.
        problem: which one.
        methods: the order of all methods of the report.
    """
    drawn = list(bands(runs, problem))
    figure = canvas(f"Convergence on {problem}", [band.label for band in drawn])
    axes = figure.subplots()
    _converge(axes, drawn, _appearance(drawn, methods))
    axes.set_xlabel("steps")
    legend_beside(figure, axes)
    return figure


@styled
def convergence_grid(
    runs: pl.DataFrame, problems: Sequence[str], methods: Sequence[str] = ()
) -> Figure:
    """Draw `convergence_figure` for many problems, as small panels with one legend.

    Args:
        runs: of the chosen settings.
        problems: one panel each, in this order.
        methods: the order of all methods of the report.
    """
    drawn = {problem: list(bands(runs, problem)) for problem in problems}
    every = [band for group in drawn.values() for band in group]
    appearance = _appearance(every, methods)
    columns = min(3, max(1, len(problems)))
    rows = max(1, -(-len(problems) // columns))
    labels = list(dict.fromkeys(band.label for band in every))
    figure = canvas("Convergence by problem", labels, width=2.9 * columns, height=2.3 * rows + 0.7)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    handles: dict[str, Artist] = {}
    units: list[str] = []
    for i, (axes, (problem, group)) in enumerate(zip(panels, drawn.items(), strict=False)):
        _converge(axes, group, appearance)
        axes.set_title(wrapped(problem, 28))
        units.append(axes.get_ylabel())
        if i % columns and units[i] == units[i - 1]:
            axes.set_ylabel("")
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    for axes in panels[len(problems) :]:
        axes.set_axis_off()
    for axes in panels[max(0, len(problems) - columns) : len(problems)]:
        axes.set_xlabel("steps")
    legend_outside(figure, [handles[name] for name in labels], labels)
    return figure


def _appearance(drawn: Sequence[Band], methods: Sequence[str]) -> dict[str, Look]:
    return looks([*methods, *(band.label for band in drawn)])


def _converge(axes: Axes, drawn: Sequence[Band], appearance: dict[str, Look]) -> None:
    if not drawn:
        nothing(axes, "no runs")
        return
    relative = drawn[0].relative
    for band in drawn:
        look = appearance[band.label]
        low, middle, high = (_shown(v, relative) for v in (band.low, band.middle, band.high))
        axes.plot(band.steps, middle, label=band.label, color=look.color, ls=look.dash)
        if len(drawn) <= CROWD:
            # where the upper quartile diverged the band goes on beyond the picture
            top = np.where(np.isnan(high) & ~np.isnan(low), _BEYOND, high)
            axes.fill_between(band.steps, low, top, color=look.color, alpha=0.11, lw=0)
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(0, max(1, *(int(band.steps[-1]) for band in drawn)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    _set_heights(axes, drawn, relative)
    axes.set_ylabel("gap / gap at start" if relative else "loss")


def _shown(values: Float64[np.ndarray, " marks"], relative: bool) -> Float64[np.ndarray, " marks"]:
    floor = FLOOR if relative else -_BEYOND
    return np.where(np.isfinite(values), np.clip(values, floor, _BEYOND), np.nan)


def _set_heights(axes: Axes, drawn: Sequence[Band], relative: bool) -> None:
    """Scale and limits that show the descent; what diverges or escapes leaves the picture."""
    values = np.concatenate([v for b in drawn for v in (b.low, b.middle, b.high)])
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        nothing(axes, "every run diverged")
        return
    lowest, highest = float(finite.min()), float(finite.max())
    size = float(np.median([abs(b.middle[0]) for b in drawn if np.isfinite(b.middle[0])] or [1.0]))
    if relative or lowest > 0:
        axes.set_yscale("log")
        bottom = max(lowest, FLOOR) / 3
        axes.set_ylim(bottom, 2 * max(bottom, min(highest, _FAR * max(size, bottom))))
        if relative:
            axes.yaxis.set_major_locator(LogLocator(base=10, numticks=8))
            axes.yaxis.set_minor_locator(NullLocator())
        else:
            plain_decades(axes.yaxis)
        return
    # a whole decade, for ticks within the linear part would crowd
    scale = 10.0 ** np.ceil(np.log10(size)) if size > 0 else 1.0
    if max(highest, -lowest) > 50 * scale:
        axes.set_yscale("symlog", linthresh=scale)
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_ylim(
            max(1.5 * lowest, -_FAR * scale), min(max(1.5 * highest, scale), _FAR * scale)
        )
