"""Gradient descent at the edge of stability (Cohen et al. 2021)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from ravine.experiments.claims import above, below, between, equals, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.landscape.spectrum.stacked import Products, extremes
from ravine.problems.draws import generator
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Cohen, Kaur, Li, Kolter, Talwalkar (2021), arXiv 2103.00065"

POINTS, UNITS = 20, 100
GAIN = 1.9
"""Of Xavier's initialisation of the first layer."""

MOMENTUM = 0.9
LANCZOS = 24
"""Steps to the largest eigenvalue."""

LOOKS = 30
"""Steps of a run at which the sharpness is taken."""

CALIBRATED = "1-100-1 tanh networks on 20 Chebyshev points, eight seeds at each rate"


@dataclass(frozen=True, slots=True)
class Plan:
    """Runs of one rate.

    Args:
        rate: of descent.
        momentum: of the heavy ball; 0 for none.
        steps: of each run.
    """

    rate: float
    momentum: float
    steps: int

    @property
    def threshold(self) -> float:
        """Curvature from which on a quadratic is left."""
        return (2 + 2 * self.momentum) / self.rate


FAST, HALF, SLOW, BALL = "rate 0.4", "rate 0.2", "rate 0.02", "rate 0.1, momentum 0.9"


def plans(unit: int) -> dict[str, Plan]:
    """Of a unit of steps each; of two where the rate is half of the fastest's."""
    return {
        FAST: Plan(0.4, 0.0, unit),
        HALF: Plan(0.2, 0.0, 2 * unit),
        SLOW: Plan(0.02, 0.0, unit),
        BALL: Plan(0.1, MOMENTUM, unit),
    }


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Runs of one plan from every seed.

    Args:
        steps: at which the sharpness was taken.
        sharpness: largest eigenvalue of the Hessian.
        losses: of every step.
    """

    steps: Float64[np.ndarray, " looks"]
    sharpness: Float64[np.ndarray, "seeds looks"]
    losses: Float64[np.ndarray, "seeds steps"]


@experiment("edge-of-stability", "The edge of stability", SOURCE)
def edge_of_stability(scale: Scale, tick: Tick) -> Found:
    """Full-batch gradient descent sharpens until the curvature is 2 / rate, and stays there.

    Beyond it a quadratic would be left for good; here the loss goes up and down from step to
    step and falls all the same.  With momentum of b the edge is at (2 + 2 b) / rate.
    """
    seeds, runs = range(scale.choose(5, 25)), plans(scale.choose(10_000, 20_000))
    records = descend(runs, seeds, tick)
    ratios = {name: found.sharpness / runs[name].threshold for name, found in records.items()}
    settled = {name: np.median(r[:, r.shape[1] // 2 :], 1) for name, r in ratios.items()}
    rises = {name: (np.diff(found.losses) > 0).mean(1) for name, found in records.items()}
    falls = {name: found.losses[:, -1] / found.losses[:, 0] for name, found in records.items()}
    return Found(
        claims=(
            *(
                median(
                    f"rate-{runs[name].rate:g}-settles".replace(".", ""),
                    f"At a rate of {runs[name].rate:g} the median sharpness of the second half of "
                    "a run is 2 / rate: 0.95 to 1.06 times it.",
                    settled[name].tolist(),
                    between(0.95, 1.06),
                    unit="of 2 / rate",
                    calibrated=CALIBRATED,
                )
                for name in (FAST, HALF)
            ),
            median(
                "begins-below",
                "At both rates it begins below 0.8 times that.",
                np.maximum(ratios[FAST][:, 0], ratios[HALF][:, 0]).tolist(),
                below(0.8),
                unit="of 2 / rate, the larger",
                calibrated=CALIBRATED,
            ),
            median(
                "up-and-down",
                "At both rates the loss goes up on more than a tenth of all steps.",
                np.minimum(rises[FAST], rises[HALF]).tolist(),
                above(0.1),
                unit="of all steps, the smaller",
                calibrated=CALIBRATED,
            ),
            median(
                "falls",
                "At both rates it falls to less than half all the same.",
                np.maximum(falls[FAST], falls[HALF]).tolist(),
                below(0.5),
                unit="of the loss at the start, the larger",
                calibrated=CALIBRATED,
            ),
            median(
                "control-below",
                "At a rate of 0.02 the sharpness stays below half of 2 / rate.",
                ratios[SLOW].max(1).tolist(),
                below(0.5),
                unit="of 2 / rate, the largest",
                calibrated=CALIBRATED,
            ),
            median(
                "control-falls",
                "There the loss never goes up.",
                (np.diff(records[SLOW].losses) > 0).sum(1).tolist(),
                equals(0),
                unit="steps",
                calibrated=CALIBRATED,
            ),
            median(
                "momentum",
                "With a momentum b of 0.9 it settles at (2 + 2 b) / rate: 0.9 to 1.15 times it.",
                settled[BALL].tolist(),
                between(0.9, 1.15),
                unit="of (2 + 2 b) / rate",
            ),
        ),
        figures={
            "sharpness": curves_figure(
                f"Sharpness and loss of full-batch descent, {len(seeds)} seeds",
                Panel(
                    {name: Curve(found.steps, ratios[name]) for name, found in records.items()},
                    "step",
                    "largest eigenvalue of the Hessian\n(times rate / (2 + 2 momentum))",
                    levels={"edge of stability": 1.0},
                ),
                Panel(
                    {name: _losses(found) for name, found in records.items()},
                    "step",
                    "loss (half the mean squared error)",
                    log=("y",),
                ),
            ),
            "close": curves_figure(
                "The loss of seed 0 from step to step, beyond the edge",
                *(_closely(records[name], name) for name in (FAST, HALF)),
                columns=2,
                height=2.6,
            ),
        },
        tables={"edge": _table(runs, ratios, settled, rises, falls)},
        remark=(
            "A network of 100 tanh units that fits a polynomial of degree 4 at 20 points stands in "
            "for networks on 5,000 images of CIFAR-10.  All batches are full: minibatches keep the "
            "sharpness lower.  At a rate of 0.02 runs have hardly begun to learn.  With momentum a "
            "first look at rates of 0.2 and 0.4 saw runs thrown out as soon as they sharpened; "
            "hence 0.1."
        ),
    )


def descend(plans: Mapping[str, Plan], seeds: range, tick: Tick) -> dict[str, Record]:
    """Run all plans from all seeds in one stack, from the longest to the shortest."""
    order = sorted(plans, key=lambda name: -plans[name].steps)
    count, longest = len(seeds), plans[order[0]].steps
    begin = torch.stack([start(seed) for seed in seeds])
    x = begin.repeat(len(plans), 1)
    speed = torch.zeros_like(x)

    def column(values: list[float]) -> Float64[Tensor, "runs 1"]:
        return torch.tensor(values, dtype=torch.float64).repeat_interleave(count)[:, None]

    rate = column([plans[name].rate for name in order])
    momentum = column([plans[name].momentum for name in order])
    looks = {name: _looks(plans[name].steps) for name in order}
    ends = [plans[name].steps for name in order]
    losses = torch.full((len(x), longest + 1), math.nan, dtype=torch.float64)
    sharp = {name: list[Tensor]() for name in order}
    live = len(order)
    for step in range(longest + 1):
        due = [k for k in range(live) if step in looks[order[k]]]
        if due:
            # plans of one length are looked at together
            every = sharpness(torch.cat([x[k * count : (k + 1) * count] for k in due]))
            for k, own in zip(due, torch.split(every, count), strict=True):
                sharp[order[k]].append(own)
        height, slope = loss_and_slope(x)
        losses[: len(x), step] = height
        if step in ends:
            # those that have arrived lie last, and are cut off
            live = sum(end > step for end in ends)
            rows = live * count
            x, speed, slope = x[:rows], speed[:rows], slope[:rows]
            rate, momentum = rate[:rows], momentum[:rows]
        if live:
            speed = torch.addcmul(slope, speed, momentum)
            x = torch.addcmul(x, speed, rate, value=-1)
        if step % 500 == 0:
            tick(step / longest)
    found = {}
    for k, name in enumerate(order):
        heights = losses[k * count : (k + 1) * count, : plans[name].steps + 1]
        marks = np.array(sorted(looks[name]), dtype=float)
        found[name] = Record(marks, torch.stack(sharp[name], 1).numpy(), heights.numpy())
    return {name: found[name] for name in plans}


@cache
def data() -> tuple[Float64[Tensor, "points two"], Float64[Tensor, " points"]]:
    """Chebyshev's points beside a column of ones, and his polynomial of degree 4 there."""
    x = torch.cos(math.pi * (torch.arange(POINTS, dtype=torch.float64) + 0.5) / POINTS)
    return torch.stack([x, torch.ones_like(x)], 1), 8 * x**4 - 8 * x**2 + 1


def start(seed: int) -> Float64[Tensor, " P"]:
    """First weights by Xavier with a gain, last ones as torch's; biases are zero."""
    draw = generator("edge", seed)
    first = GAIN * math.sqrt(6 / (1 + UNITS)) * draw.uniform(-1, 1, UNITS)
    last = draw.uniform(-1, 1, UNITS) / math.sqrt(UNITS)
    return torch.from_numpy(np.concatenate([first, np.zeros(UNITS), last, [0.0]]))


def loss_and_slope(
    x: Float64[Tensor, "k P"],
) -> tuple[Float64[Tensor, " k"], Float64[Tensor, "k P"]]:
    """Half the mean squared error of every network and its gradient, by hand.

    A point holds w, b, v and c of the outputs v . tanh(w x + b) + c.
    """
    design, y = data()
    w, b, v, c = torch.split(x, [UNITS, UNITS, UNITS, 1], 1)
    h = torch.addcmul(b[:, :, None], w[:, :, None], design[:, 0]).tanh_()
    error = torch.baddbmm(c[:, None], v[:, None], h)[:, 0] - y
    pulled = error[:, :, None] * design / POINTS
    into = torch.baddbmm(pulled.sum(1)[:, None], h * h, pulled, alpha=-1) * v[:, :, None]
    last = torch.bmm(h, error[:, :, None])[..., 0] / POINTS
    slope = torch.cat([into[..., 0], into[..., 1], last, error.mean(1, keepdim=True)], 1)
    return error.square().mean(1) / 2, slope


def sharpness(x: Float64[Tensor, "k P"]) -> Float64[Tensor, " k"]:
    """Largest eigenvalue of every network's Hessian; infinite where a run has diverged."""
    return extremes(curvature(x), x, LANCZOS).largest


def curvature(x: Float64[Tensor, "k P"]) -> Products:
    """Products with the Hessian of every network: J'J / n and what bends the outputs."""
    design, y = data()
    w, b, v, c = torch.split(x, [UNITS, UNITS, UNITS, 1], 1)
    h = (w[:, :, None] * design[:, 0] + b[:, :, None]).tanh()
    error = (torch.bmm(v[:, None], h)[:, 0] + c - y) / POINTS
    slope = 1 - h.square()
    by_b = v[:, :, None] * slope
    jacobian = torch.cat([by_b * design[:, 0], by_b, h, torch.ones_like(h[:, :1])], 1)
    # second derivatives join parameters of one unit alone
    twice, mixed = -2 * h * by_b * error[:, None], slope * error[:, None]
    bb, wb, ww = (torch.mv(twice.flatten(0, 1), design[:, 0] ** p) for p in (0, 1, 2))
    bv, wv = (torch.mv(mixed.flatten(0, 1), design[:, 0] ** p) for p in (0, 1))
    bb, wb, ww, bv, wv = (t.view_as(w) for t in (bb, wb, ww, bv, wv))

    def product(u: Float64[Tensor, "k P"]) -> Float64[Tensor, "k P"]:
        p, q, r, s = torch.split(u, [UNITS, UNITS, UNITS, 1], 1)
        along = torch.bmm(u[:, None], jacobian) / POINTS
        whole = torch.bmm(jacobian, along.mT)[..., 0]
        bent = [ww * p + wb * q + wv * r, wb * p + bb * q + bv * r, wv * p + bv * q]
        return whole + torch.cat([*bent, torch.zeros_like(s)], 1)

    return product


def _looks(steps: int) -> frozenset[int]:
    """Evenly over a run, its start and its end among them."""
    return frozenset(int(step) for step in np.linspace(0, steps, LOOKS).round())


def _losses(found: Record) -> Curve:
    steps = found.losses.shape[1]
    marks = np.unique(np.linspace(0, steps - 1, 400).astype(int))
    return Curve(marks.astype(float), found.losses[:, marks])


def _closely(found: Record, name: str) -> Panel:
    middle = 3 * found.losses.shape[1] // 4
    window = np.arange(middle, middle + 50)
    return Panel({name: Curve(window.astype(float), found.losses[0, window])}, "step", "loss")


def _table(
    runs: Mapping[str, Plan],
    ratios: Mapping[str, Float64[np.ndarray, "seeds looks"]],
    settled: Mapping[str, Float64[np.ndarray, " seeds"]],
    rises: Mapping[str, Float64[np.ndarray, " seeds"]],
    falls: Mapping[str, Float64[np.ndarray, " seeds"]],
) -> Table:
    rows = [
        (
            name,
            f"{plan.steps:,}",
            f"{plan.threshold:g}",
            f"{np.median(ratios[name][:, 0]):.3f}",
            f"{np.median(ratios[name].max(1)):.3f}",
            f"{np.median(settled[name]):.3f}",
            f"{100 * np.median(rises[name]):.0f} %",
            f"{np.median(falls[name]):.2g}",
        )
        for name, plan in runs.items()
    ]
    return Table(
        "Sharpness over the edge of stability",
        ("runs", "steps", "edge", "at the start", "largest", "second half", "loss rises", "loss"),
        tuple(rows),
        "Medians over seeds.  Edge: (2 + 2 momentum) / rate; the loss at the end is a share of "
        "that at the start.",
        ("left", *("right",) * 7),
    )
