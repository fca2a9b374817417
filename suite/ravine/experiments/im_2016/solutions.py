"""Solutions of many optimizers and starts: a map of them, and how they differ."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.im_2016.figures import distances_figure
from ravine.experiments.im_2016.training import EVERY, FIVE, MINIBATCH, PAPER, Trained, trained
from ravine.landscape.barriers import barriers
from ravine.landscape.solutions import THRESHOLDS, Solutions, solutions
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.matching import match_weights
from ravine.landscape.symmetry.networks import groups
from ravine.landscape.symmetry.permutation import permute, random_permutations
from ravine.landscape.trajectory import components
from ravine.reporting.landscape.solutions import (
    kinds_table,
    map_figure,
    solutions_table,
    thresholds_figure,
)

CALIBRATED = (
    "20-64-64-10 ReLU networks on Gaussian mixtures, five optimizers from one start, 100 epochs"
)

LEFT_OUT = (
    "A perceptron on MNIST stands in for the paper's NIN and VGG on CIFAR-10.  All {n} families "
    "of torch that train it in minibatches, each at one usual rate that was not tuned: L-BFGS "
    "wants exact gradients, Muon takes no biases, and SparseAdam no dense gradients."
)


@experiment("D3", "A map of solutions", PAPER)
def solution_map(scale: Scale, tick: Tick) -> Found:
    """Solutions of several optimizers and starts, on a plane: there are many, all of them good.

    They are reduced to two dimensions by principal components; colour is the optimizer, shape
    is the start, and the number is the test accuracy.
    """
    base = trained(scale, tick)
    ends = base.of(list(EVERY))
    found = _compared(base, list(EVERY), range(len(base.seeds)), (0.1,))
    usual = base.of(MINIBATCH)
    tick(0.8)
    assert found.test_accuracies is not None
    right = found.test_accuracies.view(len(EVERY), -1)
    n = len(base.seeds)
    apart = found.distances.view(len(EVERY), n, len(EVERY), n)
    heights = [
        _heights(base, torch.stack([ends[k, s], ends[k, (s + 1) % n]]))[0]
        for s in range(n)
        for k in [s % len(EVERY)]
    ]
    tick(0.95)
    shown = _compared(base, MINIBATCH, range(5), (0.1,))
    without = [k for k, name in enumerate(EVERY) if name in MINIBATCH]
    return Found(
        claims=(
            median(
                "all-good",
                f"All are good: the worst of {len(EVERY)} optimizers answers at least 90 % of "
                "test images right.",
                right.amin(0).tolist(),
                above(0.9),
            ),
            median(
                "good-in-minibatches",
                "Without Rprop, which is not meant for minibatches, the worst optimizer answers "
                "as many right.",
                right[without].amin(0).tolist(),
                above(0.9),
            ),
            median(
                "many",
                "There are many: on the straight way between one optimizer's solutions from two "
                "starts the loss rises at least 0.5 above the chord.",
                heights,
                above(0.5),
                unit="nats",
                calibrated=(
                    "20-64-64-10 ReLU networks on Gaussian mixtures from different starts: "
                    "1.25 to 1.42"
                ),
            ),
            median(
                "grouped-by-start",
                "Solutions lie in groups by their start: any two from one start are nearer to "
                "each other than any of them to one from another start.",
                group_ratios(apart),
                below(1.0),
            ),
            median(
                "grouped-in-minibatches",
                "Without Rprop, whose steps grow without end under minibatches, they do.",
                group_ratios(apart[without][:, :, without]),
                below(1.0),
            ),
            exact(
                "two-components",
                "The map shows most of it: without Rprop, which would be all there is to see, "
                f"two components hold at least half of the variance of all {usual[..., 0].numel()} "
                "solutions.",
                _two(usual.flatten(0, 1)),
                above(0.5),
            ),
            median(
                "starts-by-chance",
                f"Of one optimizer's {n} solutions they hold 2 / {n - 1}, to within a tenth, as of "
                "points drawn at random in many dimensions: the map's places of starts mean "
                "nothing.",
                [_two(row) for row in ends],
                between(0.9 * 2 / (n - 1), 1.1 * 2 / (n - 1)),
            ),
            median(
                "optimizers-in-a-plane",
                "Of all optimizers' solutions from one start, without Rprop's, they hold at least "
                "half.",
                [_two(usual[:, s]) for s in range(n)],
                above(0.5),
            ),
        ),
        figures={
            "map": map_figure(shown),
            "start": map_figure(_compared(base, MINIBATCH, [0], (0.1,))),
        },
        tables={"solutions": solutions_table(found)},
        remark=(
            LEFT_OUT.format(n=len(EVERY))
            + f"  Runs end after {base.steps} steps of 128 images, near minima and not at them; "
            "RAdam, the worst but for Rprop, begins slowly.  "
            "Rprop is left out of the maps, being a thousand times as far away as all others."
        ),
    )


@experiment("D5", "Same start, other optimizer, other solution", PAPER)
def same_start(scale: Scale, tick: Tick) -> Found:
    """From one start, different optimizers come to different solutions.

    Neurons are not merely permuted.  About 8 % of the values differ, it is said.
    """
    base = trained(scale, tick)
    n, five = len(base.seeds), list(FIVE)
    ends, few = base.of(list(EVERY)), base.of(five)
    found = _compared(base, five, range(min(n, 5)))
    tick(0.75)
    units = groups(base.net)
    pairs = list(combinations(range(len(five)), 2))
    kept = [[units_in_place(units, few[i, s], few[j, s]) for i, j in pairs] for s in range(n)]
    found_again = [_control(units, few[-1, s], s) for s in range(n)]
    tick(0.9)
    heights = [max(_heights(base, few[:, s])) for s in range(n)]
    every, named = relative_distances(ends), relative_distances(few)
    shares = [_shares(few[:, s], base.seeds[s], base) for s in range(n)]
    marks = shares[0].thresholds.tolist()
    upper = np.triu_indices(len(five), 1)
    relative = [one.relative.numpy()[upper] for one in shares]
    absolute = [one.absolute.numpy()[upper] for one in shares]
    tenth, hundredth = (int(np.argmin(np.abs(np.array(marks) - t))) for t in (0.1, 0.01))
    needed = [[threshold_of(marks, row, 0.08) for row in rows] for rows in absolute]
    return Found(
        claims=(
            median(
                "apart",
                "Any two of the paper's five optimizers end further apart than a tenth of the "
                "solutions' norm.",
                named.min(-1).tolist(),
                above(0.1),
                calibrated=CALIBRATED + ": 0.16 to 0.5",
            ),
            median(
                "all-apart",
                f"Any two of {len(EVERY)} optimizers do so.",
                every.min(-1).tolist(),
                above(0.1),
            ),
            median(
                "not-permuted",
                "Neurons are not permuted: the best matching by weights leaves at least 99 % of "
                "units where they are.",
                [float(np.mean(row)) for row in kept],
                above(0.99),
                calibrated=CALIBRATED + ": 100 % in all pairs",
            ),
            median(
                "matching-would-see",
                "Were they permuted, the matching would see it: it undoes a random permutation of "
                "Adam's solution in all units.",
                found_again,
                equals(1),
            ),
            median(
                "eight-percent",
                "About 8 % of the values differ (7 to 9), namely by over a tenth of the larger.",
                [float(rows[:, tenth].mean()) for rows in relative],
                between(0.07, 0.09),
            ),
            median(
                "nearly-all",
                "By over a hundredth of the larger more than 90 % differ.",
                [float(rows[:, hundredth].mean()) for rows in relative],
                above(0.9),
                calibrated=CALIBRATED + ": 96 to 99 %",
            ),
            median(
                "no-threshold",
                "Any share can be had by choice of what counts as different, and none is "
                "the same for all pairs: thresholds at which 8 % differ, in units of the largest "
                "value, are more than 2 times apart.",
                [max(row) / min(row) for row in needed],
                above(2),
                unit="times",
            ),
            median(
                "one-basin",
                "Different as they are, the loss rises by at most 0.01 above the chord on the "
                "straight way between any two of the five.",
                heights,
                below(0.01),
                unit="nats",
                calibrated=CALIBRATED + ": 0.005 at most",
            ),
        ),
        figures={
            "thresholds": thresholds_figure(found),
            "distances": distances_figure(
                np.median(_matrices(ends), 0),
                list(EVERY),
                f"Distance of two optimizers' solutions from one start, median of {n}",
            ),
        },
        tables={"pairs": kinds_table(found)},
        remark=LEFT_OUT.format(n=len(EVERY))
        + "  Where and how the 8 % were measured is not known; no share means anything without "
        "the rule by which two numbers are called different.",
    )


def group_ratios(apart: Float[Tensor, "optimizers n optimizers n"]) -> list[float]:
    """For each start, the largest distance within it over the smallest to another start."""
    starts = range(apart.shape[1])
    within = [float(apart[:, s, :, s].max()) for s in starts]
    out = [float(apart[:, s][:, :, [t for t in starts if t != s]].min()) for s in starts]
    return [a / b for a, b in zip(within, out, strict=True)]


def relative_distances(ends: Float[Tensor, "optimizers starts P"]) -> Float64[np.ndarray, "s k"]:
    """For every start, distances of all pairs of optimizers over the larger norm of the two."""
    upper = np.triu_indices(len(ends), 1)
    return np.stack([matrix[upper] for matrix in _matrices(ends)])


def _matrices(ends: Float[Tensor, "optimizers starts P"]) -> Float64[np.ndarray, "s n n"]:
    x = ends.double().transpose(0, 1)
    norms = x.norm(dim=-1)
    larger = torch.maximum(norms[:, :, None], norms[:, None, :])
    apart = torch.stack([torch.cdist(one, one, compute_mode=_EXACTLY) for one in x])
    return (apart / larger).numpy()


_EXACTLY = "donot_use_mm_for_euclid_dist"  # products would lose the digits of near twins


def threshold_of(
    thresholds: Sequence[float], shares: Float[np.ndarray, " t"], share: float
) -> float:
    """The threshold at which a share differs, between two by their logarithms.

    Args:
        thresholds: ascending.
        shares: that differ by more than each, falling.
        share: that is looked for.
    """
    logs = np.log(np.array(thresholds))
    return float(np.exp(np.interp(-share, -np.asarray(shares, float), logs)))


def _two(points: Float[Tensor, "n P"]) -> float:
    return float(components(points, "mean").centred[:2].sum())


def _compared(
    base: Trained,
    names: Sequence[str],
    places: Sequence[int],
    thresholds: Sequence[float] = THRESHOLDS,
) -> Solutions:
    """Solutions of some optimizers from some starts, optimizer after optimizer."""
    return solutions(
        base.ground,
        base.of(names)[:, list(places)].flatten(0, 1),
        [name for name in names for _ in places],
        [base.seeds[k] for k in places] * len(names),
        test=base.test,
        thresholds=thresholds,
    )


def _shares(points: Float[Tensor, "k P"], seed: int, base: Trained) -> Solutions:
    return solutions(base.ground, points, list(FIVE), [seed] * len(points))


def _heights(base: Trained, points: Float[Tensor, "k P"]) -> list[float]:
    """Barriers between all pairs."""
    found = barriers({"train": base.ground}, points, refine=False)
    return [one["train"].loss.height for one in found.values()]


def units_in_place(units: Groups, a: Float[Tensor, " P"], b: Float[Tensor, " P"]) -> float:
    """Share of units that stay when B's are brought close to A's by their weights."""
    return match_weights(units, a, b, restarts=2).share


def _control(units: Groups, point: Float[Tensor, " P"], seed: int) -> float:
    """Share of units that are put back where they were before a random permutation."""
    order = random_permutations(units, "control", seed)
    match = match_weights(units, point, permute(units, point, order), restarts=2)
    back = [order[name][match.permutations[name]] for name in order]
    places = [torch.arange(len(one)) for one in back]
    return float(torch.cat([a == b for a, b in zip(back, places, strict=True)]).double().mean())
