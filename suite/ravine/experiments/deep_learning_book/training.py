"""Networks from several seeds trained as one stack, with a look at gradient and curvature."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ravine.landscape.sources import surface
from ravine.landscape.surface import gradient, pack
from ravine.problems.base import Point
from ravine.problems.networks.network import Network


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """What was seen of plain descent in minibatches.

    Args:
        losses: of each step's minibatch.
        norms: of its gradient g.
        at: steps of the looks.
        gg: g'g of the minibatch at each look.
        ghg: g'Hg, with the Hessian of the same minibatch.
        actual: change of the minibatch's loss by a step of the small rate.
        full: norm of the gradient over fixed examples; empty where none were asked for.
        scores: what the problem measures at the end.
    """

    losses: Float[np.ndarray, "seeds steps"]
    norms: Float[np.ndarray, "seeds steps"]
    at: Int[np.ndarray, " looks"]
    gg: Float[np.ndarray, "seeds looks"]
    ghg: Float[np.ndarray, "seeds looks"]
    actual: Float[np.ndarray, "seeds looks"]
    full: Float[np.ndarray, "seeds _"]
    scores: Mapping[str, Float[np.ndarray, " seeds"]]


def train(
    problem: Network,
    seeds: Sequence[int],
    rate: float,
    steps: int,
    looks: int,
    *,
    small: float,
    examples: int = 0,
    begin: Sequence[Point] | None = None,
    tick: Callable[[float], None] = lambda share: None,
) -> Training:
    """Train a network from every seed by SGD at a constant rate, all as one stack.

    Args:
        problem: the network.
        seeds: of starts and minibatches.
        rate: of descent.
        steps: of each run.
        looks: at evenly spaced steps, the first and the last among them.
        small: rate of the step by which a quadratic prediction is tested.
        examples: over which the full gradient is taken at each look, 0 for none.
        begin: where each run starts, instead of at its seed's start.
        tick: told the share of steps that are done.
    """
    starts = [problem.start(seed) for seed in seeds] if begin is None else begin
    leaves = {n: torch.stack([s[n] for s in starts]).requires_grad_() for n in problem.shapes}
    parameters = list(leaves.values())
    ground = surface(problem, examples=examples) if examples else None
    at = np.unique(np.linspace(0, steps - 1, looks).round().astype(int))
    losses, norms, seen, full = [], [], [], []
    for step in range(steps):
        data = problem.batch(seeds, step)
        loss = problem.loss(leaves, data)
        looked = step in at
        slopes = torch.autograd.grad(loss.sum(), parameters, create_graph=looked)
        g = [slope.detach() for slope in slopes]
        gg = _dot(g, g)
        losses.append(loss.detach())
        norms.append(gg.sqrt())
        if looked:
            # seeds do not meet, so the product of the sum's Hessian is each seed's own
            bent = torch.autograd.grad(slopes, parameters, g)
            with torch.no_grad():
                moved = {n: p - small * s for (n, p), s in zip(leaves.items(), g, strict=True)}
                change = problem.loss(moved, data) - loss
            seen.append(torch.stack([gg, _dot(g, bent), change]))
            if ground is not None:
                full.append(gradient(ground, pack(ground, _held(leaves))).double().norm(dim=-1))
        with torch.no_grad():
            for parameter, slope in zip(parameters, g, strict=True):
                parameter.sub_(slope, alpha=rate)
        tick((step + 1) / steps)
    quantities = torch.stack(seen, -1).double().numpy()
    return Training(
        losses=torch.stack(losses, -1).double().numpy(),
        norms=torch.stack(norms, -1).double().numpy(),
        at=at,
        gg=quantities[0],
        ghg=quantities[1],
        actual=quantities[2],
        full=torch.stack(full, -1).numpy() if full else np.empty((len(seeds), 0)),
        scores={n: v.numpy() for n, v in problem.evaluate(_held(leaves), {}).items()},
    )


def smoothed(values: Float[np.ndarray, "seeds steps"], window: int) -> Float[np.ndarray, "seeds _"]:
    """Running means of so many steps, without those that would reach past an end."""
    sums = np.cumsum(np.pad(values, ((0, 0), (1, 0))), axis=1)
    means: Float[np.ndarray, "seeds _"] = (sums[:, window:] - sums[:, :-window]) / window
    return means


def quarters(values: Float[np.ndarray, "seeds n"]) -> Float[np.ndarray, "two seeds"]:
    """Medians of the first and of the last quarter."""
    part = max(1, values.shape[1] // 4)
    return np.stack([np.median(values[:, :part], 1), np.median(values[:, -part:], 1)])


def _dot(a: Sequence[Tensor], b: Sequence[Tensor]) -> Float[Tensor, " seeds"]:
    parts = [(x * y).flatten(1).sum(1) for x, y in zip(a, b, strict=True)]
    return torch.stack(parts).sum(0)


def _held(leaves: Point) -> Point:
    return {n: p.detach() for n, p in leaves.items()}
