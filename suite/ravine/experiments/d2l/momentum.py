"""A falling rate, and momentum (Dive into Deep Learning, 12.6 and 12.11)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float64
from torch.optim.lr_scheduler import StepLR

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.d2l.setting import FAMILIES
from ravine.experiments.d2l.training import (
    EPOCH,
    by_torch,
    ending,
    gap,
    losses,
    over_epochs,
    ratios,
    rises,
    slide,
    steps_to,
    summary,
    threshold,
    train,
)
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers import textbook
from ravine.optimizers.catalogue import method
from ravine.optimizers.space import trials
from ravine.optimizers.textbook import Rule, gradient_descent
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic
from ravine.reporting.curves import curves_figure
from ravine.reporting.paths import paths_figure, paths_film

SOURCE_RATES = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.11, d2l.ai"

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.6, d2l.ai"

RATES = 16
"""That every optimizer may choose from."""

SHOWN = 60
"""Steps that its path is drawn for."""

_tenth = partial(StepLR, step_size=EPOCH, gamma=0.1)
"""torch's scheduler that divides a rate by ten after each epoch."""


def falling(rule: Callable[..., tuple[Any, Any]], lr: float, **hyper: float) -> Rule:
    """The rule at a rate that is divided by ten after each epoch."""

    def inner(x: Any, state: Any, g: Any) -> tuple[Any, Any]:
        step, own = (0, None) if state is None else state
        x, own = rule(x, own, g, lr=lr * 0.1 ** (step // EPOCH), **hyper)
        return x, (step + 1, own)

    return inner


@experiment("B3", "A falling rate", SOURCE_RATES)
def decay(scale: Scale, tick: Tick) -> Found:
    """Dividing the rate by ten after each epoch calms a run of minibatches.

    A scheduler on the optimizer does it.  With a constant rate the loss ends in ups and downs
    around the minimum; the fall pays where the first rate is large enough to come near it.
    """
    seeds = range(scale.choose(9, 99))
    rules: dict[str, Rule] = {}
    for lr in (0.2, 0.05, 0.005):
        rules[f"constant {lr}"] = partial(gradient_descent, lr=lr)
        rules[f"falling from {lr}"] = falling(gradient_descent, lr)
    twin = {"torch": by_torch("SGD", _tenth, lr=0.2)}
    ways = train(rules | twin, seeds, 3 * EPOCH, tick=tick)
    apart = np.abs(ways["torch"] - ways["falling from 0.2"]).max()
    gaps = {label: gap(ways[label]) for label in rules}

    def compared(lr: float) -> list[float]:
        return ratios(ending(gaps[f"falling from {lr}"]), ending(gaps[f"constant {lr}"]))

    return Found(
        claims=(
            exact(
                "torch-scheduler",
                "torch's SGD with a scheduler that divides its rate by ten after each epoch takes "
                "the same steps, but for rounding.",
                apart,
                below(1e-10),
            ),
            median(
                "lower-from-large",
                "From 0.2 the falling rate ends its third epoch lower than the constant one.",
                compared(0.2),
                below(1),
            ),
            median(
                "calmer",
                "The loss rises less on its way through the third epoch.",
                ratios(rises(gaps["falling from 0.2"]), rises(gaps["constant 0.2"])),
                below(1),
            ),
            median(
                "lower-from-middle",
                "From 0.05, too, the falling rate ends its third epoch lower.",
                compared(0.05),
                below(1),
            ),
            median(
                "stuck-from-small",
                "From 0.005 it ends higher: after the first epoch there are hardly any steps "
                "left to make.",
                compared(0.005),
                above(1),
            ),
        ),
        figures={
            "loss": curves_figure(
                "Dividing the rate by ten after each epoch, in batches of ten",
                losses({label: over_epochs(g) for label, g in gaps.items()}),
            )
        },
        tables={"runs": summary("Constant and falling rates", gaps, "Three epochs of 150 steps.")},
        remark="Linear regression on 1,500 drawn rows; the source has its own data of that shape.",
    )


@experiment("B4", "Momentum", SOURCE)
def momentum(scale: Scale, tick: Tick) -> Found:
    """Momentum averages over about the last 1 / (1 - gamma) steps, and multiplies by as much.

    0.5 acts like a rate 2 times as large, 0.9 like 10 times, so that going from 0.5 to 0.9 asks
    for a fifth of the rate.  On 0.1 x1^2 + 2 x2^2 plain descent at 0.4 crawls along x1, at 0.6
    it diverges along x2; momentum 0.5 at 0.6 converges.
    """
    seeds = range(scale.choose(9, 99))
    bowl = analytic("narrow_bowl")
    push = {gamma: _response(gamma, np.ones(2000)) for gamma in (0.5, 0.9, 0.99)}
    pulse = {gamma: _response(gamma, np.eye(1, 2000)[0]) for gamma in push}
    window = [p[: round(1 / (1 - gamma))].sum() / p.sum() for gamma, p in pulse.items()]
    ways = {
        "descent at 0.4": slide(bowl, partial(gradient_descent, lr=0.4), 20),
        "descent at 0.6": slide(bowl, partial(gradient_descent, lr=0.6), 20),
        "momentum 0.5 at 0.6": slide(bowl, _heavy(0.6, 0.5), 20),
    }
    ends = {label: np.abs(way[-1] / way[0]) for label, way in ways.items()}
    left = {label: np.linalg.norm(way[-1]) / np.linalg.norm(way[0]) for label, way in ways.items()}
    border = threshold(lambda lr: np.abs(slide(bowl, _heavy(lr, 0.5), 120)[:, 1]), 0.4, 1.2)
    tick(0.2)
    every = at_best_rates(bowl, FAMILIES, SHOWN)
    said = f"{SHOWN} steps on 0.1 x1² + 2 x2², each at the best of {RATES} rates; darker is lower"
    rules: dict[str, Rule] = {
        "no momentum, 0.04": partial(gradient_descent, lr=0.04),
        "momentum 0.5, 0.02": _heavy(0.02, 0.5),
        "momentum 0.9, 0.004": _heavy(0.004, 0.9),
        "momentum 0.9, 0.02": _heavy(0.02, 0.9),
        "no momentum, 0.004": partial(gradient_descent, lr=0.004),
    }
    others = {
        "torch": by_torch("SGD", lr=0.004, momentum=0.9),
        "cut": falling(textbook.momentum, 0.004, gamma=0.9),
        "torch, cut": by_torch("SGD", _tenth, lr=0.004, momentum=0.9),
    }
    trained = train(rules | others, seeds, 2 * EPOCH, tick=lambda share: tick(0.2 + 0.6 * share))
    gaps = {label: gap(trained[label]) for label in rules}
    soon = {label: steps_to(values, 0.1) for label, values in gaps.items()}
    apart = np.abs(trained["torch"] - trained["momentum 0.9, 0.004"]).max()
    return Found(
        claims=(
            exact(
                "amplifies",
                "Under a constant gradient steps become 1 / (1 - gamma) times as long, 2 times at "
                "0.5, 10 times at 0.9 and 100 times at 0.99, with a relative error of 0.",
                max(abs(p[-1] * (1 - gamma) - 1) for gamma, p in push.items()),
                equals(0, 1e-6),
            ),
            exact(
                "window",
                "The last 1 / (1 - gamma) gradients carry more than half of the weight in a "
                "step, at 0.5, 0.9 and 0.99.",
                min(window),
                above(0.5),
            ),
            exact(
                "crawls",
                "Plain descent at 0.4 leaves more than a tenth of x1 after 20 steps.",
                ends["descent at 0.4"][0],
                above(0.1),
            ),
            exact(
                "diverges",
                "Plain descent at 0.6 goes away along x2: after 20 steps it is farther out than "
                "at the start.",
                ends["descent at 0.6"][1],
                above(1),
            ),
            exact(
                "converges",
                "Momentum 0.5 at 0.6 leaves less than a hundredth of the distance after 20 steps.",
                float(left["momentum 0.5 at 0.6"]),
                below(0.01),
            ),
            exact(
                "wider-border",
                "Momentum moves the border from 2 / lambda_max to 2 (1 + gamma) / lambda_max: "
                "from 0.5 to 0.75 here.",
                border,
                equals(0.75, 1e-3),
            ),
            median(
                "a-fifth",
                "In minibatches momentum 0.9 at 0.004 takes as many steps as 0.5 at 0.02 to a "
                "tenth of the start, within a factor of two.",
                ratios(soon["momentum 0.9, 0.004"], soon["momentum 0.5, 0.02"]),
                between(0.5, 2),
            ),
            median(
                "not-lowered",
                "Left at 0.02, momentum 0.9 goes up and down more in the last epoch than 0.5.",
                ratios(rises(gaps["momentum 0.9, 0.02"]), rises(gaps["momentum 0.5, 0.02"])),
                above(1),
            ),
            exact(
                "torch-constant",
                "torch multiplies by the rate outside of the momentum, which is the same while "
                "the rate is constant, but for rounding.",
                apart,
                below(1e-10),
            ),
            median(
                "torch-cut",
                "When the rate is divided by ten, torch's next step is shorter than the "
                "formula's, since it also divides what is on its way.",
                ratios(_length_after(trained["torch, cut"]), _length_after(trained["cut"])),
                below(1),
            ),
        ),
        figures={
            "paths": paths_figure(bowl, ways, "Twenty steps on 0.1 x1² + 2 x2²"),
            "families": paths_figure(bowl, every, said, apart=True),
            "loss": curves_figure(
                "Momentum and rate in linear regression, batches of ten",
                losses({label: over_epochs(values) for label, values in gaps.items()}),
            ),
        },
        tables={"runs": summary("Momentum and rate", gaps, "Two epochs of 150 steps.")},
        animations={
            "film": paths_film(bowl, ways, "Twenty steps on 0.1 x1² + 2 x2²"),
            "families": paths_film(bowl, every, said, apart=True),
        },
        remark="Linear regression on 1,500 drawn rows; the source has its own data of that shape.",
    )


def _heavy(lr: float, gamma: float) -> Rule:
    return partial(textbook.momentum, lr=lr, gamma=gamma)


def _response(gamma: float, gradients: np.ndarray) -> np.ndarray:
    """How long the steps are, in rates, under given gradients."""
    x, state, way = np.zeros(1), None, [0.0]
    for g in gradients:
        x, state = textbook.momentum(x, state, np.array([g]), 1.0, gamma)
        way.append(float(x[0]))
    return -np.diff(way)


def _length_after(way: np.ndarray) -> list[float]:
    """The length of the first step at the second epoch's rate, for each seed."""
    step = way[:, EPOCH + 1] - way[:, EPOCH]
    return [float(length) for length in np.linalg.norm(step, axis=-1)]


def at_best_rates(
    problem: Analytic, names: Sequence[str], steps: int
) -> dict[str, Float64[np.ndarray, "steps n"]]:
    """Paths from one start, each at the rate, out of `RATES`, that ends lowest.

    Args:
        problem: where to run.
        names: of methods.
        steps: of each run.

    Returns:
        By a method's name with its rate, the points of the run, in the formula's coordinates:
        an instance's minimum is not at the origin, lest decay of weights find it by itself.
    """
    start, found = np.array(problem.start_at), {}
    problem = replace(problem, spread=0.0)
    for name in names:
        settings = trials(method(name), RATES)
        pairs = [(setting, probe(setting.method)) for setting in settings]
        final = run_grid([problem], pairs, [0], steps).runs[0].final[:, 0]
        best = settings[int(np.nan_to_num(final, nan=np.inf).argmin())]
        rate = dict(best.values)["lr"]
        way = walk(problem, best, 0, steps, keep=range(steps + 1)).points.numpy()
        found[f"{name}, {float(rate):.2g}"] = way - way[0] + start
    return found
