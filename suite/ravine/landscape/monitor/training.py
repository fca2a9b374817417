"""A run of a problem of the catalogue that carries the monitor."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ravine.engine.run import bound
from ravine.errors import BadValue
from ravine.landscape.monitor.schedule import Schedule
from ravine.landscape.monitor.watching import Look, Monitor
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.optimizers.capabilities import capabilities
from ravine.optimizers.driving import differentiate, step
from ravine.problems.base import Data, Problem


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """A run, and what its monitor saw.

    Args:
        problem: canonical id.
        setting: canonical id of the optimizer.
        seed: of start and batches.
        steps: that were taken.
        losses: of each step's batch, before the step.
        looks: what was seen.
        overhead: share of the run's wall time that the monitor took.
        end: the point where it ended.
        diverged: the step at which the loss left all bounds; None if it did not.
    """

    problem: str
    setting: str
    seed: int
    steps: int
    losses: tuple[float, ...]
    looks: tuple[Look, ...]
    overhead: float
    end: Float[Tensor, " P"]
    diverged: int | None


def watch(
    problem: Problem,
    setting: Setting,
    seed: int = 0,
    steps: int | None = None,
    *,
    every: int | Schedule = 50,
    sharp: bool = True,
    tol: float = 1e-2,
    listener: Callable[[float], None] = lambda share: None,
) -> Watched:
    """Run one optimizer with a monitor on the loss of each step's own batch.

    The run is that of `ravine.engine.walk.walk`, bit for bit.

    Args:
        problem: what is minimised.
        setting: the optimizer with all its hyperparameters.
        seed: of start and batches.
        steps: optimizer steps, the problem's own budget by default.
        every: look at every so many steps, or at those for which a function is true.
        sharp: also compute the largest eigenvalue of the Hessian.
        tol: of its residual, relative to it.
        listener: told the share of steps that are done.

    Raises:
        BadValue: the problem takes gradients of earlier points, or is not smooth enough.
    """
    if problem.traits.lag:
        raise BadValue(f"`{problem.name}` takes gradients of earlier points; watch another problem")
    budget = problem.traits.budget if steps is None else steps
    start = {n: p.detach().clone() for n, p in problem.start(seed).items()}
    module = nn.ParameterList(start.values())
    parameters = list(module.parameters())
    instance: Data = {n: t[0] for n, t in problem.instance([seed]).items()}
    data, losses, diverged, limit = instance, list[float](), None, torch.inf

    def evaluate() -> Float[Tensor, ""]:
        return problem.loss(dict(zip(start, module, strict=True)), data)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        needs, optimizer = capabilities(setting), assemble(setting, parameters, budget)
        with Monitor(module, optimizer, every=every, sharp=sharp, tol=tol) as monitor:
            for number in range(budget):
                if problem.traits.stochastic:
                    data = {
                        **instance,
                        **{n: t[0] for n, t in problem.batch([seed], number).items()},
                    }
                loss = evaluate()
                losses.append(loss.item())
                limit = bound(losses[0]) if number == 0 else limit
                if not abs(losses[-1]) <= limit:
                    diverged = number
                    break
                differentiate(loss, parameters, needs)
                with monitor.around(evaluate):
                    step(optimizer, parameters, needs, evaluate, loss)
                    if problem.traits.box is not None:
                        with torch.no_grad():
                            box = torch.tensor(problem.traits.box).to(parameters[0])
                            parameters[0].clamp_(*box.unbind(-1))
                listener((number + 1) / budget)
    return Watched(
        problem=problem.name,
        setting=setting.name,
        seed=seed,
        steps=len(losses) - (diverged is not None),
        losses=tuple(losses),
        looks=monitor.looks,
        overhead=monitor.overhead,
        end=torch.cat([p.detach().flatten() for p in parameters]),
        diverged=diverged,
    )
