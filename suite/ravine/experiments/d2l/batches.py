"""What a step costs, and what batches do (Dive into Deep Learning, 12.4 and 12.5)."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.d2l.training import BATCH, gap, losses, over_epochs, ratios, train
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers.textbook import gradient_descent
from ravine.problems.draws import generator
from ravine.problems.regression import ROWS, table, tabular_regression
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.4, 12.5, d2l.ai"

LAPS, TRIES = 7, 20
"""How often a time is measured, and out of how many tries each."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one step takes.

    Args:
        operations: floating-point operations of matrix products, forwards and backwards.
        calls: of torch's kernels.
    """

    operations: int
    calls: int


@experiment("B2", "What a step costs", SOURCE)
def batches(scale: Scale, tick: Tick) -> Found:
    """A full gradient costs O(n), that of one example O(1), that of a minibatch O(|B|).

    With small batches an epoch takes longer and the loss falls faster per epoch; the rate does
    not change how long an epoch takes.  The variance of the gradient falls as 1 / |B|.
    """
    seeds = range(scale.choose(9, 45))
    sizes = (1, 10, 50, 250, ROWS)
    costs = {b: cost(b, 0.05) for b in sizes}
    epochs = {b: c.operations * (ROWS // b) for b, c in costs.items()}
    same = [cost(b, 0.0005) == c for b, c in costs.items()]
    gaps = {}
    for k, b in enumerate(sizes):
        gaps[b] = gap(train({"": partial(gradient_descent, lr=0.05)}, seeds, 3 * ROWS // b, b)[""])
        tick((k + 1) / 8)
    after = {b: gaps[b][:, ROWS // b] for b in sizes}
    tried = (1, 2, 5, 10, 20, 50, 100)
    spread = {seed: _variances(seed, (*tried, ROWS // 2), 500) for seed in seeds}
    tick(0.8)
    sampled = np.array([v[1 : len(tried) + 1] for v in spread.values()])
    slopes = np.polyfit(np.log(tried), np.log(sampled.T), 1)[0]
    longer = _compared(BATCH, ROWS)
    pairs = pairwise(sizes[1:])
    worst = np.max([after[small] / after[large] for small, large in pairs], axis=0)
    drawn = np.array(tried, float)
    share = {b: np.median(after[b] / gaps[b][:, 0]) for b in sizes}
    law = np.array([v[0] for v in spread.values()])[:, None]
    return Found(
        claims=(
            exact(
                "full-costs-n",
                "A full step takes 1,500 times the arithmetic of a step by one row.",
                costs[ROWS].operations / costs[1].operations,
                equals(ROWS),
                unit="times",
            ),
            exact(
                "a-batch-costs-its-size",
                "From 1 to 1,500 rows the arithmetic of a step grows as |B|, an exponent of 1.",
                _exponent([c.operations for c in costs.values()], sizes),
                equals(1, 1e-9),
            ),
            exact(
                "an-epoch-is-an-epoch",
                "An epoch takes as much arithmetic in batches of any size: the most over the "
                "least is 1.",
                max(epochs.values()) / min(epochs.values()),
                equals(1),
            ),
            median(
                "small-batches-take-longer",
                "Nevertheless an epoch in batches of ten takes longer than one in a single batch, "
                "in processor time.",
                longer,
                above(1),
                unit="times",
            ),
            exact(
                "calls-take-the-time",
                "What it takes more is calls: 150 times as many, one set for each step.",
                ROWS // BATCH * costs[BATCH].calls / costs[ROWS].calls,
                equals(ROWS / BATCH),
                unit="times",
            ),
            exact(
                "rate-costs-nothing",
                "A rate a hundred times as large takes the same arithmetic and the same calls, "
                f"with batches of each of {len(sizes)} sizes.",
                sum(same),
                equals(len(sizes)),
                unit="sizes",
            ),
            median(
                "variance",
                "The variance of the gradient falls as 1 / |B|, an exponent of -1, from 1 to 100 "
                "rows.",
                slopes.tolist(),
                between(-1.1, -0.9),
            ),
            median(
                "variance-at-half",
                "Drawn without replacement, it falls faster towards the end: half of all rows "
                "have half of the variance that 1 / |B| says.",
                [float(v[-1] * (ROWS // 2) / v[0]) for v in spread.values()],
                between(0.45, 0.55),
            ),
            median(
                "small-batches-fall-faster",
                "After one epoch at a rate of 0.05 the loss is lower the smaller the batches are, "
                "from 1,500 down to ten rows: the largest ratio of neighbours is below 1.",
                worst.tolist(),
                below(1),
            ),
            median(
                "single-rows-fall-faster",
                "So it goes on down to single rows: after one epoch in batches of one the loss is "
                "lower than in batches of ten.",
                ratios(after[1].tolist(), after[BATCH].tolist()),
                below(1),
            ),
            median(
                "single-rows-end-higher",
                "Smaller is not always better: after three epochs single rows have ended higher "
                "than tens at that rate.",
                ratios(_last_third(gaps[1]), _last_third(gaps[BATCH])),
                above(1),
            ),
        ),
        figures={
            "loss": curves_figure(
                "Linear regression at a rate of 0.05, by size of batch",
                losses(
                    {
                        f"|B| = {b:,}": over_epochs(g, ROWS // b, max(1, 50 // b))
                        for b, g in gaps.items()
                    }
                ),
            ),
            "variance": curves_figure(
                "The variance of a minibatch's gradient falls as 1 / |B|",
                Panel(
                    {
                        "drawn": Curve(
                            drawn,
                            sampled,
                            points=True,
                        ),
                        "1 / |B|": Curve(drawn, law / drawn),
                    },
                    "|B| (rows)",
                    "variance of the gradient",
                    log=("x", "y"),
                ),
            ),
        },
        tables={
            "cost": Table(
                "What batches of each size cost",
                ("rows in a batch", "operations of a step", "steps in an epoch", "left after one"),
                tuple(
                    (
                        f"{b:,}",
                        f"{costs[b].operations:,}",
                        f"{ROWS // b:,}",
                        f"{share[b]:.3g}",
                    )
                    for b in sizes
                ),
                f"Left: share of the loss above the minimum, median over {len(seeds)} seeds.",
                ("right", "right", "right", "right"),
            )
        },
        remark=(
            "Arithmetic is counted in the products of torch's own linear layer, forwards and "
            "backwards, and calls in a step of its SGD; times are those of NumPy on one core.  A "
            "full step takes far less than 1,500 times as long as one row, for calling costs more "
            "than computing."
        ),
    )


def _last_third(values: np.ndarray) -> list[float]:
    """The mean over the last of three epochs."""
    return [float(v) for v in values[:, -(values.shape[1] // 3) :].mean(1)]


def _variances(seed: int, sizes: tuple[int, ...], draws: int) -> np.ndarray:
    """The gradient's variance at a start: that of single rows, then of batches that are drawn.

    A permutation's first |B| rows are a batch, for every |B|.
    """
    problem = tabular_regression(1)
    start = problem.start(seed)
    design = np.column_stack([table().inputs.numpy(), np.ones(ROWS)])
    weights = np.append(start["weight"].numpy(), start["bias"].numpy())
    gradients = design * (design @ weights - table().targets.numpy())[:, None]
    gradients -= gradients.mean(0)
    order = generator("batches", seed).permuted(np.tile(np.arange(ROWS), (draws, 1)), axis=1)
    sums = gradients[order[:, : max(sizes)]].cumsum(1)
    found = [np.square(sums[:, b - 1] / b).sum(-1).mean() for b in sizes]
    return np.array([np.square(gradients).sum(-1).mean(), *found])


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts calls of kernels."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def cost(batch: int, lr: float) -> Cost:
    """Count what a step of torch's SGD on linear regression takes.

    Args:
        batch: rows.
        lr: learning rate.
    """
    data = tabular_regression(batch).batch([0], 0)
    inputs, targets = data["inputs"][0], data["targets"][0]
    model = torch.nn.Linear(inputs.shape[1], 1, dtype=inputs.dtype)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    with FlopCounterMode(display=False) as flops, _Calls() as calls:
        errors = model(inputs)[:, 0] - targets
        (errors.square().mean() / 2).backward()
        optimizer.step()
    return Cost(flops.get_total_flops(), calls.count)


def _exponent(values: Sequence[int], of: Sequence[int]) -> float:
    """The slope in logarithms."""
    return float(np.polyfit(np.log(of), np.log(values), 1)[0])


def _compared(one: int, other: int) -> list[float]:
    """The time of an epoch in batches of one size over that of another, the least of its tries."""
    pairs = np.array([(_seconds(one), _seconds(other)) for _ in range(LAPS * TRIES)])
    # laps take turns, so that no disturbance fills one of them
    taken, base = pairs.reshape(TRIES, LAPS, 2).min(0).T
    return ratios(taken.tolist(), base.tolist())


def _seconds(batch: int) -> float:
    """Processor time of an epoch of descent."""
    design = np.column_stack([table().inputs.numpy(), np.ones(ROWS)])
    targets = table().targets.numpy()
    x = np.zeros(design.shape[1])
    started = time.thread_time()
    for first in range(0, ROWS, batch):
        rows = slice(first, first + batch)
        x, _ = gradient_descent(x, None, _gradient(x, design[rows], targets[rows]), 0.05)
    return time.thread_time() - started


def _gradient(x: np.ndarray, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray(rows.T @ (rows @ x - targets) / len(rows))
