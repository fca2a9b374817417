"""What a step costs, and what batches do (Dive into Deep Learning, 12.4 and 12.5)."""

import time
from functools import partial
from itertools import pairwise

import numpy as np

from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.d2l.training import BATCH, gap, over_epochs, ratios, train
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers.textbook import gradient_descent
from ravine.problems.draws import generator
from ravine.problems.regression import ROWS, table, tabular_regression
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.4, 12.5, d2l.ai"

LAPS, TRIES = 7, 40
"""How often a time is measured, and out of how many tries each."""


@experiment("B2", "What a step costs", SOURCE)
def batches(scale: Scale, tick: Tick) -> Found:
    """A full gradient costs O(n), that of one example O(1), that of a minibatch O(|B|).

    With small batches an epoch takes longer and the loss falls faster per epoch; the rate does
    not change how long an epoch takes.  The variance of the gradient falls as 1 / |B|.
    """
    seeds = range(scale.choose(9, 45))
    sizes = (1, 10, 50, 250, ROWS)
    work = {b: tabular_regression(b).batch([0], 0)["targets"].numel() for b in sizes}
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
    epochs = _compared((BATCH, 0.05), (ROWS, 0.05))
    rates = _compared((BATCH, 0.05), (BATCH, 0.0005))
    growth = _growth()
    pairs = pairwise(sizes[1:])
    worst = np.max([after[small] / after[large] for small, large in pairs], axis=0)
    drawn = np.array(tried, float)
    share = {b: np.median(after[b] / gaps[b][:, 0]) for b in sizes}
    law = np.array([v[0] for v in spread.values()])[:, None]
    return Found(
        claims=(
            exact(
                "full-costs-n",
                "A full step evaluates 1,500 gradients of examples for each one that a "
                "stochastic step evaluates, and a minibatch of ten evaluates ten.",
                work[ROWS] / work[1] * work[BATCH] / BATCH,
                equals(ROWS),
            ),
            median(
                "time-is-linear",
                "Time is linear in the number of rows once there are many: from 8,192 to 65,536 "
                "rows the slope in logarithms is 1, give or take 0.3.",
                growth,
                between(0.7, 1.3),
            ),
            median(
                "small-batches-take-longer",
                "An epoch in batches of ten takes longer than one in a single batch.",
                epochs,
                above(1),
            ),
            median(
                "rate-costs-nothing",
                "A rate a hundred times as large changes the time of an epoch by less than a "
                "fifth.",
                rates,
                between(0.8, 1.25),
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
                "So it goes on down to single rows: after one epoch they are lower than tens.",
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
                Panel(
                    {
                        f"|B| = {b:,}": over_epochs(g, ROWS // b, max(1, 50 // b))
                        for b, g in gaps.items()
                    },
                    "epochs",
                    "loss - minimum",
                    log=("y",),
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
                ("rows in a batch", "gradients in a step", "steps in an epoch", "left after one"),
                tuple(
                    (
                        f"{b:,}",
                        f"{work[b]:,}",
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
            "Times are those of NumPy on one core, as ratios: at 1,500 rows of five features a "
            "full step takes far less than 1,500 times that of one row, for calling costs more "
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


def _compared(one: tuple[int, float], other: tuple[int, float]) -> list[float]:
    """The time of an epoch over that of another, for each lap the least of its tries.

    Args:
        one: size of batches and rate.
        other: those of the epoch that is divided by.
    """
    pairs = np.array([(_seconds(*one), _seconds(*other)) for _ in range(LAPS * TRIES)])
    taken, base = _least(pairs).T
    return ratios(taken.tolist(), base.tolist())


def _least(times: np.ndarray) -> np.ndarray:
    """The least times of each lap; laps take turns, so that no disturbance fills one of them."""
    return np.asarray(times.reshape(TRIES, LAPS, -1).min(0))


def _seconds(batch: int, lr: float) -> float:
    """Processor time of an epoch of descent."""
    design = np.column_stack([table().inputs.numpy(), np.ones(ROWS)])
    targets = table().targets.numpy()
    x = np.zeros(design.shape[1])
    started = time.thread_time()
    for first in range(0, ROWS, batch):
        rows = slice(first, first + batch)
        x, _ = gradient_descent(x, None, _gradient(x, design[rows], targets[rows]), lr)
    return time.thread_time() - started


def _growth() -> list[float]:
    """The exponent of the time of a full gradient over the number of rows, for each lap."""
    counts = [2**13, 2**14, 2**15, 2**16]
    design, targets = np.ones((counts[-1], 6)), np.ones(counts[-1])
    x, spent = np.zeros(6), np.empty((LAPS * TRIES, len(counts)))
    for tries in spent:
        for k, count in enumerate(counts):
            started = time.thread_time()
            _gradient(x, design[:count], targets[:count])
            tries[k] = time.thread_time() - started
    exponents = np.polyfit(np.log(counts), np.log(_least(spent)).T, 1)[0]
    return [float(e) for e in exponents]


def _gradient(x: np.ndarray, rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return np.asarray(rows.T @ (rows @ x - targets) / len(rows))
