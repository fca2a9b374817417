"""The gradient's norm as a test for critical points (Deep Learning, 8.2.2)."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float64

from ravine.experiments.claims import above, below, median
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.deep_learning_book.training import train
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only, stacked
from ravine.problems.catalogue import analytic, problem
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure

SOURCE = BOOK.format("8.2.2")


Seeded = Float64[np.ndarray, "seeds steps"]


@experiment("C6", "The gradient's norm as a test", SOURCE)
def gradient_test(scale: Scale, tick: Tick) -> Found:
    """Plot the gradient norm over time.

    If it does not shrink to almost nothing, the trouble is neither a local minimum nor any
    other critical point.
    """
    seeds = range(scale.choose(9, 25))
    unit = analytic("bad_local_minimum")
    # every run of these starts is drawn to the minimum that is a wrong answer
    trapped = replace(unit, start_at=(2.0, 2.0), spread=0.5)
    stuck = stacked(trapped, {"sgd": only("sgd(lr=1.0)")}, seeds, 2000)["sgd"]
    endless = stacked(analytic("separable_logistic"), {"sgd": only("sgd(lr=5.0)")}, seeds, 2000)[
        "sgd"
    ]
    tick(0.2)
    net = problem("mnist_mlp(widths=64, activation=tanh, batch=32)")
    assert isinstance(net, Network)
    trained = train(
        net,
        range(scale.choose(5, 15)),
        0.1,
        scale.choose(300, 2 * net.traits.budget),
        16,
        small=0.01,
        examples=2000,
        tick=lambda part: tick(0.2 + 0.6 * part),
    )
    batch, full, gap = _regression(seeds, 0.02, scale.choose(600, 3000))
    tick(1.0)

    parts = {
        "trapped in a bad minimum": (
            np.array(stuck.marks),
            _relative(stuck.trace_gradient[:, 0].T),
        ),
        "a loss without critical points": (
            np.array(endless.marks),
            _relative(endless.trace_gradient[:, 0].T),
        ),
        "MNIST network, full gradient": (trained.at, _relative(trained.full)),
        "regression, minibatch gradient": (np.arange(batch.shape[1]), _relative(batch)),
        "regression, full gradient": (np.arange(full.shape[1]), _relative(full)),
    }
    ends = {name: np.median(y[:, -max(1, y.shape[1] // 20) :], 1) for name, (_, y) in parts.items()}
    figure = curves_figure(
        "The gradient's norm over time, beside its largest value",
        Panel(
            {name: Curve(at + 1.0, np.maximum(y, 1e-8)) for name, (at, y) in parts.items()},
            "steps + 1",
            "|g| / largest |g| of the run",
            log=("x", "y"),
            levels={"one hundredth": 0.01},
        ),
        height=4.2,
    )
    return Found(
        claims=(
            median(
                "stuck",
                "Where runs are trapped in a bad minimum, the gradient shrinks below a hundredth "
                "of its largest norm.",
                ends["trapped in a bad minimum"].tolist(),
                below(0.01),
            ),
            median(
                "network",
                "On a network that learns MNIST the full gradient stays above a hundredth: no "
                "critical point holds it.",
                ends["MNIST network, full gradient"].tolist(),
                above(0.01),
            ),
            median(
                "minibatch-says-no",
                "In a regression by minibatches, the minibatch's gradient stays above a hundredth "
                "as well,",
                ends["regression, minibatch gradient"].tolist(),
                above(0.01),
            ),
            median(
                "but-it-has-arrived",
                "although all but a hundredth of the loss above the minimum is gone: on them "
                "the test says nothing.",
                gap.tolist(),
                below(0.01),
            ),
            median(
                "not-conversely",
                "A gradient that does shrink proves no critical point: on logistic regression of "
                "separable data, where there is none, it falls below a hundredth.",
                ends["a loss without critical points"].tolist(),
                below(0.01),
            ),
        ),
        figures={"norms": figure},
        remark="`Almost nothing` is taken as a hundredth of a run's largest gradient norm.",
    )


def _relative(norms: Float64[np.ndarray, "seeds n"]) -> Float64[np.ndarray, "seeds n"]:
    return np.asarray(norms / norms.max(1, keepdims=True))


def _regression(
    seeds: range, rate: float, steps: int
) -> tuple[Seeded, Seeded, Float64[np.ndarray, " seeds"]]:
    """Gradient norms of minibatches and of all rows along SGD, and the share of loss left."""
    fit = problem("tabular_regression")
    names = list(fit.shapes)
    x = {n: torch.stack([fit.start(seed)[n] for seed in seeds]) for n in names}
    lowest = fit.facts.minimum or 0.0
    gaps, norms = [], []
    for step in range(steps):
        data = fit.batch(seeds, step)
        leaves = {n: p.requires_grad_() for n, p in x.items()}
        value = fit.value(leaves, data)
        whole = torch.autograd.grad(value.sum(), list(leaves.values()))
        own = torch.autograd.grad(fit.loss(leaves, data).sum(), list(leaves.values()))
        norms.append(torch.stack([torch.cat(g, -1).norm(dim=-1) for g in (own, whole)]))
        gaps.append(value.detach() - lowest)
        x = {n: (x[n] - rate * g).detach() for n, g in zip(names, own, strict=True)}
    gap = gaps[-1] / gaps[0]
    batch, full = torch.stack(norms, -1)
    return batch.numpy(), full.numpy(), gap.numpy()
