"""Figures and tables of where many runs ended."""

import numpy as np
from jaxtyping import Float, Float64
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter
from torch import Tensor

from ravine.landscape.solutions import Solutions, kinds_of_pairs, spread
from ravine.reporting import cells
from ravine.reporting.drawing import (
    COLORS,
    DASHES,
    MARKERS,
    canvas,
    legend_beside,
    legend_outside,
    looks,
    plain_decades,
    styled,
)
from ravine.reporting.layout import Align, Table

RELATIVE = (0.01, 0.1)
"""Thresholds that a table shows beside |a - b| > t max(|a|, |b|)."""

ABSOLUTE = 0.1
"""The threshold that a table shows in units of the largest parameter."""

_SIDES = ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1), (-1, -1), (1, -1))
_AROUND = (*((9 * x, 11 * y) for x, y in _SIDES), *((9 * x, 22 * y) for x, y in _SIDES if y))


@styled
def map_figure(found: Solutions) -> Figure:
    """Draw the solutions on the plane of their components, each with how good it is.

    Args:
        found: the solutions; coloured by optimizer, marked by start.
    """
    shown, marks = looks(found.optimizers), _marks(found)
    labels = [*shown, *(f"start {seed}" for seed in marks)]
    values, what = _goodness(found)
    figure = canvas(f"{found.surface}: solutions, with {what}", labels, width=6.4, height=5.0)
    axes = figure.subplots()
    plane = found.map
    at = plane.coordinates.numpy()
    # where ends coincide, the earlier optimizers show around the later ones
    sizes = dict(zip(shown, np.linspace(11, 7 if len(shown) > 1 else 11, len(shown)), strict=True))
    # hollow where the colours begin anew
    inks = {
        name: (look.color, "white", 0.9) if i < len(COLORS) else ("white", look.color, 1.4)
        for i, (name, look) in enumerate(shown.items())
    }
    for place, optimizer, seed in zip(at, found.optimizers, found.seeds, strict=True):
        face, edge, width = inks[optimizer]
        axes.plot(
            *place,
            marker=marks[seed],
            ms=sizes[optimizer],
            mfc=face,
            mec=edge,
            mew=width,
            zorder=3,
        )
    axes.margins(0.12)
    for axis, k in ((axes.xaxis, 0), (axes.yaxis, 1)):
        own = k < plane.rank
        share = f"{100 * float(plane.centred[k]):.1f}% of the variance" if own else "random"
        axis.set_label_text(f"component {k + 1} ({share})")
    figure.draw_without_rendering()
    _written(axes, at, values, [shown[name].color for name in found.optimizers])
    handles = [
        Line2D([], [], ls="none", marker="o", ms=8, mfc=face, mec=edge)
        for face, edge, _ in inks.values()
    ]
    handles += [
        Line2D([], [], ls="none", marker=marker, ms=7, mfc="#777777", mec="white")
        for marker in marks.values()
    ]
    legend_outside(figure, handles, labels)
    return figure


@styled
def thresholds_figure(found: Solutions) -> Figure:
    """Draw the share of parameters that differ, against what is called different.

    Args:
        found: the solutions.
    """
    kinds = kinds_of_pairs(found)
    title = f"{found.surface}: how many parameters differ depends on what counts as different"
    figure = canvas(title, list(kinds), width=8.4, height=3.9)
    both = figure.subplots(1, 2, sharey=True, gridspec_kw={"wspace": 0.06})
    thresholds = found.thresholds.numpy()
    for axes, shares, unit in (
        (both[0], found.relative, "the larger of the two"),
        (both[1], found.absolute, "the largest of all"),
    ):
        for (name, pairs), color, dash in zip(kinds.items(), COLORS, DASHES, strict=False):
            curves = np.array([shares[i, j].numpy() for i, j in pairs])
            axes.plot(thresholds, np.median(curves, 0), color=color, ls=dash, label=name)
            axes.fill_between(
                thresholds, curves.min(0), curves.max(0), color=color, alpha=0.15, lw=0
            )
        axes.set_xscale("log")
        axes.set(
            xlim=(thresholds[0], thresholds[-1]), ylim=(0, 1), xlabel=f"threshold, share of {unit}"
        )
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        plain_decades(axes.xaxis)
    both[0].set(ylabel="parameters that differ", title="relative: median and range over pairs")
    both[1].set_title("absolute: median and range over pairs")
    legend_beside(figure, both[0])
    return figure


@styled
def norms_figure(found: Solutions) -> Figure:
    """Draw the norms of the solutions by optimizer, marked by start.

    Args:
        found: the solutions.
    """
    shown, marks = looks(found.optimizers), _marks(found)
    labels = [f"start {seed}" for seed in marks]
    norms = spread(found, found.norms)
    times = cells.ratio(norms.ratio, "an unknown number of")
    figure = canvas(
        f"{found.surface}: norms; variance between optimizers {times} times that within",
        labels,
        width=5.6,
        height=1.5 + 0.34 * len(shown),
    )
    axes = figure.subplots()
    order = list(shown)
    aside = dict(zip(marks, np.linspace(-0.2, 0.2, len(marks)), strict=True))
    for norm, optimizer, seed in zip(
        found.norms.tolist(), found.optimizers, found.seeds, strict=True
    ):
        axes.plot(
            norm,
            order.index(optimizer) + (aside[seed] if len(marks) > 1 else 0.0),
            marker=marks[seed],
            ms=7,
            mfc=shown[optimizer].color,
            mec="white",
        )
    axes.set_yticks(range(len(order)), order)
    axes.set(ylim=(len(order) - 0.5, -0.5), xlabel="norm of all parameters")
    axes.xaxis.set_major_locator(MaxNLocator(7))
    handles = [
        Line2D([], [], ls="none", marker=marker, ms=7, mfc="#777777", mec="white")
        for marker in marks.values()
    ]
    legend_outside(figure, handles, labels)
    return figure


def solutions_table(found: Solutions) -> Table:
    """Every solution: its loss, accuracy and norm."""
    columns: dict[str, list[str]] = {
        "": [str(i + 1) for i in range(len(found.seeds))],
        "method": list(found.optimizers),
        "start": [str(seed) for seed in found.seeds],
        "loss": [cells.decimal(v, 4) for v in found.losses.tolist()],
    }
    if found.accuracies is not None:
        columns["accuracy"] = [cells.percent(v) for v in found.accuracies.tolist()]
    if found.test_losses is not None:
        columns["test loss"] = [cells.decimal(v, 4) for v in found.test_losses.tolist()]
    if found.test_accuracies is not None:
        columns["test accuracy"] = [
            cells.percent(v, digits=2) for v in found.test_accuracies.tolist()
        ]
    columns["norm"] = [cells.decimal(v, 4) for v in found.norms.tolist()]
    right: tuple[Align, ...] = ("right",)
    return Table(
        title=f"Solutions of {found.surface}",
        columns=tuple(columns),
        rows=tuple(zip(*columns.values(), strict=True)),
        align=("right", "left", *right * (len(columns) - 2)),
    )


def pairs_table(found: Solutions) -> Table:
    """Distances of any two solutions above the diagonal, cosines below it."""
    n = len(found.seeds)

    def cell(i: int, j: int) -> str:
        if i == j:
            return "-"
        if i < j:
            return cells.decimal(float(found.distances[i, j]))
        return cells.fixed(float(found.cosines[i, j]))

    right: tuple[Align, ...] = ("right",)
    return Table(
        title="Distances of solutions, and cosines of the angles between them",
        columns=("", *(str(i + 1) for i in range(n))),
        rows=tuple((str(i + 1), *(cell(i, j) for j in range(n))) for i in range(n)),
        footer=(
            "Above the diagonal distances, below it cosines as seen from zero; numbers are those "
            "of the table of solutions."
        ),
        align=right * (n + 1),
    )


def kinds_table(found: Solutions) -> Table:
    """What pairs of one start or one optimizer have in common, on average."""
    marks = [_nearest(found, t) for t in (*RELATIVE, ABSOLUTE)]
    relative, absolute = (
        [f"{float(found.thresholds[k]):.2g}" for k in places] for places in (marks[:-1], marks[-1:])
    )
    rows = []
    for name, pairs in sorted(kinds_of_pairs(found).items()):
        i, j = np.array(pairs).T
        shares = [found.relative[i, j, k] for k in marks[:-1]] + [found.absolute[i, j, marks[-1]]]
        rows.append(
            (
                name,
                str(len(pairs)),
                cells.decimal(float(found.distances[i, j].mean())),
                cells.fixed(float(found.cosines[i, j].mean())),
                *(cells.percent(float(share.mean())) for share in shares),
            )
        )
    right: tuple[Align, ...] = ("right",)
    return Table(
        title="Pairs of solutions, and the share of parameters that differ",
        columns=(
            *("pairs of", "pairs", "distance", "cosine"),
            *(f"by {t}" for t in relative),
            f"by {absolute[0]} max",
        ),
        rows=tuple(rows),
        footer=(
            f"Means over pairs. `by {relative[0]}`: |a - b| > {relative[0]} max(|a|, |b|); "
            f"`by {absolute[0]} max`: |a - b| > {absolute[0]} of the largest parameter of the "
            f"two. A share of differing parameters depends on its threshold; the figure has all."
        ),
        align=("left", *right * 6),
    )


def spread_table(found: Solutions) -> Table:
    """Whether norms, losses and accuracies tell optimizers apart more than starts."""
    measured: dict[str, Float[Tensor, " n"] | None] = {
        "norm": found.norms,
        "loss": found.losses,
        "test loss": found.test_losses,
        "test accuracy": found.test_accuracies,
    }
    rows = []
    for name, values in measured.items():
        if values is None:
            continue
        one = spread(found, values)
        few = "unknown"
        rows.append(
            (
                name,
                cells.gap(one.between, few),
                cells.gap(one.within, few),
                cells.ratio(one.ratio, few),
            )
        )
    right: tuple[Align, ...] = ("right",)
    return Table(
        title="Variance between optimizers, and within one over its starts",
        columns=("", "between", "within", "ratio"),
        rows=tuple(rows),
        footer=(
            "Between: of the optimizers' means; within: of one optimizer's values over starts, "
            "pooled. Unknown where there is one optimizer, or none has two starts."
        ),
        align=("left", *right * 3),
    )


def _nearest(found: Solutions, threshold: float) -> int:
    return int((found.thresholds - threshold).abs().argmin())


def _marks(found: Solutions) -> dict[int, str]:
    seeds = sorted(set(found.seeds))
    return {seed: MARKERS[i % len(MARKERS)] for i, seed in enumerate(seeds)}


def _goodness(found: Solutions) -> tuple[list[str], str]:
    if found.test_accuracies is not None:
        return [f"{100 * v:.1f}" for v in found.test_accuracies.tolist()], "test accuracy in %"
    if found.accuracies is not None:
        return [f"{100 * v:.1f}" for v in found.accuracies.tolist()], "training accuracy in %"
    return [cells.gap(v) for v in found.losses.tolist()], "loss"


def _written(
    axes: Axes, at: Float64[np.ndarray, "n two"], texts: list[str], colors: list[str]
) -> None:
    """Write beside every point, on the side where there is most room."""
    pixels = axes.transData.transform(at) * 72 / axes.figure.dpi
    taken = [(point, np.array([4.0, 4.0])) for point in pixels]  # middles and half sizes
    for place, point, text, color in zip(at, pixels, texts, colors, strict=True):
        reach = np.array([2.3 * len(text), 4.5])
        middles = [point + np.array(o) + np.sign(o) * reach * (1, 0) for o in _AROUND]
        room = [min((np.abs(m - t) / (reach + r)).max() for t, r in taken) for m in middles]
        # the first side that is free, else the one that is covered least
        best = int(np.argmax(np.minimum(room, 1.0)))
        taken.append((middles[best], reach))
        axes.annotate(
            text,
            place,
            _AROUND[best],
            textcoords="offset points",
            ha=("center", "left", "right")[int(np.sign(_AROUND[best][0]))],
            va="center",
            fontsize=7.5,
            color=color,
            zorder=4,
        )
