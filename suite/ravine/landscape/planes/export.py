"""A plane as a file for other programs: VTK for ParaView, Parquet for tables."""

import io
import json
from typing import Any

import numpy as np
import polars as pl

from ravine.landscape.planes.plane import Plane


def vtk(plane: Plane) -> bytes:
    """A rectilinear grid in VTK's legacy ASCII format, version 3.0, with loss and status.

    Coordinates are those of the plane; `Warp By Scalar` of ParaView makes the surface of it.
    Losses that are not finite are `nan` and `inf`, as VTK reads and writes them.

    References:
        Schroeder, Martin and Lorensen (2006). The Visualization Toolkit, 4th edition; file
        formats, https://docs.vtk.org/en/latest/vtk_file_formats/vtk_legacy_file_format.html
    """
    # the second line is a title of at most 256 characters
    title = f"ravine {plane.problem} {plane.kind}".replace("\n", " ").encode("ascii", "replace")
    lines = ["ASCII", "DATASET RECTILINEAR_GRID", f"DIMENSIONS {len(plane.x)} {len(plane.y)} 1"]
    for axis, values in (("X", plane.x), ("Y", plane.y), ("Z", np.zeros(1))):
        lines += [f"{axis}_COORDINATES {len(values)} double", _numbers(values)]
    lines += [f"POINT_DATA {plane.loss.size}", "SCALARS loss double 1", "LOOKUP_TABLE default"]
    # x runs fastest, as the columns of [y, x] do
    lines += [_numbers(row) for row in plane.loss]
    lines += ["SCALARS status int 1", "LOOKUP_TABLE default"]
    lines += [" ".join(map(str, row)) for row in plane.status.tolist()]
    head = b"# vtk DataFile Version 3.0\n" + title[:255] + b"\n"
    return head + ("\n".join(lines) + "\n").encode()


def parquet(plane: Plane) -> bytes:
    """A row for each cell, `x`, `y`, `loss`, `status`, x fastest; the rest as metadata."""
    b, a = np.meshgrid(plane.y, plane.x, indexing="ij")
    frame = pl.DataFrame(
        {
            "x": a.ravel(),
            "y": b.ravel(),
            "loss": plane.loss.ravel(),
            "status": plane.status.ravel(),
        }
    )
    file = io.BytesIO()
    said = {name: json.dumps(value) for name, value in about(plane).items()}
    frame.write_parquet(file, compression="zstd", metadata=said)
    return file.getvalue()


def about(plane: Plane) -> dict[str, Any]:
    """Everything of a plane but its cells and its vectors."""
    return {
        "problem": plane.problem,
        "directions": plane.kind,
        "seed": plane.seed,
        "labels": list(plane.labels),
        "cosine": plane.cosine,
        "lengths": list(plane.lengths),
        "centre_loss": plane.centre_loss,
        "points": [len(plane.x), len(plane.y)],
        "way": plane.way,
        "reason": plane.reason,
        "seconds": plane.seconds,
        "known": plane.known,
        "batch_norm": plane.batch_norm,
        "split": plane.split,
        "examples": plane.examples,
        "dtype": plane.dtype,
    }


def _numbers(values: np.ndarray) -> str:
    return " ".join(repr(float(value)) for value in values)
