"""What is measured along thousands of runs at once: `[settings, runs]` arrays.

The same rules as in the plain loop (`ravine.engine.run`), written for arrays.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ravine.engine.run import SMOOTHING, STILL, Run, bound, checkpoints, targets
from ravine.problems.base import Goal, Problem
from ravine.records.schema import NEVER


@dataclass(frozen=True, slots=True)
class Runs:
    """The runs of one problem as arrays, settings by seeds; see `Run` for the fields."""

    hits: Int[np.ndarray, "settings seeds targets"]
    aims: Float[np.ndarray, "seeds targets"]
    start: Float[np.ndarray, "settings seeds"]
    best: Float[np.ndarray, "settings seeds"]
    final: Float[np.ndarray, "settings seeds"]
    frozen: Int[np.ndarray, "settings seeds"]
    moved: Int[np.ndarray, "settings seeds"]
    marks: tuple[int, ...]
    trace_loss: Float[np.ndarray, "marks settings seeds"]
    trace_gradient: Float[np.ndarray, "marks settings seeds"]
    point: Float[np.ndarray, "settings seeds n"]

    def at(self, setting: int, seed: int) -> Run:
        """One of the runs, by position."""
        i = (setting, seed)
        frozen = int(self.frozen[i])
        return Run(
            hits=tuple(self.hits[i].tolist()),
            start=float(self.start[i]),
            best=float(self.best[i]),
            final=float(self.final[i]),
            frozen=frozen,
            moved=int(self.moved[i]),
            trace=tuple(
                (step, float(self.trace_loss[k][i]), float(self.trace_gradient[k][i]))
                for k, step in enumerate(self.marks)
                if frozen == NEVER or step < frozen
            ),
            point=tuple(self.point[i].tolist()),
        )


class Watch:
    """Follows the scored loss of `[settings, runs]`, where runs are (problem, seed).

    Args:
        problems: in the order of their runs.
        settings: G, the number of rows.
        seeds: S, the number of runs of each problem.
        budget: steps.
        device: where the losses are computed.
    """

    def __init__(
        self, problems: tuple[Problem, ...], settings: int, seeds: int, budget: int, device: str
    ) -> None:
        self.problems, self.seeds = problems, seeds
        self.marks = checkpoints(budget)
        self._marked = {step: k for k, step in enumerate(self.marks)}
        shape = (settings, len(problems) * seeds)
        self.values = torch.zeros(shape, dtype=torch.float64, device=device)
        self.smoothed = torch.tensor(
            [p.facts.goal is Goal.REFERENCE for p in problems for _ in range(seeds)],
            device=device,
        )
        self._any_smoothed = bool(self.smoothed.any())
        self._average = torch.zeros_like(self.values)
        self.start: Tensor
        self.best: Tensor
        self.final: Tensor
        self.hits: Tensor
        self._limit: Tensor
        self._still: Tensor
        self._resting: Tensor
        self._next: Tensor
        self.alive = torch.ones(shape, dtype=torch.bool, device=device)
        self._all_alive = True
        self.frozen = torch.full(shape, NEVER, dtype=torch.int64, device=device)
        self.moved = torch.zeros(shape, dtype=torch.int64, device=device)
        self.trace_loss = np.full((len(self.marks), *shape), np.nan)
        self.trace_gradient = np.full((len(self.marks), *shape), np.nan)

    def block(self, problem: int) -> slice:
        """The runs of a problem, as a slice of the second dimension."""
        return slice(problem * self.seeds, (problem + 1) * self.seeds)

    def marked(self, step: int) -> bool:
        """Whether gradients are to be measured at this step."""
        return step in self._marked

    def observe(self, step: int) -> Bool[Tensor, "settings runs"] | None:
        """Take in `values`, the losses at a step.

        Returns:
            The runs that left all bounds at this very step, None if there are none.
        """
        value = self.values
        if self._any_smoothed:
            self._average.mul_(SMOOTHING).add_((1 - SMOOTHING) * value)
            value = torch.where(self.smoothed, self._average / (1 - SMOOTHING ** (step + 1)), value)
        if step == 0:
            self._begin(value)
        inside = value.abs() <= self._limit
        fresh: Tensor | None = None
        if not bool((inside | ~self.alive).all()):
            fresh = self.alive & ~inside
            self.frozen[fresh] = step
            self.alive &= inside
            self._all_alive = False
            # torch.where would let a NaN choose its sign; it counts as a rise
            self._resting = torch.where(
                fresh, torch.where(value < 0, -torch.inf, torch.inf), self._resting
            )
        value = value.clone() if self._all_alive else torch.where(self.alive, value, self._resting)
        self.final = value
        self._reach(step, value)
        lower = value < self.best
        self.moved[lower & (value < self.best - self._still)] = step
        self.best = torch.where(lower, value, self.best)
        if step in self._marked:
            self.trace_loss[self._marked[step]] = value.cpu().numpy()
        return fresh

    def measure(self, step: int, problem: int, norms: Float[Tensor, "settings seeds"]) -> None:
        """Record the gradient norms of a problem at a checkpoint."""
        self.trace_gradient[self._marked[step]][:, self.block(problem)] = norms.cpu().numpy()

    def runs(self, problem: int, point: Float[Tensor, "settings seeds n"]) -> Runs:
        """The runs of one problem, once all steps are done."""
        block = self.block(problem)
        count = len(self._aims_of[problem][0])

        def cut(tensor: Tensor) -> np.ndarray:
            return tensor[:, block].cpu().numpy().copy()

        return Runs(
            hits=cut(self.hits)[..., :count],
            aims=np.array(self._aims_of[problem]).reshape(self.seeds, count),
            start=cut(self.start),
            best=cut(self.best),
            final=cut(self.final),
            frozen=cut(self.frozen),
            moved=cut(self.moved),
            marks=self.marks,
            trace_loss=self.trace_loss[:, :, block].copy(),
            trace_gradient=self.trace_gradient[:, :, block].copy(),
            point=point.double().cpu().numpy().copy(),
        )

    def _begin(self, value: Float[Tensor, "settings runs"]) -> None:
        """Set bounds and targets; they depend on the start, which settings share."""
        self.start, self.best = value.clone(), value.clone()
        first = value[0].tolist()
        device = value.device
        self._limit = torch.tensor([bound(v) for v in first], dtype=torch.float64, device=device)
        self._still = torch.tensor(
            [STILL * max(1.0, abs(v)) for v in first], dtype=torch.float64, device=device
        )
        self._resting = torch.full_like(value, torch.inf)
        self._aims_of = [
            [targets(p, v) for v in first[self.block(i)]] for i, p in enumerate(self.problems)
        ]
        longest = max(len(aims) for block in self._aims_of for aims in block)
        ladder = [
            [*aims, *[-torch.inf] * (longest + 1 - len(aims))]
            for block in self._aims_of
            for aims in block
        ]
        self._ladder = torch.tensor(ladder, dtype=torch.float64, device=device)
        self._rung = torch.zeros_like(value, dtype=torch.int64)
        self._next = self._ladder[:, 0].expand_as(value).clone()
        self.hits = torch.full((*value.shape, longest), NEVER, dtype=torch.int64, device=device)

    def _reach(self, step: int, value: Float[Tensor, "settings runs"]) -> None:
        """Record every target reached for the first time at this step."""
        reached = (value <= self._next) & (self._next > -torch.inf)
        if not bool(reached.any()):
            return
        rows, columns = reached.nonzero(as_tuple=True)
        while len(rows):
            rungs = self._rung[rows, columns]
            self.hits[rows, columns, rungs] = step
            self._rung[rows, columns] = rungs + 1
            aims = self._ladder[columns, rungs + 1]
            self._next[rows, columns] = aims
            # a step may pass several targets at once
            again = (value[rows, columns] <= aims) & (aims > -torch.inf)
            rows, columns = rows[again], columns[again]
