"""Convexity: whose Hessian has no negative eigenvalue, and what helps where it has."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ravine.engine.grid import run_grid
from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.watch import Runs
from ravine.experiments.claims import above, below, exact, median, share
from ravine.experiments.d2l.setting import SOURCE, Begun, begun
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only
from ravine.landscape.operators import hessian, hessians
from ravine.landscape.sources import surface
from ravine.landscape.spectrum.lanczos import extreme
from ravine.landscape.surface import pack
from ravine.optimizers.catalogue import method
from ravine.optimizers.space import trials
from ravine.problems.analytic import Analytic
from ravine.problems.base import Facts
from ravine.problems.catalogue import problem, problems
from ravine.problems.draws import generator
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.drawing import COLORS, canvas, legend_beside, styled
from ravine.reporting.layout import Table

ZERO = 1e-9
"""An eigenvalue above minus this, relative to the largest, is not negative."""

NEGATIVE = 1e-3
"""An eigenvalue below minus this, relative to the largest, is clearly so."""

NETS = {
    "perceptron": "mnist_mlp(widths=16)",
    "10 layers": "deep_mlp(depth=10, width=16)",
    "10 layers, skips": "deep_mlp(depth=10, width=16, skip=True)",
    "LeNet": "lenet",
    "recurrent": "recurrent_adding",
    "xor": "xor",
}

RATES = (0.01, 0.03, 0.1, 0.3)
INITIAL_STEPS = 150
INITS = {"He": "he", "a fifth of He": "small"}
PARAMETRISED = 1000


@experiment("A8", "Convexity, and what helps without it", SOURCE)
def convexity(scale: Scale, tick: Tick) -> Found:
    """The Hessian of a convex function has no negative eigenvalue.

    Most deep-learning problems are not convex.  Reparametrisation and good initialisation
    help.
    """
    points, seeds = scale.choose(100, 1000), range(scale.choose(5, 25))
    bowls = {name: lowest_curvatures(name, points) for name in convex()}
    tick(0.2)
    nets = {title: start_curvatures(id, seeds) for title, id in NETS.items()}
    softmax = start_curvatures("mnist_softmax", seeds)
    tick(0.5)
    ways = [reparametrised(raw, scale.choose(40, 400)) for raw in (True, False)]
    bent = [lowest_curvature_of(way) for way in ways]
    best = [at_best_rate(way) for way in ways]
    tick(0.65)
    trained = {title: trained_from(init, seeds) for title, init in INITS.items()}
    every = np.concatenate(list(nets.values()))
    steps = zip(best[0].hits, best[1].hits, strict=True)
    gains = [b / a if math.isfinite(b) else math.inf for a, b in steps]
    return Found(
        claims=(
            exact(
                "convex-none",
                f"At {points} random points of each of {len(bowls)} smooth convex formulas no "
                "eigenvalue is negative beyond rounding.",
                min(float(found.min()) for found in bowls.values()),
                above(-ZERO),
                unit="of the largest",
            ),
            share(
                "networks-have",
                f"Most starts of {len(NETS)} networks have an eigenvalue below minus a "
                "thousandth of the largest.",
                int((every < -NEGATIVE).sum()),
                every.size,
                above(0.5),
            ),
            median(
                "softmax-none",
                "Softmax regression on MNIST is convex and has none at its start.",
                softmax.tolist(),
                above(-NEGATIVE),
                unit="of the largest",
            ),
            exact(
                "raw-bends",
                "log(u^2 v + v / u + 1 / v) has negative curvature at some positive u and v.",
                bent[0],
                below(-ZERO),
            ),
            exact(
                "logs-do-not",
                "As a function of log u and log v it has none at the same points.",
                bent[1],
                above(-ZERO),
            ),
            median(
                "reparametrisation-helps",
                "Descent at the best of 16 rates needs fewer steps in log u and log v than in u "
                "and v from the same starts to a gap of 1e-6.",
                gains,
                below(0.999),
                unit="of the steps",
            ),
            median(
                "initialisation-helps",
                f"After {INITIAL_STEPS} steps at the best of {len(RATES)} rates a perceptron of "
                "10 layers has a lower loss from He's initialisation than from weights a fifth "
                "of it.",
                [a / b for a, b in zip(*(runs_loss(r) for r in trained.values()), strict=True)],
                below(0.999),
                unit="of the loss",
            ),
            median(
                "small-is-stuck",
                "From the small weights it still answers at random: a loss of at least 2.2 "
                "(log 10 = 2.30).",
                runs_loss(trained["a fifth of He"]),
                above(2.2),
                unit="nats",
            ),
        ),
        figures={
            "curvature": _curvature_figure(bowls, {**nets, "softmax": softmax}),
            "help": _help_figure(best, trained),
        },
        tables={"curvature": _curvature_table(bowls, {**nets, "softmax": softmax})},
        remark=(
            "That no eigenvalue is negative at random points proves no convexity; one that is "
            "disproves it.  Networks at their start, on 64 examples.  One case of "
            "reparametrisation, which makes a problem convex, and one of initialisation; the "
            f"latter on {INITIAL_STEPS} minibatches of 64 images."
        ),
    )


def convex() -> list[str]:
    """The smooth formulas of the catalogue that are convex."""
    names = (name for name in problems.tagged("convex"))
    found = ((name, problem(name)) for name in names)
    return [name for name, p in found if isinstance(p, Analytic) and p.traits.smooth]


def lowest_curvatures(name: str, points: int) -> Float[np.ndarray, " points"]:
    """Smallest eigenvalue over the largest size, at random points of the domain."""
    formula = problem(name)
    assert isinstance(formula, Analytic)
    low, high = np.array(formula.intervals).T
    draws = generator("convex", name).random((points, formula.dim))
    x = torch.from_numpy(low + (high - low) * draws)
    return lowest(torch.linalg.eigvalsh(hessians(surface(formula), x)))


def lowest(eigenvalues: Float[Tensor, "n P"]) -> Float[np.ndarray, " n"]:
    """The smallest of each row over the largest in size; 0 where all are 0."""
    largest = eigenvalues.abs().amax(-1).clamp_min(1e-300)
    return (eigenvalues.amin(-1) / largest).numpy()


def start_curvatures(id: str, seeds: range) -> Float[np.ndarray, " seeds"]:
    """Smallest eigenvalue over the largest, at the start of a network for each seed."""
    net, found = problem(id), []
    for seed in seeds:
        ground = surface(net, seed=seed, examples=64)
        ends = extreme(hessian(ground, pack(ground, net.start(seed))), 1, 1, tol=0.05)
        found.append(min(ends.values) / max(map(abs, ends.values)))
    return np.array(found)


def reparametrised(raw: bool, starts: int) -> Begun:
    """log(u^2 v + v / u + 1 / v) in u and v, or in their logarithms.

    In the logarithms it is the logarithm of a sum of exponentials of linear functions, and
    convex.  At the minimum the terms are t, 2 t and 3 t with t^6 = 1 / 108.

    Args:
        raw: whether the coordinates are u and v themselves.
        starts: log-uniform over two decades each, the same for both.
    """

    def f(x: Float[Tensor, "*stack 2"]) -> Float[Tensor, "*stack"]:
        a, b = (torch.log(x) if raw else x).unbind(-1)
        return torch.log(torch.exp(2 * a + b) + torch.exp(b - a) + torch.exp(-b))

    logs = math.log(10) * (2 * generator("starts").random((starts, 2)) - 1)
    places = np.exp(logs) if raw else logs
    formula = Analytic(
        f=f,
        dim=2,
        domain=(0.1, 10.0) if raw else (-math.log(10), math.log(10)),
        facts=Facts(minimum=math.log(6 * 108 ** (-1 / 6))),
        name="posynomial" if raw else "posynomial in logarithms",
    )
    return begun(formula, [(float(p), float(q)) for p, q in places])


def lowest_curvature_of(way: Begun) -> float:
    """The smallest eigenvalue at the starts, over the largest there."""
    x = torch.tensor(way.places, dtype=torch.float64)
    return float(lowest(torch.linalg.eigvalsh(hessians(surface(way), x))).min())


@dataclass(frozen=True, slots=True, eq=False)
class Best:
    """Runs of one problem at the best of some rates.

    Args:
        rate: with which most runs get to a gap of 1e-6, and of these the fastest.
        hits: steps of each run, infinite where it does not.
        marks: steps at which the gap was looked at.
        gaps: at these, `[runs, marks]`.
    """

    rate: float
    hits: list[float]
    marks: tuple[int, ...]
    gaps: Float[np.ndarray, "runs marks"]


def at_best_rate(way: Begun) -> Best:
    """Descend from all starts at 16 rates."""
    settings = trials(method("sgd"), 16)
    pairs = [(setting, probe(setting.method)) for setting in settings]
    (runs,) = run_grid([way], pairs, range(len(way.places)), PARAMETRISED).runs
    hits = np.where(runs.hits[:, :, 5] < 0, np.inf, runs.hits[:, :, 5])
    arrived = np.isfinite(hits).sum(1)
    mean = np.where(np.isfinite(hits), hits, PARAMETRISED).mean(1)
    k = int(np.lexsort((mean, -arrived))[0])
    minimum = way.facts.minimum or 0.0
    rate = dict(settings[k].values)["lr"]
    return Best(rate, hits[k].tolist(), runs.marks, runs.trace_loss[:, k].T - minimum)


def trained_from(init: str, seeds: range) -> Runs:
    """Train a perceptron of ten layers from an initialisation, at several rates."""
    net = problem(f"deep_mlp(depth=10, width=32, init={init}, batch=64)")
    assert isinstance(net, Network)
    shapes = tuple(net.shapes.values())
    settings = [only(f"sgd(lr={rate})") for rate in RATES]
    pairs = [(setting, probe(setting.method, shapes)) for setting in settings]
    grid, _ = run_network_grid(net, pairs, list(seeds), INITIAL_STEPS)
    return grid.runs[0]


def runs_loss(runs: Runs) -> list[float]:
    """The final smoothed loss of each seed, at the rate whose median is lowest."""
    final = np.where(np.isfinite(runs.final), runs.final, np.inf)
    return [float(x) for x in final[np.median(final, axis=1).argmin()]]


def _curvature_table(
    bowls: Mapping[str, Float[np.ndarray, " n"]], nets: Mapping[str, Float[np.ndarray, " m"]]
) -> Table:
    rows = tuple(
        (name, kind, f"{len(found)}", f"{found.min():.2g}", f"{np.median(found):.2g}")
        for kind, group in (("convex", bowls), ("network", nets))
        for name, found in group.items()
    )
    columns = ("problem", "what", "points", "lowest", "median")
    title = "Smallest over largest eigenvalue"
    return Table(title, columns, rows, "", ("left", "left", "right", "right", "right"))


@styled
def _curvature_figure(
    bowls: Mapping[str, Float[np.ndarray, " n"]], nets: Mapping[str, Float[np.ndarray, " m"]]
) -> Figure:
    names = [*bowls, *nets]
    figure = canvas(
        "Smallest over largest eigenvalue of the Hessian",
        ["convex formulas"],
        width=5.6,
        height=0.17 * len(names) + 1.0,
    )
    axes = figure.subplots()
    for label, group, first in (("convex formulas", bowls, 0), ("networks", nets, len(bowls))):
        color = COLORS[0] if group is bowls else COLORS[1]
        marker = "o" if group is bowls else "s"
        for k, found in enumerate(group.values()):
            named = label if not k else "_"  # which a legend leaves out
            y = np.full(len(found), first + k)
            axes.plot(found, y, marker, color=color, ms=3, alpha=0.5, label=named)
    axes.axvline(0, color="#555555", lw=0.9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xscale("symlog", linthresh=1e-4)
    axes.set_xlabel("smallest eigenvalue / largest in size")
    legend_beside(figure, axes)
    return figure


def _help_figure(best: list[Best], trained: Mapping[str, Runs]) -> Figure:
    titles = [
        f"{n}, rate {b.rate:.2g}" for n, b in zip(("in u and v", "in logs"), best, strict=True)
    ]
    descents = {
        title: Curve(np.array(b.marks) + 1.0, np.maximum(b.gaps, 1e-12))
        for title, b in zip(titles, best, strict=True)
    }
    losses: dict[str, Curve] = {}
    for title, runs in trained.items():
        k = int(np.median(np.nan_to_num(runs.final, nan=np.inf), axis=1).argmin())
        steps = np.array(runs.marks, float)
        losses[f"{title}, rate {RATES[k]:g}"] = Curve(steps, runs.trace_loss[:, k].T)
    return curves_figure(
        "What helps: a reparametrisation, and a good initialisation",
        Panel(descents, "steps + 1", "gap to the minimum", log=("x", "y")),
        Panel(losses, "steps", "smoothed training loss (nats)"),
        columns=2,
    )
