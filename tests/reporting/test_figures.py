"""Figures: what they draw, that nothing overlaps, and that the same picture is the same file."""

from collections.abc import Callable
from itertools import combinations, pairwise

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ravine import statistics
from ravine.records.schema import RUN_SCHEMA
from ravine.reporting.convergence import FLOOR, bands
from ravine.reporting.drawing import looks, to_png, to_svg, wrapped
from ravine.reporting.figures import (
    convergence_figure,
    convergence_grid,
    ecdf_figure,
    performance_figure,
    rates_figure,
    tuning_figure,
    verdict_figure,
)

Runs = Callable[..., pl.DataFrame]

MANY = tuple(
    f"method_{i}" + ("_with_quite_a_long_name(momentum=0.9, nesterov=True)" if i % 3 == 0 else "")
    for i in range(20)
)
NO_CURVE = pl.DataFrame(
    schema={"method": pl.String, "trials": pl.Int64, "problems": pl.Int64}
    | dict.fromkeys(("mean", "median", "low", "high"), pl.Float64)
)


def every_figure(runs: pl.DataFrame) -> dict[str, Figure]:
    """Every figure that can be made of runs with one setting for each method."""
    methods = runs["method"].unique(maintain_order=True).to_list()
    a, b = (*methods, "none", "none")[:2]
    curve = NO_CURVE
    if not runs.is_empty():
        curve = statistics.curve(runs, range(0, 4), range(4, 8), (1, 2)).overall
    summary = statistics.summary(runs)
    return {
        "performance": performance_figure(statistics.performance(runs), methods),
        "ecdf": ecdf_figure(statistics.ecdf(runs), methods),
        "convergence": convergence_figure(runs, "bowl", methods),
        "grid": convergence_grid(runs, ["bowl", "net", "absent"], methods),
        "tuning": tuning_figure(curve, methods),
        "rates": rates_figure(summary, "bowl", methods),
        "verdict": verdict_figure(statistics.pairwise(runs), a, b),
    }


@pytest.mark.parametrize(
    "methods", [(), pytest.param(("adam",), marks=pytest.mark.slow), ("adam", "sgd")], ids=len
)
def test_same_frames_give_the_same_bytes(build: Runs, methods: tuple[str, ...]) -> None:
    """Drawn twice, and saved in another order, every figure is the same SVG and the same PNG."""
    runs = build(methods=methods)
    first, second = every_figure(runs), every_figure(runs)
    for name, figure in first.items():
        again = second[name]
        svg, png = to_svg(figure), to_png(figure)
        assert (to_png(again), to_svg(again)) == (png, svg), name
        assert svg.startswith(b"<?xml")
        assert b"<dc:date>" not in svg
        assert png.startswith(b"\x89PNG")


def test_infinities_and_nulls_are_drawn(build: Runs) -> None:
    """Runs that all diverge, without minimum or targets, warn of nothing."""
    diverged = build(rates=[1.0]).with_columns(
        pl.lit(None, pl.Float64).alias("minimum"),
        pl.lit([float("inf")] * 4, pl.List(pl.Float64)).alias("trace_loss"),
    )
    untargeted = build().with_columns(
        pl.lit([], pl.List(pl.Float64)).alias("targets"),
        pl.lit([], pl.List(pl.Int64)).alias("hits"),
    )
    for runs in (diverged, untargeted):
        for figure in every_figure(runs).values():
            assert to_png(figure).startswith(b"\x89PNG")


def test_global_settings_neither_matter_nor_change(build: Runs) -> None:
    """A user's rcParams do not reach the figures, and the figures leave them alone."""
    runs = build()
    plain = to_svg(convergence_figure(runs, "bowl"))
    with mpl.rc_context({"lines.linewidth": 9.0, "font.size": 30.0, "svg.hashsalt": "other"}):
        before = dict(mpl.rcParams)
        assert to_svg(convergence_figure(runs, "bowl")) == plain
        assert dict(mpl.rcParams) == before


def boxes(figure: Figure) -> tuple[list[np.ndarray], np.ndarray | None]:
    """Extents of the plots with their labels, and of the legend, in pixels."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()
    plots = [axes.get_tightbbox(renderer) for axes in figure.axes if axes.axison]
    legends = [legend.get_window_extent(renderer).extents for legend in figure.legends]
    return [box.extents for box in plots if box is not None], legends[0] if legends else None


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Pixels by which two boxes reach into each other."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(sides.min())


@pytest.mark.parametrize("methods", [MANY[:2], MANY], ids=len)
def test_nothing_overlaps(build: Runs, methods: tuple[str, ...]) -> None:
    """Plots, legend and title stay apart and inside, with twenty methods of long names too."""
    for name, figure in every_figure(build(methods=methods, factor=0.9)).items():
        plots, legend = boxes(figure)
        width, height = figure.bbox.size
        parts = [*plots, *([] if legend is None else [legend])]
        title = figure._suptitle.get_window_extent().extents  # type: ignore[attr-defined]
        for one, other in combinations([*parts, title], 2):
            assert overlap(one, other) <= 1.0, name
        for box in parts:
            assert box.min() >= -1.0, name
            assert (box[2:] <= (width + 1.0, height + 1.0)).all(), name


def test_twenty_methods_look_different() -> None:
    """Colour and dash together tell twenty methods apart."""
    found = looks(MANY)
    assert len({(look.color, str(look.dash)) for look in found.values()}) == len(MANY)


def test_a_method_looks_the_same_in_every_figure(build: Runs) -> None:
    """Given the report's methods, a figure of some of them draws these as the others do."""
    order = ["lion", "adam", "sgd"]
    figure = convergence_figure(build(methods=["sgd"]), "bowl", order)
    assert figure.axes[0].get_lines()[0].get_color() == looks(order)["sgd"].color


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=200), st.integers(5, 60))
def test_wrapping_loses_nothing(text: str, width: int) -> None:
    """A wrapped id has all its characters, in lines no longer than asked."""
    lines = wrapped(text, width).split("\n")
    assert "".join(line.strip() for line in lines) == text
    assert all(len(line) <= width for line in lines)


def test_traces_are_quartiles_of_gaps(build: Runs) -> None:
    """The median gap at every checkpoint is that of the seeds, and 1 at the start."""
    (band,) = bands(build(methods=["adam"], seeds=5), "bowl")
    at = band.steps
    assert band.relative
    np.testing.assert_allclose(band.middle, np.exp(-0.4 * (1 + 0.03 * 2) * at), rtol=1e-12)
    np.testing.assert_allclose(band.low, np.exp(-0.4 * (1 + 0.03 * 3) * at), rtol=1e-12)


def test_diverged_runs_stay_diverged(build: Runs) -> None:
    """After its last checkpoint a diverged run is infinite, a finished one keeps its value."""
    good = build(methods=["adam"], problems=["bowl"], seeds=1)
    bad = build(methods=["adam"], problems=["bowl"], seeds=3, rates=[1.0]).with_columns(
        pl.lit("adam(lr=0.1)").alias("setting"), (pl.col("seed") + 1).alias("seed")
    )
    (band,) = bands(pl.concat([good, bad]), "bowl")
    assert np.isinf(band.middle[band.steps > 5]).all()
    assert np.isfinite(band.middle[band.steps <= 5]).all()


def test_several_settings_are_told_apart(build: Runs) -> None:
    """A method with two settings gives two lines, each under its setting's name."""
    drawn = bands(build(methods=["adam"], rates=[0.1, 0.2]), "bowl")
    assert [band.label for band in drawn] == ["adam(lr=0.1)", "adam(lr=0.2)"]


def test_gaps_below_the_floor_are_drawn_at_it(build: Runs) -> None:
    """A gap of 1e-19 is rounding and does not stretch the axis."""
    axes = convergence_figure(build(methods=["adam"]), "bowl").axes[0]
    heights = np.asarray(axes.get_lines()[0].get_ydata())
    assert heights.min() == FLOOR
    assert axes.get_ylim()[0] > FLOOR / 10


def test_escaping_losses_fit_the_picture(build: Runs) -> None:
    """A loss that falls without bound is drawn until it leaves, and the start stays visible."""
    loss = [0.01, -0.5, -3.0, -1e4, -1e9, -1e20, -1e40, -1e80]
    runs = build(methods=["sgd"], problems=["bowl"], seeds=3).with_columns(
        pl.lit(loss, pl.List(pl.Float64)).alias("trace_loss"),
        pl.lit(None, pl.Float64).alias("minimum"),
    )
    axes = convergence_figure(runs, "bowl").axes[0]
    assert axes.get_yscale() == "symlog"
    assert axes.get_ylim()[0] >= -1e3


def test_profiles_draw_the_frame(build: Runs) -> None:
    """The lines of a performance profile are the shares of the frame, with their bands."""
    frame = statistics.performance(build())
    axes = performance_figure(frame).axes[0]
    for line, method in zip(axes.get_lines(), ("adam", "sgd"), strict=True):
        part = frame.filter(pl.col("method") == method)
        np.testing.assert_array_equal(line.get_ydata(), part["share"].to_numpy())
    assert len(axes.collections) == 2


def test_rates_mark_what_diverged(build: Runs) -> None:
    """A learning rate at which every seed diverges has a cross, not a gap in silence."""
    runs = build(methods=["adam"], problems=["bowl"], rates=[0.01, 0.1, 1.0])
    lower = rates_figure(statistics.summary(runs), "bowl").axes[1]
    (crosses,) = [line for line in lower.get_lines() if line.get_marker() == "x"]
    np.testing.assert_array_equal(crosses.get_xdata(), [1.0])


def forest(low: float, high: float, verdict: str) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "problem": ["bowl"],
            "a": ["adam"],
            "b": ["sgd"],
            "measure": ["final gap"],
            "counted": [True],
            "verdict": [verdict],
            "ratio": [0.5],
            "low": [low],
            "high": [high],
        }
    )


def marks(figure: Figure) -> list[tuple[str, float]]:
    lines = [line for line in figure.axes[0].get_lines() if line.get_linestyle() == "None"]
    return [
        (str(line.get_marker()), float(x)) for line in lines for x in np.asarray(line.get_xdata())
    ]


def test_a_pair_may_be_named_either_way() -> None:
    """The other order turns ratio, interval and verdict round."""
    frame = forest(0.25, 0.8, "better")
    forth, back = verdict_figure(frame, "adam", "sgd"), verdict_figure(frame, "sgd", "adam")
    assert marks(forth) == [("o", 0.5)]
    assert marks(back) == [("s", 2.0)]
    (interval,) = back.axes[0].collections[0].get_segments()  # type: ignore[attr-defined]
    np.testing.assert_allclose(interval[:, 0], [1.25, 4.0])
    names = [figure.legends[0].get_texts()[0].get_text() for figure in (forth, back)]
    assert names == ["adam better", "adam better"]


def test_endless_intervals_end_in_arrows() -> None:
    """Bounds at zero and infinity are arrows at the edge of the picture."""
    drawn = marks(verdict_figure(forest(0.0, float("inf"), "cannot tell"), "adam", "sgd"))
    assert drawn == [("X", 0.5), ("<", 1e-4), (">", 1e4)]


def test_grids_have_one_panel_for_each_problem(build: Runs) -> None:
    """Every problem has a panel with its name, in the order given, and its place is its own."""
    problems = [f"problem_{i}" for i in range(7)]
    figure = convergence_grid(build(problems=problems), problems)
    shown = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown] == problems
    tops = [round(axes.get_position().y0, 3) for axes in shown]
    assert all(above >= below for above, below in pairwise(tops))


def test_an_empty_frame_is_enough() -> None:
    """A store without runs still gives figures, which say that they are empty."""
    runs = pl.DataFrame(schema=RUN_SCHEMA)
    for name, figure in every_figure(runs).items():
        texts = [text.get_text() for axes in figure.axes for text in axes.texts]
        assert any(text.startswith("no ") for text in texts), name
