"""The plain loop: one run, one optimizer, one step after another.

This is what everyone writes, and what the stacked grids are held to: every comparison
re-runs a sample of its runs here and compares bits.  Nothing here is stacked or shared.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.run import SMOOTHING, STILL, Run, bound, checkpoints, targets
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import differentiate, set_mode
from ravine.optimizers.driving import step as take_step
from ravine.problems.arithmetic import total
from ravine.problems.base import Data, Goal, Point, Problem
from ravine.records.schema import NEVER

LARGEST_SUM = 4096
"""Coordinates up to which a gradient's norm is summed in an order of our own."""


def solve(
    problem: Problem,
    setting: Setting,
    seed: int = 0,
    steps: int | None = None,
    dtype: torch.dtype = torch.float64,
    device: str = "cpu",
    horizon: int | None = None,
) -> Run:
    """Run one optimizer on one problem from one start.

    Where a method tells training from evaluation, the last loss is that of its solution.

    Args:
        problem: what is minimised.
        setting: the optimizer with all its hyperparameters.
        seed: decides the start, the instance, the noise and the batches.
        steps: optimizer steps, the problem's own budget by default.
        dtype: of the parameters.
        device: where the parameters live.
        horizon: steps of the whole run, if `steps` is only its beginning.

    Returns:
        The run; a failure of the optimizer is recorded, not raised.

    Example:
        >>> from ravine import method, problem, trials
        >>> run = solve(problem("sphere"), trials(method("sgd(lr=0.1)"))[0], steps=100)
        >>> run.final < 1e-6 * run.start
        True
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # for optimizers that draw numbers of their own
        budget = problem.traits.budget if steps is None else steps
        return _solve(problem, setting, seed, budget, dtype, device, horizon or budget)


def _solve(
    problem: Problem,
    setting: Setting,
    seed: int,
    budget: int,
    dtype: torch.dtype,
    device: str,
    horizon: int,
) -> Run:
    traits = problem.traits
    point = {
        name: tensor.to(device, dtype, copy=True).requires_grad_()
        for name, tensor in problem.start(seed).items()
    }
    parameters = list(point.values())
    needs = capabilities(setting)
    optimizer = assemble(setting, parameters, horizon)
    instance = _single(problem.instance([seed]), device)
    past: deque[Point] = deque(maxlen=traits.lag + 1)
    watch = _Watch(problem, budget)
    data = instance
    for step in range(budget + 1):
        if step == horizon:
            set_mode(optimizer, training=False)
        if traits.stochastic:
            data = {**instance, **_single(problem.batch([seed], step), device)}
        where: Point = point
        if traits.lag:
            past.append({k: v.detach().clone() for k, v in point.items()})
            where = {k: v.detach().requires_grad_() for k, v in past[0].items()}
        loss = problem.loss(where, data)
        value = loss.item()
        if problem.scored_apart:
            with torch.no_grad():
                value = problem.value(point, data).item()
        if watch.freeze(step, value):
            break
        marked = step in watch.marks
        if marked or step < budget:
            differentiate(loss, list(where.values()), needs)
            if traits.lag:
                for name, tensor in point.items():
                    tensor.grad = where[name].grad
        if marked:
            watch.trace.append((step, watch.value, gradient_norm(point.values())))
        if step == budget:
            break
        try:
            take_step(optimizer, parameters, needs, partial(problem.loss, point, data), loss)
        except Exception as error:  # whatever an optimizer raises is a result
            watch.failure = describe(error)
            break
        if traits.box is not None:
            project(point["x"], traits.box)
    return watch.run(point)


def describe(error: Exception) -> str:
    """An optimizer's error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """The Euclidean norm of all gradients together.

    Formulas sum in the order that stacking keeps; a network's thousands of weights need
    only be right to rounding, and are summed faster.
    """
    gradients = [p.grad.detach() for p in parameters if p.grad is not None]
    gradients = [g.to_dense() if g.is_sparse else g for g in gradients]
    if sum(g.numel() for g in gradients) > LARGEST_SUM:
        norms = torch.stack([torch.linalg.vector_norm(g) for g in gradients])
        return float(torch.linalg.vector_norm(norms))
    squares = [total(g.flatten().square()) for g in gradients]
    return float(total(torch.stack(squares)).sqrt())


def project(x: Float[Tensor, "*stack n"], box: tuple[tuple[float, float], ...]) -> None:
    """Clamp each coordinate to its interval, in place."""
    low, high = torch.tensor(box, dtype=x.dtype, device=x.device).unbind(-1)
    with torch.no_grad():
        x.clamp_(low, high)


def _single(data: Data, device: str) -> Data:
    return {name: tensor[0].to(device) for name, tensor in data.items()}


class _Watch:
    """What is measured along one run."""

    def __init__(self, problem: Problem, budget: int) -> None:
        self.problem = problem
        self.smoothed = problem.facts.goal is Goal.REFERENCE
        self.marks = frozenset(checkpoints(budget))
        self.aims: tuple[float, ...] = ()
        self.hits: list[int] = []
        self.trace: list[tuple[int, float, float]] = []
        self.start = self.best = self.value = 0.0
        self.limit = self.still = self.average = 0.0
        self.frozen, self.moved, self.failure = NEVER, 0, ""

    def freeze(self, step: int, value: float) -> bool:
        """Take in the loss of a step; True if it has left all bounds."""
        if self.smoothed:
            self.average = SMOOTHING * self.average + (1 - SMOOTHING) * value
            value = self.average / (1 - SMOOTHING ** (step + 1))
        if step == 0:
            self.start = self.best = value
            self.limit, self.still = bound(value), STILL * max(1.0, abs(value))
            self.aims = targets(self.problem, value)
        if not abs(value) <= self.limit:
            self.frozen = step
            value = -float("inf") if value < 0 else float("inf")
        self.value = value
        while len(self.hits) < len(self.aims) and value <= self.aims[len(self.hits)]:
            self.hits.append(step)
        if value < self.best:
            if value < self.best - self.still:
                self.moved = step
            self.best = value
        return self.frozen != NEVER

    def run(self, point: Mapping[str, Tensor]) -> Run:
        """The finished run."""
        missed = len(self.aims) - len(self.hits)
        return Run(
            hits=(*self.hits, *[NEVER] * missed),
            start=self.start,
            best=self.best,
            final=self.value,
            frozen=self.frozen,
            moved=self.moved,
            trace=tuple(self.trace),
            point=tuple(torch.cat([p.detach().flatten() for p in point.values()]).tolist()),
            failure=self.failure,
        )
