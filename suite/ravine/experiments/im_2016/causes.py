"""Whether the optimizer or the start makes solutions differ, and switches in between."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from matplotlib.figure import Figure
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.im_2016.solutions import LEFT_OUT, relative_distances
from ravine.experiments.im_2016.training import (
    EVERY,
    MINIBATCH,
    PAPER,
    RATES,
    SWITCHES,
    Trained,
    trained,
)
from ravine.experiments.running import only
from ravine.landscape.solutions import solutions
from ravine.landscape.trajectory import trajectories
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.landscape.solutions import norms_figure, spread_table
from ravine.reporting.landscape.trajectories import plane_figure

NORMS = "20-64-64-10 ReLU networks on Gaussian mixtures, five optimizers, three starts"


@experiment("D6", "What causes the difference", PAPER)
def causes(scale: Scale, tick: Tick) -> Found:
    """The optimizer causes solutions to differ, more than the start.

    Switching from SGD to Adam at several moments changes the final solution each time; a late
    switch ends at the second optimizer's point.
    """
    base = trained(scale, tick)
    n = len(base.seeds)
    norms = base.of(list(EVERY)).double().norm(dim=-1).numpy()
    rates = base.of(["SGD", *RATES]).double().norm(dim=-1).numpy()
    ends = base.of(MINIBATCH)
    first, second = base.of(["SGD", "Adam"])
    ways = [_switched(base, share) for share in SWITCHES]
    switched = torch.stack([way[base.steps] for way in ways])
    tick(0.8)
    size = first.double().norm(dim=-1).numpy()
    from_first, from_second = (
        (switched - other).double().norm(dim=-1).numpy() / size for other in (first, second)
    )
    apart = (first - second).double().norm(dim=-1).numpy() / size
    later = np.max(from_first[1:] / from_first[:-1], axis=0)
    each = relative_distances(torch.cat([switched, first[None], second[None]]))
    own = relative_distances(ends.transpose(0, 1)).mean(-1)
    other = relative_distances(ends).mean(-1)
    late = switched[-1].double().norm(dim=-1).numpy()
    to_first, to_second = (np.abs(late - x.double().norm(dim=-1).numpy()) for x in (first, second))
    shown = solutions(
        base.ground,
        ends[:, :5].flatten(0, 1),
        [name for name in MINIBATCH for _ in range(5)],
        list(base.seeds[:5]) * len(MINIBATCH),
        test=base.test,
        thresholds=(0.1,),
    )
    tick(0.9)
    return Found(
        claims=(
            median(
                "norm-by-optimizer",
                f"From one start, the variance of the final norm over {len(EVERY)} optimizers is "
                "over 10 times that over starts with one optimizer.",
                variance_ratios(norms),
                above(10),
                unit="times",
                calibrated=NORMS + ": SGD 19.74 to 19.76, Adam 20.41 to 20.53, all 19.7 to 24.4",
            ),
            median(
                "norm-in-minibatches",
                "Without Rprop, whose steps grow without end under minibatches, it is.",
                variance_ratios(norms[[name in MINIBATCH for name in EVERY]]),
                above(10),
                unit="times",
                calibrated=NORMS,
            ),
            median(
                "place-by-optimizer",
                "The optimizer causes the difference, more than the start: two optimizers' "
                "solutions from one start are on average further apart than one optimizer's from "
                "two starts (Rprop left out).",
                (other / own.mean()).tolist(),
                above(1.0),
                unit="times",
            ),
            median(
                "norm-by-rate",
                "What fixes the norm is the optimizer with its rate: over rates of 0.03, 0.1 and "
                "0.3 of SGD alone it varies over 10 times as much as over starts.",
                variance_ratios(rates),
                above(10),
                unit="times",
            ),
            median(
                "switch-changes",
                "A switch to Adam after a quarter, half or three quarters of a run changes the "
                "solution each time: any two of these, SGD's and Adam's lie over a hundredth of "
                "the norm apart.",
                each.min(-1).tolist(),
                above(0.01),
                calibrated=NORMS + ": 0.11 from SGD's after three quarters",
            ),
            median(
                "later-is-nearer",
                "The later the switch, the nearer to SGD's solution: from one moment to the "
                "next the distance falls.",
                later.tolist(),
                below(0.999),
                unit="of the distance",
                calibrated=NORMS + ": distances 3.18, 2.85, 2.13",
            ),
            median(
                "ends-at-second",
                "A late switch ends at the second optimizer's point: after a switch at three "
                "quarters, Adam's solution is within a tenth of the norm.",
                from_second[-1].tolist(),
                below(0.1),
                unit="of the norm",
            ),
            median(
                "norm-of-second",
                "After such a switch a solution has at least the norm that is characteristic of "
                "the second optimizer, being nearer in norm to Adam's solution than to SGD's.",
                (to_second / to_first).tolist(),
                below(1.0),
            ),
        ),
        figures={
            "switches": _switches_figure(from_first, from_second, apart),
            "norms": norms_figure(shown),
            "paths": _paths_figure(base, ways, scale.choose(15, 31)),
        },
        tables={"spread": spread_table(shown)},
        remark=LEFT_OUT.format(n=len(EVERY))
        + "  Norms of random starts hardly differ in many dimensions, whatever comes after; that "
        f"a norm tells optimizers and not starts ({n} here) is no cause of where a run ends.",
    )


def variance_ratios(values: Float64[np.ndarray, "optimizers starts"]) -> list[float]:
    """For every start the variance over optimizers, over the pooled variance over starts."""
    within = values.var(axis=1, ddof=1).mean()
    return [float(v) for v in values.var(axis=0, ddof=1) / within]


def _switched(base: Trained, share: float) -> dict[int, Float[Tensor, "seeds P"]]:
    """Adam's points, by step of the whole run, from where SGD was after a share of it."""
    at = round(share * base.steps)
    kept = walks(
        base.net,
        [only(EVERY["Adam"])],
        base.seeds,
        base.steps - at,
        keep=[step - at for step in base.way.steps if step >= at],
        starts=base.way.at(at)[base.names.index("SGD")],
        first=at,
    )
    return {at + step: kept.at(step)[0] for step in kept.steps}


def _switches_figure(
    first: Float64[np.ndarray, "switches seeds"],
    second: Float64[np.ndarray, "switches seeds"],
    apart: Float64[np.ndarray, " seeds"],
) -> Figure:
    none = np.zeros_like(apart)
    x = 100 * np.array((0.0, *SWITCHES, 1.0))
    curves = {
        "to SGD's solution": Curve(x, np.stack([apart, *first, none], -1)),
        "to Adam's solution": Curve(x, np.stack([none, *second, apart], -1)),
    }
    return curves_figure(
        "Where a run ends that begins with SGD and goes on with Adam",
        Panel(curves, "share of the run before the switch (%)", "distance / norm"),
    )


def _paths_figure(
    base: Trained, switched: Sequence[dict[int, Float[Tensor, "seeds P"]]], points: int
) -> Figure:
    """The first start's paths, alone and with switches, on their plane."""
    row = base.names.index
    ways = {
        name: {step: base.way.at(step)[row(name), 0] for step in base.way.steps}
        for name in ("SGD", "Adam")
    }
    for share, found in zip(SWITCHES, switched, strict=True):
        later = {step: x[0] for step, x in found.items()}
        ways[f"Adam from {100 * share:.0f} % on"] = later
    return plane_figure(
        trajectories(
            base.ground,
            [torch.stack(list(way.values())) for way in ways.values()],
            list(ways),
            [list(way) for way in ways.values()],
            grid=points,
        )
    )
