"""Ill-conditioning (Deep Learning, 8.2.1)."""

import math

import numpy as np
from jaxtyping import Float64

from ravine.experiments.claims import above, below, median
from ravine.experiments.deep_learning_book import BOOK
from ravine.experiments.deep_learning_book.training import quarters, smoothed, train
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.problems.catalogue import problem
from ravine.problems.networks.network import Network
from ravine.reporting.curves import Curve, Panel, curves_figure

SOURCE = BOOK.format("8.2.1")

RATE = 0.1


@experiment("C1", "Ill-conditioning", SOURCE)
def ill_conditioning(scale: Scale, tick: Tick) -> Found:
    """A step of length eps changes the loss by eps^2 g'Hg / 2 - eps g'g.

    When the first term exceeds the second, a strong gradient cannot help.  In training the
    gradient's norm often does not shrink while g'Hg grows by more than an order of magnitude:
    in the picture the norm rises over the training of a network that learns well.
    """
    net = problem(scale.choose("lenet(batch=32)", "lenet"))
    assert isinstance(net, Network)
    steps, small = scale.choose(400, 2 * 468), RATE / 10
    found = train(net, range(scale.choose(5, 15)), RATE, steps, 40, small=small, tick=tick)
    norms, bends = quarters(found.norms), quarters(found.ghg)
    allowed = _allowed(found.gg, found.ghg)
    rates = quarters(allowed)
    predicted = small**2 * found.ghg / 2 - small * found.gg
    errors = np.abs(predicted - found.actual) / np.abs(found.actual)
    uphill = (RATE * found.ghg / 2 > found.gg).mean(1)
    window, apart = max(1, steps // 20), max(1, steps // 60)
    means = smoothed(found.norms, window)
    middle = np.arange(steps - window + 1) + window / 2
    looks = found.at.astype(float)
    runs = "all runs, median and range"
    figure = curves_figure(
        f"LeNet on MNIST by SGD at a rate of {RATE}: gradient and curvature while it learns",
        Panel(
            {
                runs: Curve(middle, means),
                "single minibatches of one run": Curve(
                    np.arange(0.0, steps, apart), found.norms[0, ::apart], points=True
                ),
            },
            "steps",
            f"gradient norm |g|, mean of {window} steps",
        ),
        Panel(
            {runs: Curve(middle, smoothed(found.losses, window))},
            "steps",
            f"loss (nats), mean of {window} steps",
        ),
        Panel(
            {
                "g'g": Curve(looks, found.gg),
                "g'Hg, where above 0": Curve(looks, np.where(found.ghg > 0, found.ghg, np.nan)),
            },
            "steps",
            "of the step's minibatch",
            log=("y",),
        ),
        Panel(
            {runs: Curve(looks, allowed)},
            "steps",
            "largest rate that descends, 2 g'g / g'Hg",
            log=("y",),
            levels={"the rate of training": RATE},
        ),
        columns=2,
    )
    return Found(
        claims=(
            median(
                "learns",
                "The network learns well: over 90 % of test images are right.",
                found.scores["accuracy"].tolist(),
                above(0.9),
            ),
            median(
                "norm-rises",
                "Meanwhile the gradient norm rises from the first quarter of steps to the last.",
                (norms[1] / norms[0]).tolist(),
                above(1.0),
                unit="times",
            ),
            median(
                "norm-ends-higher",
                "At the end it is above where it began, as means of a twentieth of the steps.",
                (means[:, -1] / means[:, 0]).tolist(),
                above(1.0),
                unit="times",
            ),
            median(
                "curvature-grows",
                "g'Hg grows by more than an order of magnitude from the first quarter to the last.",
                [_growth(*pair) for pair in bends.T.tolist()],
                above(10.0),
                unit="times",
            ),
            median(
                "curvature-peaks",
                "At its highest g'Hg is over an order of magnitude above the first look.",
                (found.ghg.max(1) / np.abs(found.ghg[:, 0])).tolist(),
                above(10.0),
                unit="times",
            ),
            median(
                "gradient-stays",
                "From the first look to its highest the gradient norm never falls under a tenth "
                "of where it began.",
                [_lowest_before_peak(row) for row in np.sqrt(found.gg)],
                above(0.1),
                unit="times",
            ),
            median(
                "rate-shrinks",
                "The largest rate at which a step still descends, 2 g'g / g'Hg, falls from the "
                "first quarter of looks to the last.",
                (rates[1] / rates[0]).tolist(),
                below(1.0),
                unit="times",
            ),
            median(
                "curvature-wins",
                f"At the rate of training, {RATE}, curvature takes back more than the gradient "
                "gains at some looks.",
                uphill.tolist(),
                above(1 / len(found.at)),
            ),
            median(
                "prediction",
                "At a tenth of that rate the two terms predict the change to 10 %.",
                np.median(errors, 1).tolist(),
                below(0.1),
            ),
        ),
        figures={"training": figure},
        remark=(
            "LeNet on MNIST stands in for the book's network for object detection.  On a task "
            "that is fitted almost perfectly the loss, and the gradient with it, must fall in "
            "the end: how the first quarter compares with the last depends on when one stops."
        ),
    )


def _allowed(
    gg: Float64[np.ndarray, "seeds looks"], ghg: Float64[np.ndarray, "seeds looks"]
) -> Float64[np.ndarray, "seeds looks"]:
    """The largest rate at which a step still descends by the two terms; none where H bends down."""
    return np.where(ghg > 0, 2 * gg / np.where(ghg > 0, ghg, 1), np.inf)


def _growth(first: float, last: float) -> float:
    """How many times a curvature grows; without bound if it turns from downwards to upwards."""
    return last / first if first > 0 else math.inf if last > 0 else math.nan


def _lowest_before_peak(norms: Float64[np.ndarray, " looks"]) -> float:
    return float(norms[: norms.argmax() + 1].min() / norms[0])
