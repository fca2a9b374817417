"""When the loss falls monotonically on the line from a start to a solution, and what that means."""

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from ravine.engine.walks import Walks, walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.goodfellow_2014.setting import MIXTURES, rises, stacked_losses
from ravine.experiments.running import network, on_fewer, only, stretch
from ravine.landscape.lines import lines
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, pack
from ravine.problems.networks.network import Network
from ravine.reporting import cells
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = (
    "Lucas et al. (2021), arXiv 2104.11044; Frankle (2020), arXiv 2012.06898; "
    "Vlaar and Frankle (2022), arXiv 2106.16004"
)

RATES: Mapping[str, tuple[float, ...]] = {
    "SGD": (0.01, 0.03, 0.1),
    "Adam": (0.001, 0.03, 0.1),
}
"""Some of the papers'; SGD has their momentum of 0.9, so that 0.1 comes to a rate of 1."""

SWEEP = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
"""The papers' rates."""

MOMENTUM = {"SGD": ", momentum=0.9", "Adam": ""}

SMALL = {"SGD": 0.01, "Adam": 0.001}
"""Up to here rates are small."""

LARGE = {"SGD": 0.1, "Adam": 0.03}
"""From here on rates are large."""

NORMS = {"plain": "none", "batch norm": "batch"}

ALPHAS = tuple(i / 25 for i in range(26))

MONOTONE = 1e-3
"""Share of the loss at the start that a monotone curve may rise by."""

LOWEST = 1e-6
"""Smaller rises are drawn as this one, for a log scale has no zero."""

SOLVED = 0.5
"""Training loss above which a network does not count as trained, as in the papers' program."""

FRESH = 1000
"""Added to a seed for a start that has nothing to do with the run."""


@experiment("monotone-interpolation", "Monotone linear interpolation", SOURCE)
def monotone_interpolation(scale: Scale, tick: Tick) -> Found:
    """Usually the loss falls monotonically on the line from a start to a solution.

    It does not where weights move far: by large rates, Adam, and batch normalisation.  It does
    from starts that have nothing to do with the run, too, and its shape does not predict test
    accuracy.
    """
    seeds = range(scale.choose(5, 8))
    names = [(who, rate) for who in RATES for rate in scale.choose(RATES[who], SWEEP)]
    settings = [only(f"{who.lower()}(lr={rate}{MOMENTUM[who]})") for who, rate in names]
    images = scale.choose(500, 10000)
    runs: dict[str, Walks] = {}
    losses: dict[str, Float[np.ndarray, "settings seeds alphas"]] = {}
    grounds: dict[str, Surface] = {}
    nets: dict[str, Network] = {}
    for k, (norm, kind) in enumerate(NORMS.items()):
        nets[norm] = perceptron(kind, images, *scale.choose((32, 50), (64, 512)))
        runs[norm] = walks(
            nets[norm],
            settings,
            seeds,
            scale.choose(150, 600),
            tick=stretch(tick, 0.4 * k, 0.2),
        )
        grounds[norm] = surface(nets[norm], examples=images)
        found = lines(
            {"train": grounds[norm]},
            runs[norm].starts.flatten(0, 1),
            runs[norm].ends.flatten(0, 1),
            ALPHAS,
            listener=stretch(tick, 0.4 * k + 0.2, 0.2),
        )
        losses[norm] = stacked_losses([each["train"] for each in found], len(names))
    solved = {norm: f[..., -1] <= SOLVED for norm, f in losses.items()}
    climb = {norm: rises(f) / f[..., 0] for norm, f in losses.items()}
    bent = {norm: share > MONOTONE for norm, share in climb.items()}
    sgd = [k for k, (who, _) in enumerate(names) if who == "SGD"]
    fast = [k for k, (who, rate) in enumerate(names) if rate >= LARGE[who]]
    slow = [k for k, (who, rate) in enumerate(names) if rate <= SMALL[who]]
    high = [k for k in fast if k not in sgd]

    def part(norm: str, rows: list[int]) -> Float[np.ndarray, " seeds"]:
        return bent_share(bent[norm][rows], solved[norm][rows])

    ends = runs["plain"].ends[sgd]
    strange = torch.stack([pack(grounds["plain"], nets["plain"].start(FRESH + s)) for s in seeds])
    starts = {"an unrelated start": strange.expand_as(ends), "zero": torch.zeros_like(ends)}
    null = {}
    for k, (name, start) in enumerate(starts.items()):
        found = lines(
            {"train": grounds["plain"]},
            start.flatten(0, 1),
            ends.flatten(0, 1),
            ALPHAS,
            listener=stretch(tick, 0.8 + 0.1 * k, 0.1),
        )
        null[name] = stacked_losses([each["train"] for each in found], len(sgd))
    steep = {
        name: np.where(solved["plain"][sgd], rises(f) / f[..., 0], 0.0) for name, f in null.items()
    }
    straight = solved["plain"][sgd] & ~bent["plain"][sgd]
    kept = np.where(straight, np.maximum(*steep.values()), 0.0)
    every = np.concatenate([solved[norm] for norm in NORMS])
    curved = np.concatenate([bent[norm] for norm in NORMS])
    climbs = np.concatenate([climb[norm] for norm in NORMS])
    moves = np.concatenate([movement(runs[norm]) for norm in NORMS])
    areas = np.concatenate([area(losses[norm]) for norm in NORMS])
    right = np.concatenate([runs[norm].scores["accuracy"].double().numpy() for norm in NORMS])
    return Found(
        claims=(
            median(
                "usually",
                "Usually the loss is monotone: with SGD and no batch normalisation it is so on "
                "more than half of the lines to trained networks.",
                (1 - part("plain", sgd)).tolist(),
                above(0.5),
                unit="of the lines",
            ),
            median(
                "violated",
                f"With batch normalisation and Adam at rates from {LARGE['Adam']} on more lines "
                "are not monotone than with SGD and none.",
                (part("batch norm", high) - part("plain", sgd)).tolist(),
                above(0.01),
                unit="of the lines",
            ),
            median(
                "large-rates",
                f"Without batch normalisation, too, large rates (of SGD {LARGE['SGD']}, of Adam "
                f"{LARGE['Adam']} and more) leave more lines that are not monotone than small ones "
                f"(of SGD {SMALL['SGD']}, of Adam {SMALL['Adam']} and less).",
                (part("plain", fast) - part("plain", slow)).tolist(),
                above(0.01),
                unit="of the lines",
            ),
            median(
                "norm-alone",
                "Batch normalisation alone does so, too: with SGD at the same rates it leaves more "
                "lines that are not monotone.",
                (part("batch norm", sgd) - part("plain", sgd)).tolist(),
                above(0.01),
                unit="of the lines",
            ),
            median(
                "norm-keeps",
                "Here it rather keeps lines monotone: with it at most one in twenty is not, over "
                "both optimizers and all rates.",
                part("batch norm", list(range(len(names)))).tolist(),
                below(0.05),
                unit="of the lines",
            ),
            median(
                "far-moves",
                "The farther weights moved, the more the loss rises on the line: over all trained "
                "networks the rank correlation of both is positive.",
                [
                    rank(moves[:, s][every[:, s]], climbs[:, s][every[:, s]])
                    for s in range(len(seeds))
                ],
                above(0.01),
            ),
            median(
                "unrelated-start",
                "It says little of the run: from a start that has nothing to do with it the loss "
                "falls to SGD's solutions without rising by more than a thousandth of the start's.",
                steep["an unrelated start"].max(0).tolist(),
                below(MONOTONE),
                calibrated=MIXTURES,
            ),
            median(
                "zero-start",
                "From zero, too, it falls to SGD's solutions without such a rise.",
                steep["zero"].max(0).tolist(),
                below(MONOTONE),
                calibrated=MIXTURES,
            ),
            median(
                "null-where-monotone",
                "From both it falls without such a rise to those of SGD's solutions whose own "
                "line is monotone.",
                kept.max(0).tolist(),
                below(MONOTONE),
            ),
            median(
                "not-a-score",
                "The shape of the line does not predict test accuracy: over all networks that are "
                "trained the rank correlation of the mean height of the line with it is weaker "
                "than 0.5.",
                [
                    abs(rank(areas[:, s][every[:, s]], right[:, s][every[:, s]]))
                    for s in range(len(seeds))
                ],
                below(0.5),
            ),
            median(
                "good-without",
                "A network whose line is not monotone may be good: the best of them comes within a "
                "point of accuracy of the best whose line is.",
                [
                    100
                    * (
                        best(right[:, s], every[:, s] & ~curved[:, s])
                        - best(right[:, s], every[:, s] & curved[:, s])
                    )
                    for s in range(len(seeds))
                ],
                below(1),
                unit="points",
            ),
        ),
        figures={
            "lines": _lines_figure(losses, solved, names),
            "movement": _movement_figure(runs, climb, solved, names, areas, right),
            "null": _null_figure(losses["plain"][sgd], null, names[sgd[len(sgd) // 2]]),
        },
        tables={"lines": _lines_table(climb, solved, runs, names)},
        remark=(
            f"{nets['plain'].name} on {images:,} images of MNIST, {len(names)} settings of SGD "
            f"with momentum 0.9 and Adam, {runs['plain'].steps[-1]} steps; the papers' are 1024 "
            f"wide, in batches of 512, on all images.  Those count that got to a training loss of "
            f"{SOLVED} or less.  Moments of batch normalisation are recomputed at every point.  "
            "Changed after a first look: large rates of SGD were added to those of Adam, at which "
            "hardly a network trains without batch normalisation; the line is measured on the very "
            "images that are trained on, for a sample of 400 out of 60,000 decided which networks "
            "count as trained; and how far weights moved is ranked, where the distances of both "
            "kinds of lines were compared.  That on harder data the loss stays high until near the "
            "end (Frankle 2020) is not tried here."
        ),
    )


def perceptron(norm: str, images: int, width: int, batch: int) -> Network:
    """Two hidden layers on so many images of MNIST, moments recomputed over all of them."""
    return on_fewer(
        network(
            f"deep_mlp(depth=3, width={width}, activation=relu, norm={norm}, init=torch, "
            f"batch={batch})"
        ),
        count=images,
        calibrated=images,
    )


def bent_share(
    bent: Bool[np.ndarray, "settings seeds"], solved: Bool[np.ndarray, "settings seeds"]
) -> Float[np.ndarray, " seeds"]:
    """Of a seed's networks that are trained, the share whose line is not monotone.

    Not a number where none is trained.
    """
    count = solved.sum(0)
    share = (bent & solved).sum(0) / np.maximum(count, 1)
    return np.where(count > 0, share, np.nan)


def best(right: Float[np.ndarray, " n"], among: Bool[np.ndarray, " n"]) -> float:
    """The highest accuracy of some; not a number of none."""
    return float(right[among].max()) if among.any() else np.nan


def movement(runs: Walks) -> Float[np.ndarray, "settings seeds"]:
    """How far runs got from their starts, in units of the starts' norms."""
    starts, ends = runs.starts.double(), runs.ends.double()
    found: Float[np.ndarray, "settings seeds"] = (
        (ends - starts).norm(dim=-1) / starts.norm(dim=-1)
    ).numpy()
    return found


def area(losses: Float[np.ndarray, "*stack alphas"]) -> Float[np.ndarray, "*stack"]:
    """Mean height of curves, where 1 is their first value and 0 their last."""
    first, last = losses[..., :1], losses[..., -1:]
    found: Float[np.ndarray, "*stack"] = ((losses - last) / (first - last)).mean(-1)
    return found


def rank(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    """Spearman's rank correlation; 0 where one of both does not vary."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(spearmanr(a, b)[0])


def _lines_figure(
    losses: Mapping[str, Float[np.ndarray, "settings seeds alphas"]],
    solved: Mapping[str, Bool[np.ndarray, "settings seeds"]],
    names: Sequence[tuple[str, float]],
) -> Figure:
    alphas = np.array(ALPHAS)
    panels = []
    for norm, who in product(NORMS, RATES):
        curves = {}
        for k, (name, rate) in enumerate(names):
            good = solved[norm][k]
            if name == who and good.any():
                rows = losses[norm][k][good]
                curves[f"rate {rate}"] = Curve(alphas, rows / rows[:, :1])
        title = f"{who}, {_said(norm)}"
        x, y = "α, from 0 at the start to 1 at the end", "training loss (of the start's)"
        panels.append(Panel(curves, x, y, log=("y",), title=title))
    return curves_figure(
        "Lines to trained networks: medians over seeds, and all seeds", *panels, columns=2
    )


def _movement_figure(
    runs: Mapping[str, Walks],
    climb: Mapping[str, Float[np.ndarray, "settings seeds"]],
    solved: Mapping[str, Bool[np.ndarray, "settings seeds"]],
    names: Sequence[tuple[str, float]],
    areas: Float[np.ndarray, "runs seeds"],
    right: Float[np.ndarray, "runs seeds"],
) -> Figure:
    """How far weights moved, how high the loss rises, and how good networks are."""
    moves = np.concatenate([movement(runs[norm]) for norm in NORMS])
    climbs, good = (np.concatenate([d[norm] for norm in NORMS]) for d in (climb, solved))
    kinds = [f"{who}, {_said(norm)}" for norm in NORMS for who, _ in names]
    far, score = {}, {}
    for kind in dict.fromkeys(kinds):
        chosen = good & (np.array(kinds) == kind)[:, None]
        far[kind] = Curve(moves[chosen], np.maximum(climbs[chosen], LOWEST), points=True)
        score[kind] = Curve(areas[chosen], 100 * right[chosen], points=True)
    return curves_figure(
        "All trained networks: what goes with the shape of their lines",
        Panel(
            far,
            "distance from the start, in norms of the start",
            f"largest rise on the line, of the\nstart's loss ({LOWEST:g} where less)",
            log=("x", "y"),
            levels={"monotone up to here": MONOTONE},
        ),
        Panel(
            score,
            "mean height of the line, 1 at its start and 0 at its end",
            "test accuracy (%)",
        ),
        columns=2,
    )


def _null_figure(
    own: Float[np.ndarray, "settings seeds alphas"],
    null: Mapping[str, Float[np.ndarray, "settings seeds alphas"]],
    name: tuple[str, float],
) -> Figure:
    middle = len(own) // 2
    curves = {f"from {start}": Curve(np.array(ALPHAS), f[middle]) for start, f in null.items()}
    return curves_figure(
        f"Lines to the solutions of {name[0]} at {name[1]}, no batch norm",
        Panel(
            {"from the run's own start": Curve(np.array(ALPHAS), own[middle]), **curves},
            "α, from 0 at the start to 1 at the end",
            "training loss (nats)",
        ),
    )


def _said(norm: str) -> str:
    return "no batch norm" if norm == "plain" else norm


def _lines_table(
    climb: Mapping[str, Float[np.ndarray, "settings seeds"]],
    solved: Mapping[str, Bool[np.ndarray, "settings seeds"]],
    runs: Mapping[str, Walks],
    names: Sequence[tuple[str, float]],
) -> Table:
    rows = []
    for norm in NORMS:
        moved, right = movement(runs[norm]), runs[norm].scores["accuracy"].numpy()
        for k, (who, rate) in enumerate(names):
            good, steep = solved[norm][k], climb[norm][k]
            row = [cells.NOTHING] * 3
            if good.any():
                row = [
                    cells.gap(float(steep[good].max())),
                    cells.fixed(float(np.median(moved[k][good])), 2),
                    cells.percent(float(np.median(right[k][good]))),
                ]
            trained = int(good.sum())
            curved = int((good & (steep > MONOTONE)).sum())
            counts = cells.share(trained, len(good)), cells.share(curved, trained)
            rows.append((_said(norm), who, f"{rate:g}", *counts, *row))
    return Table(
        "Lines from starts to trained networks",
        (
            *("norm", "optimizer", "rate", "trained", "not monotone", "largest rise"),
            *("distance", "test accuracy"),
        ),
        tuple(rows),
        f"Trained is a training loss of at most {SOLVED}; rises as shares of the start's loss; the "
        "distance from the start in units of its norm, a median as the accuracy is.",
        ("left", "left", *("right",) * 6),
    )
