"""One run with its way kept: points at checkpoints, from start to end, in the plain loop."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.run import bound, checkpoints
from ravine.errors import BadValue
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import differentiate, set_mode
from ravine.optimizers.driving import step as take_step
from ravine.problems.base import Data, Point, Problem


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """The way of one run.

    Args:
        problem: canonical id.
        setting: canonical id of the optimizer, or of several with the steps they begin at.
        seed: of start and batches.
        steps: at which the points were kept, ascending; the first is 0.
        points: parameters in one flat vector each, in the problem's order, `[steps, P]`.
        losses: of the minibatch at those steps.
        diverged: the step at which the loss left all bounds; None if it did not.
    """

    problem: str
    setting: str
    seed: int
    steps: tuple[int, ...]
    points: Float[Tensor, "steps P"]
    losses: tuple[float, ...]
    diverged: int | None = None

    @property
    def start(self) -> Float[Tensor, " P"]:
        """Where it began."""
        return self.points[0]

    @property
    def end(self) -> Float[Tensor, " P"]:
        """Where it ended."""
        return self.points[-1]


def walk(
    problem: Problem,
    setting: Setting,
    seed: int = 0,
    steps: int | None = None,
    *,
    keep: Sequence[int] | int = 33,
    start: Point | None = None,
    then: Sequence[tuple[int, Setting]] = (),
    dtype: torch.dtype | None = None,
    data_seed: int | None = None,
    listener: Callable[[float], None] = lambda share: None,
) -> Walk:
    """Run one optimizer and keep where it went.

    Args:
        problem: what is minimised.
        setting: the optimizer with all its hyperparameters.
        seed: of the start, and of instance and batches unless `data_seed` is given.
        steps: optimizer steps, the problem's own budget by default.
        keep: the steps whose points are kept, or how many log-spaced ones; the first and the
            last always are.
        start: parameters to begin with, `[*shape]` each, instead of the seed's.
        then: other optimizers, each with the step at which it takes over, with a state of
            its own.
        dtype: of the parameters; the problem's own by default.
        data_seed: of instance and batches.
        listener: told the share of steps that are done.

    Returns:
        The way; a run that diverges ends there.

    Raises:
        BadValue: a step to be kept, or to switch at, is not within the run.
    """
    budget = problem.traits.budget if steps is None else steps
    marks = set(checkpoints(budget, keep)) if isinstance(keep, int) else {0, budget, *keep}
    switches = dict(then)
    if not all(0 <= step <= budget for step in (*marks, *switches)):
        raise BadValue(f"steps must lie between 0 and the {budget} of the run; choose such")
    begin = problem.start(seed) if start is None else start
    point = {n: p.detach().to(dtype or p.dtype, copy=True) for n, p in begin.items()}
    parameters = [p.requires_grad_() for p in point.values()]
    if problem.traits.lag:
        raise BadValue(f"`{problem.name}` takes gradients of earlier points; walk another problem")
    seeds = [seed if data_seed is None else data_seed]
    data: Data = {n: t[0] for n, t in problem.instance(seeds).items()}
    instance = data
    kept: list[tuple[int, Tensor, float]] = []
    diverged, limit = None, torch.inf
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        needs, optimizer = capabilities(setting), assemble(setting, parameters, budget)
        for step in range(budget + 1):
            if step in switches:
                needs = capabilities(switches[step])
                optimizer = assemble(switches[step], parameters, budget - step)
            if step == budget:
                set_mode(optimizer, training=False)
            if problem.traits.stochastic:
                data = {**instance, **{n: t[0] for n, t in problem.batch(seeds, step).items()}}
            loss = problem.loss(point, data)
            value = loss.item()
            limit = bound(value) if step == 0 else limit
            diverged = None if abs(value) <= limit else step
            if step in marks or diverged is not None:
                kept.append((step, torch.cat([p.detach().flatten() for p in parameters]), value))
            if step == budget or diverged is not None:
                break
            differentiate(loss, parameters, needs)
            take_step(optimizer, parameters, needs, partial(problem.loss, point, data), loss)
            if problem.traits.box is not None:
                with torch.no_grad():
                    low, high = torch.tensor(problem.traits.box).to(parameters[0]).unbind(-1)
                    parameters[0].clamp_(low, high)
            listener((step + 1) / budget)
    later = (f"{other.name} from step {at}" for at, other in sorted(then, key=lambda s: s[0]))
    return Walk(
        problem=problem.name,
        setting=", then ".join([setting.name, *later]),
        seed=seed,
        steps=tuple(step for step, _, _ in kept),
        points=torch.stack([x for _, x, _ in kept]),
        losses=tuple(value for _, _, value in kept),
        diverged=diverged,
    )
