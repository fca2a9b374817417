"""`ravine landscape plane`: the loss on a plane through a point, or through three."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Split, Steps
from ravine.errors import BadValue

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ravine.landscape.planes.directions import Directions
    from ravine.landscape.surface import Surface
    from ravine.problems.base import Problem
    from ravine.reporting.progress import Bar

SAID = 3.0
"""Seconds from which on a forecast is worth a line."""

_Leading = Parameter(allow_leading_hyphen=True)


def plane(
    problem: str,
    *,
    at: str = "start",
    directions: Literal["random", "eigenvectors"] = "random",
    scale: Literal["filter", "layer", "model", "none"] = "filter",
    bias: Literal["zero", "join", "free"] = "zero",
    through: Annotated[list[str] | None, Parameter(consume_multiple=True, negative=())] = None,
    span: Annotated[float, _Leading] = 1.0,
    points: int = 51,
    seeds: int = 5,
    ratio: Annotated[bool, Parameter(negative="")] = False,
    ratio_points: int = 11,
    export: Annotated[
        list[Literal["vtk", "parquet"]] | None, Parameter(consume_multiple=True, negative=())
    ] = None,
    way: Literal["auto", "shared", "plain"] = "auto",
    steps: Steps = None,
    examples: Examples = 2048,
    split: Split = "train",
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Draw the loss on a plane through a point, as contours and as a surface.

    Random directions are drawn for several seeds, and the spread over them is shown.  Finished
    rows are kept under --out; a command that was stopped goes on where it was.  A place is
    `start` (`start@3` for seed 3), an optimizer whose run ends there, as "sgd(lr=0.1)" or
    "adam(lr=0.001)@3", coordinates as 0.5,1 (after a minus --at=-1,1), or a state dict,
    weights.pt.

    Args:
        problem: Any id, or path/to/file.py:function.
        at: The place in the centre.
        directions: Random ones, or along the eigenvectors of the largest and the smallest
            eigenvalue of the Hessian.
        scale: What random directions are made as long as: every filter, every parameter,
            all weights together, or nothing.
        bias: Vectors in random directions: stay at zero, join their filters, or are free.
        through: Three places that the plane goes through, in place of --at.
        span: Half the side of the plane, in units of the directions; around three places, the
            margin as a share of their extent.
        points: Cells along each side, an odd number.
        seeds: Draws of random directions.
        ratio: Also map |smallest / largest eigenvalue| of the Hessian on a coarse grid.
        ratio_points: Cells along each side of that grid.
        export: Also write the plane as VTK for ParaView, or as Parquet.
        way: Share the first layers' products between cells, where that pays, always or never.
    """
    import torch

    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.planes import export as exported
    from ravine.landscape.planes.plane import centred, coordinates, holding_zero
    from ravine.landscape.planes.ratio import ratios
    from ravine.landscape.planes.shape import spread
    from ravine.landscape.surface import loss
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape.planes import figures as drawn
    from ravine.reporting.landscape.planes import tables as written
    from ravine.reporting.pages import write_files

    if through is not None and len(through) != 3:
        raise BadValue(f"--through takes three places, got {len(through)}; give three")
    if seeds < 1 or ratio_points < 2:
        raise BadValue(f"--seeds must be 1 or more, --ratio-points 2; got {seeds}, {ratio_points}")
    axis = centred(span, points)
    places = through or [at]
    chosen = build(problem)
    with working(out) as bar:
        bar.begin(f"plane of {chosen.name}")
        ground, located = _located(
            chosen, places, seed, split, examples, batch_norm, steps, bar.advance
        )
        centre, sides, marks = located[0], [axis, axis], list[drawn.Mark]()
        draws: Sequence[int | None] = [None]
        drawing: Callable[[int | None], Directions]
        if through:
            from ravine.landscape.planes.directions import through as spanned

            triangle = spanned(*located)
            sides = [holding_zero(low, high, points) for low, high in triangle.ranges(span)]
            marks = [
                drawn.Mark(a, b, place)
                for (a, b), place in zip(triangle.places, places, strict=True)
            ]

            def given(seed: int | None) -> "Directions":
                del seed
                return triangle.directions

            drawing = given
        else:
            draws, drawing = _directions(
                chosen, ground, centre, directions, scale, bias, 1 if ground.size == 2 else seeds
            )
        said = _Forecast(bar, len(draws) * points**2, out)
        found = spread(
            ground,
            centre,
            drawing,
            sides[0],
            sides[1],
            draws,
            way=way,
            folder=out / "planes",
            listener=said,
        )
        first, mapped = found.planes[0], None
        losses = loss(ground, torch.stack(located)).tolist()
        known = sum(plane.known for plane in found.planes)
        if known:
            bar.say(f"{known:,} of {said.cells:,} cells were known from {out / 'planes'}")
        if ratio:
            coarse = [coordinates(float(s[0]), float(s[-1]), ratio_points) for s in sides]
            told = _Forecast(bar, ratio_points**2, None)
            mapped = ratios(ground, centre, first.u, first.v, *coarse, listener=told)
    title = f"{chosen.name} {'through three points' if through else f'around {at}'}"
    shown_title = title if through else f"{title}: {first.kind}"
    tables = {"": written.plane_table(found.planes, title)}
    figures = {
        "": drawn.plane_figure(first, shown_title, marks),
        "surface": drawn.surface_figure(first, shown_title, marks),
    }
    records: dict[str, Any] = {
        "problem": chosen.name,
        "places": places,
        "coordinates": [[mark.x, mark.y] for mark in marks] or [[0.0, 0.0]],
        "losses": losses,
        "planes": [written.plane_record(plane) for plane in found.planes],
    }
    if len(found.planes) > 1:
        tables["seeds"] = written.spread_table(found, f"{title}: over the draws of directions")
        figures["seeds"] = drawn.spread_figure(found, f"{title}: {len(draws)} draws of directions")
        records["interquartile_range_relative"] = found.relative
    if mapped is not None:
        tables["ratio"] = written.ratio_table(mapped, f"{title}: eigenvalue ratios")
        figures["ratio"] = drawn.ratio_figure(mapped, first, f"{title}: eigenvalue ratios")
        records["ratios"] = written.ratio_record(mapped)
    write: dict[str, Any] = {"vtk": exported.vtk, "parquet": exported.parquet}
    stem = re.sub(r"[^\w.\-]+", "_", f"plane-{chosen.name}").strip("_")
    files = {
        f"{stem}{'' if plane.seed is None else f'-{plane.seed}'}.{form}": write[form](plane)
        for form in export or ()
        for plane in found.planes
    }
    show(f"plane-{chosen.name}", tables, figures, records, out, json)
    for path in write_files(out, files) if files else ():
        if not json:
            print(f"file: {path}")


class _Forecast:
    """Says once, from the first cells, how long all will take, and moves the bar."""

    def __init__(self, bar: "Bar", cells: int, out: Path | None) -> None:
        self.bar, self.cells, self.out = bar, cells, out
        self._calls = 0

    def __call__(self, share: float, seconds: float) -> None:
        from ravine.reporting.progress import duration

        self._calls += 1
        # the first call pays for what is set up once
        if self._calls == 2 and seconds > SAID:
            kept = f"; finished rows are kept in {self.out / 'planes'}" if self.out else ""
            self.bar.say(f"{self.cells:,} cells, about {duration(seconds)}{kept}")
        self.bar.advance(share)


def _located(
    problem: "Problem",
    places: Sequence[str],
    seed: int | None,
    split: Literal["train", "test"],
    examples: int | None,
    batch_norm: Literal["recomputed", "batch", "frozen"],
    steps: int | None,
    listener: Callable[[float], None],
) -> "tuple[Surface, list[Float[Tensor, ' P']]]":
    """The surface, and the points of the places; frozen moments are those of the first."""
    from ravine.cli.landscape.places import instance, locate
    from ravine.landscape.sources import surface
    from ravine.landscape.surface import unpack

    seed = instance(problem, places, seed)
    count = None if split == "test" else examples
    ground = surface(problem, seed=seed, split=split, examples=count)
    points = []
    for i, place in enumerate(places):

        def told(share: float, done: int = i) -> None:
            listener((done + share) / len(places))

        points.append(locate(place, problem, ground, steps, told))
    if ground.batch_norm and batch_norm != "recomputed":
        anchor = unpack(ground, points[0])
        ground = surface(
            problem, seed=seed, split=split, examples=count, batch_norm=batch_norm, anchor=anchor
        )
    return ground, points


def _directions(
    problem: "Problem",
    ground: "Surface",
    centre: "Float[Tensor, ' P']",
    kind: str,
    scale: Literal["filter", "layer", "model", "none"],
    bias: Literal["zero", "join", "free"],
    seeds: int,
) -> "tuple[Sequence[int | None], Callable[[int | None], Directions]]":
    """The seeds to draw for, and what is drawn."""
    import torch

    from ravine.landscape.operators import hessian
    from ravine.landscape.planes.directions import along, filters, random
    from ravine.landscape.spectrum.lanczos import extreme

    if kind == "eigenvectors":
        pairs = extreme(hessian(ground, centre), 1, 1)
        top, low = pairs.values[0], pairs.values[-1]
        doubt = "" if all(pairs.converged) else ", not converged"
        labels = (f"along the eigenvector of {top:.3g}", f"along the eigenvector of {low:.3g}")
        given = along(
            pairs.vectors[0], pairs.vectors[-1], f"along extreme eigenvectors{doubt}", labels
        )
        return [None], lambda _: given
    if ground.size == 2:
        one, two = torch.eye(2, dtype=centre.dtype)
        own = along(one, two, "its two coordinates", ("$x_1$ from there", "$x_2$ from there"))
        return [None], lambda _: own
    if not ground.split and all(len(shape) < 2 for shape in ground.shapes.values()):
        scale, bias = "none", "free"  # a formula has neither filters nor weights
    own_filters = filters(problem)
    return range(seeds), lambda seed: random(
        ground, centre, seed or 0, scale=scale, bias=bias, filters=own_filters
    )
