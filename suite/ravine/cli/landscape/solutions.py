"""`ravine landscape solutions`: where many optimizers end, from many starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from ravine.cli.landscape.forecast import duration
from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out
from ravine.cli.landscape.path import BUDGET, train
from ravine.errors import BadValue

if TYPE_CHECKING:
    from collections.abc import Callable

    from ravine.landscape.solutions import Solutions


def solutions(
    problem: str,
    *,
    methods: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    seeds: Annotated[list[int] | None, Parameter(consume_multiple=True, negative=())] = None,
    data_seed: int = 0,
    steps: Annotated[int | None, Parameter(help=BUDGET)] = None,
    examples: Examples = 2048,
    batch_norm: BatchNorm = "recomputed",
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Compare where optimizers end from several starts: a map, distances, differing parameters.

    All runs see one instance and the same minibatches; seeds differ in the start. Runs
    that diverge are left out.

    Args:
        problem: An id of the catalogue, file.py:function, or file.py:make_problem.
        methods: With their learning rates: "sgd(lr=0.1)" "adam(lr=0.001)".
        seeds: Of the starts; 0 1 2 if not given.
        data_seed: Of instance, and of the order of examples.
    """
    import torch

    from ravine.cli.landscape.places import setting
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.solutions import solutions as compare
    from ravine.landscape.sources import surface
    from ravine.problems import arguments
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape import solutions as drawn

    starts = sorted(set(seeds or (0, 1, 2)))
    settings = [setting(id) for id in dict.fromkeys(methods)]
    if len(settings) * len(starts) < 2:
        raise BadValue("one solution has nothing to be compared with; give more seeds or methods")
    chosen = build(problem)
    budget = chosen.traits.budget if steps is None else steps
    arguments.whole("steps", budget, 1)
    ground = surface(chosen, seed=data_seed, examples=examples, batch_norm=batch_norm)
    if ground.size < 2:
        raise BadValue(f"`{problem}` has one coordinate and so no map; draw it by `line`")
    try:
        test = surface(chosen, seed=data_seed, split="test", batch_norm=batch_norm)
    except BadValue:  # there are no test examples
        test = None
    wanted = [(s, seed) for s in settings for seed in starts]
    with working(out) as bar:
        bar.begin(f"{len(wanted)} solutions", duration(chosen, settings, budget, len(starts)))

        def listener(done: int) -> Callable[[float], None]:
            return lambda share: bar.advance((done + share) / (len(wanted) + 1))

        ways, gone = train(chosen, wanted, steps, (), data_seed, listener)
        found = compare(
            ground,
            torch.stack([way.end for way in ways]),
            [way.setting for way in ways],
            [way.seed for way in ways],
            test=test if test is not None and test.split else None,
            listener=listener(len(wanted)),
        )
        figures = {
            "map": drawn.map_figure(found),
            "thresholds": drawn.thresholds_figure(found),
            "norms": drawn.norms_figure(found),
        }
    tables = {
        "": drawn.solutions_table(found),
        "distances": drawn.pairs_table(found),
        "pairs": drawn.kinds_table(found),
        "spread": drawn.spread_table(found),
    }
    left_out = [{"method": name, "seed": seed, "step": step} for (name, seed), step in gone.items()]
    records = {**_records(found), "data_seed": data_seed, "left_out": left_out}
    show(f"solutions-{chosen.name}", tables, figures, records, out, json)
    if not json:
        for (name, seed), step in gone.items():
            print(f"left out: {name} from start {seed} diverges at step {step}")


def _records(found: Solutions) -> dict[str, Any]:
    from ravine.landscape.solutions import spread

    norms = spread(found, found.norms)
    many = {
        name: None if values is None else values.tolist()
        for name, values in {
            "losses": found.losses,
            "accuracies": found.accuracies,
            "test_losses": found.test_losses,
            "test_accuracies": found.test_accuracies,
            "norms": found.norms,
            "distances": found.distances,
            "cosines": found.cosines,
            "thresholds": found.thresholds,
            "relative": found.relative,
            "absolute": found.absolute,
            "map": found.map.coordinates,
            "off_map": found.map.residuals,
            "shares": found.map.centred,
        }.items()
    }
    return {
        "problem": found.surface,
        "methods": list(found.optimizers),
        "seeds": list(found.seeds),
        **many,
        "norm_variance": {
            "means": norms.means,
            "between": norms.between,
            "within": norms.within,
            "ratio": norms.ratio,
        },
    }
