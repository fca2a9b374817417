"""Santurkar, Tsipras, Ilyas and Madry (2018): batch normalisation makes the ground smoother."""

from collections.abc import Mapping, Sequence

import numpy as np

from ravine.engine.walk import Walk
from ravine.engine.walks import walks
from ravine.experiments.claims import below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, on_fewer, only, stretch
from ravine.landscape.smoothness import MEASURES, Path, smoothness_along
from ravine.reporting.landscape.smoothness import smoothness_figure, smoothness_table

SOURCE = "Santurkar, Tsipras, Ilyas and Madry (2018), arXiv 1805.11604"

RATE = 0.1

NETS = {"plain": "deep_plain_20", "norm": "deep_norm_20"}


@experiment("batch-norm-smoothness", "Batch normalisation and smoothness", SOURCE)
def smoother(scale: Scale, tick: Tick) -> Found:
    """Along the gradient of a batch-normalised network loss and gradient change less.

    At the same learning rate its loss varies less over steps of half to four times that rate,
    its gradient predicts the next one better, and the effective smoothness is better.
    """
    seeds = range(scale.choose(5, 15))
    length = scale.choose(300, 1875)
    marks = tuple(length * k // 10 for k in range(11))
    setting = only(f"sgd(lr={RATE})")
    paths: dict[str, list[Path]] = {}
    for done, (name, id) in enumerate(NETS.items()):
        batch = scale.choose(64, 128)
        subject = on_fewer(network(f"{id}(batch={batch})"), calibrated=500)
        share = stretch(tick, done / 2, 0.2)
        kept = walks(subject, [setting], seeds, length, keep=marks, tick=share).points[0]
        paths[name] = []
        for k, seed in enumerate(seeds):
            way = Walk(subject.name, setting.name, seed, marks, kept[k], (np.nan,) * len(marks))
            paths[name].append(smoothness_along(subject, way, RATE, count=4))
            tick(done / 2 + 0.2 + 0.3 * (k + 1) / len(seeds))
    whole = {name: ratios(paths, name) for name in MEASURES}
    first = {name: ratios(paths, name, first=True) for name in MEASURES}
    losses = [
        norm.measures[-1].loss / plain.measures[-1].loss
        for plain, norm in zip(paths["plain"], paths["norm"], strict=True)
    ]
    return Found(
        claims=(
            median(
                "loss-range",
                "With batch normalisation the loss varies less along the gradient: its range, over "
                "that without, is below 1; medians over a run, here and in the next two.",
                whole["loss_range"],
                below(1),
            ),
            median(
                "predictiveness",
                "The gradient predicts better what follows: its largest change on the way, over "
                "that without, is below 1.",
                whole["predictiveness"],
                below(1),
            ),
            median(
                "beta",
                "The effective smoothness is better: the largest change of the gradient by "
                "distance, over that without, is below 1.",
                whole["beta"],
                below(1),
            ),
            median(
                "loss-range-at-start",
                "The range of the loss is smaller at the very start already: over that without, it "
                "is below 1.",
                first["loss_range"],
                below(1),
            ),
            median(
                "beta-at-start",
                "The change of the gradient by distance is smaller at the very start, too: over "
                "that without, it is below 1.",
                first["beta"],
                below(1),
            ),
            median(
                "learns-faster",
                "It learns faster: the loss of the last minibatch, over that without, is below 1.",
                losses,
                below(1),
            ),
        ),
        figures={"smoothness": smoothness_figure([*paths["plain"], *paths["norm"]])},
        tables={"medians": smoothness_table([*paths["plain"], *paths["norm"]])},
        remark=(
            f"Perceptrons of 20 layers of 64 on MNIST at a rate of {RATE} stand in for VGG on "
            f"CIFAR-10, over {length} steps.  Each network is followed along its own run, so that "
            "they are compared at different points and losses, as in the paper."
        ),
    )


def ratios(
    paths: Mapping[str, Sequence[Path]], measure: str, *, first: bool = False
) -> list[float]:
    """Seed by seed, a measure with batch normalisation over the one without.

    Args:
        paths: of `plain` and `norm`, seed by seed.
        measure: one of `MEASURES`.
        first: at the first step alone, instead of medians over the steps.
    """

    def value(path: Path) -> float:
        values = [getattr(one, measure) for one in path.measures]
        return float(values[0] if first else np.median(values))

    pairs = zip(paths["plain"], paths["norm"], strict=True)
    return [value(norm) / value(plain) for plain, norm in pairs]
