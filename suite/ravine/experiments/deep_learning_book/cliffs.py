"""Cliffs, exploding gradients and long-term dependencies (Deep Learning, 8.2.4 and 8.2.5)."""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64

from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, exact, median, share
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic, problem
from ravine.problems.draws import generator
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.paths import paths_figure

PLAIN, CLIPPED = "sgd(lr=1.0)", "clip(sgd(lr=1.0), norm=0.1)"


@experiment("C8", "Cliffs and exploding gradients", BOOK.format("8.2.4"))
def cliffs(scale: Scale, tick: Tick) -> Found:
    """Where many factors are multiplied, the surface has cliffs.

    There a step of plain descent is thrown far away, and most of the work done before is lost;
    clipping the gradient saves it.
    """
    seeds, steps = range(scale.choose(9, 50)), 200
    unit, tied = analytic("recurrent_unit"), analytic("tied_product")
    ways = {
        (name, seed): walk(unit, only(name), seed, steps, keep=range(steps + 1)).points.numpy()
        for name in (PLAIN, CLIPPED)
        for seed in seeds
    }
    longest = {name: [_longest(ways[name, seed]) for seed in seeds] for name in (PLAIN, CLIPPED)}
    typical = [_median_step(ways[PLAIN, seed]) for seed in seeds]
    tick(0.5)
    thrown, saved, ends = [], [], []
    for seed in seeds:
        free = walk(tied, only("sgd(lr=0.01)"), seed, 1, keep=2).points
        held = walk(tied, only("clip(sgd(lr=0.01), norm=1.0)"), seed, 600, keep=range(601)).points
        thrown.append(float((free[-1] - free[0]).abs()))
        saved.append(float((held[1:] - held[:-1]).abs().max()))
        ends.append(float(tied.f(held[-1])))
    tick(0.8)
    depths = (3, 6, 12, 25, 50)
    steep = [_steepest(analytic(f"recurrent_unit(steps={depth})")) for depth in depths]
    products = {n: (2.0**n, 0.5**n) for n in (5, 10, 20)}
    slopes = [
        float(
            gradient(surface(analytic(f"factor_product(dim={n})")), torch.full((n,), 2.0).double())[
                0
            ]
        )
        for n in products
    ]
    expected = [(2.0**n - 1) * 2.0 ** (n - 1) for n in products]
    shown = {
        "plain descent": ways[PLAIN, 0],
        "gradient clipped": ways[CLIPPED, 0],
    }
    lengths = {
        label: Curve(np.arange(1.0, steps + 1), np.stack([_steps(ways[name, s]) for s in seeds]))
        for label, name in (("plain descent", PLAIN), ("gradient clipped", CLIPPED))
    }
    return Found(
        claims=(
            median(
                "thrown",
                "On one weight used ten times over, from 1.5, one step of plain descent at a rate "
                "of 0.01 is thrown over 100 away.",
                thrown,
                above(100),
            ),
            median(
                "clipped-step",
                "Clipped to norm 1, no step is longer than the rate,",
                saved,
                below(0.01 * (1 + 1e-9)),
            ),
            median(
                "clipped-arrives",
                "and the run arrives at the minimum.",
                ends,
                below(1e-3),
                unit="loss",
            ),
            exact(
                "product",
                "In a product of n factors of 2 the gradient by one of them is (2^n - 1) 2^(n-1): "
                "exponential in n.",
                max(abs(a / b - 1) for a, b in zip(slopes, expected, strict=True)),
                below(1e-12),
                unit="relative error",
            ),
            exact(
                "steeper-with-time",
                "The cliff of a recurrent unit grows steeper with every doubling of the steps it "
                "is unrolled for.",
                min(b / a for a, b in pairwise(steep)),
                above(1.0),
                unit="times, at least",
            ),
            median(
                "recurrent-thrown",
                "On a recurrent unit of 12 steps, plain descent at a rate of 1 takes a step over "
                "ten times as long as its median one.",
                [a / b for a, b in zip(longest[PLAIN], typical, strict=True)],
                above(10),
                unit="times",
            ),
            median(
                "recurrent-clipped",
                "Clipping makes the longest step at least ten times shorter.",
                [a / b for a, b in zip(longest[PLAIN], longest[CLIPPED], strict=True)],
                above(10),
                unit="times",
            ),
        ),
        figures={
            "paths": paths_figure(
                unit, shown, "A recurrent unit's cliff: plain descent and clipped descent"
            ),
            "steps": curves_figure(
                "Length of steps on the recurrent unit",
                Panel(lengths, "steps", "length of the step", log=("x", "y")),
            ),
            "steepest": curves_figure(
                "The cliff of a recurrent unit, by the steps it is unrolled for",
                Panel(
                    {"largest slope": Curve(np.array(depths, float), np.array(steep))},
                    "steps it is unrolled for",
                    "largest |df/db| at w = 7",
                    log=("x", "y"),
                ),
            ),
        },
    )


def _steps(way: Float64[np.ndarray, "steps n"]) -> Float64[np.ndarray, " rest"]:
    lengths: Float64[np.ndarray, " rest"] = np.linalg.norm(np.diff(way, axis=0), axis=1)
    return lengths.clip(1e-12)


def _longest(way: Float64[np.ndarray, "steps n"]) -> float:
    return float(_steps(way).max())


def _median_step(way: Float64[np.ndarray, "steps n"]) -> float:
    return float(np.median(_steps(way)))


def _steepest(unit: Analytic) -> float:
    """The largest slope by b of a recurrent unit of w = 7, found by zooming in on its cliff.

    A grid would miss it: the cliff is the narrower, the steeper it is.
    """
    low, high = -8.0, 0.0
    for _ in range(8):
        x = _line(low, high)
        drop = int((unit.f(x)[1:] - unit.f(x)[:-1]).abs().argmax())
        width = (high - low) / (len(x) - 1)
        low, high = float(x[drop, 1]) - 10 * width, float(x[drop, 1]) + 11 * width
    return float(gradient(surface(unit), _line(low, high))[:, 1].abs().max())


def _line(low: float, high: float) -> Float64[torch.Tensor, "n two"]:
    b = torch.linspace(low, high, 401, dtype=torch.float64)
    return torch.stack([torch.full_like(b, 7.0), b], -1)


@experiment("C9", "Long-term dependencies", BOOK.format("8.2.5"))
def long_term(scale: Scale, tick: Tick) -> Found:
    """Multiplication by one W again and again takes its eigenvalues to their t-th powers.

    Those above 1 explode, those below 1 vanish.  So a recurrent network trained by descent fails
    to remember as the number of steps T grows; with 10 or 20 steps success is rare.
    """
    times, moduli = np.arange(1, 61), (0.8, 0.9, 1.0, 1.1, 1.2)
    powers = {f"eigenvalue {m}": _growth(m, times) for m in moduli}
    worst = max(float(np.abs(powers[f"eigenvalue {m}"] / m**times - 1).max()) for m in moduli)
    spans, seeds = scale.choose((2, 5, 10, 20), (2, 5, 10, 20, 40)), range(scale.choose(8, 25))
    methods = {
        "radius 0.7, sgd": ("sgd(lr=0.1, momentum=0.9)", 0.7),
        "radius 1, sgd": ("sgd(lr=0.1, momentum=0.9)", 1.0),
        "radius 1, adam": ("adam(lr=0.003)", 1.0),
    }
    success: dict[str, list[int]] = {}
    accuracies: dict[str, list[Float64[np.ndarray, " seeds"]]] = {}
    done, steps = 0, scale.choose(300, 1000)
    for label, (name, radius) in methods.items():
        for span in spans:
            net = problem(f"recurrent_memory(steps={span}, symbols=1, width=16, radius={radius})")
            setting = only(name)
            shapes = tuple(net.shapes.values())
            _, scores = run_network_grid(
                net, [(setting, probe(setting.method, shapes))], list(seeds), steps
            )
            found = scores["accuracy"][0].double().numpy()
            accuracies.setdefault(label, []).append(found)
            success.setdefault(label, []).append(int((found > 0.9).sum()))
            done += 1
            tick(done / (len(spans) * len(methods)))
    decay = [_backward(radius, s) for radius in (0.7, 1.0) for s in seeds]
    vanishing, kept = decay[: len(seeds)], decay[len(seeds) :]
    n = len(seeds)
    return Found(
        claims=(
            exact(
                "powers",
                "The part of a vector along an eigenvector of W is multiplied by the eigenvalue's "
                "t-th power, for t to 60.",
                worst,
                below(1e-10),
                unit="relative error",
            ),
            median(
                "gradient-vanishes",
                "In a recurrent tanh network whose matrix has eigenvalues of modulus 0.7, the "
                "gradient by the first of 20 inputs' states is below 0.7^19 of that by the last.",
                [v / 0.7**19 for v in vanishing],
                below(1.0),
                unit="of 0.7^19",
            ),
            median(
                "orthogonal-keeps",
                "With modulus 1 over a hundred times as much arrives.",
                [a / b for a, b in zip(kept, vanishing, strict=True)],
                above(100),
                unit="times",
            ),
            share(
                "short",
                "Over 2 steps, descent with modulus 0.7 learns to remember a symbol more often "
                "than not.",
                success["radius 0.7, sgd"][0],
                n,
                above(0.5),
            ),
            share(
                "long",
                "Over 20 steps it mostly does not.",
                success["radius 0.7, sgd"][spans.index(20)],
                n,
                below(0.5),
            ),
            share(
                "long-orthogonal",
                "That need not be so: beginning with an orthogonal matrix, Adam learns it over 20 "
                "steps more often than not.",
                success["radius 1, adam"][spans.index(20)],
                n,
                above(0.5),
            ),
        ),
        figures={
            "memory": curves_figure(
                f"Remembering one of 8 symbols over T steps, after {steps} steps of training",
                Panel(
                    {
                        label: Curve(np.array(spans, float), np.stack(rows, -1))
                        for label, rows in accuracies.items()
                    },
                    "T (steps)",
                    "test accuracy",
                    levels={"guessing": 1 / 8},
                ),
            ),
            "powers": curves_figure(
                "Multiplying by one matrix again and again",
                Panel(
                    {label: Curve(times.astype(float), y) for label, y in powers.items()},
                    "t (steps)",
                    "length along the eigenvector",
                    log=("y",),
                ),
            ),
        },
        remark=(
            "Success is a test accuracy above 0.9; networks of 16 tanh units with an orthogonal "
            "matrix times its radius at the start stand in for those of Bengio et al. (1994)."
        ),
    )


def _growth(modulus: float, times: np.ndarray) -> Float64[np.ndarray, " times"]:
    """The part along one eigenvector of W^t x, W a random matrix with real eigenvalues."""
    draw = generator("powers", modulus)
    basis = np.linalg.qr(draw.standard_normal((8, 8)))[0] @ np.diag(draw.uniform(0.5, 2, 8))
    values = np.array([modulus, *draw.uniform(0.5, 1.0, 7)])
    inverse = np.linalg.inv(basis)
    w, x = basis @ np.diag(values) @ inverse, basis @ np.ones(8)
    lengths = []
    for _ in times:
        x = w @ x
        lengths.append(float((inverse @ x)[0]))
    return np.array(lengths)


def _backward(radius: float, seed: int) -> float:
    """Gradient by the drive of the first of 20 steps over that by the drive of the last.

    The network is the catalogue's at its start, with inputs of the copy task.
    """
    net = problem(f"recurrent_memory(steps=18, symbols=1, width=16, radius={radius})")
    assert isinstance(net, Network)
    point = {n: p.double() for n, p in net.start(seed).items()}
    inputs = net.batch([seed], 0)["inputs"][0].double()
    drives = (inputs @ point["input.weight"].T + point["input.bias"]).requires_grad_()
    state = torch.zeros(len(inputs), 16, dtype=torch.float64)
    for drive in drives.unbind(1):
        state = torch.tanh(drive + state @ point["state.weight"].T)
    probe_at = torch.from_numpy(generator("backward", seed).standard_normal(state.shape))
    (slope,) = torch.autograd.grad((state * probe_at).sum(), drives)
    sizes = slope.norm(dim=(0, 2))
    return float(sizes[0] / sizes[-1])
