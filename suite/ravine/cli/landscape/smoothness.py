"""`ravine landscape smoothness`: how smooth the ground along the gradient is, in training."""

from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from ravine.cli.landscape.options import OUT, Json, Out, Steps
from ravine.errors import BadValue

if TYPE_CHECKING:
    from ravine.optimizers import Setting


def smoothness(
    problem: str,
    *others: str,
    method: Annotated[str, Parameter(help='The optimizer that trains all of them: "sgd(lr=0.1)".')],
    steps: Steps = None,
    seeds: int = 3,
    points: int = 25,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Train, and measure along the way how smooth the loss is in the direction of its gradient.

    At evenly spaced steps of each run, and on the batch of that step, it goes from half to
    four times the learning rate along the gradient and takes the range of the loss, the
    largest change of the gradient, and that change over the distance (Santurkar et al. 2018).
    Several problems, such as deep_plain_20 and deep_norm_20, are trained at the same rate.

    Args:
        problem: Any id, or path/to/file.py:function.
        others: More of them, to be compared with the first.
        seeds: Runs of each problem.
        points: Steps of each run at which it is measured.
    """
    from ravine.cli.landscape.forecast import duration
    from ravine.cli.landscape.places import setting
    from ravine.cli.landscape.shown import show, working
    from ravine.engine.walk import walk
    from ravine.landscape.smoothness import smoothness_along
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape.smoothness import (
        smoothness_figure,
        smoothness_record,
        smoothness_table,
    )

    for name, value, least in (("seeds", seeds, 1), ("points", points, 2), ("steps", steps, 1)):
        if value is not None and value < least:
            raise BadValue(f"`--{name}` must be at least {least}, got {value}; give more")
    chosen, built = setting(method), [build(id) for id in dict.fromkeys((problem, *others))]
    budgets = {p.name: p.traits.budget if steps is None else steps for p in built}
    rate, runs, paths = _rate(chosen), [(p, seed) for p in built for seed in range(seeds)], []
    with working(out) as bar:
        seconds = sum(duration(p, [chosen], budgets[p.name], seeds) for p in built)
        # to measure takes about as long as the run, more for a short one
        bar.begin(f"{len(runs)} runs with their smoothness", 2 * seconds)
        for done, (each, seed) in enumerate(runs):
            budget = budgets[each.name]
            keep = sorted({round(i * budget / (points - 1)) for i in range(points)})

            def listener(share: float, done: int = done) -> None:
                bar.advance((done + share) / len(runs))

            way = walk(each, chosen, seed, budget, keep=keep, listener=lambda s: listener(s / 2))
            paths.append(
                smoothness_along(each, way, rate, listener=lambda s: listener((1 + s) / 2))
            )
    empty = [f"{p.problem} with seed {p.seed}" for p in paths if not p.steps]
    if empty:
        raise BadValue(f"{', '.join(empty)}: nothing was measured; give a smaller lr")
    show(
        "smoothness-" + "-".join(p.name for p in built),
        {"": smoothness_table(paths)},
        {"": smoothness_figure(paths)},
        {"method": chosen.name, "runs": [smoothness_record(path) for path in paths]},
        out,
        json,
    )


def _rate(chosen: "Setting") -> float:
    """The learning rate that the method was given, or its own."""
    import torch

    from ravine.optimizers.assembly import assemble

    if "lr" in chosen.hyper:
        return float(chosen.hyper["lr"])
    own = assemble(chosen, [torch.zeros(2, 2, requires_grad=True)]).param_groups[0].get("lr")
    if own is None or not float(own) > 0:
        raise BadValue(f"`{chosen.name}` has no learning rate to take steps of; fix one as lr=0.1")
    return float(own)
