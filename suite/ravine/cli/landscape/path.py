"""`ravine landscape path`: where optimizers went, on a plane and beside a straight line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ravine.cli.landscape.forecast import duration, seconds
from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Split
from ravine.errors import BadValue

if TYPE_CHECKING:
    from torch import Tensor

    from ravine.engine.walk import Walk
    from ravine.landscape.residual import ResidualSurface
    from ravine.landscape.trajectory import Trajectories
    from ravine.optimizers import Setting
    from ravine.problems.base import Problem

BUDGET = "Steps of each run; the problem's budget if not given."

EVERY = 2000
"""Steps up to which a path in two coordinates keeps them all."""

FINE, COARSE = 101, 31
"""Points along each side of a surface, in two coordinates and in more."""


def path(
    problem: str,
    *,
    methods: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    seed: int = 0,
    steps: Annotated[int | None, Parameter(help=BUDGET)] = None,
    checkpoints: int = 101,
    about: Literal["end", "mean"] = "end",
    grid: int | None = None,
    examples: Examples = 2048,
    split: Split = "train",
    batch_norm: BatchNorm = "recomputed",
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Show the paths of optimizers from one start, with the loss they really had.

    Paths in two coordinates are drawn on the surface itself, others on the plane of
    their first two principal components; each also by its projection on the straight
    line from start to end and its distance from it. Runs that diverge are left out.

    Args:
        problem: An id of the catalogue, file.py:function, or file.py:make_problem.
        methods: With their learning rates: "sgd(lr=0.1)" "adam(lr=0.001)".
        seed: Of start and instance, and of the order of examples.
        checkpoints: Points kept of each path, evenly spaced in steps.
        about: What components are taken about: where the paths end, or the mean.
        grid: Points along each side of a surface; 31 if not given, 101 in two coordinates.
    """
    import numpy as np
    import torch

    from ravine.cli.landscape.places import setting
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.residual import residual_surface
    from ravine.landscape.sources import surface
    from ravine.landscape.surface import loss, pack
    from ravine.landscape.trajectory import trajectories
    from ravine.problems import arguments
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import trajectories as drawn

    arguments.whole("checkpoints", checkpoints, 2)
    settings = [setting(id) for id in dict.fromkeys(methods)]
    chosen = build(problem)
    ground = surface(chosen, seed=seed, split=split, examples=examples, batch_norm=batch_norm)
    if ground.size < 2:
        raise BadValue(f"`{problem}` has one coordinate and so no plane; draw it by `line`")
    flat = ground.size == 2
    side = grid or (FINE if flat else COARSE)
    arguments.whole("grid", side, 2)
    budget = chosen.traits.budget if steps is None else steps
    arguments.whole("steps", budget, 1)
    number = min(budget, EVERY) + 1 if flat else checkpoints
    keep = sorted({round(float(s)) for s in np.linspace(0, budget, number)})
    with working(out) as bar:
        points = len(settings) * (len(keep) * 3 + side * side) + side * side
        start = pack(ground, chosen.start(seed)).detach()
        cost = points * seconds(lambda: loss(ground, start.expand(4, -1))) / 4
        bar.begin(f"{len(settings)} paths", cost + duration(chosen, settings, budget))
        tasks = 2 * len(settings) + 1

        def listener(done: int) -> Callable[[float], None]:
            return lambda share: bar.advance((done + share) / tasks)

        ways, gone = train(chosen, [(s, seed) for s in settings], steps, keep, None, listener)
        names = [way.setting for way in ways]
        near = _nearest(_minimizers(chosen, seed), ways) if flat else None
        found = trajectories(
            ground,
            [way.points for way in ways],
            names,
            [way.steps for way in ways],
            about="axes" if flat else about,
            grid=side,
            shown=near,
            listener=listener(len(settings)),
        )
        beside, closed = [], []
        for i, way in enumerate(ways):
            if torch.equal(way.start, way.end):
                closed.append(way.setting)
                continue
            tell = listener(len(settings) + 1 + i)
            beside.append(
                residual_surface(
                    ground, way.points, way.setting, way.steps, grid=side, listener=tell
                )
            )
        minimum = chosen.facts.minimum
        marks = [
            drawn.Mark(float(x), float(y), "minimum") for x, y in ([] if near is None else near)
        ]
        figures = {"": drawn.plane_figure(found, minimum=minimum, marks=marks)}
        for one in beside:
            figures[f"{one.name}-residual"] = drawn.residual_figure(one, minimum=minimum)
    tables = {
        **({} if flat else {"components": drawn.explained_table(found)}),
        "plane": drawn.plane_table(found),
        **({"residual": drawn.residual_table(beside)} if beside else {}),
    }
    left_out = {
        **{name: f"diverges at step {step}" for (name, _), step in gone.items()},
        **dict.fromkeys(closed, "ends where it began, so has no line"),
    }
    records = _records(found, beside, left_out, seed)
    show(f"path-{chosen.name}", tables, figures, records, out, json)
    if not json:
        for name, why in left_out.items():
            print(f"left out: {name} {why}")


def train(
    problem: Problem,
    wanted: Sequence[tuple[Setting, int]],
    steps: int | None,
    keep: Sequence[int],
    data_seed: int | None,
    listener: Callable[[int], Callable[[float], None]],
) -> tuple[list[Walk], dict[tuple[str, int], int]]:
    """Walk each optimizer from each start, and set those apart that diverge.

    Args:
        problem: what is minimised.
        wanted: optimizers with the seeds of their starts.
        steps: of each run.
        keep: the steps whose points are kept.
        data_seed: of instance and batches; the start's own if None.
        listener: makes what is told a run's share, from the number of runs before it.

    Returns:
        The ways, and where the others diverged, by name and seed.

    Raises:
        BadValue: all diverge.
    """
    from ravine.engine.walk import walk

    ways, gone = [], {}
    for i, (setting, seed) in enumerate(wanted):
        way = walk(
            problem, setting, seed, steps, keep=keep, data_seed=data_seed, listener=listener(i)
        )
        if way.diverged is None and bool(way.points.isfinite().all()):
            ways.append(way)
        else:
            gone[setting.name, seed] = way.steps[-1]
    if not ways:
        said = ", ".join(f"`{name}` at step {step}" for (name, _), step in gone.items())
        raise BadValue(f"all runs diverge on `{problem.name}` ({said}); give smaller rates")
    return ways, gone


def _minimizers(problem: Problem, seed: int) -> Tensor | None:
    """A formula's minimizers in the coordinates of a seed's instance."""
    import torch

    from ravine.problems.analytic import Analytic

    if not isinstance(problem, Analytic) or not problem.facts.minimizers:
        return None
    data = problem.instance([seed])
    x = torch.tensor(problem.facts.minimizers, dtype=torch.float64)
    if "rotation" in data:
        x = x @ data["rotation"][0]
    return x + data["shift"][0] if "shift" in data else x


def _nearest(minimizers: Tensor | None, ways: Sequence[Walk]) -> Tensor | None:
    """To the end of each way, each once."""
    import torch

    if minimizers is None:
        return None
    ends = torch.stack([way.end for way in ways])
    nearest = torch.cdist(ends.double(), minimizers).argmin(1)
    return minimizers[sorted(set(nearest.tolist()))]


def _records(
    found: Trajectories, beside: Sequence[ResidualSurface], left_out: Mapping[str, str], seed: int
) -> dict[str, Any]:
    plane = found.plane
    lines = {one.name: one for one in beside}
    paths = []
    for name, steps, place in zip(found.names, found.steps, found.places, strict=True):
        record: dict[str, Any] = {
            "method": name,
            "steps": list(steps),
            "losses": found.losses[place].tolist(),
            "plane_losses": found.plane_losses[place].tolist(),
            "coordinates": plane.coordinates[place].tolist(),
            "off_plane": plane.residuals[place].tolist(),
        }
        if name in lines:
            one = lines[name]
            record["line"] = {
                "length": one.path.length,
                "projections": one.path.projections.tolist(),
                "residuals": one.path.residuals.tolist(),
                "surface_losses": one.under.tolist(),
                "line_losses": one.line.tolist(),
                "on_surface": list(one.on_surface),
            }
        paths.append(record)
    return {
        "problem": found.surface,
        "seed": seed,
        "split": found.split,
        "about": plane.about,
        "uncentred": plane.uncentred.tolist(),
        "centred": plane.centred.tolist(),
        "held": plane.held,
        "by_chance": plane.by_chance,
        "rank": plane.rank,
        "paths": paths,
        "grid": {"x": found.x.tolist(), "y": found.y.tolist(), "losses": found.grid.tolist()},
        "left_out": dict(left_out),
    }
