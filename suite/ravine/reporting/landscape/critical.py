"""Critical points as sentences, tables, pictures and records."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from itertools import groupby
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from ravine.landscape.critical.classify import Classification
from ravine.landscape.critical.kinds import Label
from ravine.landscape.critical.search import Found
from ravine.problems.analytic import Analytic
from ravine.problems.base import CriticalPoint, Kind
from ravine.reporting.cells import decimal, gap
from ravine.reporting.drawing import COLORS, canvas, legend_outside, styled
from ravine.reporting.layout import Table
from ravine.reporting.surfaces import surface_figure

SHOWN = 8
"""Eigenvalues and coordinates of a point that are written out."""

ROWS = 60
"""Rows of a table of points; of degenerate points of one value, three."""

_ALIKE = 3
_CLOSE = 1e-6
_BAND = "zero within tau"


def sentence(point: Classification) -> str:
    """What a point is, in one line.

    Example:
        >>> import torch
        >>> from ravine import problem
        >>> from ravine.landscape.critical.classify import classify
        >>> from ravine.landscape.sources import surface
        >>> x = torch.zeros(2, dtype=torch.float64)
        >>> print(sentence(classify(surface(problem("bounded_saddle")), x)[0]))
        saddle of index 1: eigenvalues -1, 1; the label is the same at a tenth and ten times tau
    """
    if point.label is Label.NOT_CRITICAL:
        return _not_critical(point)
    known = f"eigenvalues {spectrum(point)}"
    if point.label is Label.NOT_CERTIFIED:
        error = f"to {gap(point.residual)}" + (f" ({point.note})" if point.note else "")
        return (
            f"not certified, with {len(point.x):,} coordinates: the lowest and the highest "
            f"eigenvalue are {spectrum(point)}, {error}"
        )
    if point.robust:
        firm = "the label is the same at a tenth and ten times tau"
    else:
        firm = f"at a tenth of tau it is {point.tighter}, at ten times tau {point.looser}"
    higher = f"; {point.settled}" if point.settled is not None else ""
    return f"{kind(point)}: {known}{higher}; {firm}"


def kind(point: Classification) -> str:
    """The label with its index or nullity, as `saddle of index 1`."""
    if point.label is Label.SADDLE:
        flat = f", nullity {point.nullity}" if point.nullity else ""
        return f"saddle of index {point.index}{flat}"
    if point.label is Label.DEGENERATE:
        return f"degenerate of nullity {point.nullity}"
    return str(point.label)


def spectrum(point: Classification) -> str:
    """The eigenvalues, the middle ones of many left out."""
    return _row(point.eigenvalues.tolist())


def point_table(point: Classification, title: str) -> Table:
    """Everything that is known of one point, a row each."""
    tolerance = asdict(point.tolerance)
    parts = ", ".join(f"{name} {gap(value)}" for name, value in tolerance.items() if value)
    rows = {
        "label": str(point.label),
        "value": decimal(point.value, 8),
        "gradient norm": f"{gap(point.gradient_norm)} (zero up to {gap(point.gradient_tolerance)})",
        "eigenvalues": spectrum(point),
        "index": str(point.index),
        "nullity": str(point.nullity),
        "tau, zero up to": f"{gap(point.tolerance.total)} ({parts or 'no curvature at all'})",
        "label at a tenth of tau": str(point.tighter),
        "label at ten times tau": str(point.looser),
        "Newton decrement": gap(point.decrement),
        "Newton step": gap(point.step),
        "gradient-flat": "yes" if point.flat else "no",
        "symmetries projected out": str(point.symmetries),
    }
    if point.settled is not None:
        rows["higher derivatives"] = str(point.settled)
        rows["third derivative, at most"] = gap(point.settled.third)
        if point.settled.order != 3 and np.isfinite(point.settled.lowest):
            low, high = decimal(point.settled.lowest, 4), decimal(point.settled.highest, 4)
            rows["fourth derivative"] = f"{low} to {high}"
    if not point.complete:
        rows["residual"] = gap(point.residual) + (f" ({point.note})" if point.note else "")
    where = f"at {_row(point.x.tolist())}"
    return Table(f"{title}: {kind(point)}", ("", "value"), tuple(rows.items()), where)


def found_table(found: Found) -> Table:
    """The points that a search found, from the lowest to the highest."""
    rows = []
    pairs = zip(found.points, found.hits, strict=True)
    for shared in _alike(list(pairs)):
        shown = shared[: len(shared) if len(shared) <= _ALIKE else _ALIKE - 1]
        rows += [_cells(point, hits) for point, hits in shown]
        rest = shared[len(shown) :]
        if rest:
            hits = sum(count for _, count in rest)
            point = rest[0][0]
            cells = (f"{len(rest)} more places", f"{hits}", "", "a continuum, or nearly")
            rows.append((kind(point), decimal(point.value, 8), *cells))
    footer = (
        f"From each start |g|^2 was lowered by at most {found.iterations} steps of Levenberg and "
        f"Marquardt's; points closer than {found.radius:g} of the domain are one."
    )
    if len(rows) > ROWS:
        footer += f" {len(rows) - ROWS} more rows are left out here; --json has them."
    return Table(
        f"Critical points of {found.surface}",
        ("kind", "value", "x", "starts", "eigenvalues", "higher derivatives"),
        tuple(rows[:ROWS]),
        footer,
        ("left", "right", "left", "right", "left", "left"),
    )


def found_sentence(found: Found) -> str:
    """What a search came to, in one line."""
    counts = ", ".join(f"{n} {_plural(name, n)}" for name, n in found.kinds.items())
    total = len(found.points)
    start = f"{total} critical point{'' if total == 1 else 's'} from {found.starts:,} starts"
    lost = ", ".join(f"{n:,} {why}" for why, n in found.rejected.items())
    where = " in the domain" if found.box is not None else ""
    said = f"{start}{where}: {counts or 'none'}"
    return f"{said}; starts that led to none: {lost or 'none'}"


def found_record(found: Found) -> dict[str, Any]:
    """A search for programs."""
    return {
        "surface": found.surface,
        "starts": found.starts,
        "seed": found.seed,
        "box": found.box,
        "radius": found.radius,
        "iterations": found.iterations,
        "kinds": dict(found.kinds),
        "rejected": dict(found.rejected),
        "points": [
            {**point_record(point), "starts": hits}
            for point, hits in zip(found.points, found.hits, strict=True)
        ],
    }


def point_record(point: Classification) -> dict[str, Any]:
    """A point for programs; of more than 10,000 coordinates without them."""
    settled = None
    if point.settled is not None:
        settled = {**asdict(point.settled), "text": str(point.settled)}
    return {
        "text": sentence(point),
        "label": str(point.label),
        "x": point.x.tolist() if len(point.x) <= 10_000 else None,
        "value": point.value,
        "gradient_norm": point.gradient_norm,
        "gradient_tolerance": point.gradient_tolerance,
        "eigenvalues": point.eigenvalues.tolist(),
        "complete": point.complete,
        "index": point.index,
        "nullity": point.nullity,
        "tolerance": {**asdict(point.tolerance), "total": point.tolerance.total},
        "tighter": str(point.tighter),
        "looser": str(point.looser),
        "decrement": point.decrement,
        "step": point.step,
        "flat": point.flat,
        "symmetries": point.symmetries,
        "residual": point.residual,
        "note": point.note,
        "settled": settled,
    }


def critical_figure(problem: Analytic, points: Sequence[Classification], title: str) -> Figure:
    """The surface of one or two coordinates with classified points, by kind.

    Points that are not critical are left out.
    """
    kinds = {str(k): k for k in Kind}
    marked = tuple(
        CriticalPoint(tuple(p.x.tolist()), p.value, kinds[str(p.label)])
        for p in points
        if str(p.label) in kinds
    )
    facts = replace(problem.facts, critical_points=marked, minimizers=())
    return surface_figure(replace(problem, facts=facts, start_at=None, name=title))


@styled
def spectrum_figure(point: Classification, title: str) -> Figure:
    """All eigenvalues in order, and the band within which they count as zero."""
    tau = point.tolerance.total
    groups = {
        "negative": (point.eigenvalues < -tau, COLORS[1], "v"),
        "zero": (np.abs(point.eigenvalues) <= tau, COLORS[3], "D"),
        "positive": (point.eigenvalues > tau, COLORS[0], "^"),
    }
    labels = [f"{name}: {rows.sum()}" for name, (rows, _, _) in groups.items() if rows.any()]
    figure = canvas(title, [*labels, _BAND], width=5.6, height=3.8)
    axes = figure.subplots()
    order = np.arange(1, len(point.eigenvalues) + 1)
    for name, (rows, color, marker) in groups.items():
        if rows.any():
            axes.plot(
                order[rows],
                point.eigenvalues[rows],
                ls="none",
                marker=marker,
                ms=4,
                color=color,
                label=f"{name}: {rows.sum()}",
            )
    threshold = max(tau, 1e-12 * float(np.abs(point.eigenvalues).max(initial=0.0)), 1e-300)
    axes.axhspan(-threshold, threshold, color="#000000", alpha=0.12, lw=0, label=_BAND)
    axes.set_yscale("symlog", linthresh=threshold, linscale=1.5)
    axes.set_xlabel("eigenvalue, in order")
    axes.set_ylabel("eigenvalue of the Hessian")
    legend_outside(figure, *axes.get_legend_handles_labels())
    return figure


def _cells(point: Classification, hits: int) -> tuple[str, ...]:
    firm = "" if point.robust else " (by the tolerance)"
    return (
        kind(point) + firm,
        decimal(point.value, 8),
        _row(point.x.tolist(), 7),
        str(hits),
        _row(point.eigenvalues.tolist()),
        "" if point.settled is None else str(point.settled),
    )


def _alike(
    pairs: list[tuple[Classification, int]],
) -> list[list[tuple[Classification, int]]]:
    """Degenerate points of one value and nullity together, others alone."""
    scale = max((abs(point.value) for point, _ in pairs), default=0.0) + 1e-300

    def key(pair: tuple[Classification, int]) -> tuple[Any, ...]:
        point = pair[0]
        level = round(point.value / scale / _CLOSE)
        if point.label is Label.DEGENERATE or point.nullity:
            return (level, str(point.label), point.index, point.nullity)
        return (level, str(point.label), tuple(point.x.tolist()))

    return [list(group) for _, group in groupby(sorted(pairs, key=key), key=key)]


def _not_critical(point: Classification) -> str:
    if point.gradient_norm > point.gradient_tolerance:
        why = f"|g| is {gap(point.gradient_norm)}, zero up to {gap(point.gradient_tolerance)}"
    else:
        why = (
            f"|g| is {gap(point.gradient_norm)}, but Newton's method would still go "
            f"{gap(point.step)} far: a plateau"
        )
    flat = "; gradient-flat: the gradient lies in the kernel of the Hessian" if point.flat else ""
    known = "eigenvalues" if point.complete else "extreme eigenvalues"
    return f"not critical: {why}; {known} {spectrum(point)}{flat}"


def _row(values: Sequence[float], digits: int = 4) -> str:
    small = 1e-11 * max(map(abs, values), default=0.0)
    texts = [decimal(0.0 if abs(value) <= small else value, digits) for value in values]
    if len(texts) <= SHOWN:
        return ", ".join(texts)
    half = SHOWN // 2
    return f"{', '.join(texts[:half])} ... {', '.join(texts[-half:])} ({len(texts):,})"


def _plural(name: str, count: int) -> str:
    plurals: Mapping[str, str] = {
        "minimum": "minima", "maximum": "maxima", "saddle": "saddles"
    }  # fmt: skip
    return name if count == 1 else plurals.get(name, name)
