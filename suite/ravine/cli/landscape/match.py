"""`ravine landscape match`: bring the units of two networks into one order."""

from dataclasses import replace
from typing import Annotated, Literal

from cyclopts import Parameter

from ravine.cli.landscape.line import Splits, prepared
from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Steps
from ravine.errors import BadValue


def match(
    problem: str,
    *,
    between: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    by: Literal["weights", "activations"] = "weights",
    repair: Annotated[bool, Parameter(negative="")] = False,
    rescale: Annotated[bool, Parameter(negative="")] = False,
    points: int = 25,
    restarts: int = 4,
    split: Splits = "both",
    steps: Steps = None,
    examples: Examples = 2048,
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Exchange the units of one network so that it comes close to another, and join the two.

    What may be exchanged is traced from the network, and checked on its outputs; the points
    with the same function are counted.  A place is `start` (`start@3` for seed 3), an
    optimizer whose run ends there, as "sgd(lr=0.1)" or "adam(lr=0.001)@3", or a state dict,
    weights.pt.

    Args:
        problem: A network: any id, or path/to/file.py:function.
        between: Two places; the units of the second are exchanged.
        by: What units are matched by: their weights, or what they answer to the examples.
        repair: Give units on the way the means and deviations they have at its ends (REPAIR).
        rescale: Scale rectified units too, which brings the two still closer.
        points: Evenly spaced alphas on each way.
        restarts: Descents of the matching by weights; the best is taken.
        split: Which examples of a network.
        batch_norm: Moments of batch normalisation: recomputed at each point, of each batch,
            or frozen at those of the first place.
    """
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.symmetry.alignment import aligned
    from ravine.landscape.symmetry.connection import connect
    from ravine.landscape.symmetry.matching import match_activations, match_weights
    from ravine.landscape.symmetry.networks import groups
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import symmetry as drawn

    if len(between) != 2:
        raise BadValue(f"--between must name two places, got {len(between)}; give two")
    if points < 3:
        raise BadValue(f"--points must be at least 3, got {points}; use 25")
    if restarts < 1:
        raise BadValue(f"--restarts must be at least 1, got {restarts}; use 4")
    chosen = build(problem)
    found = groups(chosen)
    if not found.permutable:
        why = f": {found.held[0]}" if found.held else ""
        raise BadValue(f"`{chosen.name}` has no units to be exchanged{why}; give another network")
    if repair and not found.layers:
        raise BadValue(
            f"--repair has nothing to do: every layer of `{chosen.name}` is normalised or has no "
            f"bias; moments that are recomputed at each point are its repair"
        )
    with working(out) as bar:
        evaluations = points * (3 if repair else 2)
        grounds, (a, b), listener = prepared(
            bar, chosen, between, split, steps, examples, batch_norm, seed, evaluations
        )
        first = next(iter(grounds.values()))
        matched = (
            match_weights(found, a, b, restarts=restarts, seed=seed or 0)
            if by == "weights"
            else match_activations(found, first, a, b)
        )
        if rescale:
            closer, _ = aligned(found, a, matched.point)
            distance = float((a.double() - closer.double()).norm())
            matched = replace(matched, point=closer, after=distance)
        ways = connect(
            found, grounds, a, b, matched.point, repair=repair, points=points, listener=listener
        )
    title = f"{between[1]} matched to {between[0]} by {by}"
    distances = {"naive": matched.before, "matched": matched.after, "repaired": matched.after}
    records = {
        "problem": chosen.name,
        "between": between,
        "steps": steps,
        "rescaled": rescale,
        **drawn.match_record(found, matched, ways),
    }
    tables = {
        "units": drawn.units_table(found, matched, f"Units of {chosen.name}: {title}"),
        "equivalents": drawn.equivalents_table(found, f"Equivalents of a point: {chosen.name}"),
        "": drawn.ways_table(matched, ways, f"Ways on {chosen.name}: {title}", distances),
    }
    figure = drawn.ways_figure(ways, f"{chosen.name}: {title}")
    show(f"match-{chosen.name}", tables, {"": figure}, records, out, json)
