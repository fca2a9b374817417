"""Optimization and deep learning: vanishing gradients and saddles (d2l.ai, 12.1)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure

from ravine.engine.grid import run_grid
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.engine.walk import walk
from ravine.engine.watch import Runs
from ravine.experiments.claims import above, below, between, equals, exact, median, share
from ravine.experiments.experiment import Found, Scale, Tick, experiment
from ravine.experiments.running import first_hits, only, stacked
from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient, pack
from ravine.optimizers.base import Setting
from ravine.optimizers.catalogue import method, methods
from ravine.problems.analytic import Analytic
from ravine.problems.base import Point
from ravine.problems.catalogue import analytic, problem
from ravine.reporting.curves import Curve, Panel, curves_figure
from ravine.reporting.layout import Table
from ravine.reporting.paths import paths_figure, paths_film

SOURCE = "Zhang, Lipton, Li, Smola (2023), Dive into Deep Learning, 12.1, d2l.ai"

RATE = 0.1
"""Of every method, so that they differ by what they make of a gradient alone."""

AVERAGING = (
    *("adam", "adamw", "amsgrad", "adamw_amsgrad", "nadam", "nadamw", "radam", "radamw"),
    *("adamax", "rmsprop", "rmsprop_centered", "rmsprop_momentum"),
)
"""Methods that divide by a running average (or maximum) of the gradient's size."""

SHOWN = ("sgd", "heavy_ball", "adagrad", "adadelta", "rmsprop", "adam")
FAMILIES = (
    *("sgd", "heavy_ball", "nesterov", "asgd", "rprop", "adagrad", "adadelta", "adafactor"),
    *("rmsprop", "adam", "adamw", "amsgrad", "nadam", "radam", "adamax"),
)
"""Whose paths are drawn: one of each kind that torch has and that can share a tensor."""
VALUES = (0.9, 0.0, -0.9)
"""Heights on the way down tanh that the table gives."""


@dataclass(frozen=True, kw_only=True)
class Begun(Analytic):
    """A formula whose run with seed k begins at the k-th of given places, all in one stack."""

    places: tuple[tuple[float, ...], ...]

    def start(self, seed: int) -> Point:
        """The place of that number."""
        return {"x": torch.tensor(self.places[seed], dtype=torch.float64)}


def begun(problem: Analytic, places: Sequence[tuple[float, ...]]) -> Begun:
    """The same formula, begun elsewhere."""
    kept = {field.name: getattr(problem, field.name) for field in fields(problem)}
    return Begun(**kept, places=tuple(places))


@experiment("A1", "Vanishing gradients", SOURCE)
def vanishing_gradient(scale: Scale, tick: Tick) -> Found:
    """On tanh from x = 4 the gradient is 0.0013, so that progress stalls for a long time.

    Deep networks were hard to train before ReLU for that reason.  Optimizers that divide by
    the gradient's size escape within tens of steps.
    """
    base, budget, early = analytic("tanh"), 4000, 600
    seeds = range(scale.choose(7, 25))
    settings = torch_settings()
    at = base.facts.targets.index(0.0)
    runs = stacked(base, settings, seeds, early)
    tick(0.3)
    # most are there soon; only the others need all steps
    late = {n: settings[n] for n, r in runs.items() if math.inf in first_hits(r, at)}
    runs |= stacked(base, late, seeds, budget)
    down = {name: first_hits(found, at) for name, found in runs.items()}
    tick(0.6)
    film = {n: walk(base, settings[n], 0, early, keep=range(early + 1)) for n in FAMILIES}
    ways = {n: way.points.numpy() for n, way in film.items()}
    said = f"{early} steps on tanh at a rate of {RATE}"
    tick(0.8)
    nets = {
        name: layer_gradients(f"deep_mlp(activation={name}, init={init})", seeds)
        for name, init in (("sigmoid", "xavier"), ("tanh", "xavier"), ("relu", "he"))
    }
    kept = {name: (rows[:, 0] / rows[:, -1]).tolist() for name, rows in nets.items()}
    starts = [float(base.start(seed)["x"]) for seed in seeds]
    flow = [plateau_time(x) / RATE for x in starts]
    slowest = [max(down[n][s] for n in AVERAGING) for s in range(len(starts))]
    descent = down["sgd"]
    return Found(
        claims=(
            exact(
                "slope",
                "At x = 4 the slope of tanh is 0.0013.",
                1 - math.tanh(4.0) ** 2,
                equals(0.0013, 0.00005),
            ),
            median(
                "descent-stalls",
                "Plain descent at a rate of 0.1 needs over 1,000 steps to get down to the middle.",
                descent,
                above(1000),
                unit="steps",
            ),
            median(
                "descent-time",
                "It needs (x / 2 + sinh(2 x) / 4) / rate steps, the time of the gradient flow, "
                "to within 2 %.",
                _ratios(descent, flow),
                between(0.98, 1.02),
            ),
            median(
                "momentum",
                "Momentum of 0.9 makes that ten times fewer, 1 / (1 - 0.9), to within a tenth.",
                _ratios(descent, down["heavy_ball"]),
                between(9, 11),
            ),
            median(
                "adam-leaves",
                "Adam at the same rate gets there within 100 steps.",
                down["adam"],
                below(100),
                unit="steps",
            ),
            median(
                "averaging-leaves",
                f"The slowest of {len(AVERAGING)} methods that divide by a running average of the "
                "gradient's size takes at most a tenth of plain descent's steps.",
                _ratios(slowest, descent),
                below(0.1),
            ),
            median(
                "a-constant-below",
                "To divide is not enough: AdaGrad whose sum of squares begins at 0.1 takes more "
                "than a tenth of plain descent's steps.",
                _ratios(down["adagrad_accumulator"], descent),
                above(0.1),
            ),
            median(
                "sigmoid-vanishes",
                "At the start of a sigmoid perceptron of 20 layers the first layer's gradient is "
                "less than a thousandth of the last one's.",
                kept["sigmoid"],
                below(1e-3),
            ),
            median(
                "relu-keeps",
                "With ReLU it is at least a tenth of the last one's.",
                kept["relu"],
                above(0.1),
            ),
            median(
                "tanh-keeps",
                "Saturating units alone are not the reason: with tanh units and Xavier's "
                "initialisation it is at least a tenth, too.",
                kept["tanh"],
                above(0.1),
            ),
        ),
        figures={
            "loss": curves_figure(
                f"tanh from x = 4 at a rate of {RATE}: descent stalls where the slope vanishes",
                Panel(_descents(runs), "steps + 1", "tanh(x)", log=("x",)),
            ),
            "layers": curves_figure(
                "Gradient by layer at the start of perceptrons of 20 layers, on 256 images",
                Panel(
                    {n: Curve(np.arange(1.0, r.shape[1] + 1), r) for n, r in nets.items()},
                    "layer, from the input on",
                    "norm of the gradient (nats)",
                    log=("y",),
                ),
            ),
            "paths": paths_figure(base, ways, said, apart=True),
        },
        tables={"steps": _steps_table(runs, base)},
        animations={"film": paths_film(base, ways, said, apart=True)},
        remark=(
            f"All {len(settings)} optimizers of torch whose runs can share a tensor, at one rate; "
            "L-BFGS, Muon and SparseAdam are left out.  Momentum takes its time to gather speed "
            "where the slope grows.  Being quick on a plateau says nothing of the rest of a run."
        ),
    )


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


def torch_settings() -> dict[str, Setting]:
    """All optimizers of torch whose runs can share a tensor, at one rate, by name."""
    names = [name for name in methods.tagged("torch") if method(name).knobs]
    stack = [name for name in names if probe(method(name)) is not Level.ALONE]
    return {name: only(f"{name}(lr={RATE})") for name in stack}


def first_falls(
    problems: Sequence[Analytic], settings: Mapping[str, Setting], seeds: Sequence[int], steps: int
) -> tuple[Float[np.ndarray, "settings problems seeds"], tuple[Runs, ...]]:
    """The first step at the first target of every run, infinite where there is none."""
    pairs = [(setting, probe(setting.method)) for setting in settings.values()]
    runs = run_grid(problems, pairs, list(seeds), steps).runs
    hits = np.stack([found.hits[:, :, 0] for found in runs], 1).astype(float)
    return np.where(hits < 0, np.inf, hits), runs


def plateau_time(x: float) -> float:
    """How long the gradient flow on tanh takes from x down to 0: the integral of cosh^2."""
    return x / 2 + math.sinh(2 * x) / 4


def leaving_time(push: Float[np.ndarray, " n"], rate: float) -> Float[np.ndarray, " n"]:
    """Steps of descent on x^2 - y^2 until y, begun at a push, is at least 1."""
    # a logarithm of rounded numbers must not add a step
    return np.asarray(np.ceil(np.log(1 / push) / np.log(1 + 2 * rate) - 1e-9))


def layer_gradients(id: str, seeds: Sequence[int]) -> Float[np.ndarray, "seeds layers"]:
    """Norm of the gradient by the weights of each layer, at the start of a perceptron."""
    net, rows = problem(id), []
    for seed in seeds:
        ground = surface(net, seed=seed, examples=256)
        slope = gradient(ground, pack(ground, net.start(seed)))
        weights = [place for name, place in ground.slices.items() if name.endswith(".weight")]
        rows.append([float(slope[place].double().norm()) for place in weights])
    return np.array(rows)


def _ratios(one: Sequence[float], other: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(one, other, strict=True)]


def _descents(runs: Mapping[str, Runs]) -> dict[str, Curve]:
    """Loss over steps, a band over seeds."""
    return {
        name: Curve(np.array(runs[name].marks) + 1.0, runs[name].trace_loss[:, 0].T)
        for name in SHOWN
        if name != "adadelta"  # it hides descent, with which it falls
    }


def _steps_table(runs: Mapping[str, Runs], base: Analytic) -> Table:
    places = [base.facts.targets.index(value) for value in VALUES]
    rows = [
        (name, *(_steps(float(np.median(first_hits(found, k)))) for k in places))
        for name, found in runs.items()
    ]
    rows.sort(key=lambda row: float(row[2].replace(",", "").replace("never", "inf")))
    columns = ("optimizer", *(f"steps to tanh(x) = {value:g}" for value in VALUES))
    footer = f"Medians over {len(next(iter(runs.values())).start[0])} seeds, at a rate of {RATE}."
    title = "Steps down from the plateau of tanh"
    return Table(title, columns, tuple(rows), footer, ("left", "right", "right", "right"))


def _leaving_table(
    times: Mapping[str, Float[np.ndarray, " pushes"]], inflected: Mapping[str, float]
) -> Table:
    chosen = (0, 3, 7, 15)
    rows = [
        (name, *(_steps(float(found[k])) for k in chosen), _steps(float(inflected[name])))
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


def _steps(count: float) -> str:
    return f"{count:,.0f}" if math.isfinite(count) else "never"


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
