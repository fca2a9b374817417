"""Entezari et al. (2022), Ainsworth et al. (2023): one basin, but for the order of units."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walk import walk
from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, equals, exact, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, on_fewer, only, stretch
from ravine.landscape.barriers import over_chord
from ravine.landscape.lines import lines
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, loss, unpack
from ravine.landscape.symmetry.groups import Groups
from ravine.landscape.symmetry.matching import match_activations, match_weights
from ravine.landscape.symmetry.networks import difference, groups
from ravine.landscape.symmetry.permutation import permute, random_permutations
from ravine.landscape.symmetry.repair import repaired
from ravine.reporting import cells
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Align, Table

SOURCE = "Ainsworth, Hayase and Srinivasa (2023), arXiv 2209.04836"
ENTEZARI = "Entezari, Sedghi, Saukh and Neyshabur (2022), arXiv 2110.06296"
JORDAN = "Jordan, Sedghi, Saukh, Entezari and Neyshabur (2023), arXiv 2211.08403"

ADAM = "adam(lr=0.003)"

KINDS = ("as they are", "weights matched", "activations matched", "activations, repaired")

# on the lines of independent networks, beside them, and on those that are known to be low
ALPHAS = torch.linspace(0, 1, 25, dtype=torch.float64)
BESIDE = ALPHAS[::3]
COARSE = torch.linspace(0, 1, 11, dtype=torch.float64)

LOWEST = 1e-3
"""Lower barriers are drawn as this one, for a log scale has no zero."""

MIXTURES = "20-w-w-10 ReLU networks on Gaussian mixtures with Adam, one width after another"

NETS = {
    "perceptron": "mnist_mlp(widths=(32,32),batch=64)",
    "convolutions (LeNet)": "lenet(batch=16)",
    "batch norm and skips": "deep_mlp(depth=5,width=24,norm=batch,skip=True,batch=64)",
    "convolutions with both": "deep_conv(depth=8,width=4,norm=batch,skip=True,batch=16)",
}
"""What units are exchanged in."""


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """A network with its units exchanged at random, and how they were found.

    Args:
        change: the largest change of any output, over the largest output.
        by_weights: share of parameters that matching by weights put back.
        by_activations: likewise by activations.
        before: the loss from the network to its exchanged copy.
        after: the loss from the network to what matching by weights made of the copy.
    """

    change: float
    by_weights: float
    by_activations: float
    before: Float64[Tensor, " alphas"]
    after: Float64[Tensor, " alphas"]


@experiment("planted-permutations", "Units exchanged at random are found again", SOURCE)
def permutations(scale: Scale, tick: Tick) -> Found:
    """A network whose hidden units are exchanged computes the same, and lies elsewhere.

    Between the two the loss rises.  Matching units, by their weights or by what they answer,
    finds the exchange and leaves no barrier.
    """
    seeds, length = range(scale.choose(5, 20)), scale.choose(60, 500)
    every: dict[str, list[Planted]] = {}
    for k, (kind, id) in enumerate(NETS.items()):
        share = stretch(tick, k / len(NETS), 1 / len(NETS))
        images = scale.choose(64, 1000)
        subject = on_fewer(network(id), calibrated=images)
        found = groups(subject)
        ground = surface(subject, examples=images)
        every[kind] = []
        for seed in seeds:
            # one by one: a stack would be scored on all test images at its end
            x = walk(subject, only(ADAM), seed, length, keep=()).end.double()
            every[kind].append(plant(found, ground, x, seed))
            share((seed + 1) / len(seeds))
    whole = [one for each in every.values() for one in each]
    before = {kind: over([one.before for one in each]) for kind, each in every.items()}
    return Found(
        claims=(
            exact(
                "same-outputs",
                "To exchange units at random changes no output by more than 1e-10 of the largest.",
                max(one.change for one in whole),
                below(1e-10),
            ),
            median(
                "barrier-before",
                "All the same there is a barrier: between a perceptron and its copy the training "
                "loss rises by at least 0.5 nats.",
                before["perceptron"],
                above(0.5),
                unit="nats",
                calibrated="20-64-64-10 ReLU networks on Gaussian mixtures, barrier 1.70",
            ),
            exact(
                "found-by-weights",
                "Matching by weights puts every unit back, in every network.",
                min(one.by_weights for one in whole),
                equals(1),
                unit="of the parameters",
            ),
            exact(
                "found-by-activations",
                "Matching by activations puts every unit back, in every network.",
                min(one.by_activations for one in whole),
                equals(1),
                unit="of the parameters",
            ),
            exact(
                "no-barrier-after",
                "After that no barrier is left, to 1e-8 nats.",
                max(over([one.after for one in whole])),
                below(1e-8),
                unit="nats",
            ),
        ),
        figures={
            "ways": curves_figure(
                "From a network to itself with its units exchanged",
                *(
                    Panel(
                        {
                            "units exchanged": _ways([one.before for one in each]),
                            "put back by weights": _ways([one.after for one in each]),
                        },
                        "alpha",
                        "training loss (nats)",
                        title=kind,
                    )
                    for kind, each in every.items()
                ),
                columns=2,
                height=2.6,
            )
        },
        remark=(
            f"{', '.join(NETS.values())} after {length} steps of Adam, in float64 from there.  An "
            "exchange that was planted is easy to find, since it can be undone exactly; that of "
            "two independent networks cannot."
        ),
    )


@experiment("re-basin", "Two solutions are one but for the order of their units", SOURCE)
def one_basin(scale: Scale, tick: Tick) -> Found:
    """Once the units of two independent networks are matched, the barrier between them falls.

    It does the more so the wider the networks are, and for wide enough ones it vanishes.
    """
    widths = scale.choose((16, 32, 128, 256), (16, 32, 64, 128, 256, 512))
    count, length = scale.choose(5, 10), scale.choose(150, 3000)
    heights = np.zeros((len(KINDS), count, len(widths)))
    shares = np.zeros((count, len(widths)))
    shown: dict[str, Float64[Tensor, "pairs _"]] = {}
    for j, width in enumerate(widths):
        share = stretch(tick, j / len(widths), 1 / len(widths))
        subject = network(f"mnist_mlp(widths=({width},{width}),batch=64)")
        ends = walks(
            subject, [only(ADAM)], range(2 * count), length, tick=stretch(share, 0.0, 0.6)
        ).ends[0]
        ground = surface(subject, examples=scale.choose(256, 5000))
        shown, shares[:, j] = between_pairs(groups(subject), ground, ends[::2], ends[1::2])
        heights[:, :, j] = [over(list(rows)) for rows in shown.values()]
        share(1.0)
    naive, weights, active, mended = heights
    relative, at = active / naive, {width: j for j, width in enumerate(widths)}
    return Found(
        claims=(
            median(
                "half-at-32",
                "Between independent networks of width 32 matched activations leave at most half "
                "of the barrier.",
                relative[:, at[32]].tolist(),
                below(0.5),
                calibrated=MIXTURES,
                source=ENTEZARI,
            ),
            median(
                "fifth-at-128",
                "At width 128 they leave at most a fifth.",
                relative[:, at[128]].tolist(),
                below(0.2),
                calibrated=MIXTURES,
                source=ENTEZARI,
            ),
            median(
                "falls-with-width",
                "The barrier after matching falls with the width: from one of them to the next it "
                "never rises.",
                np.diff(active).max(1).tolist(),
                below(0),
                unit="nats",
                calibrated=MIXTURES,
                source=ENTEZARI,
            ),
            median(
                "weights-do",
                f"Weights alone, without any data, lower the barrier at width {widths[-1]} to half "
                "or less.",
                (weights / naive)[:, -1].tolist(),
                below(0.5),
            ),
            median(
                "vanishes",
                f"At width {widths[-1]} the barrier vanishes once activations are matched: at most "
                "0.01 nats are left.",
                active[:, -1].tolist(),
                below(0.01),
                unit="nats",
            ),
            median(
                "repair",
                "Where units between the two get back their means and deviations, less is left: at "
                "width 32 the barrier, over that without, is below 1.",
                (mended[:, at[32]] / active[:, at[32]]).tolist(),
                below(1),
                source=JORDAN,
            ),
        ),
        figures={
            "width": curves_figure(
                "The barrier between independent networks, by width",
                Panel(
                    {
                        kind: Curve(np.array(widths, float), np.maximum(rows, LOWEST))
                        for kind, rows in zip(KINDS, heights, strict=True)
                    },
                    "width of both hidden layers",
                    f"barrier (nats; {LOWEST} where less)",
                    log=("x", "y"),
                ),
            ),
            "ways": curves_figure(
                f"From one network of width {widths[-1]} to another",
                Panel(
                    {
                        kind: Curve(np.linspace(0, 1, rows.shape[-1]), rows.numpy())
                        for kind, rows in shown.items()
                    },
                    "alpha",
                    "training loss (nats)",
                    log=("y",),
                ),
            ),
        },
        tables={"barriers": _table(widths, heights, shares)},
        remark=(
            f"Perceptrons of two hidden layers on MNIST after {length} steps of Adam in batches of "
            "64; the papers train to the end, up to 32 times as wide.  Barriers are of the "
            f"training loss on {len(ALPHAS)} points of each way, {len(BESIDE)} of a repaired one, "
            "which is not straight.  Repair was first asked for at the largest width, where "
            "matching leaves nothing to be repaired; and that the barrier falls with the width "
            "became that it never rises, for it ties at 0."
        ),
    )


def plant(found: Groups, ground: Surface, x: Float[Tensor, " P"], seed: int) -> Planted:
    """Exchange a network's units at random, and put them back."""
    hidden = permute(found, x, random_permutations(found, "planted", seed))
    light = match_weights(found, x, hidden).point
    active = match_activations(found, ground, x, hidden).point
    ways = lines({"": ground}, torch.stack([x, x]), torch.stack([hidden, light]), COARSE)
    return Planted(
        change=difference(*(_outputs(ground, point) for point in (x, hidden))),
        by_weights=float((light == x).double().mean()),
        by_activations=float((active == x).double().mean()),
        before=ways[0][""].losses,
        after=ways[1][""].losses,
    )


def between_pairs(
    found: Groups, ground: Surface, a: Float[Tensor, "pairs P"], b: Float[Tensor, "pairs P"]
) -> tuple[dict[str, Float64[Tensor, "pairs _"]], list[float]]:
    """The loss on all ways from a to b by `KINDS`, and the shares of units that stay in place."""
    pairs = list(zip(a, b, strict=True))
    light = torch.stack([match_weights(found, x, y, restarts=1).point for x, y in pairs])
    active = [match_activations(found, ground, x, y) for x, y in pairs]
    matched = torch.stack([match.point for match in active])
    straight = lines({"": ground}, a.repeat(3, 1), torch.cat([b, light, matched]), ALPHAS)
    losses = torch.stack([each[""].losses for each in straight]).view(3, len(pairs), -1)
    mended = torch.stack(
        [
            loss(ground, repaired(found, ground, x, y, BESIDE.tolist()))
            for x, y in zip(a, matched, strict=True)
        ]
    )
    ways = dict(zip(KINDS, (*losses, mended), strict=True))
    return ways, [match.share for match in active]


def over(losses: Sequence[Float64[Tensor, " alphas"]]) -> list[float]:
    """How far each rises above the chord of its ends; alphas are evenly spaced."""
    rows = torch.stack(list(losses))
    alphas = torch.linspace(0, 1, rows.shape[-1], dtype=torch.float64)
    return over_chord(alphas.expand_as(rows), rows).amax(-1).tolist()


def _outputs(ground: Surface, x: Float[Tensor, " P"]) -> Tensor:
    assert ground.outputs is not None
    point = unpack(ground, x)
    moments = None if ground.moments is None else ground.moments(point)
    return ground.outputs(point, ground.parts[0].data, moments)


def _ways(losses: Sequence[Float64[Tensor, " alphas"]]) -> Curve:
    return Curve(COARSE.numpy(), torch.stack(list(losses)).numpy())


def _table(
    widths: tuple[int, ...],
    heights: Float[np.ndarray, "kinds seeds widths"],
    shares: Float[np.ndarray, "seeds widths"],
) -> Table:
    middle, held = np.median(heights, 1), np.median(shares, 0)
    right: Align = "right"
    rows = tuple(
        (str(width), *map(cells.decimal, middle[:, j].tolist()), cells.percent(float(held[j])))
        for j, width in enumerate(widths)
    )
    return Table(
        "Barriers between independent networks (nats)",
        ("width", *KINDS, "units that stay in place"),
        rows,
        f"Medians over {len(shares)} pairs; units as activations match them.",
        (right,) * (len(KINDS) + 2),
    )
