"""`ravine landscape monitor`: train with a monitor that looks at each step's batch."""

from typing import Annotated

from cyclopts import Parameter

from ravine.cli.landscape.options import OUT, Json, Out, Steps
from ravine.errors import BadValue

STEPS_OF_A_LOOK, STEPS_OF_A_SHORT_LOOK = 100, 7
"""Steps that a look costs, with the largest eigenvalue and without, for the forecast."""


def monitor(
    problem: str,
    *,
    method: Annotated[str, Parameter(help='The optimizer: "sgd(lr=0.1, momentum=0.9)".')],
    steps: Steps = None,
    seed: int = 0,
    looks: int = 50,
    sharpness: bool = True,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Train, and look along the way at gradient, curvature, predicted changes and sharpness.

    At evenly spaced steps, on the batch of that step: the gradient's length and the curvature
    along it, by how much a step should change the loss and by how much it does, and how far
    the sharpness is from where steps become unstable.  Says whether the run was
    ill-conditioned, reached the edge of stability, and shrank its gradient.  The run is the
    same, bit for bit, as without the monitor.

    Args:
        problem: Any id, or path/to/file.py:function.
        seed: Of start and batches.
        looks: How many there are.
        sharpness: The largest eigenvalue at every look, most of the cost.
    """
    from ravine.cli.landscape.forecast import duration
    from ravine.cli.landscape.places import setting
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.monitor import watch
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape.monitor import monitor_figure, monitor_record, monitor_table

    chosen, built = setting(method), build(problem)
    budget = built.traits.budget if steps is None else steps
    for name, value in (("looks", looks), ("steps", budget)):
        if value < 1:
            raise BadValue(f"`--{name}` must be at least 1, got {value}; give more")
    every = max(1, budget // looks)
    with working(out) as bar:
        steps_of_looks = looks * (STEPS_OF_A_LOOK if sharpness else STEPS_OF_A_SHORT_LOOK)
        seconds = duration(built, [chosen], budget) * (1 + steps_of_looks / budget)
        bar.begin("training with a monitor", seconds)
        watched = watch(
            built, chosen, seed, budget, every=every, sharp=sharpness, listener=bar.advance
        )
    title = f"{watched.problem} by {watched.setting}"
    show(
        f"monitor-{built.name}-{chosen.name}",
        {"": monitor_table(watched)},
        {"": monitor_figure(watched.looks, title, watched.losses)},
        monitor_record(watched),
        out,
        json,
    )
