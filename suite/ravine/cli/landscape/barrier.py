"""`ravine landscape barrier`: how high the loss rises between solutions."""

from typing import Annotated

from cyclopts import Parameter

from ravine.cli.landscape.line import Splits, prepared
from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Steps
from ravine.errors import BadValue


def barrier(
    problem: str,
    *,
    between: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    points: int = 25,
    refine: bool = True,
    split: Splits = "both",
    steps: Steps = None,
    examples: Examples = 2048,
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Measure how far loss and error rise above the chord between two or more places.

    All pairs are taken.  A place is `start` (`start@3` for seed 3), an optimizer whose run
    ends there, as "sgd(lr=0.1)" or "adam(lr=0.001)@3", coordinates as 0.5,1 (after a minus
    --between=-1,1), or a state dict, weights.pt.

    Args:
        problem: Any id, or path/to/file.py:function.
        between: Places, two or more.
        points: Evenly spaced alphas on each line, at least 25.
        refine: Narrow the interval around the highest point to 1e-4.
        split: Which examples of a network.
        batch_norm: Moments of batch normalisation: recomputed at each point, of each batch,
            or frozen at those of the first place.
    """
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.barriers import barriers
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import lines as drawn

    names = list(dict.fromkeys(between))
    if len(names) < 2:
        raise BadValue("--between must name two places or more; give another")
    chosen = build(problem)
    with working(out) as bar:
        # a refined maximum takes about as many points again, of loss and of error
        evaluations = len(names) * (len(names) - 1) // 2 * points * (3 if refine else 1)
        grounds, solutions, listener = prepared(
            bar, chosen, names, split, steps, examples, batch_norm, seed, evaluations
        )
        found = barriers(grounds, solutions, points=points, refine=refine, listener=listener)
    title = f"Barriers of {chosen.name}"
    lines = {
        f"{names[i]} → {names[j]}": {name: one.line for name, one in each.items()}
        for (i, j), each in found.items()
    }
    records = {
        "problem": chosen.name,
        "places": names,
        "seed": seed,
        "steps": steps,
        "barriers": [
            {
                "between": [names[i], names[j]],
                "on": {name: drawn.barrier_record(one) for name, one in each.items()},
            }
            for (i, j), each in found.items()
        ],
    }
    show(
        f"barrier-{chosen.name}",
        {"": drawn.barrier_table(found, names, title)},
        {"": drawn.line_figure(lines, title)},
        records,
        out,
        json,
    )
