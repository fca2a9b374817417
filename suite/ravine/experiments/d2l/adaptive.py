"""Rules with a rate for each coordinate (Dive into Deep Learning, 12.7 and 12.8)."""

from functools import partial
from typing import Any

import numpy as np

from ravine.experiments.claims import above, below, between, equals, exact, median
from ravine.experiments.d2l.training import (
    EPOCH,
    Way,
    as_torch,
    by_torch,
    ending,
    gap,
    losses,
    noting,
    over_epochs,
    ratios,
    rises,
    slide,
    steps_to,
    summary,
    train,
)
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers.textbook import Rule, adagrad, gradient_descent, rmsprop, translate
from ravine.problems.catalogue import analytic
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.paths import paths_figure

_BOOK = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning,"

_DATA = "Linear regression on 1,500 drawn rows; the source has its own data of that shape."

_EPS = 1e-6

_TEN = 10 * EPOCH


@experiment("B5", "AdaGrad", f"{_BOOK} 12.7, d2l.ai")
def sums_of_squares(scale: Scale, tick: Tick) -> Found:
    """With AdaGrad each coordinate has its own rate, and no rate ever increases.

    Late in a run it may be too small to find a useful solution.
    """
    seeds = range(scale.choose(9, 45))
    bowl = analytic("narrow_bowl")
    ways = {
        "AdaGrad at 0.4": slide(bowl, partial(adagrad, lr=0.4), 20),
        "AdaGrad at 2": slide(bowl, partial(adagrad, lr=2.0), 20),
    }
    flat, steep = _rates_on_bowl(0.4, 20)
    states: list[Any] = []
    rules: dict[str, Rule] = {
        "AdaGrad at 0.1": noting(partial(adagrad, lr=0.1), states),
        "AdaGrad at 0.01": partial(adagrad, lr=0.01),
        "AdaGrad at 0.01, begun anew at half": _anew(0.01, _TEN // 2),
    }
    twins = {
        "torch": by_torch("Adagrad", lr=0.1),
        "translated": translate("Adagrad", lr=0.1),
    }
    trained = train(rules | twins, seeds, _TEN, tick=tick)
    gaps = {label: gap(trained[label]) for label in rules}
    rates = np.stack([0.1 / np.sqrt(state.s + _EPS) for state in states], 1)
    steps = np.arange(1.0, _TEN + 1)
    late = slice(_TEN // 2, None)
    half, third, whole = (states[k - 1].s.mean(-1) for k in (_TEN // 2, 3 * _TEN // 4, _TEN))
    slope = np.polyfit(np.log(steps[late]), np.log(rates.mean(-1)[:, late].T), 1)[0]
    small, anew = gaps["AdaGrad at 0.01"], gaps["AdaGrad at 0.01, begun anew at half"]
    return Found(
        claims=(
            exact(
                "never-increases",
                "Over ten epochs no coordinate's rate ever grows: the largest ratio of one step's "
                "rate to that of the step before is at most 1.",
                (rates[:, 1:] / rates[:, :-1]).max(),
                below(1),
            ),
            exact(
                "own-rates",
                "On 0.1 x1^2 + 2 x2^2 the flat coordinate has the larger rate after 20 steps.",
                flat[-1] / steep[-1],
                above(1),
            ),
            exact(
                "too-small-on-the-bowl",
                "At 0.4 the rate falls too early there: after 20 steps x1 is still farther than 1 "
                "from the minimum.",
                abs(ways["AdaGrad at 0.4"][-1, 0]),
                above(1),
            ),
            median(
                "falls-as-a-root",
                "In minibatches the rate falls as the root of the number of steps, an exponent of "
                "-1/2, over the second half of ten epochs.",
                slope.tolist(),
                between(-0.6, -0.4),
            ),
            median(
                "sum-grows-evenly",
                "What grows evenly is the sum under the root, begun with the large squares of "
                "the start: it gains as much in the last quarter as in the third, within a fifth.",
                ((whole - third) / (third - half)).tolist(),
                between(0.8, 1.25),
            ),
            median(
                "too-small-late",
                "At 0.01 ten epochs leave more than a hundredth of the loss above the minimum.",
                (small[:, -1] / small[:, 0]).tolist(),
                above(0.01),
            ),
            median(
                "begun-anew",
                "It is the sum that is to blame: begun anew at half of the run, the same rate "
                "ends lower.",
                ratios(ending(anew), ending(small)),
                below(1),
            ),
            as_torch(
                "torch, which adds its constant outside of the root, takes the steps of the "
                "formula with the constant there, but for rounding.",
                trained["torch"],
                trained["translated"],
            ),
        ),
        figures={
            "rates": curves_figure(
                "AdaGrad's rates only fall, in batches of ten",
                Panel(
                    {
                        f"weight {k + 1}" if k < 5 else "bias": Curve(steps, rates[0, :, k])
                        for k in range(rates.shape[-1])
                    },
                    "steps",
                    "rate of the coordinate",
                    log=("x", "y"),
                ),
            ),
            "paths": paths_figure(bowl, ways, "Twenty steps of AdaGrad on 0.1 x1² + 2 x2²"),
            "loss": curves_figure(
                "AdaGrad in linear regression, batches of ten",
                losses({label: over_epochs(values, every=10) for label, values in gaps.items()}),
            ),
        },
        tables={"runs": summary("AdaGrad", gaps, "Ten epochs of 150 steps.")},
        remark=_DATA,
    )


def _rates_on_bowl(lr: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """AdaGrad's rates along the flat and the steep coordinate."""
    states: list[Any] = []
    slide(analytic("narrow_bowl"), noting(partial(adagrad, lr=lr), states), steps)
    flat, steep = np.stack([lr / np.sqrt(state.s + _EPS) for state in states], 1)
    return flat, steep


def _anew(lr: float, step: int) -> Rule:
    """AdaGrad that forgets its sum once."""

    def rule(x: Any, state: Any, g: Any) -> tuple[Any, Any]:
        t, own = (0, None) if state is None else state
        x, own = adagrad(x, None if t == step else own, g, lr)
        return x, (t + 1, own)

    return rule


@experiment("B6", "RMSProp", f"{_BOOK} 12.8, d2l.ai")
def leaky_average(scale: Scale, tick: Tick) -> Found:
    """RMSProp reaches the optimum faster than AdaGrad at the same rate.

    With gamma = 1 the average stays 0, the step is eta g / sqrt(eps), and the run blows up.
    Against a rate of 0.01 with gamma = 0.9, gamma = 0.99 falls faster; a rate of 0.05 falls
    faster and then moves up and down.
    """
    seeds = range(scale.choose(9, 45))
    bowl = analytic("narrow_bowl")
    ways = {
        "AdaGrad at 0.4": slide(bowl, partial(adagrad, lr=0.4), 20),
        "RMSProp at 0.4": slide(bowl, partial(rmsprop, lr=0.4), 20),
    }
    heights = {label: 0.1 * way[-1, 0] ** 2 + 2 * way[-1, 1] ** 2 for label, way in ways.items()}
    rules: dict[str, Rule] = {
        "rate 0.01, gamma 0.9": partial(rmsprop, lr=0.01),
        "rate 0.01, gamma 0.99": partial(rmsprop, lr=0.01, gamma=0.99),
        "rate 0.05, gamma 0.9": partial(rmsprop, lr=0.05),
        "rate 0.1, gamma 0.9": partial(rmsprop, lr=0.1),
        "AdaGrad at 0.01": partial(adagrad, lr=0.01),
        "AdaGrad at 0.1": partial(adagrad, lr=0.1),
    }
    twins = {
        "torch": by_torch("RMSprop", lr=0.01, alpha=0.9),
        "translated": translate("RMSprop", lr=0.01, alpha=0.9),
    }
    trained = train(rules | twins, seeds, _TEN, tick=lambda share: tick(0.8 * share))
    gaps = {label: gap(trained[label]) for label in rules}
    soon = {label: steps_to(values, 0.01) for label, values in gaps.items()}
    two = {label: values[:, : 2 * EPOCH + 1] for label, values in gaps.items()}
    usual, longer, faster = (two[label] for label in tuple(rules)[:3])
    stuck, plain = "gamma 1, rate 0.01", "descent at 0.01 / sqrt(eps) = 10"
    blown = train(
        {
            stuck: partial(rmsprop, lr=0.01, gamma=1.0),
            plain: partial(gradient_descent, lr=0.01 / np.sqrt(_EPS)),
            "eps 1": partial(rmsprop, lr=0.01, gamma=1.0, eps=1.0),
        },
        seeds,
        2 * EPOCH,
    )
    early = [blown[label][:, 1:20] for label in (stuck, plain)]
    mild = gap(blown["eps 1"])
    return Found(
        claims=(
            exact(
                "faster-on-the-bowl",
                "On 0.1 x1^2 + 2 x2^2 at a rate of 0.4, twenty steps of RMSProp end lower than "
                "twenty of AdaGrad.",
                heights["RMSProp at 0.4"] / heights["AdaGrad at 0.4"],
                below(1),
            ),
            median(
                "faster-in-minibatches",
                "In minibatches at a rate of 0.01 it takes fewer steps to a hundredth of the "
                "start, as a ratio; 0 where AdaGrad does not get there in ten epochs.",
                ratios(soon["rate 0.01, gamma 0.9"], soon["AdaGrad at 0.01"]),
                below(1),
            ),
            median(
                "not-at-any-rate",
                "It is not so at every rate: at 0.1, where AdaGrad's rate falls in time, RMSProp "
                "ends ten epochs higher.",
                ratios(ending(gaps["rate 0.1, gamma 0.9"]), ending(gaps["AdaGrad at 0.1"])),
                above(1),
            ),
            exact(
                "gamma-1-is-descent",
                "With gamma = 1 it is descent at the rate eta / sqrt(eps) = 10, without any "
                "relative difference over the first steps.",
                float((np.abs(early[0] - early[1]) / np.abs(early[1]).max((0, 2))[:, None]).max()),
                equals(0, 1e-9),
            ),
            median(
                "gamma-1-is-nan",
                "It blows up to NaN within two epochs of 150 steps each.",
                _nan_at(blown[stuck]),
                below(2 * EPOCH),
                unit="steps",
            ),
            median(
                "gamma-1-with-large-eps",
                "It need not: with eps = 1 gamma = 1 is descent at 0.01, and two epochs bring the "
                "loss down.",
                (mild[:, -1] / mild[:, 0]).tolist(),
                below(1),
            ),
            median(
                "gamma-0.99-falls-faster",
                "At 0.01, gamma = 0.99 takes fewer steps than 0.9 to a hundredth of the start.",
                ratios(steps_to(longer, 0.01), steps_to(usual, 0.01)),
                below(1),
            ),
            median(
                "larger-rate-falls-faster",
                "So does a rate of 0.05 to a tenth, against 0.01.",
                ratios(steps_to(faster, 0.1), steps_to(usual, 0.1)),
                below(1),
            ),
            median(
                "larger-rate-moves-up-and-down",
                "In the second epoch it goes up more than 0.01 does.",
                ratios(rises(faster), rises(usual)),
                above(1),
            ),
            as_torch(
                "torch, which adds its constant outside of the root, takes the steps of the "
                "formula with the constant there, but for rounding.",
                trained["torch"],
                trained["translated"],
            ),
        ),
        figures={
            "loss": curves_figure(
                "RMSProp in linear regression, batches of ten",
                losses({label: over_epochs(values, every=10) for label, values in gaps.items()}),
            ),
            "paths": paths_figure(bowl, ways, "Twenty steps on 0.1 x1² + 2 x2²"),
            "gamma-1": curves_figure(
                "RMSProp with gamma = 1 is descent at eta / sqrt(eps)",
                Panel(
                    {
                        label: Curve(np.arange(61.0), gap(blown[name][:, :61]))
                        for label, name in {"eps 1e-6": stuck, "eps 1": "eps 1"}.items()
                    },
                    "steps",
                    "loss - minimum",
                    log=("y",),
                ),
            ),
        },
        tables={"runs": summary("RMSProp and AdaGrad", gaps, "Ten epochs of 150 steps.")},
        remark=_DATA,
    )


def _nan_at(way: Way) -> list[float]:
    """The first step after which a run holds what is no number, infinite if none does."""
    broken = np.isnan(way).any(-1)
    return [float(s) for s in np.where(broken.any(1), broken.argmax(1), np.inf)]
