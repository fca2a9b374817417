"""Poor correspondence between local and global structure (Deep Learning, 8.2.7)."""

import math

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, equals, exact, median, share
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.deep_learning_book.training import train
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only, stacked
from ravine.landscape.critical.search import critical_points
from ravine.landscape.operators import hessians
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient
from ravine.problems.analytic import Analytic
from ravine.problems.base import CriticalPoint, Facts, Kind
from ravine.problems.catalogue import problem
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.paths import paths_figure

TOP = math.atanh(0.25)
"""Where the mountain is highest."""

STEEP, TILT, TWIST = 4.0, 0.3, 0.7


@experiment("C11", "Local against global structure", BOOK.format("8.2.7"))
def local_and_global(scale: Scale, tick: Tick) -> Found:
    """Descent can go away from the solution though no saddle and no minimum is in the way.

    A mountain is, and has to be gone around, on a long path; so the initialisation decides.
    """
    hill, ring = mountain(), horseshoe()
    seeds = range(scale.choose(50, 500))
    names = ("sgd(lr=0.1)", "sgd(lr=0.1, momentum=0.9)", "adam(lr=0.1)")
    runs = stacked(hill, {name: only(name) for name in names}, seeds, 1000)
    starts = np.array([float(hill.start(seed)["x"]) for seed in seeds])
    right = starts > TOP
    decided = sum(int(((found.final[0] > 0.5) == right).sum()) for found in runs.values())
    kinds = critical_points(hill, scale.choose(200, 1000)).kinds
    first = walk(hill, only(names[0]), int(np.flatnonzero(right)[0]), 1, keep=2).points
    tick(0.3)
    points = critical_points(ring, scale.choose(200, 1000)).points
    goal = min(points, key=lambda p: p.value).x
    others = torch.stack([p.x for p in points if p.value > points[0].value + 1e-9])
    ground = surface(ring)
    some = range(scale.choose(9, 50))
    begins = [on_the_floor(math.radians(75 + 20 * k / (len(some) - 1))) for k in range(len(some))]
    ways = [
        walk(ring, only("sgd(lr=0.1)"), 0, 600, keep=range(601), start={"x": begin}).points
        for begin in begins
    ]
    away, longer, nearest, ended = [], [], [], []
    for way in ways:
        down, aim = -gradient(ground, way[0]), goal - way[0]
        away.append(float(down @ aim / (down.norm() * aim.norm())))
        length = float((way[1:] - way[:-1]).norm(dim=1).sum())
        longer.append(length / float(aim.norm()))
        nearest.append(float(torch.cdist(way, others).min()))
        ended.append(float((way[-1] - goal).norm()))
    tick(0.5)
    net = problem("mnist_mlp(widths=64, activation=tanh, batch=32)")
    assert isinstance(net, Network)
    scales, few = (0.01, 0.1, 1.0, 10.0), range(scale.choose(5, 15))
    pairs = [(size, seed) for size in scales for seed in few]
    begin = [{n: size * p for n, p in net.start(seed).items()} for size, seed in pairs]
    trained = train(
        net,
        [seed for _, seed in pairs],
        0.1,
        scale.choose(200, 1000),
        2,
        small=0.01,
        begin=begin,
        tick=lambda part: tick(0.5 + 0.5 * part),
    )
    last = trained.losses[:, -20:].mean(1).reshape(len(scales), -1)
    paths = {
        f"start {seed}": walk(hill, only(names[0]), seed, 300, keep=range(301)).points.numpy()
        for seed in range(6)
    }
    return Found(
        claims=(
            exact(
                "no-traps",
                "The mountain between two plains has no minimum and no saddle; its top is the only "
                "critical point found.",
                sum(count for kind, count in kinds.items() if kind != "maximum"),
                equals(0),
            ),
            exact(
                "away",
                "From its far side the first step of descent leads away from the lower plain.",
                float(first[1, 0] - first[0, 0]),
                above(0.0),
            ),
            share(
                "start-decides",
                "The side on which a run begins decides where it ends, for descent, momentum and "
                "Adam, in over nine runs of ten.",
                decided,
                len(seeds) * len(names),
                above(0.9),
            ),
            median(
                "around-away",
                "Where a mountain can be gone around, the first step along the valley points away "
                "from the solution: the cosine of the angle between them is negative.",
                away,
                below(0.0),
            ),
            median(
                "around-free",
                "On the way around no other critical point comes nearer than 0.1.",
                nearest,
                above(0.1),
            ),
            median(
                "around-arrives",
                "Descent arrives,",
                ended,
                below(1e-3),
                unit="from the solution",
            ),
            median(
                "around-long",
                "on a path over 1.5 times as long as the straight line.",
                longer,
                above(1.5),
                unit="times",
            ),
            median(
                "network",
                "Networks too depend on where they begin: from weights ten times as large the loss "
                "is over twice as high after as many steps.",
                (last[-1] / last[scales.index(1.0)]).tolist(),
                above(2.0),
                unit="times",
            ),
        ),
        figures={
            "mountain": paths_figure(
                hill, paths, "A mountain between two plains: the start decides where descent ends"
            ),
            "around": paths_figure(
                ring,
                {f"from {angle}°": ways[k].numpy() for k, angle in ((0, 75), (-1, 95))},
                "A mountain to go around: the short way is uphill",
            ),
            "scales": curves_figure(
                "A 784-64-10 tanh network on MNIST, its initial weights multiplied by a factor",
                Panel(
                    {"loss after training": Curve(np.array(scales), last.T)},
                    "factor on the initial weights",
                    f"loss after {trained.losses.shape[1]} steps (nats)",
                    log=("x", "y"),
                ),
            ),
        },
        remark=(
            "The two surfaces are this project's, after the book's figure 8.4: one coordinate "
            "between two plains, and a ring-shaped valley whose floor falls the long way round."
        ),
    )


def mountain() -> Analytic:
    """A mountain between a lower plain on the left and a higher one on the right.

    f(x) = (1 + tanh x) / 2 + 1 / cosh^2 x, whose slope (1 - tanh^2 x) (1/2 - 2 tanh x) vanishes
    at tanh x = 1/4 alone.
    """

    def f(x: Float[Tensor, "*stack 1"]) -> Float[Tensor, "*stack"]:
        t = torch.tanh(x[..., 0])
        return 0.5 * (1 + t) + 1 - t.square()

    value = 0.5 * 1.25 + 1 - 0.0625
    return Analytic(
        f=f,
        dim=1,
        domain=(-4.0, 4.0),
        start_at=(TOP,),
        spread=2.0,
        facts=Facts(critical_points=(CriticalPoint((TOP,), value, Kind.MAXIMUM),), complete=True),
        name="mountain",
    )


def horseshoe() -> Analytic:
    """A ring-shaped valley around a mountain, whose floor falls the long way round.

    f(x, y) = k/4 (x^2 + y^2 - 1)^2 + t (y + 0.7 x y): at the angle p on the ring the floor is
    t (sin p + 0.35 sin 2p), highest at 64 degrees and lowest at -64.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = x.unbind(-1)
        ring = (a.square() + b.square() - 1).square()
        return 0.25 * STEEP * ring + TILT * (b + TWIST * a * b)

    return Analytic(
        f=f,
        dim=2,
        domain=(-1.4, 1.4),
        name="horseshoe",
    )


def on_the_floor(angle: float) -> Float64[Tensor, " 2"]:
    """The point of the horseshoe at an angle where it falls along the valley alone."""
    way = torch.tensor([math.cos(angle), math.sin(angle)], dtype=torch.float64)
    radius = torch.tensor(1.0, dtype=torch.float64)
    ground = surface(horseshoe())
    for _ in range(20):
        slope, bend = gradient(ground, radius * way) @ way, hessians(ground, radius * way)
        radius = radius - slope / (way @ bend @ way)
    return radius * way


def floor(angle: Float64[Tensor, "*n"]) -> Float64[Tensor, "*n"]:
    """The horseshoe's floor on the unit circle, as its docstring has it."""
    return TILT * (torch.sin(angle) + TWIST / 2 * torch.sin(2 * angle))
