"""AdaDelta and Adam (Dive into Deep Learning, 12.9 and 12.10)."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.d2l.training import (
    EPOCH,
    as_torch,
    by_torch,
    ending,
    gap,
    losses,
    over_epochs,
    ratios,
    rises,
    steps_to,
    summary,
    train,
)
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers.textbook import Rule, adadelta, adam, rmsprop, translate
from ravine.reporting.curves import curves_figure

_BOOK = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning,"

_DATA = "Linear regression on 1,500 drawn rows; the source has its own data of that shape."


@experiment("B7", "AdaDelta", f"{_BOOK} 12.9, d2l.ai")
def without_rate(scale: Scale, tick: Tick) -> Found:
    """AdaDelta has no learning rate.

    How it does depends on rho.  The constant in its roots takes the place of the rate: it
    decides how long the first steps are.
    """
    seeds = range(scale.choose(9, 45))
    eps = 1e-5
    by_rho = {f"rho {rho}": _delta(rho, eps) for rho in (0.5, 0.9, 0.95, 0.99)}
    by_eps = {f"eps {e:.0e}": _delta(0.9, e) for e in (1e-8, 1e-6, 1e-4, 1e-2)}
    others: dict[str, Rule] = {
        "scaled": _scaled(by_rho["rho 0.9"], 1000.0),
        "torch": by_torch("Adadelta", rho=0.9, eps=eps),
    }
    trained = train(by_rho | by_eps | others, seeds, 10 * EPOCH, tick=tick)
    gaps = {label: gap(way) for label, way in trained.items()}
    usual = gaps["rho 0.9"]
    soon = np.array([steps_to(gaps[label], 0.1) for label in by_rho])
    soon_eps = np.array([steps_to(gaps[label], 0.1) for label in by_eps])
    first = np.abs(np.diff(trained["rho 0.9"][:, :2], axis=1)).max((1, 2))
    epochs = {label: over_epochs(values, every=10) for label, values in gaps.items()}
    return Found(
        claims=(
            median(
                "falls-without-a-rate",
                "With rho = 0.9 two epochs leave less than a tenth of the loss above the minimum.",
                (usual[:, 2 * EPOCH] / usual[:, 0]).tolist(),
                below(0.1),
            ),
            median(
                "no-scale",
                "It needs no rate to fit the loss: a thousand times the gradient takes as many "
                "steps to a tenth of the start, within a tenth.",
                ratios(steps_to(gaps["scaled"], 0.1), steps_to(usual, 0.1)),
                between(0.9, 1.1),
            ),
            median(
                "rho-matters",
                "Of rho = 0.5, 0.9, 0.95 and 0.99 the slowest takes at least twice as many steps "
                "as the fastest to a tenth of the start.",
                (soon.max(0) / soon.min(0)).tolist(),
                above(2),
            ),
            median(
                "eps-sets-the-first-step",
                "The first step has the length sqrt(eps / (1 - rho)) in the steepest coordinate.",
                (first / np.sqrt(eps / 0.1)).tolist(),
                equals(1, 1e-3),
            ),
            median(
                "eps-takes-the-place-of-a-rate",
                "Of eps = 1e-8, 1e-6, 1e-4 and 1e-2 the slowest takes at least twice as many "
                "steps as the fastest.",
                (soon_eps.max(0) / soon_eps.min(0)).tolist(),
                above(2),
            ),
            as_torch(
                "torch has its constants where the formula has them, and a rate of 1 that the "
                "formula has not: it takes the same steps, but for rounding.",
                trained["torch"],
                trained["rho 0.9"],
            ),
        ),
        figures={
            "loss": curves_figure(
                "AdaDelta in linear regression, batches of ten",
                losses({label: epochs[label] for label in by_rho}, "eps = 1e-5"),
                losses({label: epochs[label] for label in by_eps}, "rho = 0.9"),
                columns=2,
            ),
        },
        tables={
            "runs": summary(
                "AdaDelta",
                {label: gaps[label] for label in (*by_rho, *by_eps)},
                "Ten epochs of 150 steps; eps is 1e-5 or rho is 0.9 where not named.",
            )
        },
        remark=_DATA,
    )


def _delta(rho: float, eps: float) -> Rule:
    return partial(adadelta, rho=rho, eps=eps)


def _scaled(rule: Rule, factor: float) -> Rule:
    """The rule on a loss that is so many times as large."""
    return lambda x, state, g: rule(x, state, factor * g)


@experiment("B8", "Adam", f"{_BOOK} 12.10, d2l.ai")
def two_moments(scale: Scale, tick: Tick) -> Found:
    """Above a rate of 0.03 Adam does worse, with ups and downs late in the run.

    It is RMSProp with momentum: with beta1 = 0 it is RMSProp exactly, once the average is
    corrected for its start at 0.
    """
    seeds = range(scale.choose(9, 99))
    rates = (0.003, 0.01, 0.03, 0.06, 0.1, 0.3)
    rules: dict[str, Rule] = {f"Adam at {lr}": partial(adam, lr=lr) for lr in rates}
    kin: dict[str, Rule] = {
        "Adam, beta1 = 0": partial(adam, lr=0.01, beta1=0.0),
        "RMSProp, corrected": corrected_rmsprop(0.01, 0.999, 1e-6),
        "RMSProp": partial(rmsprop, lr=0.01, gamma=0.999, eps_inside=False),
        "RMSProp, corrected, momentum": corrected_rmsprop(0.001, 0.999, 1e-6, momentum=0.9),
        "torch": by_torch("Adam", lr=0.01),
        "translated": translate("Adam", lr=0.01),
    }
    trained = train(rules | kin, seeds, 2 * EPOCH, tick=tick)
    gaps = {label: gap(way) for label, way in trained.items()}
    ends = np.array([ending(gaps[label]) for label in rules])
    best = np.array(rates)[ends.argmin(0)]
    one, two = trained["Adam, beta1 = 0"], trained["RMSProp, corrected"]
    first = {label: np.abs(np.diff(trained[label][:, :2], axis=1)).max((1, 2)) for label in kin}
    first_ratio = first["RMSProp"] / first["Adam, beta1 = 0"]
    away = np.abs(trained["Adam at 0.01"] - trained["RMSProp, corrected, momentum"]).max()
    return Found(
        claims=(
            median(
                "best-rate",
                "Of rates from 0.003 to 0.3 the one that ends two epochs lowest is 0.03 or less.",
                best.tolist(),
                below(0.03),
            ),
            median(
                "worse-above",
                "At 0.1 it ends two epochs higher than at 0.03.",
                ratios(ending(gaps["Adam at 0.1"]), ending(gaps["Adam at 0.03"])),
                above(1),
            ),
            median(
                "ups-and-downs",
                "In the second epoch it goes up more at 0.1 than at 0.03.",
                ratios(rises(gaps["Adam at 0.1"]), rises(gaps["Adam at 0.03"])),
                above(1),
            ),
            exact(
                "is-rmsprop",
                "With beta1 = 0 it takes the steps of RMSProp whose average is corrected: over "
                "two epochs they differ by rounding only.",
                np.abs(one - two).max(),
                below(1e-10),
            ),
            median(
                "correction-counts",
                "Without the correction they differ: RMSProp's first step is 1 / sqrt(1 - beta2) "
                "= 31.6 times as long.",
                first_ratio.tolist(),
                equals(1000**0.5, 0.01),
            ),
            exact(
                "momentum-comes-first",
                "With beta1 = 0.9 it is not corrected RMSProp with momentum, which averages "
                "gradients after they are scaled: they come apart by more than 0.001.",
                away,
                above(1e-3),
            ),
            as_torch(
                "torch has its constant where the formula has it: it takes the same steps, but "
                "for rounding.",
                trained["torch"],
                trained["translated"],
            ),
        ),
        figures={
            "loss": curves_figure(
                "Adam in linear regression, batches of ten",
                losses({label: over_epochs(gaps[label]) for label in rules}),
            ),
            "rmsprop": curves_figure(
                "Adam with beta1 = 0 is RMSProp, once its average is corrected",
                losses(
                    {
                        "RMSProp": over_epochs(gaps["RMSProp"][:1]),
                        "Adam, beta1 = 0": over_epochs(gaps["Adam, beta1 = 0"][:1]),
                        "RMSProp, corrected": replace(
                            over_epochs(gaps["RMSProp, corrected"][:1]), points=True
                        ),
                    }
                ),
            ),
        },
        tables={
            "runs": summary(
                "Adam by its rate",
                {label: gaps[label] for label in rules},
                "Two epochs of 150 steps.",
            )
        },
        remark=_DATA,
    )


def corrected_rmsprop(lr: float, gamma: float, eps: float, momentum: float = 0.0) -> Rule:
    """RMSProp whose average is corrected for its start at 0.

    s_t / (1 - gamma^t) is itself an average of squares, whose weight of the past grows from 0
    to gamma: gamma (1 - gamma^(t-1)) / (1 - gamma^t).
    """

    def rule(x: Any, state: Any, g: Any) -> tuple[Any, Any]:
        t, own = (1, None) if state is None else state
        weight = gamma * (1 - gamma ** (t - 1)) / (1 - gamma**t)
        x, own = rmsprop(x, own, g, lr, weight, eps, momentum, eps_inside=False)
        return x, (t + 1, own)

    return rule
