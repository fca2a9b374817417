"""Local minima, and how noise gets out of them (Dive into Deep Learning, 12.1)."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from matplotlib.figure import Figure

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.walk import walk
from ravine.experiments.claims import above, below, equals, exact, share
from ravine.experiments.d2l.setting import SOURCE
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import only
from ravine.problems.analytic import Analytic
from ravine.problems.base import Kind
from ravine.problems.catalogue import analytic
from ravine.problems.draws import generator
from ravine.problems.noise import Noise
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table

EXAMPLES = 1000
"""Whose mean is x cos(pi x)."""


SPREAD = 8.0
"""Standard deviation of an example's own slope; a batch of B leaves SPREAD / sqrt(B) of it."""


BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


STEPS = 500


DESCENTS = ("sgd(lr=0.05)", "heavy_ball(lr=0.05)", "adam(lr=0.05)", "linear_decay(sgd, lr=0.05)")


@experiment("A5", "Noise gets out of local minima", SOURCE)
def local_minima(scale: Scale, tick: Tick) -> Found:
    """On [-1, 2] x cos(pi x) has a local minimum beside the global one.

    Noise in minibatch gradients can knock the parameter out of the local minimum.
    """
    base = analytic("cosine_wave")
    seeds = range(scale.choose(100, 1000))
    pairs = [(only(name), probe(only(name).method)) for name in DESCENTS]
    noisy = [from_local_minimum(batch) for batch in (*BATCHES, EXAMPLES)]
    runs = run_grid(noisy, pairs, seeds, STEPS).runs
    tick(0.8)
    height = base.facts.targets[0]
    out = np.stack([found.hits[:, :, 0] >= 0 for found in runs], 1)
    better = np.stack([found.final < height - 1e-9 for found in runs], 1)
    plain, decayed = DESCENTS.index("sgd(lr=0.05)"), len(DESCENTS) - 1
    n, large = len(seeds), BATCHES.index(256)
    some = noisy[3]
    ways = {
        f"seed {k}": walk(some, only(DESCENTS[0]), k, 300, keep=range(301)).points[:, 0].numpy()
        for k in range(3)
    }
    return Found(
        claims=(
            share(
                "noise-knocks-out",
                f"On gradients of single examples more than half of the runs of plain descent get "
                f"into the better basin within {STEPS} steps.",
                int(out[plain, 0].sum()),
                n,
                above(0.5),
            ),
            exact(
                "full-stays",
                "On the full gradient no run of any of four methods leaves the local minimum.",
                int(out[:, -1].sum()),
                equals(0),
                unit="runs",
            ),
            share(
                "little-noise-stays",
                "The noise must be large enough: in batches of 256 fewer than one run of plain "
                "descent in twenty leaves.",
                int(out[plain, large].sum()),
                n,
                below(0.05),
            ),
            exact(
                "does-not-stay",
                "To get there is not to stay there: on single examples more runs get into the "
                "better basin than end below the local minimum's value.",
                float(out[plain, 0].mean() - better[plain, 0].mean()),
                above(0.01),
                unit="of the runs",
            ),
            exact(
                "decay-keeps",
                "A rate that falls linearly to zero leaves more of them below it at the end.",
                float(better[decayed, 0].mean() - better[plain, 0].mean()),
                above(0.01),
                unit="of the runs",
            ),
        ),
        figures={
            "share": _knocked_figure(out, better),
            "runs": curves_figure(
                f"Plain descent from the local minimum, in batches of {BATCHES[3]}",
                Panel(
                    {n: Curve(np.arange(float(len(x))), x) for n, x in ways.items()},
                    "step",
                    "x",
                    levels={"global minimum": base.facts.minimizers[0][0]} | _others(base),
                ),
            ),
        },
        tables={"share": _knocked_table(out, better)},
        remark=(
            f"The minibatches are of {EXAMPLES} examples x cos(pi x) + a x, whose slopes a have "
            f"the mean zero and the standard deviation {SPREAD:g}; rate 0.05 and {STEPS} steps."
        ),
    )


def from_local_minimum(batch: int) -> Analytic:
    """The wave, begun in its local minimum, with gradients of minibatches.

    Args:
        batch: examples drawn for each gradient; all of them for the full gradient.
    """
    base = analytic("cosine_wave")
    (place,) = [p.x for p in base.facts.critical_points if p.kind is Kind.MINIMUM and p.x[0] < 0]
    begun = replace(base, start_at=place, spread=0.0)
    if batch >= EXAMPLES:
        return begun
    slopes = example_slopes()

    def offset(random: np.random.Generator, steps: int, dim: int) -> np.ndarray:
        chosen = random.integers(0, EXAMPLES, (steps, dim, batch))
        return np.asarray(slopes[chosen].mean(-1))

    name = f"cosine_wave in batches of {batch}"
    traits = replace(base.traits, stochastic=True)
    return replace(begun, noise=Noise(offset=offset), traits=traits, name=name)


def example_slopes() -> Float64[np.ndarray, " examples"]:
    """What the gradient of each example has beyond that of the mean."""
    draws = generator("slopes").standard_normal(EXAMPLES)
    draws -= draws.mean()
    return np.asarray(SPREAD * draws / draws.std())


def _others(base: Analytic) -> dict[str, float]:
    names = {Kind.MINIMUM: "local minimum", Kind.MAXIMUM: "hill between them"}
    points = base.facts.critical_points
    return {names[p.kind]: p.x[0] for p in points if p.x not in base.facts.minimizers}


def _knocked_figure(out: np.ndarray, better: np.ndarray) -> Figure:
    size = np.array([float(b) for b in BATCHES])
    sides = {"get into the better basin": out, "end below the local minimum's value": better}
    panels = [
        Panel(
            {n: Curve(size, s[k, :-1].mean(-1)) for k, n in enumerate(DESCENTS)},
            "batch size (examples)",
            "share of runs",
            log=("x",),
            title=title,
        )
        for title, s in sides.items()
    ]
    return curves_figure(f"From the local minimum, {STEPS} steps", *panels, columns=2)


def _knocked_table(out: np.ndarray, better: np.ndarray) -> Table:
    rows = tuple(
        (name, f"{batch}", f"{out[k, i].mean():.0%}", f"{better[k, i].mean():.0%}")
        for k, name in enumerate(DESCENTS)
        for i, batch in enumerate((*BATCHES, EXAMPLES))
    )
    columns = ("optimizer", "batch", "got into the better basin", "ended below the local minimum")
    title = f"Runs from the local minimum, {STEPS} steps"
    return Table(title, columns, rows, "", ("left", "right", "right", "right"))
