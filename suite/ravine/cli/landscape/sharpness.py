"""`ravine landscape sharpness`: how sharp the ground is around points."""

from typing import Annotated

from cyclopts import Parameter

from ravine.cli.landscape.options import OUT, BatchNorm, Examples, Json, Out, Seed, Split, Steps


def sharpness(
    problem: str,
    *,
    at: Annotated[list[str], Parameter(consume_multiple=True, negative=())],
    radius: float = 0.05,
    scaled_radius: float = 0.5,
    epsilon: float = 1e-3,
    split: Split = "train",
    steps: Steps = None,
    examples: Examples = 1024,
    batch_norm: BatchNorm = "recomputed",
    seed: Seed = None,
    out: Out = OUT,
    json: Json = False,
) -> None:
    """Measure how sharp the loss is around points, plainly and scale-invariantly.

    The largest eigenvalue and the trace of the Hessian, the rise of one step of SAM, the
    highest rise in a ball and in Keskar's box; each plain, scaled elementwise and scaled
    filterwise.  A place is `start` (`start@3` for seed 3), an optimizer whose run ends there,
    as "sgd(lr=0.1)" or "adam(lr=0.001)@3", coordinates as 0.5,1, or a state dict, weights.pt.

    Args:
        problem: Any id, or path/to/file.py:function.
        at: Places.
        radius: Of the plain ball, SAM's rho.
        scaled_radius: Of the scaled balls, relative to the parameters.
        epsilon: Half the side of the boxes, relative to the parameters.
    """
    from dataclasses import asdict

    from ravine.cli.landscape.places import instance, locate
    from ravine.cli.landscape.shown import show, working
    from ravine.landscape.sharpness import sharpness as measure
    from ravine.landscape.sources import surface
    from ravine.landscape.surface import unpack
    from ravine.problems.catalogue import problem as build
    from ravine.reporting.landscape.sharpness import sharpness_table

    chosen, found = build(problem), {}
    places = list(dict.fromkeys(at))
    with working(out) as bar:
        bar.begin(f"sharpness at {len(places)} places")
        for done, place in enumerate(places):

            def listener(share: float, done: int = done) -> None:
                bar.advance((done + share) / len(places))

            own = instance(chosen, [place], seed)
            ground = surface(chosen, seed=own, split=split, examples=examples)
            x = locate(place, chosen, ground, steps, lambda share: listener(share / 2))
            ground = surface(
                chosen,
                seed=own,
                split=split,
                examples=examples,
                batch_norm=batch_norm,
                anchor=unpack(ground, x),
            )
            found[place] = measure(
                ground,
                x,
                radius=radius,
                scaled_radius=scaled_radius,
                epsilon=epsilon,
                listener=lambda share: listener((1 + share) / 2),
            )
    show(
        f"sharpness-{chosen.name}",
        {"": sharpness_table(found)},
        {},
        {"places": {place: asdict(one) for place, one in found.items()}},
        out,
        json,
    )
