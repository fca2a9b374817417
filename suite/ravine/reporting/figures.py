"""The figures of a report: a frame of `ravine.statistics` or of runs in, a `Figure` out.

`methods` is the order of all methods of a report: given to every figure, it makes a method
look the same in all of them.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ravine.registry import parse
from ravine.reporting.convergence import convergence_figure, convergence_grid
from ravine.reporting.drawing import (
    CROWD,
    Look,
    canvas,
    legend_beside,
    looks,
    nothing,
    plain_decades,
    styled,
)
from ravine.reporting.forest import verdict_figure

__all__ = [
    "convergence_figure",
    "convergence_grid",
    "ecdf_figure",
    "performance_figure",
    "rates_figure",
    "tuning_figure",
    "verdict_figure",
]


@styled
def performance_figure(frame: pl.DataFrame, methods: Sequence[str] = ()) -> Figure:
    """Draw performance profiles: how often a method is within a factor of the best.

    Args:
        frame: of `statistics.performance`.
        methods: the order of all methods of the report.
    """
    figure, axes = _shares("Performance profile", frame, "tau", methods)
    axes.set_xlabel("factor of the best method's steps")
    axes.set_ylabel("share of problems within the factor")
    return figure


@styled
def ecdf_figure(frame: pl.DataFrame, methods: Sequence[str] = ()) -> Figure:
    """Draw which share of all targets a method has reached after so many steps.

    Args:
        frame: of `statistics.ecdf`.
        methods: the order of all methods of the report.
    """
    figure, axes = _shares("Targets reached, all problems and seeds", frame, "steps", methods)
    axes.set_xlabel("steps")
    axes.set_ylabel("share of targets reached")
    return figure


def _shares(title: str, frame: pl.DataFrame, x: str, methods: Sequence[str]) -> tuple[Figure, Axes]:
    names = _names(frame, methods)
    figure = canvas(_with_count(title, frame), names)
    axes = figure.subplots()
    if frame.is_empty():
        nothing(axes, "no problem with targets")
        return figure, axes
    appearance = looks([*methods, *names])
    # a profile over a few problems has steps; so many targets have none that could be seen
    step: Literal["post"] | None = "post" if x == "tau" else None
    drawstyle: Literal["steps-post", "default"] = "steps-post" if step else "default"
    for name in names:
        part = frame.filter(pl.col("method") == name)
        values = part[x].to_numpy()
        low, middle, high = (part[c].to_numpy() for c in ("low", "share", "high"))
        look = appearance[name]
        axes.plot(values, middle, label=name, color=look.color, ls=look.dash, drawstyle=drawstyle)
        if len(names) <= CROWD:
            axes.fill_between(values, low, high, step=step, color=look.color, alpha=0.11, lw=0)
    axes.set_xscale("log")
    ends = frame[x].to_numpy()
    axes.set_xlim(ends.min(), max(ends.max(), 2 * ends.min()))
    axes.set_ylim(-0.02, 1.02)
    plain_decades(axes.xaxis)
    legend_beside(figure, axes)
    return figure, axes


@styled
def tuning_figure(curve: pl.DataFrame, methods: Sequence[str] = ()) -> Figure:
    """Draw the expected runtime against the number of tuning trials.

    Args:
        curve: `overall` of `statistics.curve`, or one problem's rows of `by_problem`.
        methods: the order of all methods of the report.
    """
    names = _names(curve, methods)
    figure = canvas(_with_count("Penalised steps by number of tuning trials", curve), names)
    axes = figure.subplots()
    if curve.is_empty():
        nothing(axes, "no tuning trials on problems with targets")
        return figure
    appearance = looks([*methods, *names])
    for name in names:
        part = curve.filter(pl.col("method") == name).sort("trials")
        low, middle, high = (np.exp2(part[c].to_numpy()) for c in ("low", "mean", "high"))
        look = appearance[name]
        trials = part["trials"].to_numpy()
        axes.plot(trials, middle, label=name, color=look.color, ls=look.dash, marker=look.marker)
        if len(names) <= CROWD:
            axes.fill_between(trials, low, high, color=look.color, alpha=0.11, lw=0)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(curve["trials"].unique().sort().to_list())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    plain_decades(axes.yaxis)
    axes.set_xlabel("tuning trials")
    axes.set_ylabel("penalised steps (a miss: twice the budget)")
    legend_beside(figure, axes)
    return figure


@styled
def rates_figure(summary: pl.DataFrame, problem: str, methods: Sequence[str] = ()) -> Figure:
    """Draw runtime and final value against the learning rate, for every setting tried.

    Where a method has more knobs, the lowest value at each learning rate is drawn.

    Args:
        summary: of `statistics.summary` over all settings, not only the chosen ones.
        problem: which one.
        methods: the order of all methods of the report.
    """
    here = _with_rates(summary.filter(pl.col("problem") == problem))
    names = _names(here, methods)
    figure = canvas(f"Learning rates on {problem}", names, width=6.0, height=5.4)
    upper, lower = figure.subplots(2, 1, sharex=True)
    if here.is_empty():
        nothing(upper, "no settings with a learning rate")
        nothing(lower, "")
        return figure
    appearance = looks([*methods, *names])
    final = "gap" if here["gap"].is_not_null().any() else "final"
    for axes, column in ((upper, "runtime"), (lower, final)):
        _by_rate(axes, here, column, [(name, appearance[name]) for name in names])
    upper.set_ylabel("penalised steps")
    lower.set_ylabel("final gap / gap at start" if final == "gap" else "final loss")
    upper.set_title("crosses at the top: most seeds diverged")
    lower.set_xlabel("learning rate")
    legend_beside(figure, upper)
    return figure


def _with_rates(summary: pl.DataFrame) -> pl.DataFrame:
    rates = [dict(parse(name).kwargs).get("lr") for name in summary["setting"]]
    known = [float(rate) if isinstance(rate, int | float) else None for rate in rates]
    return summary.with_columns(pl.Series("rate", known, pl.Float64)).filter(pl.col("rate") > 0)


def _by_rate(
    axes: Axes, here: pl.DataFrame, column: str, drawn: Sequence[tuple[str, Look]]
) -> None:
    known = here.filter(pl.col(column).is_not_null())
    if known.is_empty():
        nothing(axes, f"no {column}: the problem has no targets")
        return
    best = known.sort(column).group_by("method", "rate", maintain_order=True).first()
    top, height = axes.get_xaxis_transform(), 0.97
    for name, look in drawn:
        part = best.filter(pl.col("method") == name).sort("rate")
        rates = part["rate"].to_numpy()
        middle, low, high = (
            part[c].cast(pl.Float64).fill_null(float("nan")).to_numpy()
            for c in (column, f"{column}_low", f"{column}_high")
        )
        if column == "runtime":
            middle, low, high = np.exp2(middle), np.exp2(low), np.exp2(high)
        lost = rates[np.isinf(middle)]
        # staggered, for what diverges at one rate diverges at the same one in many methods
        axes.plot(lost, np.full(len(lost), height), "x", color=look.color, transform=top, zorder=4)
        height -= 0.045 if len(lost) else 0.0
        middle, low, high = (np.where(np.isfinite(v), v, np.nan) for v in (middle, low, high))
        axes.plot(rates, middle, label=name, color=look.color, ls=look.dash, marker=look.marker)
        if len(drawn) <= CROWD:
            axes.fill_between(rates, low, high, color=look.color, alpha=0.11, lw=0)
    axes.set_xscale("log")
    finite = best[column].filter(best[column].is_finite())
    if finite.is_empty():
        nothing(axes, "every setting diverged")
        return
    axes.set_yscale("log" if (finite > 0).all() else "symlog")
    if column == "runtime":
        plain_decades(axes.yaxis)


def _names(frame: pl.DataFrame, methods: Sequence[str]) -> list[str]:
    """The methods of a frame, in the order of the report."""
    present = frame["method"].unique(maintain_order=True).to_list()
    return [m for m in methods if m in present] + [m for m in present if m not in methods]


def _with_count(title: str, frame: pl.DataFrame) -> str:
    if frame.is_empty() or "problems" not in frame.columns:
        return title
    count = frame["problems"][0]
    return f"{title} ({count} problem{'s' if count != 1 else ''})"
