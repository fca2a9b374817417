"""Saddle points: who leaves them, and when (Dive into Deep Learning, 12.1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.walk import walk
from ravine.engine.watch import Runs
from ravine.experiments.claims import above, below, between, equals, exact, median, share
from ravine.experiments.d2l.setting import (
    FAMILIES,
    RATE,
    SHOWN,
    SOURCE,
    begun,
    spoken,
    torch_settings,
)
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.optimizers.base import Setting
from ravine.problems.analytic import Analytic
from ravine.problems.catalogue import analytic
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table
from ravine.reporting.paths import paths_figure, paths_film

PUSHES = 10.0 ** -np.arange(1.0, 17.0)
"""How far off the ridge runs on x^2 - y^2 begin."""


NOISES = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-2)
"""Standard deviations of the noise in each gradient entry."""


INFLECTED = 10.0 ** -np.linspace(1.0, 2.5, 7)
"""How far beyond the inflection of x^3 runs begin."""


@experiment("A2", "Saddle points", SOURCE)
def saddle_points(scale: Scale, tick: Tick) -> Found:
    """At x^3's inflection and at the saddle of x^2 - y^2 the gradient is zero without a minimum.

    To balance a ball on a real saddle is hard: an arbitrarily small push makes it leave, and
    an optimizer can use that.
    """
    budget, settings = 1000, torch_settings()
    ridge, curve = analytic("saddle"), analytic("cubic")
    pushed = begun(ridge, [(1.0, float(push)) for push in (*PUSHES, 0.0)])
    count, both = len(settings), range(len(pushed.places))
    above_it = begun(curve, [(1.0,)] * len(both))
    hits, (_, runs) = first_falls([pushed, above_it], settings, both, budget)
    times = {n: hits[k, 0, :-1] for k, n in enumerate(settings)}
    unpushed, inflected = hits[:, 0, -1], dict(zip(settings, hits[:, 1, 0], strict=True))
    left_over = float(runs.point[list(settings).index("sgd"), 0, 0])
    tick(0.5)
    plain, seeds = {"sgd": settings["sgd"]}, range(scale.choose(100, 400))
    noisy = [
        begun(analytic(f"gaussian_noise(base=saddle, scale={noise})"), [(1.0, 0.0)] * len(seeds))
        for noise in NOISES
    ]
    shaken = first_falls(noisy, plain, seeds, 400)[0][0].T
    tick(0.7)
    beyond = begun(curve, [(-float(push),) for push in INFLECTED])
    slow = first_falls([beyond], plain, range(len(INFLECTED)), 1500)[0][0, 0]
    tick(0.8)
    where = replace(ridge, start_at=(1.0, 1e-3), spread=0.0)
    ways = {n: walk(where, settings[n], 0, 45, keep=range(46)).points.numpy() for n in FAMILIES}
    said = f"45 steps on x² - y² from a push of 0.001, at a rate of {RATE}; darker is lower"
    decade = math.log(10) / math.log(1 + 2 * RATE)
    slopes = [float(-np.polyfit(np.log10(NOISES), row, 1)[0]) for row in shaken]
    return Found(
        claims=(
            exact(
                "descent-time",
                "From a push of 1e-1 to 1e-16 descent at a rate of 0.1 leaves x^2 - y^2 after "
                "log(1 / push) / log(1 + 2 rate) steps, rounded up, and at most one more.",
                float(np.abs(times["sgd"] - leaving_time(PUSHES, RATE)).max()),
                below(1),
                unit="steps",
            ),
            exact(
                "all-leave",
                f"An arbitrarily small push makes it leave: of {count} optimizers none is left "
                f"after {budget:,} steps from a push of 1e-16.",
                int(np.isinf([t[-1] for t in times.values()]).sum()),
                equals(0),
                unit="optimizers",
            ),
            exact(
                "adam-independent",
                "Adam takes from a push of 1e-16 at most twice as long as from 0.1, for it "
                "divides by the gradient's size.",
                float(times["adam"][-1] / times["adam"][0]),
                below(2),
            ),
            exact(
                "none-without",
                f"Without a push none of the {count} leaves.",
                int(np.isfinite(unpushed).sum()),
                equals(0),
                unit="optimizers",
            ),
            share(
                "noise-is-a-push",
                f"Noise of {NOISES[0]:g} in the gradient is push enough: plain descent from "
                "exactly zero leaves in at least nine runs of ten.",
                int(np.isfinite(shaken[:, 0]).sum()),
                len(shaken),
                above(0.9),
            ),
            median(
                "noise-time",
                f"Each decade less of noise costs log(10) / log(1 + 2 rate) = {decade:.1f} steps, "
                "to within 5 %.",
                slopes,
                between(0.95 * decade, 1.05 * decade),
                unit="steps",
            ),
            exact(
                "inflection-holds",
                "On x^3 from 1 plain descent does not pass: after t = 1,000 steps it stands at "
                "1 / (3 rate t), to within 5 %.",
                left_over * 3 * RATE * budget,
                between(0.95, 1.05),
            ),
            exact(
                "momentum-passes",
                "Momentum of 0.9 carries it over within 1,000 steps.",
                float(inflected["heavy_ball"]),
                below(1000),
                unit="steps",
            ),
            exact(
                "inflection-push",
                "Beyond the inflection the time to leave grows as 1 / push, not as its logarithm: "
                "the slope in logarithms is 1 to within a tenth.",
                float(-np.polyfit(np.log10(INFLECTED), np.log10(slow), 1)[0]),
                between(0.9, 1.1),
            ),
        ),
        figures={
            "time": _times_figure(times, slow, shaken),
            "paths": paths_figure(where, ways, said, apart=True),
        },
        tables={"steps": _leaving_table(times, inflected)},
        animations={"film": paths_film(where, ways, said, apart=True)},
        remark=(
            f"A run has left x^2 - y^2 or x^3 when the loss is below -1.  All {count} optimizers "
            "of torch whose runs can share a tensor, each at a rate of 0.1.  The ridge lies "
            "along a coordinate here; a method with a rate for each coordinate is another one on "
            "a rotated saddle."
        ),
    )


def first_falls(
    problems: Sequence[Analytic], settings: Mapping[str, Setting], seeds: Sequence[int], steps: int
) -> tuple[Float[np.ndarray, "settings problems seeds"], tuple[Runs, ...]]:
    """The first step at the first target of every run, infinite where there is none."""
    pairs = [(setting, probe(setting.method)) for setting in settings.values()]
    runs = run_grid(problems, pairs, list(seeds), steps).runs
    hits = np.stack([found.hits[:, :, 0] for found in runs], 1).astype(float)
    return np.where(hits < 0, np.inf, hits), runs


def leaving_time(push: Float[np.ndarray, " n"], rate: float) -> Float[np.ndarray, " n"]:
    """Steps of descent on x^2 - y^2 until y, begun at a push, is at least 1."""
    # a logarithm of rounded numbers must not add a step
    return np.asarray(np.ceil(np.log(1 / push) / np.log(1 + 2 * rate) - 1e-9))


def _leaving_table(
    times: Mapping[str, Float[np.ndarray, " pushes"]], inflected: Mapping[str, float]
) -> Table:
    chosen = (0, 3, 7, 15)
    rows = [
        (name, *(spoken(float(found[k])) for k in chosen), spoken(float(inflected[name])))
        for name, found in times.items()
    ]
    pushes = (f"push {PUSHES[k]:g}" for k in chosen)
    return Table(
        "Steps until the loss is below -1 on x² - y², and on x³ from 1",
        ("optimizer", *pushes, "x³ from 1"),
        tuple(rows),
        f"At a rate of {RATE}; `never` is not within 1,000 steps.",
        ("left", "right", "right", "right", "right", "right"),
    )


def _times_figure(
    times: Mapping[str, Float[np.ndarray, " pushes"]],
    slow: Float[np.ndarray, " inflected"],
    shaken: Float[np.ndarray, "seeds noises"],
) -> Figure:
    ascending = PUSHES[::-1].copy()
    saddle = {name: Curve(ascending, times[name][::-1].copy()) for name in SHOWN}
    formula = {"sgd: closed form": Curve(ascending, leaving_time(ascending, RATE), points=True)}
    shaking = {"sgd, noise for a push": Curve(np.array(NOISES), shaken)}
    near = INFLECTED[::-1].copy()
    inflection = {
        "sgd on x³": Curve(near, slow[::-1].copy()),
        "1 / (3 rate push)": Curve(near, 1 / (3 * RATE * near), points=True),
    }
    return curves_figure(
        f"Time to leave, at a rate of {RATE}",
        Panel(
            {**saddle, **formula, **shaking},
            "push, or standard deviation of the noise",
            "steps to leave x² - y²",
            log=("x", "y"),
        ),
        Panel(inflection, "push", "steps to leave x³", log=("x", "y")),
        columns=2,
    )
