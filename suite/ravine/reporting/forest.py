"""Two methods over all problems: ratios with their intervals, one line each."""

import numpy as np
import polars as pl
from jaxtyping import Int64
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ravine.reporting.drawing import breadth, canvas, nothing, plain_decades, styled, wrapped
from ravine.statistics.verdicts import Verdict

_VERDICTS = {
    Verdict.BETTER: ("#0072B2", "o"),
    Verdict.WORSE: ("#D55E00", "s"),
    Verdict.TIE: ("#009E73", "D"),
    Verdict.CANNOT_TELL: ("#888888", "X"),
}
_WIDEST = 1e4  # ratios are drawn within this factor of 1


@styled
def verdict_figure(verdicts: pl.DataFrame, a: str, b: str) -> Figure:
    """Draw the ratio of two methods on every problem, with its interval and the verdict.

    Args:
        verdicts: of `statistics.pairwise`; rows not `counted` are left out.
        a: the method whose steps are above the line.
        b: the method that they are divided by.
    """
    rows = _oriented(verdicts.filter("counted"), a, b).sort("ratio", nulls_last=True)
    labels = [
        wrapped(problem if measure == "steps" else f"{problem}: {measure}", 44)
        for problem, measure in rows.select("problem", "measure").iter_rows()
    ]
    lines = sum(label.count("\n") + 1 for label in labels)
    # room for a title and a legend that may be long, too
    height = 1.6 + 0.2 * max(lines, 4) + 0.008 * (len(a) + len(b))
    figure = canvas(f"{a} against {b}", width=5.6 + breadth(labels), height=height)
    axes = figure.subplots()
    if rows.is_empty():
        nothing(axes, "no problem in common")
        return figure
    for verdict, (color, marker) in _VERDICTS.items():
        at = np.flatnonzero((rows["verdict"] == verdict).to_numpy())
        if len(at):
            _forest(axes, rows[at], len(rows) - 1 - at, _word(verdict, a, b), color, marker)
    axes.axvline(1.0, color="#222222", lw=0.8, zorder=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows))[::-1], labels)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("ratio of the first to the second (left of 1 the first is better)")
    plain_decades(axes.xaxis)
    handles, names = axes.get_legend_handles_labels()
    figure.legend(handles, list(map(wrapped, names)), loc="outside lower left", ncols=2)
    return figure


def _oriented(rows: pl.DataFrame, a: str, b: str) -> pl.DataFrame:
    """The rows of a pair, turned round where the frame has it the other way."""
    forth = rows.filter((pl.col("a") == a) & (pl.col("b") == b))
    back = rows.filter((pl.col("a") == b) & (pl.col("b") == a))
    swapped = {verdict.value: verdict.swapped.value for verdict in Verdict}
    turned = back.with_columns(
        pl.col("b").alias("a"),
        pl.col("a").alias("b"),
        (1 / pl.col("ratio")).alias("ratio"),
        (1 / pl.col("high")).alias("low"),
        (1 / pl.col("low")).alias("high"),
        pl.col("verdict").replace(swapped),
    )
    return pl.concat([forth, turned])


def _word(verdict: Verdict, a: str, b: str) -> str:
    return {Verdict.BETTER: f"{a} better", Verdict.WORSE: f"{b} better"}.get(verdict, verdict.value)


def _forest(
    axes: Axes,
    rows: pl.DataFrame,
    places: Int64[np.ndarray, " rows"],
    label: str,
    color: str,
    marker: str,
) -> None:
    bounds = (1 / _WIDEST, _WIDEST)
    low, middle, high = (rows[c].clip(*bounds).to_numpy() for c in ("low", "ratio", "high"))
    axes.hlines(places, low, high, color=color, lw=1.6, zorder=2)
    axes.plot(middle, places, marker, color=color, mec="white", mew=0.6, ms=6.5, label=label)
    for ends, bound, arrow in zip((low, high), bounds, "<>", strict=True):
        # the interval goes on beyond the picture
        axes.plot(ends[ends == bound], places[ends == bound], arrow, color=color, ms=5)
