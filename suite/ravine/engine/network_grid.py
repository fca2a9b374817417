"""The grid of one network: `[settings, seeds, ...]` for each parameter tensor.

One loss serves all settings and seeds by batched products.  Batched and single products
may round differently, so runs agree with the plain loop to a tolerance over the first
steps, not bit for bit.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.grid import Grid
from ravine.engine.rows import Level, Slot, build_row, finish_rows, step_rows
from ravine.engine.watch import Watch
from ravine.optimizers.base import Setting
from ravine.problems.base import Point, Problem

Look = Callable[[int, Point, Float[Tensor, "settings seeds"]], None]
"""Shown every step, the parameters `[settings, seeds, *shape]` before it, and their losses."""


def run_network_grid(
    problem: Problem,
    settings: Sequence[tuple[Setting, Level]],
    seeds: Sequence[int],
    steps: int,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    tick: Callable[[int], None] | None = None,
    *,
    starts: Sequence[Point] | None = None,
    first: int = 0,
    look: Look | None = None,
) -> tuple[Grid, dict[str, Float[Tensor, "settings seeds"]]]:
    """Train every setting from every seed at once.

    Args:
        problem: a network, or anything whose loss takes `[settings, seeds, ...]`.
        settings: each with the level at which it may be stacked (not `Level.ALONE`).
        seeds: shared by all settings.
        steps: optimizer steps.
        dtype: of the parameters.
        device: where the parameters live.
        tick: called with the step after each step, for progress.
        starts: where runs begin, one for each seed, instead of at the problem's own starts.
        first: number of the first minibatch, for runs that go on.
        look: shown where every run is, once a step and at the end.

    Returns:
        The runs, and what the problem measures at the end, `[settings, seeds]` each.
    """
    rows_count, seed_count = len(settings), len(seeds)
    begun = [problem.start(seed) for seed in seeds] if starts is None else starts
    # seeds outermost in memory: one product then serves all settings of a seed's batch
    storage = {
        name: torch.stack([s[name] for s in begun])
        .to(device, dtype)
        .unsqueeze(1)
        .repeat_interleave(rows_count, 1)
        for name in problem.shapes
    }
    gradients: dict[str, Tensor] = {}
    names = tuple(storage)
    rows = []
    for g, (setting, level) in enumerate(settings):
        # gradients are views of what autograd returned, which spares a copy of them all
        shared: list[Slot] = [
            (storage[n][:, g], lambda n=n, g=g: gradients[n][:, g])  # type: ignore[misc]
            for n in names
        ]

        def runs(g: int = g) -> list[list[Slot]]:
            return [
                [
                    (storage[n][s, g], lambda n=n, s=s, g=g: gradients[n][s, g])  # type: ignore[misc]
                    for n in names
                ]
                for s in range(seed_count)
            ]

        rows.append(build_row(setting, level, shared, runs, steps))
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in storage.items()}
    watch = Watch((problem,), rows_count, seed_count, steps, device)
    instance = {k: v.to(device) for k, v in problem.instance(seeds).items()}
    failures: dict[int, str] = {}
    for step in range(steps + 1):
        if step == steps:
            finish_rows(rows)
        batch = problem.batch(seeds, first + step)
        point = {name: leaf.transpose(0, 1) for name, leaf in leaves.items()}
        data = {**instance, **{k: v.to(device) for k, v in batch.items()}}
        loss = problem.loss(point, data)
        if look is not None:
            look(step, point, loss.detach())
        if problem.scored_apart:
            with torch.no_grad():
                watch.values.copy_(problem.value(point, data))
        else:
            watch.values.copy_(loss.detach())
        watch.observe(step)
        marked = watch.marked(step)
        if step < steps or marked:
            found = torch.autograd.grad(
                loss,
                list(leaves.values()),
                torch.ones_like(loss),
                allow_unused=True,
                materialize_grads=True,
            )
            gradients.update(zip(names, found, strict=True))
        if marked:
            norms = [torch.linalg.vector_norm(g.flatten(2), dim=-1) for g in gradients.values()]
            watch.measure(step, 0, torch.linalg.vector_norm(torch.stack(norms), dim=0).T)
        if step == steps:
            break
        step_rows(rows, failures)
        if tick is not None:
            tick(step + 1)
    flat = torch.empty(rows_count, seed_count, 0)
    with torch.no_grad():
        final = {name: tensor.transpose(0, 1) for name, tensor in storage.items()}
        measured = dict(problem.evaluate(final, instance))
    return Grid((watch.runs(0, flat),), failures), measured
