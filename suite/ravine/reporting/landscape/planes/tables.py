"""Tables and records of planes: what each shows, the spread over seeds, eigenvalue ratios."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ravine.landscape.planes.export import about
from ravine.landscape.planes.plane import Plane, Status
from ravine.landscape.planes.ratio import Ratios
from ravine.landscape.planes.shape import Spread, curvature, width
from ravine.reporting import cells
from ravine.reporting.layout import Table


def plane_table(planes: Sequence[Plane], title: str) -> Table:
    """What each plane shows, one row for each seed."""
    rows = []
    for plane in planes:
        bent, cell = curvature(plane), plane.centre_cell
        finite = plane.loss[np.isfinite(plane.loss)]
        at = (np.nan, np.nan) if cell is None else (bent.smallest[cell], bent.largest[cell])
        odd = int((plane.status != Status.FINITE).sum())
        rows.append(
            (
                "given" if plane.seed is None else str(plane.seed),
                cells.decimal(plane.centre_loss, 4),
                cells.decimal(finite.min() if len(finite) else None, 4),
                cells.decimal(finite.max() if len(finite) else None, 4),
                f"{cells.decimal(at[0])} to {cells.decimal(at[1])}",
                f"{cells.decimal(width(plane, 0))} x {cells.decimal(width(plane, 1))}",
                cells.percent(bent.negative),
                cells.percent(bent.undecided),
                f"{plane.cosine:.1e}",
                str(odd),
            )
        )
    first = planes[0]
    kept = f" {first.dtype}" + (
        f", {first.examples:,} {first.split} examples" if first.split else ""
    )
    normed = f", batch normalisation {first.batch_norm}" if first.batch_norm else ""
    how = f"first layers shared ({first.reason})" if first.way == "shared" else "cells in full"
    return Table(
        title=title,
        columns=(
            "seed",
            "centre",
            "lowest",
            "highest",
            "curvature",
            "width",
            "negative",
            "undecided",
            "cosine",
            "not finite",
        ),
        rows=tuple(rows),
        footer=(
            f"{first.kind}; {len(first.x)} x {len(first.y)} cells,{kept}{normed}; {how}. "
            f"Centre, lowest and highest: loss. Curvature at the centre, by central differences, "
            f"per squared unit of the coordinates; negative: "
            f"share of inner cells that curve downwards in some direction of the plane itself "
            f"(2-D), undecided: zero to rounding. Widths are at half the height of "
            f"the line through the centre, and depend on the range. Not finite: cells."
        ),
    )


def spread_table(found: Spread, title: str) -> Table:
    """Median and quartiles over the seeds of what the planes show."""
    bends = [curvature(plane) for plane in found.planes]
    cell = found.planes[0].centre_cell
    measures = {
        "largest curvature at the centre": [
            np.nan if cell is None else bent.largest[cell] for bent in bends
        ],
        "smallest curvature at the centre": [
            np.nan if cell is None else bent.smallest[cell] for bent in bends
        ],
        "width at half height, first axis": [width(plane, 0) for plane in found.planes],
        "width at half height, second axis": [width(plane, 1) for plane in found.planes],
        "share of cells with negative curvature": [bent.negative for bent in bends],
        "highest loss": [
            float(np.max(plane.loss[np.isfinite(plane.loss)], initial=-np.inf))
            for plane in found.planes
        ],
    }
    rows = []
    for name, values in measures.items():
        known = np.array([value for value in values if math.isfinite(value)])
        quartiles = np.quantile(known, (0.25, 0.5, 0.75)) if len(known) else [np.nan] * 3
        rows.append(
            (
                name,
                *(cells.decimal(float(q)) for q in quartiles),
                cells.share(len(known), len(values)),
            )
        )
    return Table(
        title=title,
        columns=("measure", "lower quartile", "median", "upper quartile", "seeds with a value"),
        rows=tuple(rows),
        footer=(
            f"Over {len(found.planes)} draws of the directions. Cell by cell, the interquartile "
            f"range is {cells.percent(found.relative)} of the height above the centre (median)."
        ),
    )


def ratio_table(found: Ratios, title: str) -> Table:
    """Eigenvalues of the whole Hessian over the cells of a coarse grid."""
    good = found.converged
    known = found.ratio[good]
    quartiles = np.quantile(known, (0.0, 0.5, 1.0)) if len(known) else [np.nan] * 3
    return Table(
        title=title,
        columns=("cells", "converged", "lowest ratio", "median", "highest", "largest residual"),
        rows=(
            (
                str(good.size),
                cells.share(int(good.sum()), good.size),
                *(cells.decimal(float(q)) for q in quartiles),
                cells.gap(float(np.nanmax(found.residual)) if good.any() else None),
            ),
        ),
        footer=(
            f"|smallest / largest| eigenvalue of the Hessian, 0 where none is negative, over "
            f"converged cells (relative residual {found.tolerance:g}); {found.products:,} products."
        ),
    )


def plane_record(plane: Plane) -> dict[str, Any]:
    """Everything of a plane but its vectors, for programs."""
    bent = curvature(plane)
    return {
        **about(plane),
        "x": plane.x.tolist(),
        "y": plane.y.tolist(),
        "loss": plane.loss.tolist(),
        "status": plane.status.tolist(),
        "centre_cell": plane.centre_cell,
        "negative_share": bent.negative,
        "undecided_share": bent.undecided,
        "width": [width(plane, 0), width(plane, 1)],
    }


def ratio_record(found: Ratios) -> dict[str, Any]:
    """Eigenvalues, residuals and what converged, for programs."""
    arrays = {
        name: getattr(found, name).tolist()
        for name in ("x", "y", "smallest", "largest", "residual", "converged", "ratio")
    }
    return {**arrays, "tolerance": found.tolerance, "products": found.products}
