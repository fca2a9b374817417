"""What the experiments on optimizers share: runs of the textbook's rules, and their measures.

The chapter trains linear regression in small batches on 1,500 rows of five features, and
draws paths on bowls; so do these.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from ravine.experiments.claims import Claim, below, exact
from ravine.experiments.experiment import Tick
from ravine.optimizers.textbook import Rule
from ravine.problems.analytic import Analytic
from ravine.problems.regression import ROWS, table, tabular_regression
from ravine.reporting.curves import Curve, Panel
from ravine.reporting.layout import Table

BATCH = 10

EPOCH = ROWS // BATCH
"""Steps of an epoch in batches of ten."""

Way = Float64[np.ndarray, "seeds steps n"]
Values = Float[np.ndarray, "seeds steps"]


def train(
    rules: Mapping[str, Rule],
    seeds: Sequence[int],
    steps: int,
    batch: int = BATCH,
    tick: Tick = lambda share: None,
) -> dict[str, Way]:
    """Train linear regression by several rules on the same minibatches.

    Args:
        rules: by label.
        seeds: of start and minibatches, all in one array.
        steps: of each run.
        batch: rows in a minibatch; with all rows the gradient is the exact one.
        tick: told the share that is done.

    Returns:
        By label, weights and bias after each step, the start first.
    """
    problem = tabular_regression(batch)
    starts = [problem.start(seed) for seed in seeds]
    start = np.stack([torch.cat([s["weight"], s["bias"]]).numpy() for s in starts])
    ways = {label: [start] for label in rules}
    states: dict[str, Any] = dict.fromkeys(rules)
    best, hessian = table().best.numpy(), table().hessian.numpy()
    with np.errstate(all="ignore"):
        for step in range(steps):
            points = np.stack([way[-1] for way in ways.values()], -1)
            if batch == ROWS:
                gradients = hessian @ (points - best[:, None])
            else:
                data = problem.batch(seeds, step)
                inputs, targets = data["inputs"].numpy(), data["targets"].numpy()
                design = np.concatenate([inputs, np.ones_like(inputs[..., :1])], -1)
                errors = design @ points - targets[..., None]
                gradients = design.swapaxes(-1, -2) @ errors / batch
            for k, (label, rule) in enumerate(rules.items()):
                x, states[label] = rule(ways[label][-1], states[label], gradients[..., k])
                ways[label].append(x)
            tick((step + 1) / steps)
    return {label: np.stack(way, 1) for label, way in ways.items()}


def slide(
    problem: Analytic,
    rule: Rule,
    steps: int,
    noise: Float64[np.ndarray, "steps n"] | None = None,
) -> Float64[np.ndarray, "_ n"]:
    """Follow a rule down a formula from its start, unshifted.

    Args:
        problem: a formula with a start.
        rule: the rule.
        steps: of the run.
        noise: added to the gradients.
    """
    way, state = [np.array(problem.start_at)], None
    for step in range(steps):
        x = torch.from_numpy(way[-1]).requires_grad_()
        (g,) = torch.autograd.grad(problem.f(x), x)
        gradient = g.numpy() if noise is None else g.numpy() + noise[step]
        x_new, state = rule(way[-1], state, gradient)
        way.append(x_new)
    return np.stack(way)


def by_torch(
    name: str,
    schedule: Callable[[torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler] | None = None,
    **hyper: Any,
) -> Rule:
    """Make a rule of an optimizer of torch, to be run once; its state is the optimizer itself.

    Args:
        name: a class of `torch.optim` that treats each number alone.
        schedule: takes the optimizer and returns what changes its rate after each step.
        hyper: hyperparameters.
    """

    def rule(x: Any, state: Any, g: Any) -> tuple[Any, Any]:
        if state is None:
            parameter = torch.zeros(x.shape, dtype=torch.float64, requires_grad=True)
            optimizer = getattr(torch.optim, name)([parameter], **hyper)
            state = parameter, optimizer, schedule(optimizer) if schedule else None
        parameter, optimizer, scheduler = state
        parameter.data.copy_(torch.from_numpy(x))
        parameter.grad = torch.from_numpy(g.copy())
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        return parameter.detach().numpy().copy(), state

    return rule


def noting(rule: Rule, states: list[Any]) -> Rule:
    """The same rule, which leaves its state after each step in a list."""

    def inner(x: Any, state: Any, g: Any) -> tuple[Any, Any]:
        x, state = rule(x, state, g)
        states.append(state)
        return x, state

    return inner


def gap(way: Way) -> Values:
    """How far the loss over all rows is above its minimum; infinite where a run blew up."""
    with np.errstate(all="ignore"):
        off = way - table().best.numpy()
        value = 0.5 * ((off @ table().hessian.numpy()) * off).sum(-1)
    return np.where(np.isfinite(value), value, np.inf)


def steps_to(values: Values, share: float) -> list[float]:
    """The first step at which a share of the first value is left, infinite if there is none."""
    reached = values <= share * values[:, :1]
    first = np.where(reached.any(1), reached.argmax(1), np.inf)
    return [float(step) for step in first]


def rises(values: Values, last: int = EPOCH) -> list[float]:
    """All that the values rise by in the last steps, summed: their ups without their downs."""
    with np.errstate(all="ignore"):
        up = np.diff(values[:, -last - 1 :], axis=1).clip(min=0.0).sum(1)
    return [float(u) for u in np.where(np.isfinite(up), up, np.inf)]


def ending(values: Values, last: int = EPOCH // 2) -> list[float]:
    """The mean over the last steps, half an epoch of them."""
    return [float(mean) for mean in values[:, -last:].mean(1)]


def ratios(above: Sequence[float], under: Sequence[float]) -> list[float]:
    """Seed by seed, one over the other; infinite over infinite is not a number."""
    with np.errstate(all="ignore"):
        return [float(r) for r in np.array(above, float) / np.array(under, float)]


def turning(way: Float64[np.ndarray, "*runs steps n"]) -> Float64[np.ndarray, "*runs"]:
    """The angles between successive steps, summed, in radians; a straight path has 0.

    Kahan's formula, which is exact for small angles too, where the cosine is flat.
    """
    steps = np.diff(way, axis=-2)
    length = np.linalg.norm(steps, axis=-1, keepdims=True)
    unit = np.divide(steps, length, out=np.zeros_like(steps), where=length > 0)
    one, two = unit[..., :-1, :], unit[..., 1:, :]
    norm = np.linalg.norm
    angles = 2 * np.arctan2(norm(one - two, axis=-1), norm(one + two, axis=-1))
    moved = (length[..., :-1, 0] > 0) & (length[..., 1:, 0] > 0)
    return np.asarray(np.where(moved, angles, 0.0).sum(-1))


def threshold(
    values: Callable[[float], Float64[np.ndarray, " steps"]], low: float, high: float
) -> float:
    """The rate above which a run on a quadratic grows, by halving the interval.

    A run falls if it ends lower than it is at half its steps, where only the coordinate
    that decides is left.

    Args:
        values: the losses of a run at a rate.
        low: a rate at which it falls.
        high: a rate at which it grows.
    """
    for _ in range(30):
        rate = (low + high) / 2
        run = values(rate)
        low, high = (rate, high) if run[-1] < run[len(run) // 2] else (low, rate)
    return (low + high) / 2


def over_epochs(values: Values, epoch: int = EPOCH, every: int = 5) -> Curve:
    """A curve over epochs, of every few steps."""
    steps = np.arange(values.shape[1])
    return Curve(steps[::every] / epoch, values[:, ::every])


def losses(curves: Mapping[str, Curve], title: str = "") -> Panel:
    """A plot of losses over epochs."""
    return Panel(curves, "epochs", "loss - minimum", log=("y",), title=title)


def as_torch(said: str, torchs: Way, own: Way) -> Claim:
    """That torch takes the steps of a formula.

    Args:
        said: what of it.
        torchs: points of runs by torch.
        own: by the formula.
    """
    return exact("torch", said, np.abs(torchs - own).max(), below(1e-9))


def summary(title: str, gaps: Mapping[str, Values], footer: str = "") -> Table:
    """How soon each setting fell, where it ended, and how it went up and down at the end.

    Args:
        title: one line.
        gaps: by setting, losses above the minimum.
        footer: one line.
    """
    seeds = len(next(iter(gaps.values())))
    rows = []
    for label, values in gaps.items():
        numbers = (
            np.median(steps_to(values, 0.1)),
            np.median(steps_to(values, 0.01)),
            np.median(np.array(ending(values)) / values[:, 0]),
            np.median(rises(values)),
        )
        rows.append((label, *(f"{n:.4g}" if np.isfinite(n) else "never" for n in numbers)))
    columns = (
        "setting",
        "steps to 10 %",
        "steps to 1 %",
        "left at the end (share of the start)",
        "rises in the last epoch",
    )
    said = f"Medians over {seeds} seeds of the loss over all rows above its minimum."
    return Table(
        title,
        columns,
        tuple(rows),
        f"{said} {footer}".strip(),
        ("left", "right", "right", "right", "right"),
    )
