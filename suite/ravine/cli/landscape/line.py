"""`ravine landscape line`: loss and accuracy along straight lines."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from ravine.cli.landscape.forecast import duration, seconds
from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Steps
from ravine.errors import BadValue

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ravine.landscape.surface import Surface
    from ravine.problems.base import Problem
    from ravine.reporting.progress import Bar

Splits = Annotated[Literal["both", "train", "test"], Parameter(help="Which examples of a network.")]
_Places = Parameter(consume_multiple=True, negative=())


def line(
    problem: str,
    *,
    from_: Annotated[list[str], Parameter(name="--from"), _Places],
    to: Annotated[list[str], _Places],
    alphas: Annotated[str, Parameter(allow_leading_hyphen=True)] = "-1:2:151",
    split: Splits = "both",
    steps: Steps = None,
    examples: Examples = 2048,
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Draw loss and accuracy along the straight line from one place to another.

    Several starts, or several pairs, give several lines in one picture.  A place is `start`
    (`start@3` for seed 3), an optimizer whose run ends there, as "sgd(lr=0.1)" or
    "adam(lr=0.001)@3", coordinates as 0.5,1 (after a minus --to=-1,1), or a state dict,
    weights.pt.

    Args:
        problem: Any id, or path/to/file.py:function.
        from_: Places at alpha 0.
        to: Places at alpha 1: one for all, or as many as there are starts.
        alphas: First, last and how many, as -2:2:401, or a list, as 0,0.1,1; the ends 0 and
            1 are always among them.
        split: Which examples of a network.
        batch_norm: Moments of batch normalisation: recomputed at each point, of each batch,
            or frozen at those of the first end.
    """
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.lines import lines
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import lines as drawn

    pairs = _pairs(from_, to)
    grid = spaced(alphas)
    chosen = build(problem)
    with working(out) as bar:
        places = [place for pair in pairs for place in pair]
        grounds, points, listener = prepared(
            bar, chosen, places, split, steps, examples, batch_norm, seed, len(pairs) * len(grid)
        )
        found = lines(grounds, points[::2], points[1::2], grid, listener=listener)
    named = {f"{a} → {b}": each for (a, b), each in zip(pairs, found, strict=True)}
    same = [{one[side] for one in pairs} for side in (0, 1)]
    if len(pairs) > 1 and len(same[1]) == 1:
        named = {a: each for (a, _), each in zip(pairs, found, strict=True)}
    where = "" if len(pairs) > 1 and len(same[1]) > 1 else f" to {pairs[0][1]}"
    where = f" from {pairs[0][0]}{where}" if len(pairs) == 1 else where
    title = f"{chosen.name}: lines{where}" if len(pairs) > 1 else f"{chosen.name}{where}"
    records = {
        "problem": chosen.name,
        "seed": seed,
        "steps": steps,
        "lines": [
            {
                "from": a,
                "to": b,
                "on": {name: drawn.line_record(one) for name, one in each.items()},
            }
            for (a, b), each in zip(pairs, found, strict=True)
        ],
    }
    tables = {"": drawn.line_table(named, title)}
    show(f"line-{chosen.name}", tables, {"": drawn.line_figure(named, title)}, records, out, json)


def spaced(text: str) -> list[float]:
    """Alphas from `first:last:count` or a list.

    Raises:
        BadValue: it cannot be read.

    Example:
        >>> spaced("-1:1:5"), spaced("0, 0.3, 1")
        ([-1.0, -0.5, 0.0, 0.5, 1.0], [0.0, 0.3, 1.0])
    """
    import numpy as np

    try:
        if ":" not in text:
            values = [float(word) for word in text.split(",")]
        else:
            first, last, count = text.split(":")
            values = np.linspace(float(first), float(last), int(count)).tolist()
    except ValueError:
        values = []
    if not values or not np.isfinite(values).all():
        raise BadValue(f"`alphas` must be -1:2:151 or a list as 0,0.5,1, got `{text}`; give such")
    return values


def prepared(
    bar: "Bar",
    problem: "Problem",
    places: Sequence[str],
    split: Literal["both", "train", "test"],
    steps: int | None,
    examples: int | None,
    batch_norm: str,
    seed: int | None,
    evaluations: int,
) -> "tuple[dict[str, Surface], Float[Tensor, 'k P'], Callable[[float], None]]":
    """Surfaces, the points of the places, and who is told how their evaluation goes.

    A place that is named twice is trained once.

    Raises:
        BadValue: a place cannot be found, or there are no such examples.
    """
    import torch

    from ravine.cli.landscape.places import instance, locate
    from ravine.cli.landscape.places import split as parted
    from ravine.landscape.sources import surface
    from ravine.landscape.surface import loss, pack, unpack

    known = {parted(place): place for place in reversed(places)}
    seed = instance(problem, places, seed)

    def ground(name: str, **policy: Any) -> "Surface":
        kind: Any = name or "train"
        count = None if kind == "test" else examples
        return surface(problem, seed=seed, split=kind, examples=count, **policy)

    names = _splits(problem, split)
    first = ground(names[0])
    here = pack(first, problem.start(0)).detach()
    # seconds of each run, and then of the evaluation
    costs = [_run_seconds(problem, place, steps) for place in known.values()]
    costs.append(len(names) * evaluations * seconds(lambda: loss(first, here)))
    total = sum(costs)
    bar.begin(f"{evaluations:,} points", total)

    def listener(task: int) -> Callable[[float], None]:
        done = sum(costs[:task])
        return lambda share: bar.advance((done + share * costs[task]) / total)

    found = {
        key: locate(place, problem, first, steps, listener(task))
        for task, (key, place) in enumerate(known.items())
    }
    widest = torch.float64 if any(x.dtype == torch.float64 for x in found.values()) else None
    points = torch.stack([found[parted(place)].to(widest or here.dtype) for place in places])
    anchor = unpack(first, points[0])
    grounds = {name: ground(name, batch_norm=batch_norm, anchor=anchor) for name in names}
    return grounds, points, listener(len(known))


def _pairs(starts: Sequence[str], ends: Sequence[str]) -> list[tuple[str, str]]:
    """Each start with its end, or with the only one, or the only start with each end."""
    if 1 not in (len(starts), len(ends)) and len(starts) != len(ends):
        raise BadValue(
            f"--from names {len(starts)} places and --to {len(ends)}; give one, or as many of each"
        )
    count = max(len(starts), len(ends))
    spread = [list(side) * (count if len(side) == 1 else 1) for side in (starts, ends)]
    return list(zip(*spread, strict=True))


def _splits(problem: "Problem", split: str) -> list[str]:
    """The splits that a problem has: one without a name for a formula."""
    supply = getattr(problem, "supply", None)
    if supply is None:
        return [""]
    if split != "both":
        return [split]
    return ["train", "test"] if len(supply.test()[0]) else ["train"]


def _run_seconds(problem: "Problem", place: str, steps: int | None) -> float:
    """Forecast of the run to a place; 0 where nothing is run."""
    from ravine.cli.landscape.places import runs, setting
    from ravine.cli.landscape.places import split as parted

    what = parted(place)[0]
    if what == "start" or not runs(place):
        return 0.0
    budget = problem.traits.budget if steps is None else steps
    return duration(problem, [setting(what)], budget)
