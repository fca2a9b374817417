"""Spectra as tables and figures: eigenvalues with residuals, density, layers, trace."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ravine.landscape.spectrum.density import Density
from ravine.landscape.spectrum.groups import Group
from ravine.landscape.spectrum.lanczos import Eigenpairs
from ravine.landscape.spectrum.trace import Trace
from ravine.reporting.cells import decimal, gap
from ravine.reporting.drawing import COLORS, canvas, legend_beside, nothing, styled
from ravine.reporting.layout import Table

UNCONVERGED = "did not converge"

_MANY = 1000
"""Eigenvalues from which on shares are drawn over a logit axis."""

_DECADES = 7
"""Decades below its peak that a density is drawn over."""


def eigenvalue_table(pairs: Eigenpairs, where: str, smooth: bool = True) -> Table:
    """Every eigenvalue with its residual, and whether it converged.

    Args:
        pairs: what was found.
        where: problem and point, for the title.
        smooth: the loss has no kinks.
    """
    ends = ("all", "all") if len(pairs.values) == pairs.size else ("largest", "smallest")
    rows = [
        (
            ends[i >= pairs.largest],
            decimal(value, 6, "none found"),
            gap(residual),
            "converged" if good else UNCONVERGED,
        )
        for i, (value, residual, good) in enumerate(
            zip(pairs.values, pairs.residuals, pairs.converged, strict=True)
        )
    ]
    footer = (
        f"{pairs.size} coordinates, {pairs.products} products, seed {pairs.seed}; converged: "
        f"residual at most {pairs.tolerance:g} times the eigenvalue, or rounding."
    )
    if not smooth:
        footer += " The loss has kinks; these are its derivatives between them."
    return Table(
        f"{pairs.matrix} of {where}: eigenvalues",
        ("end", "eigenvalue", "residual", "state"),
        tuple(rows),
        footer + (f" Note: {pairs.note}." if pairs.note else ""),
        ("left", "right", "right", "left"),
    )


def trace_table(trace: Trace, where: str) -> Table:
    """The trace with its standard error, and the mean eigenvalue."""
    mean = trace.value / trace.size
    return Table(
        f"{trace.matrix} of {where}: trace",
        ("quantity", "estimate", "standard error"),
        (
            ("trace", decimal(trace.value, 5), gap(trace.error)),
            ("mean eigenvalue", decimal(mean, 5), gap(trace.error / trace.size)),
        ),
        f"{trace.products} products, seed {trace.seed}; "
        + (
            f"within {100 * trace.tolerance:g}% of the estimate."
            if trace.converged
            else f"the error {UNCONVERGED} to {100 * trace.tolerance:g}%: {trace.note}."
        ),
        ("left", "right", "right"),
    )


def group_table(groups: Sequence[Group], where: str) -> Table:
    """Extreme eigenvalues and trace of every group's diagonal block."""
    rows = []
    for group in groups:
        pairs = group.pairs
        marks = [*map(_marked, pairs.values, pairs.converged)]
        rows.append(
            (
                group.name,
                str(pairs.size),
                marks[0] if pairs.largest else "n/a",
                marks[-1] if pairs.largest < len(marks) else "n/a",
                decimal(group.trace.value, 4),
                gap(group.trace.error) + ("" if group.trace.converged else " *"),
            )
        )
    matrix = groups[0].pairs.matrix
    return Table(
        f"{matrix} of {where}: diagonal blocks",
        ("group", "size", "largest", "smallest", "trace", "standard error"),
        tuple(rows),
        f"* {UNCONVERGED} to its tolerance." if any("*" in "".join(row) for row in rows) else "",
        ("left", "right", "right", "right", "right", "right"),
    )


def moment_table(density: Density, where: str) -> Table:
    """The moments of a density beside those of fresh probes."""
    rows = [
        (
            f"mean of eigenvalue^{moment.order}" if moment.order > 1 else "mean eigenvalue",
            decimal(moment.value, 4),
            gap(moment.error),
            decimal(moment.reference, 4),
            gap(moment.reference_error),
            "agree" if moment.agrees else "do not agree",
        )
        for moment in density.moments
    ]
    how = (
        "all eigenvalues"
        if density.exact
        else f"{len(density.atoms)} outliers deflated, {density.probes} probes of "
        f"{density.steps} steps"
    )
    return Table(
        f"{density.matrix} of {where}: moments of the density",
        ("moment", "density", "error", "fresh probes", "error", ""),
        tuple(rows),
        f"{how}, {density.products} products, bandwidth {density.bandwidth:.2g}, mass "
        f"{density.mass:.6f}, seed {density.seed}."
        + (f" Note: {density.note}." if density.note else ""),
        ("left", "right", "right", "right", "right", "left"),
    )


@styled
def eigenvalue_figure(pairs: Eigenpairs, where: str) -> Figure:
    """The eigenvalues as stems by rank; hollow where they did not converge.

    Some eigenvalue lies within each error bar, which is the residual.
    """
    labels = ["converged", UNCONVERGED]
    figure = canvas(f"{pairs.matrix} of {where}", labels, width=5.4, height=3.4)
    axes = figure.subplots()
    ranks = np.arange(1, len(pairs.values) + 1)
    values, good = np.array(pairs.values), np.array(pairs.converged)
    axes.axhline(0, color="#000000", lw=0.8)
    axes.vlines(ranks, 0, values, color=COLORS[0], lw=1.2, alpha=0.6)
    for state, face, label in ((good, COLORS[0], labels[0]), (~good, "white", labels[1])):
        if state.any():
            x, y = ranks[state], values[state]
            gaps = np.array(pairs.residuals)[state]
            axes.errorbar(x, y, yerr=gaps, fmt="none", ecolor=COLORS[0], capsize=3)
            axes.plot(x, y, "o", ms=6, mfc=face, mec=COLORS[0], label=label)
    bottom = len(ranks) - pairs.largest
    names = [str(i) for i in range(1, pairs.largest + 1)]
    names += [str(pairs.size - bottom + i) for i in range(1, bottom + 1)]
    shown = slice(None, None, 1 + len(names) // 16)
    axes.set_xticks(ranks[shown], names[shown])
    if 0 < pairs.largest < len(ranks) < pairs.size:
        axes.axvline(pairs.largest + 0.5, color="#000000", lw=0.8, ls=":")
    axes.set_xlabel(f"rank of {pairs.size}, from the largest")
    axes.set_ylabel("eigenvalue")
    legend_beside(figure, axes)
    return figure


@styled
def density_figure(density: Density, where: str) -> Figure:
    """The density of the bulk over a logarithmic axis with outliers as stems, and the shares.

    Bands reach from the least to the largest value of single probes.  A stem is one
    eigenvalue; its height is that of one eigenvalue smoothed like the bulk.
    """
    labels = ["bulk", "range over probes", "outliers, one eigenvalue each"]
    figure = canvas(f"{density.matrix} of {where}: density", labels, width=6.0, height=5.2)
    if not np.isfinite(density.density).all():
        nothing(figure.subplots(), density.note)
        return figure
    top, bottom = figure.subplots(2, sharex=True, height_ratios=(3, 2))
    grid, blue, red = density.grid, COLORS[0], COLORS[1]
    single = 1 / (density.size * density.bandwidth * math.sqrt(2 * math.pi))
    peak = float(density.density.max())
    # far tails of a Gaussian kernel are nobody's eigenvalues
    floor = max(peak * 10.0**-_DECADES, single / 30)
    floor = min(floor, peak / 100)
    top.set_yscale("log")
    top.plot(grid, np.maximum(density.density, floor / 10), color=blue, label=labels[0])
    if not density.exact:
        low, high = np.maximum(density.density_band, floor / 10)
        top.fill_between(grid, low, high, color=blue, alpha=0.25, lw=0, label=labels[1])
    if density.atoms:
        atoms = np.array(density.atoms)
        top.vlines(atoms, floor, single, color=red, lw=1.2)
        top.plot(atoms, np.full(len(atoms), single), "o", color=red, ms=4.5, label=labels[2])
    top.set_ylim(floor, 3 * max(peak, single))
    top.yaxis.set_major_locator(LogLocator(numticks=7))
    top.yaxis.set_minor_formatter(NullFormatter())
    top.set_ylabel("density\n(1 / eigenvalue)")
    ends = [grid[0], grid[-1], *density.atoms]
    margin = 0.02 * (max(ends) - min(ends))
    low = sorted(a for a in density.atoms if a < grid[0])
    high = sorted(a for a in density.atoms if a > grid[-1])
    steps = [(np.arange(2 * len(side)) + 1) // 2 / density.size for side in (low, high)]
    x = np.concatenate([np.repeat(low, 2), grid, np.repeat(high, 2)])
    shares = np.concatenate([steps[0], density.cumulative, density.cumulative[-1] + steps[1]])
    band = density.cumulative_band
    bottom.plot(x, shares, color=blue)
    if not density.exact:
        bottom.fill_between(grid, *band, color=blue, alpha=0.25, lw=0)
    bottom.set_xlim(min(ends) - margin, max(ends) + margin)
    if density.size >= _MANY:  # shares at both ends are told apart
        bottom.set_yscale("logit")
        bottom.set_ylim(0.5 / density.size, 1 - 0.5 / density.size)
        bottom.yaxis.set_minor_formatter(NullFormatter())
    else:
        bottom.set_ylim(-0.03, 1.03)
    bottom.set_xlabel("eigenvalue")
    bottom.set_ylabel("share of eigenvalues\nup to here")
    handles = top.get_legend_handles_labels()
    figure.legend(*handles, loc="outside right upper")
    return figure


def records(
    pairs: Eigenpairs | None,
    trace: Trace | None,
    density: Density | None,
    groups: Sequence[Group],
) -> Mapping[str, Any]:
    """Everything but eigenvectors, for programs."""
    found: dict[str, Any] = {}
    if pairs is not None:
        found["eigenvalues"] = _pairs(pairs)
    if trace is not None:
        found["trace"] = _trace(trace)
    if groups:
        found["groups"] = [
            {
                "name": group.name,
                "parameters": list(group.parameters),
                "eigenvalues": _pairs(group.pairs),
                "trace": _trace(group.trace),
            }
            for group in groups
        ]
    if density is not None:
        found["density"] = {
            "exact": density.exact,
            "outliers": list(density.atoms),
            "eigenvalue": density.grid.tolist(),
            "density": density.density.tolist(),
            "density_band": density.density_band.tolist(),
            "cumulative": density.cumulative.tolist(),
            "cumulative_band": density.cumulative_band.tolist(),
            "bandwidth": density.bandwidth,
            "mass": density.mass,
            "moments": [
                {
                    "order": moment.order,
                    "value": moment.value,
                    "error": moment.error,
                    "reference": moment.reference,
                    "reference_error": moment.reference_error,
                    "agrees": moment.agrees,
                }
                for moment in density.moments
            ],
            "probes": density.probes,
            "steps": density.steps,
            "products": density.products,
            "seed": density.seed,
            "note": density.note,
        }
    return found


def _pairs(pairs: Eigenpairs) -> Mapping[str, Any]:
    return {
        "matrix": pairs.matrix,
        "size": pairs.size,
        "largest": pairs.largest,
        "values": list(pairs.values),
        "residuals": list(pairs.residuals),
        "converged": list(pairs.converged),
        "tolerance": pairs.tolerance,
        "products": pairs.products,
        "seed": pairs.seed,
        "note": pairs.note,
    }


def _trace(trace: Trace) -> Mapping[str, Any]:
    return {
        "value": trace.value,
        "error": trace.error,
        "tolerance": trace.tolerance,
        "converged": trace.converged,
        "products": trace.products,
        "seed": trace.seed,
        "note": trace.note,
    }


def _marked(value: float, good: bool) -> str:
    return decimal(value, 5, "none found") + ("" if good else " *")
