"""Many runs of a network as one stack with their ways kept: what `walk` does for a single one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.network_grid import run_network_grid
from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.errors import BadValue
from ravine.optimizers.base import Setting
from ravine.problems.base import Point, Problem


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Walks:
    """The ways of several settings from several seeds.

    Args:
        steps: at which points were kept, ascending.
        points: parameters as flat vectors, in the problem's order.
        losses: of every step's minibatch, and of the end's.
        scores: what the problem measures at the end.
    """

    steps: tuple[int, ...]
    points: Float[Tensor, "settings seeds kept P"]
    losses: Float[Tensor, "settings seeds steps"]
    scores: dict[str, Float[Tensor, "settings seeds"]]

    @property
    def starts(self) -> Float[Tensor, "settings seeds P"]:
        """Where they began."""
        return self.points[:, :, 0]

    @property
    def ends(self) -> Float[Tensor, "settings seeds P"]:
        """Where they ended."""
        return self.points[:, :, -1]

    def at(self, step: int) -> Float[Tensor, "settings seeds P"]:
        """Where they were at one of the steps that were kept."""
        return self.points[:, :, self.steps.index(step)]


def walks(
    problem: Problem,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    steps: int,
    *,
    keep: Sequence[int] = (),
    starts: Float[Tensor, "seeds P"] | None = None,
    first: int = 0,
    dtype: torch.dtype = torch.float32,
    tick: Callable[[float], None] = lambda share: None,
) -> Walks:
    """Run every setting from every seed at once and keep where the runs went.

    Batched products round otherwise than single ones, so that a way is that of `walk` to a
    tolerance over its first steps.

    Args:
        problem: a network.
        settings: optimizers with all their hyperparameters.
        seeds: of starts and minibatches; all settings share them.
        steps: of each run.
        keep: steps whose points are kept; the first and the last always are.
        starts: flat points where runs begin, one for each seed, instead of the seeds' own.
        first: number of the first minibatch: the steps that lie behind a run that goes on.
        dtype: of the parameters.
        tick: told the share that is done.

    Raises:
        BadValue: a setting's runs cannot share a stack, its optimizer raises, or a step to be
            kept is not within the run.
    """
    marks = sorted({0, steps, *keep})
    if not 0 <= marks[0] <= marks[-1] <= steps:
        raise BadValue(f"steps to keep must lie between 0 and {steps}, got {marks}; choose such")
    shapes = tuple(problem.shapes.values())
    pairs = [(setting, probe(setting.method, shapes)) for setting in settings]
    for setting, level in pairs:
        if level is Level.ALONE:
            raise BadValue(f"`{setting.name}` cannot share a stack; take `walk` for each run")
    points: list[Tensor] = []
    losses: list[Tensor] = []

    def look(step: int, point: Point, loss: Tensor) -> None:
        if step in marks:
            points.append(torch.cat([point[n].detach().flatten(2) for n in problem.shapes], -1))
        losses.append(loss)

    grid, scores = run_network_grid(
        problem,
        pairs,
        seeds,
        steps,
        dtype,
        tick=lambda step: tick(step / steps),
        starts=None if starts is None else [_unpacked(problem, x) for x in starts],
        first=first,
        look=look,
    )
    if grid.failures:
        raise BadValue(f"optimizers raised {', '.join(grid.failures.values())}; leave them out")
    return Walks(
        steps=tuple(marks),
        points=torch.stack(points, 2),
        losses=torch.stack(losses, -1),
        scores=scores,
    )


def _unpacked(problem: Problem, x: Float[Tensor, " P"]) -> Point:
    """A flat point as the problem's parameters."""
    pieces = torch.split(x, [prod(shape) for shape in problem.shapes.values()])
    return {
        name: piece.reshape(shape)
        for (name, shape), piece in zip(problem.shapes.items(), pieces, strict=True)
    }
