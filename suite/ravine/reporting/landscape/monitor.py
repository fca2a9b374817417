"""What a monitor saw, as pictures, tables and plain records."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from ravine.landscape.monitor import Look, Watched, findings
from ravine.reporting.cells import decimal, percent, share
from ravine.reporting.drawing import (
    COLORS,
    DASHES,
    canvas,
    legend_outside,
    nothing,
    plain_decades,
    styled,
)
from ravine.reporting.layout import Table

_LABELS = (
    "loss of the batch",
    "g'g",
    "|g'Hg|, hollow below 0",
    "optimizer's step, actual",
    "optimizer's step, predicted",
    "gradient step, actual",
    "gradient step, predicted",
    "sharpness × rate / 2",
    "not converged",
    "gradient descent is unstable above",
    "the same with this momentum",
)

_WIDE = 50.0  # a ratio of large to typical changes that equal steps cannot show

_HOLLOW: dict[str, Any] = {"ls": "none", "marker": "o", "mfc": "white"}


@styled
def monitor_figure(
    looks: Sequence[Look], title: str = "", losses: Sequence[float] | None = None
) -> Figure:
    """Draw loss, gradient and curvature, predicted and actual change, and the edge of stability.

    Args:
        looks: of one run.
        title: of the figure.
        losses: of every step; those of the looks alone without.
    """
    figure = canvas(title or "Monitor", _LABELS, width=7.0, height=5.2)
    panels = figure.subplots(2, 2, sharex=True)
    steps = np.array([look.step for look in looks])
    _loss(panels[0, 0], looks, losses)
    _gradient(panels[0, 1], looks, steps)
    _changes(panels[1, 0], looks, steps)
    _edge(panels[1, 1], looks, steps)
    for axes in panels[1]:
        axes.set_xlabel("steps")
    found = [axes.get_legend_handles_labels() for axes in panels.flat]
    legend_outside(
        figure,
        [handle for handles, _ in found for handle in handles],
        [label for _, each in found for label in each],
    )
    return figure


def monitor_table(watched: Watched) -> Table:
    """What the looks at a run say, in words."""
    found = findings(watched.looks)
    n = found.looks
    rows = [
        ("looks", f"{n} in {watched.steps} steps"),
        ("wall time spent in the monitor", percent(watched.overhead)),
        (
            "loss, first and last quarter",
            f"{decimal(found.loss_first)} → {decimal(found.loss_last)}",
        ),
        (
            "gradient norm, first and last quarter",
            f"{decimal(found.gradient_first)} → {decimal(found.gradient_last)}: "
            f"{'shrinks' if found.shrinks else 'does not shrink'}",
        ),
        (
            "ill-conditioned: a gradient step is predicted to go uphill",
            f"at {share(found.ill_conditioned, n)} looks" if found.ill_conditioned else "never",
        ),
        ("edge of stability: sharpness over its threshold", _edge_words(watched)),
        ("change by the optimizer's step, |actual - predicted| / |actual|", _typical(found.error)),
    ]
    if found.unconverged:
        rows.append(("sharpness not converged", f"at {share(found.unconverged, n)} looks"))
    if watched.diverged is not None:
        rows.append(("diverged", f"at step {watched.diverged}"))
    footer = (
        f"{watched.setting}, seed {watched.seed}; all on the batch of the step; the threshold is "
        f"that of steps on a quadratic of the same curvature"
    )
    return Table(f"Monitor of {watched.problem}", ("what", "seen"), tuple(rows), footer)


def monitor_record(watched: Watched) -> Mapping[str, Any]:
    """All of it as plain values."""
    return {
        "problem": watched.problem,
        "setting": watched.setting,
        "seed": watched.seed,
        "steps": watched.steps,
        "diverged": watched.diverged,
        "overhead": watched.overhead,
        "findings": asdict(findings(watched.looks)),
        "looks": [
            {
                "step": look.step,
                **asdict(look.gradient),
                "predicted": look.gradient.predicted,
                "stability": look.gradient.stability,
                "ill_conditioned": look.gradient.ill_conditioned,
                "move": None if look.move is None else asdict(look.move),
            }
            for look in watched.looks
        ],
    }


def _loss(axes: Axes, looks: Sequence[Look], losses: Sequence[float] | None) -> None:
    values = [look.gradient.loss for look in looks] if losses is None else list(losses)
    at = [look.step for look in looks] if losses is None else range(len(values))
    finite = np.where(np.isfinite(values), values, np.nan)
    axes.plot(at, finite, color=COLORS[0], lw=0.9, label="loss of the batch")
    _log(axes, finite)
    axes.set_ylabel("loss")


def _gradient(axes: Axes, looks: Sequence[Look], steps: np.ndarray) -> None:
    gg = np.array([look.gradient.gg for look in looks])
    ghg = np.array([look.gradient.ghg for look in looks])
    axes.plot(steps, gg, color=COLORS[0], label="g'g")
    color = COLORS[1]
    axes.plot(steps, np.abs(ghg), color=color, lw=0.9, ls=DASHES[1], label="|g'Hg|, hollow below 0")
    below = ghg < 0
    axes.plot(steps[below], -ghg[below], mec=color, ms=4, **_HOLLOW)
    _log(axes, np.concatenate([gg, np.abs(ghg)]))
    axes.set_ylabel("g'g and g'Hg")


def _changes(axes: Axes, looks: Sequence[Look], steps: np.ndarray) -> None:
    moves = [look.move for look in looks]
    own = [math.nan if m is None else m.actual for m in moves]
    model = [math.nan if m is None else m.predicted for m in moves]
    plain = [look.gradient.actual for look in looks]
    drawn = [
        (own, COLORS[2], "-", "optimizer's step, actual"),
        (model, COLORS[2], DASHES[2], "optimizer's step, predicted"),
        (plain, COLORS[3], "-", "gradient step, actual"),
        (
            [look.gradient.predicted for look in looks],
            COLORS[3],
            DASHES[2],
            "gradient step, predicted",
        ),
    ]
    # for gradient descent the two are one and would hide each other
    if np.allclose(own, plain, rtol=1e-3, equal_nan=True):
        drawn = drawn[:2]
    every = np.abs(np.array([values for values, *_ in drawn]))
    typical = every[np.isfinite(every) & (every > 0)]
    for values, color, dash, label in drawn:
        axes.plot(steps, values, color=color, ls=dash, lw=1.2, label=label)
    if len(typical) and typical.max() > _WIDE * np.median(typical):
        axes.set_yscale("symlog", linthresh=10.0 ** math.ceil(math.log10(np.median(typical))))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.axhline(0, color="#555555", lw=0.8, zorder=0.5)
    axes.set_ylabel("change of the loss in one step")


def _edge(axes: Axes, looks: Sequence[Look], steps: np.ndarray) -> None:
    values = np.array([look.gradient.stability for look in looks])
    if not np.isfinite(values).any():
        nothing(axes, "no sharpness was computed")
        return
    color, known = COLORS[5], np.isfinite(values)
    axes.plot(
        steps[known], values[known], color=color, marker="o", ms=2.5, label="sharpness × rate / 2"
    )
    loose = np.array([not look.gradient.converged for look in looks])
    if loose.any():
        axes.plot(steps[loose], values[loose], mec=color, ms=6, label="not converged", **_HOLLOW)
    axes.axhline(1, color="#000000", lw=0.9, label="gradient descent is unstable above")
    limits = np.array([look.gradient.threshold * look.gradient.rate / 2 for look in looks])
    if np.isfinite(limits).any() and not np.allclose(limits[np.isfinite(limits)], 1):
        axes.plot(
            steps,
            limits,
            color="#000000",
            ls=DASHES[1],
            lw=0.9,
            label="the same with this momentum",
        )
    axes.set_ylim(bottom=min(0, float(np.nanmin(values))))
    axes.set_ylabel("sharpness × rate / 2")


def _log(axes: Axes, values: np.ndarray) -> None:
    finite = values[np.isfinite(values)]
    if len(finite) and finite.min() > 0 and finite.max() > 10 * finite.min():
        axes.set_yscale("log")
        plain_decades(axes.yaxis)


def _edge_words(watched: Watched) -> str:
    found = findings(watched.looks)
    if math.isnan(found.edge_highest):
        return "no threshold is known for this method"
    reached = "not reached" if found.edge_step is None else f"reached at step {found.edge_step}"
    return (
        f"{reached}; {decimal(found.edge_first)} at first, at most {decimal(found.edge_highest)}, "
        f"{decimal(found.edge_late)} in the second half"
    )


def _typical(error: float) -> str:
    return "n/a" if math.isnan(error) else f"{percent(error)}, median"
