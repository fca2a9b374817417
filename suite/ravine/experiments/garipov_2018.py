"""Garipov, Izmailov, Podoprikhin, Vetrov and Wilson (2018): curves of low loss."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from ravine.engine.walks import walks
from ravine.experiments.claims import above, below, median
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import network, only, stretch
from ravine.landscape.barriers import over_chord
from ravine.landscape.planes.directions import through
from ravine.landscape.planes.plane import coordinates, plane
from ravine.landscape.sources import surface
from ravine.landscape.surface import Surface, accuracy, loss, unpack
from ravine.optimizers.assembly import assemble
from ravine.problems.draws import generator
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.drawing import style
from ravine.reporting.landscape.planes.figures import Mark, plane_figure

SOURCE = "Garipov, Izmailov, Podoprikhin, Vetrov and Wilson (2018), arXiv 1802.10026"

ADAM = "adam(lr=0.003)"

TIMES = torch.linspace(0, 1, 25, dtype=torch.float64)
"""Where on curve and line the loss is taken."""


@experiment("mode-connectivity", "A curve of low loss between two solutions", SOURCE)
def curves(scale: Scale, tick: Tick) -> Found:
    """Between two independent solutions the loss rises on the straight way, but not on a curve.

    A curve with a single bend, which is trained, joins them at nearly constant loss and error.
    """
    subject = network(f"mnist_mlp(widths={scale.choose('(48,48)', '(256,256)')},batch=64)")
    count, length = scale.choose(5, 10), scale.choose(400, 4000)
    ends = walks(
        subject, [only(ADAM)], range(2 * count), length, tick=stretch(tick, 0.0, 0.3)
    ).ends[0]
    a, b = ends[::2], ends[1::2]
    bends = bent(subject, a, b, scale.choose(500, 4000), lambda share: tick(0.3 + 0.3 * share))
    ground = {
        split: surface(subject, split=split, examples=scale.choose(1000, 10000))
        for split in ("train", "test")
    }
    times = TIMES.to(a.dtype)[:, None, None]
    ways = {
        "straight line": torch.lerp(a, b, times),
        "Bezier curve": bezier(a, b, bends, times),
        "chain of two lines": chain(a, b, bends, times),
    }
    losses = {n: loss(ground["train"], way).T for n, way in ways.items()}
    errors = {n: 100 * (1 - accuracy(ground["test"], way)).T for n, way in ways.items()}
    tick(0.8)
    height = {
        n: over_chord(TIMES.expand_as(values), values).amax(1).tolist()
        for n, values in losses.items()
    }
    worse = errors["Bezier curve"][:, [0, -1]].amax(1)
    # shares of so many examples: what is beyond nine digits is rounding
    over = {n: (values.amax(1) - worse).round(decimals=9).tolist() for n, values in errors.items()}
    steps = ways["Bezier curve"].diff(dim=0).norm(dim=-1).sum(0)
    length_ratio = (steps / (b - a).norm(dim=-1)).tolist()
    figure = _plane_figure(ground["train"], a[0], b[0], bends[0], scale.choose(25, 61))
    return Found(
        claims=(
            median(
                "line-is-blocked",
                "On the straight line the training loss rises by at least 0.5 nats.",
                height["straight line"],
                above(0.5),
                unit="nats",
                calibrated="20-64-64-10 ReLU networks on Gaussian mixtures, barriers 1.25 to 1.42",
            ),
            median(
                "curve-is-low",
                "On the curve it rises by at most a tenth of that.",
                [
                    c / s
                    for c, s in zip(height["Bezier curve"], height["straight line"], strict=True)
                ],
                below(0.1),
            ),
            median(
                "error-constant",
                "Along the curve test error is at most 1 point above that of the worse end.",
                over["Bezier curve"],
                below(1),
                unit="points",
            ),
            median(
                "line-error",
                "On the line it is more than 1 point above it.",
                over["straight line"],
                above(1),
                unit="points",
            ),
            median(
                "not-far",
                "The curve is less than twice as long as the line.",
                length_ratio,
                below(2),
            ),
            median(
                "chain-too",
                "The two straight pieces through the same bend do not do: the bend of a curve is "
                "no point of it, and there the loss rises by more than on the curve.",
                (np.array(height["chain of two lines"]) - height["Bezier curve"]).tolist(),
                above(0),
                unit="nats",
            ),
        ),
        figures={
            "plane": figure,
            "ways": curves_figure(
                "Loss and error from one solution to another",
                Panel(
                    {n: Curve(TIMES.numpy(), v.numpy()) for n, v in losses.items()},
                    "t",
                    "training loss (nats)",
                    log=("y",),
                ),
                Panel(
                    {n: Curve(TIMES.numpy(), v.numpy()) for n, v in errors.items()},
                    "t",
                    "test error (%)",
                ),
                columns=2,
            ),
        },
        remark=(
            f"Perceptrons {subject.name} with Adam stand in for ResNets on CIFAR.  The curve is "
            "quadratic; only its bend is trained, on the loss at a random place of the curve in "
            "each step.  A curve of low loss says nothing of straight lines, and the plane shows "
            "one of very many."
        ),
    )


def bezier(
    a: Float[Tensor, "*k P"],
    b: Float[Tensor, "*k P"],
    bend: Float[Tensor, "*k P"],
    times: Float[Tensor, "..."],
) -> Float[Tensor, "*t P"]:
    """(1 - t)^2 a + 2 t (1 - t) bend + t^2 b.

    Example:
        >>> one = torch.ones(1)
        >>> bezier(0 * one, 0 * one, one, torch.tensor(0.5))
        tensor([0.5000])
    """
    return (1 - times) ** 2 * a + 2 * times * (1 - times) * bend + times**2 * b


def chain(
    a: Float[Tensor, "*k P"],
    b: Float[Tensor, "*k P"],
    bend: Float[Tensor, "*k P"],
    times: Float[Tensor, "..."],
) -> Float[Tensor, "*t P"]:
    """From a to the bend in the first half of the time, from there to b in the second."""
    first = a + (2 * times).clamp(0, 1) * (bend - a)
    return first + (2 * times - 1).clamp(0, 1) * (b - bend)


def bent(
    subject: Network,
    a: Float[Tensor, "k P"],
    b: Float[Tensor, "k P"],
    steps: int,
    tick: Tick = lambda share: None,
) -> Float[Tensor, "k P"]:
    """Bends that make the mean loss on the curves from a to b low, from their middles on.

    Args:
        subject: the network.
        a: ends.
        b: other ends, one for each.
        steps: of Adam.
        tick: told the share that is done.
    """
    ground = surface(subject, examples=1)
    bends = ((a + b) / 2).requires_grad_()
    optimizer = assemble(only(ADAM), [bends], steps)
    seeds = range(len(a))
    draw = generator("curve", len(a))
    for step in range(steps):
        times = torch.from_numpy(draw.random((len(a), 1))).to(a)
        point = unpack(ground, bezier(a, b, bends, times))
        value = subject.loss(point, subject.batch(seeds, step))
        (bends.grad,) = torch.autograd.grad(value.sum(), bends)
        optimizer.step()
        tick((step + 1) / steps)
    return bends.detach()


def _plane_figure(ground: Surface, a: Tensor, b: Tensor, bend: Tensor, points: int) -> Figure:
    """The loss on the plane of both ends and the bend, with curve and line on it."""
    found = through(a, b, bend)
    (_, _), (length, _), (part, height) = found.places
    beside = 0.3 * length
    x = coordinates(min(0.0, part) - beside, max(length, part) + beside, points)
    y = coordinates(-beside, height + beside, points)
    u, v = found.directions.u, found.directions.v
    grid = plane(ground, a, u, v, x, y, kind="through three points", labels=found.directions.labels)
    marks = [Mark(0.0, 0.0, "one end"), Mark(length, 0.0, "other end"), Mark(part, height, "bend")]
    figure = plane_figure(grid, "Two solutions, and a curve of low loss between them", marks)
    axes: Any = figure.axes[0]
    times = np.linspace(0, 1, 50)
    with style():
        across = 2 * times * (1 - times) * part + times**2 * length
        axes.plot(across, 2 * times * (1 - times) * height, color="white", lw=2.0)
        axes.plot([0, length], [0, 0], color="white", lw=1.2, ls="--")
    return figure
