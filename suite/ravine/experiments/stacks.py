"""Networks that train beside each other in one stack, with the points where they were kept."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ravine.engine.probe import probe
from ravine.engine.rows import Level
from ravine.errors import BadValue
from ravine.experiments.experiment import Tick
from ravine.optimizers.assembly import assemble
from ravine.optimizers.base import Setting
from ravine.problems.base import Point
from ravine.problems.catalogue import problem
from ravine.problems.networks.network import Network


def net(id: str, *, count: int = 0, batch: int = 0) -> Network:
    """A network of the catalogue, if asked for on fewer training images or in other batches.

    Args:
        id: of the network.
        count: training images, the first ones; 0 for all.
        batch: images in a minibatch; 0 for the network's own.
    """
    found = cast(Network, problem(id))
    supply = cast(Any, found.supply)
    return replace(
        found,
        supply=replace(supply, count=count or supply.count, batch_size=batch or supply.batch_size),
    )


def train(
    subject: Network,
    setting: Setting,
    seeds: Sequence[int],
    steps: int,
    *,
    start: Callable[[int], Point] | None = None,
    keep: Sequence[int] = (),
    dtype: torch.dtype = torch.float32,
    tick: Tick = lambda share: None,
) -> Float[Tensor, "marks runs P"]:
    """Train a network from many seeds at once; runs do not feel each other.

    Args:
        subject: the network.
        setting: an optimizer that treats every number alone.
        seeds: of the minibatches, one for each run, and of its start.
        steps: of each run.
        start: from a run's place to where it starts, instead of its seed's.
        keep: steps whose points are kept, ascending; the last always is.
        dtype: of the parameters.
        tick: told the share that is done.

    Returns:
        Flat points by step kept and by run.

    Raises:
        BadValue: runs of the optimizer cannot share a tensor.
    """
    if probe(setting.method) is not Level.ELEMENTWISE:
        raise BadValue(f"`{setting.name}` does not stack number by number; use `walk`")
    begin = start or (lambda run: subject.start(seeds[run]))
    points = [begin(run) for run in range(len(seeds))]
    leaves = {
        name: torch.stack([p[name] for p in points]).to(dtype).requires_grad_()
        for name in subject.shapes
    }
    optimizer = assemble(setting, list(leaves.values()), steps)
    marks, kept = {*keep, steps}, []
    for step in range(steps + 1):
        if step in marks:
            kept.append(torch.cat([p.detach().flatten(1) for p in leaves.values()], 1))
        if step == steps:
            break
        loss = subject.loss(leaves, subject.batch(seeds, step))
        found = torch.autograd.grad(loss.sum(), list(leaves.values()))
        for leaf, gradient in zip(leaves.values(), found, strict=True):
            leaf.grad = gradient
        optimizer.step()
        tick((step + 1) / steps)
    return torch.stack(kept)
