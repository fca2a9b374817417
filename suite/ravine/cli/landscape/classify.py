"""`ravine landscape classify`: what kind of critical point a point is, or all there are."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Split, Steps
from ravine.errors import BadValue

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ravine.landscape.critical.classify import Classification
    from ravine.landscape.critical.search import Found
    from ravine.landscape.surface import Surface
    from ravine.problems.base import Problem
    from ravine.reporting.progress import Bar


def classify(
    problem: str,
    *,
    at: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    starts: int = 1000,
    steps: Steps = None,
    examples: Examples = 2048,
    split: Split = "train",
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Say what kind of critical point a place is; without --at, find them all.

    Minimum, maximum, saddle with its index, degenerate with its nullity (and what third and
    fourth derivatives say), or not critical.  The tolerance for zero is stated, and whether
    ten times or a tenth of it would change the label.  A network's exact symmetries are
    projected out where its layers can be traced.  Of more than 5,000 coordinates only
    the extreme eigenvalues are found.

    A place is `start` (`start@3` for seed 3), an optimizer whose run ends there, as
    "sgd(lr=0.1)" or "adam(lr=0.001)@3", coordinates as 0.5,1 (after a minus --at=-1,1), or a
    state dict, weights.pt.

    Args:
        problem: Any id, or path/to/file.py:function.
        at: The place.
        starts: Random starts in the formula's domain, where no place is given.
        seed: Instance of a formula and order of examples; without --at, of the starts.
    """
    from ravine.cli.landscape.shown import show, working
    from ravine.problems.analytic import Analytic
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import critical as drawn

    chosen = build(problem)
    formula = chosen if isinstance(chosen, Analytic) and chosen.dim <= 2 else None
    stem, figures = f"classify-{chosen.name}", {}
    if not at:
        with working(out) as bar:
            found = _found(bar, chosen, starts, seed or 0)
        if formula:
            title = f"{chosen.name}: critical points from {starts:,} starts"
            figures[""] = drawn.critical_figure(formula, found.points, title)
        said, table = drawn.found_sentence(found), drawn.found_table(found)
        records = drawn.found_record(found)
    else:
        with working(out) as bar:
            point, own = _point(bar, chosen, at, steps, examples, split, batch_norm, seed)
        title = f"{chosen.name} at {at}"
        # the map shows the formula's own coordinates, and an instance's are others
        if formula and own is None:
            figures[at] = drawn.critical_figure(formula, (point,), title)
        elif point.complete:
            figures[at] = drawn.spectrum_figure(point, title)
        said, table = drawn.sentence(point), drawn.point_table(point, title)
        records = {"problem": chosen.name, "at": at, "seed": own, **drawn.point_record(point)}
    if not json:
        print(f"{said}\n")
    show(stem, {at: table}, figures, records, out, json)


def _found(bar: "Bar", problem: "Problem", starts: int, seed: int) -> "Found":
    from ravine.landscape.critical.search import critical_points

    bar.begin(f"critical points from {starts:,} starts")
    return critical_points(problem, starts, seed, listener=bar.advance)


def _point(
    bar: "Bar",
    problem: "Problem",
    at: str,
    steps: int | None,
    examples: int | None,
    split: Split,
    batch_norm: str,
    seed: int | None,
) -> "tuple[Classification, int | None]":
    from ravine.cli.landscape.places import instance, locate
    from ravine.landscape.critical.classify import classify as judge
    from ravine.landscape.sources import surface
    from ravine.landscape.surface import unpack

    seed = instance(problem, [at], seed)
    count = None if split == "test" else examples
    ground = surface(problem, seed=seed, split=split, examples=count)
    bar.begin(f"the way to {at}")
    x = locate(at, problem, ground, steps, bar.advance).double()
    if ground.batch_norm:
        anchor = unpack(ground, x)
        ground = surface(
            problem, seed=seed, split=split, examples=count, batch_norm=batch_norm, anchor=anchor
        )
    return judge(ground, x, _symmetries(problem, ground, x))[0], seed


def _symmetries(
    problem: "Problem", ground: "Surface", x: "Float[Tensor, ' P']"
) -> "Float[Tensor, 'k P'] | None":
    """Directions along which a network's loss cannot change; None where none are known."""
    from ravine.landscape.symmetry.modes import symmetry_directions
    from ravine.landscape.symmetry.networks import groups

    if ground.outputs is None:
        return None
    try:
        return symmetry_directions(groups(problem), x, ground)
    except BadValue:  # a network whose units cannot be traced
        return None
